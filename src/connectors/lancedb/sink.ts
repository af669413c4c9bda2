import { LINES } from '../../model/batch.ts';
import { applied, type Verdict } from '../../model/verdict.ts';
import type { Abilities, LoadAbilities, Permit, Sink } from '../connector.ts';
import { encoded, fieldsOf, recordsOf, type TableColumn } from './batch-rows.ts';
import { Books } from './books.ts';
import { LanceDatabase, type Place } from './database.ts';
import { within, writeError } from './driver.ts';
import { Places } from './place.ts';
import { Publisher } from './publish.ts';
import { holdsBatch, rowNames } from './row-names.ts';
import { LanceSchema, type LiveOptions } from './schema.ts';
import { Target, type TargetOptions } from './target.ts';
import { Versions } from './versions.ts';

export interface LanceSinkOptions extends TargetOptions {
  readonly place: Place;
  readonly recordsPerBatch: number;
  readonly bytesPerBatch: number;
  readonly requestTimeoutMs: number;
}

/**
 * Writes into one table of LanceDB. With a key, rows are changed in place and the table can be taken back to what it
 * was; without one, rows are added, and each is told from its repeat by the column that Waybill fills.
 */
export function lancedbSink(given: LanceSinkOptions): Sink {
  // A copy of its own: what the table is to be made of may be told later.
  const options: LanceSinkOptions & LiveOptions = { ...given };
  const database = new LanceDatabase(options.place);
  const target = new Target(options, database, new Books(database, options.table));
  const places = new Places(target);
  const { requestTimeoutMs, recordsPerBatch, bytesPerBatch, key } = options;
  return {
    accepts: [LINES],
    // Adding from several sides at once only makes commits wait for one another.
    limits: { recordsPerBatch, bytesPerBatch, inFlight: 1 },
    can: {
      load: { open: (step) => places.open(step), add: (permit) => places.add(permit) },
      ...(key === undefined ? addingTo(target) : changing(target, requestTimeoutMs)),
    },
    facts: { rejectsAtomically: true, retention: RETENTION, ...(key === undefined ? {} : { putKey: key }) },
    schema: new LanceSchema(options, target),
    requestTimeoutMs,
    close: () => database.close(),
  };
}

const RETENTION =
  'versions are kept until `optimize` cleans them up, which takes those older than seven days by default';

/** What a table with a key can do. */
function changing(target: Target, timeoutMs: number): Partial<Abilities & LoadAbilities> {
  const publisher = new Publisher(target);
  const versions = new Versions(target);
  return {
    put: (permit) => put(target, permit, timeoutMs),
    merge: (step, by) => publisher.publish(step, { name: 'merge', by }),
    replace: (step, scope) => publisher.publish(step, { name: 'replace', scope }),
    versions: {
      current: () => versions.current(),
      kept: () => versions.kept(),
      restore: (step, version) => versions.restore(step, version),
    },
  };
}

/** What a table can do whose rows are only told by where they came from. */
function addingTo(target: Target): Partial<Abilities & LoadAbilities> {
  const publisher = new Publisher(target);
  return {
    commitOnce: (permit) => commitOnce(target, permit),
    appendLoad: (step) => publisher.publish(step, { name: 'appendLoad' }),
    replace: (step, scope) => publisher.publish(step, { name: 'replace', scope }),
  };
}

async function put(target: Target, permit: Permit, timeoutMs: number): Promise<Verdict> {
  const records = await recordsOf(permit);
  const { opened, table, columns } = await readyTable(target, records);
  const rows = lastOfEachKey(columns, target.on, fieldsOf(records, columns));
  const data = encoded(opened.arrow, columns, rows);
  const merge = table
    .mergeInsert([...target.on])
    .whenMatchedUpdateAll()
    .whenNotMatchedInsertAll();
  const result = await written(permit, merge.execute(data, { timeoutMs }));
  const { numInsertedRows: inserted, numUpdatedRows: updated, version } = result;
  return applied(records.length, {
    summary: `${inserted} rows inserted, ${updated} changed`,
    reference: `v${version}`,
  });
}

/** A row is inserted unless one of its name is there: the rows of a batch are their own marker. */
async function commitOnce(target: Target, permit: Permit): Promise<Verdict | 'already'> {
  const records = await recordsOf(permit);
  const { opened, table, columns } = await readyTable(target, records);
  const field = target.rowField(opened);
  if (await holdsBatch(table, target.options.rowColumn, permit.batch)) return 'already';
  const texts = rowNames(permit.batch);
  const data = encoded(opened.arrow, columns, fieldsOf(records, columns), [{ field, texts }]);
  const merge = table.mergeInsert([...target.on]).whenNotMatchedInsertAll();
  const { numInsertedRows: inserted, version } = await written(permit, merge.execute(data));
  if (inserted === 0) return 'already';
  return applied(records.length, { summary: `${inserted} rows in one commit`, reference: `v${version}` });
}

async function readyTable(target: Target, records: readonly string[]) {
  const opened = await target.database.open();
  const there = await target.find();
  const columns = await target.columnsFor(opened, there, records);
  return { opened, columns, table: there ?? (await target.make(opened, columns)) };
}

async function written<T>(permit: Permit, work: Promise<T>): Promise<T> {
  return await within(permit.signal, work).catch((error: unknown) => {
    throw writeError(error, 'the commit');
  });
}

type Fields = readonly (string | null)[];

/** Records of one key count in their order; LanceDB refuses two of one key, or inserts both. */
function lastOfEachKey(columns: readonly TableColumn[], key: readonly string[], rows: readonly Fields[]) {
  const places = key.map((name) => columns.findIndex((column) => column.name === name));
  // A missing key is told by the row that it is missing from, so then no row is left out.
  if (rows.some((row) => places.some((place) => row[place] == null))) return rows;
  const texts = rows.map((row) => JSON.stringify(places.map((place) => row[place])));
  const last = new Map(texts.map((text, at) => [text, at]));
  return rows.filter((_, at) => last.get(texts[at]!) === at);
}
