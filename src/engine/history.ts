import { columnsSeen } from '../formats/columns/seen.ts';
import { encodeRecord } from '../formats/encode.ts';
import { identify, missingKeys } from '../formats/identify.ts';
import { encodeRows, parseObject, rowAt } from '../formats/rows.ts';
import { assert } from '../model/assert.ts';
import { type Chunk, type DataRecord, DIGEST_BYTES, KEY_BYTES, type Reject } from '../model/chunk.ts';
import type { Column, ColumnKind, Columns } from '../model/columns.ts';
import { WaybillError } from '../model/errors.ts';
import { type HistorySettings, needsKey, OPERATION, type Operation, readOperation } from '../model/history.ts';
import type { HistoryChanges, PullReader } from '../model/slice.ts';
import type { Job } from './engine.ts';
import { KnownRows, nameOf } from './known-rows.ts';
import type { SliceBook } from './slice-book.ts';

/** Turns what a source brings into rows of history, slice by slice. */
export interface History {
  /** Only the whole of what there is can be compared: a slice ends where the source, or a part of it, does. */
  readonly whole: boolean;
  /** The rows of history that follow from a chunk, and what of it cannot be one. */
  take(chunk: Chunk): Promise<Chunk>;
  /** What follows only now that all of a slice has been taken. */
  end(): AsyncIterable<Chunk>;
  /** What the ledger has to know of the slice; undefined for a merge that compares nothing. */
  changes(): HistoryChanges | undefined;
  /** The slice is in the ledger. */
  committed(): void;
}

/** So many rows stand in a chunk that is not made from one of the source. */
const ROWS_AT_ONCE = 1_000;

export interface HistoryStores {
  readonly read: PullReader;
  readonly identity: { readonly seed: Uint8Array };
}

export function openHistory(
  job: Job,
  settings: HistorySettings | undefined,
  book: SliceBook,
  stores: HistoryStores,
): History | undefined {
  return settings === undefined ? undefined : new MergedHistory(job, settings, book, stores);
}

/** A row as it came: its place in its chunk, its content, and what tells it from others. */
interface Come {
  readonly record: DataRecord;
  readonly key: Uint8Array;
  readonly digest: Uint8Array;
}

class MergedHistory implements History {
  readonly whole: boolean;
  readonly #job: Job;
  readonly #settings: HistorySettings;
  readonly #book: SliceBook;
  readonly #seed: Uint8Array;
  readonly #known: KnownRows;
  /** Keys of the snapshot that is being read. */
  #met = new Set<string>();
  /** The last row of each key of the slice that is being read, in the order in which they came last. */
  #last = new Map<string, Come & { readonly retracts: boolean }>();
  #out: DataRecord[] = [];
  /** Of the rows of history, where the source says its types. */
  #described: Columns | undefined;

  constructor(job: Job, settings: HistorySettings, book: SliceBook, stores: HistoryStores) {
    this.whole = settings.merge === 'snapshot';
    this.#job = job;
    this.#settings = settings;
    this.#book = book;
    this.#seed = stores.identity.seed;
    this.#known = new KnownRows(job.flow, stores.read);
  }

  async take(chunk: Chunk): Promise<Chunk> {
    const rejects: Reject[] = [...(chunk.rejects ?? [])];
    if (chunk.count > 0) {
      this.#saw(chunk);
      await this.#takeRows(chunk, rejects);
    }
    const { end, closes } = chunk;
    const made = this.#made(chunk.firstRow);
    rejects.push(...(made.rejects ?? []));
    return {
      ...made,
      ...(end === undefined ? {} : { end }),
      ...(closes === undefined ? {} : { closes }),
      ...(rejects.length === 0 ? {} : { rejects }),
    };
  }

  async *end(): AsyncGenerator<Chunk> {
    if (this.#settings.merge === 'upsert-stream') yield* this.#endUpserts();
    if (this.whole) yield* this.#endSnapshot();
  }

  changes(): HistoryChanges | undefined {
    return needsKey(this.#settings.merge) ? this.#known.changes() : undefined;
  }

  committed(): void {
    this.#known.committed();
    this.#met = new Set();
    this.#last = new Map();
  }

  // ---- rows as they come -------------------------------------------------------------------------------------------

  async #takeRows(chunk: Chunk, rejects: Reject[]): Promise<void> {
    const { merge } = this.#settings;
    const ids = needsKey(merge) ? this.#identities(chunk) : undefined;
    const missing = new Set(ids?.missing);
    if (ids !== undefined && merge !== 'upsert-stream') await this.#known.load(ids.keys);
    for (let nth = 0; nth < chunk.count; nth++) {
      const record = rowAt(chunk, nth);
      const reject = (code: string, message: string): void => {
        rejects.push({ row: chunk.firstRow + nth, code, message, ...lineOf(chunk, nth) });
      };
      if (missing.has(nth)) {
        const columns = missingKeys(chunk, nth, this.#key()).map((name) => JSON.stringify(name));
        reject('KEY_MISSING', `the record has no value for the key column ${columns.join(', ')}`);
        continue;
      }
      const key = ids?.keys.slice(nth * KEY_BYTES, (nth + 1) * KEY_BYTES) ?? NO_BYTES;
      const digest = ids?.digests.slice(nth * DIGEST_BYTES, (nth + 1) * DIGEST_BYTES) ?? NO_BYTES;
      const wrong = this.#takeRow({ record, key, digest });
      if (wrong !== undefined) reject(wrong.code, wrong.message);
    }
  }

  /** Why the row is none of history, if so. */
  #takeRow(come: Come): Pick<Reject, 'code' | 'message'> | undefined {
    if (this.#time(come.record) === undefined)
      return { code: 'VALUE_UNFIT', message: `${JSON.stringify(this.#settings.eventTime)} is no moment in ISO 8601` };
    switch (this.#settings.merge) {
      case 'append':
        return this.#add(OPERATION.append, come.record);
      case 'ledger':
        return this.#toLedger(come);
      case 'snapshot':
        return this.#ofSnapshot(come);
      case 'changelog-stream':
        return this.#ofChangelog(come.record);
      default:
        return this.#upsert(come);
    }
  }

  /** A key that is there already with other content is told of: nobody can say which of the two is true. */
  #toLedger({ record, key, digest }: Come): Pick<Reject, 'code' | 'message'> | undefined {
    const there = this.#known.find(key);
    if (there === undefined) {
      this.#known.put(key, digest, NO_BYTES);
      return this.#add(OPERATION.append, record);
    }
    return Buffer.compare(there.digest, digest) === 0 ? this.#unchanged(record) : HISTORY_FIXED;
  }

  #ofSnapshot({ record, key, digest }: Come): Pick<Reject, 'code' | 'message'> | undefined {
    const there = this.#known.find(key);
    const name = nameOf(key);
    const changed = there === undefined || Buffer.compare(there.digest, digest) !== 0;
    if (this.#met.has(name)) return changed ? KEY_TWICE : undefined;
    this.#met.add(name);
    if (changed) this.#change(there?.row, record, { key, digest });
    else this.#unchanged(record);
    return undefined;
  }

  /** That nothing has changed as of a later time, where the row says when: event time comes further, and no row is. */
  #unchanged(record: DataRecord): undefined {
    const { eventTime } = this.#settings;
    const told = eventTime === undefined ? undefined : record[eventTime];
    const at = told === undefined || told === null ? undefined : momentOf(told);
    if (at !== undefined) this.#book.reached(at);
    return undefined;
  }

  #ofChangelog(record: DataRecord): Pick<Reject, 'code' | 'message'> | undefined {
    const { operation: column } = this.#settings;
    const operation = column in record ? readOperation(record[column]) : OPERATION.append;
    return operation === undefined ? NO_OPERATION(column) : this.#add(operation, record);
  }

  #upsert(come: Come): Pick<Reject, 'code' | 'message'> | undefined {
    const { operation: column } = this.#settings;
    const operation = column in come.record ? readOperation(come.record[column]) : OPERATION.append;
    if (operation === undefined) return NO_OPERATION(column);
    // What was there before is known.
    if (operation === OPERATION.before) return undefined;
    const name = nameOf(come.key);
    this.#last.delete(name);
    this.#last.set(name, { ...come, retracts: operation === OPERATION.retract });
    return undefined;
  }

  // ---- what follows at the end of a slice --------------------------------------------------------------------------

  async *#endUpserts(): AsyncGenerator<Chunk> {
    const all = [...this.#last.values()];
    for (let from = 0; from < all.length; from += ROWS_AT_ONCE) {
      const some = all.slice(from, from + ROWS_AT_ONCE);
      await this.#known.load(Buffer.concat(some.map(({ key }) => key)));
      for (const { record, key, digest, retracts } of some) {
        const there = this.#known.find(key);
        if (retracts) this.#retract(there?.row, key);
        else if (there === undefined || Buffer.compare(there.digest, digest) !== 0)
          this.#change(there?.row, record, { key, digest });
        else this.#unchanged(record);
      }
      yield this.#made(1);
    }
  }

  /** What was there and was not read is gone. */
  async *#endSnapshot(): AsyncGenerator<Chunk> {
    for await (const { key, row } of this.#known.all()) {
      if (this.#met.has(nameOf(key))) continue;
      if (this.#met.size === 0 && !this.#settings.allowEmpty) throw emptySnapshot(this.#job.source.name);
      this.#retract(row, key);
      if (this.#out.length >= ROWS_AT_ONCE) yield this.#made(1);
    }
    yield this.#made(1);
  }

  #change(before: Uint8Array | undefined, record: DataRecord, { key, digest }: Omit<Come, 'record'>): void {
    if (before === undefined) this.#add(OPERATION.append, record);
    else {
      this.#add(OPERATION.before, parsed(before));
      this.#add(OPERATION.after, record);
    }
    this.#known.put(key, digest, encoded(this.#withoutOperation(record)));
  }

  #retract(row: Uint8Array | undefined, key: Uint8Array): void {
    // Of a key that is not there nothing can be taken back.
    if (row === undefined) return;
    this.#add(OPERATION.retract, parsed(row));
    this.#known.remove(key);
  }

  // ---- rows as they go ---------------------------------------------------------------------------------------------

  #add(operation: Operation, record: DataRecord): undefined {
    const { columns, eventTime } = this.#settings;
    const taken = isoTime(this.#book.systemTimeMs);
    const at = this.#time(record) ?? taken;
    const row: Record<string, unknown> = Object.create(null);
    row[columns.offset] = this.#book.offset;
    row[columns.operation] = operation;
    row[columns.systemTime] = taken;
    if (eventTime === undefined) row[columns.eventTime] = at;
    Object.assign(row, this.#withoutOperation(record));
    this.#out.push(row);
    this.#book.count(1);
    if (operation === OPERATION.append || operation === OPERATION.after) this.#book.happened(at);
    return undefined;
  }

  /** The column is said once more, in ODF's numbers, where it was read. */
  #withoutOperation(record: DataRecord): DataRecord {
    const { operation } = this.#settings;
    if (!isStream(this.#settings) || !(operation in record)) return record;
    const { [operation]: _, ...rest } = record;
    return rest;
  }

  /** When it happened, ISO 8601 in UTC; when it is taken in, where it does not say. Undefined: it says no moment. */
  #time(record: DataRecord): string | undefined {
    const { eventTime } = this.#settings;
    const value = eventTime === undefined ? undefined : record[eventTime];
    if (value === undefined || value === null) return isoTime(this.#book.systemTimeMs);
    return momentOf(value);
  }

  #made(firstRow: number): Omit<Chunk, 'end'> {
    const rows = this.#out;
    this.#out = [];
    const described = this.#described;
    return { ...encodeRows(rows, 'ndjson', { firstRow }), ...(described === undefined ? {} : { described }) };
  }

  #saw(chunk: Chunk): void {
    const source = this.#job.source.name;
    this.#book.saw(withSystemColumns(this.#settings, columnsSeen(chunk), source));
    this.#described = historyColumns(this.#settings, chunk, { source, known: this.#book.columns }) ?? this.#described;
  }

  #identities(chunk: Chunk): ReturnType<typeof identify> {
    const { operation, ignore, merge } = this.#settings;
    const exclude = merge === 'upsert-stream' ? [...ignore, operation] : ignore;
    return identify(chunk, { key: this.#key(), exclude, seed: this.#seed, byColumn: true });
  }

  #key(): readonly string[] {
    const { key } = this.#job.source;
    assert(key !== null, 'history.rows-have-keys');
    return key;
  }
}

const NO_BYTES = new Uint8Array();
const HISTORY_FIXED = {
  code: 'LEDGER_ROW_CHANGED',
  message: 'a row with this key is in the history already, with other content; a ledger is only added to',
};
const KEY_TWICE = {
  code: 'DUPLICATE_KEY',
  message: 'the key came before in this snapshot, with other content; nobody can say which of the two is there',
};
const NO_OPERATION = (column: string): Pick<Reject, 'code' | 'message'> => ({
  code: 'VALUE_UNFIT',
  message: `the column ${JSON.stringify(column)} names no operation, such as +A, -R, -C or +C`,
});

const isStream = ({ merge }: HistorySettings): boolean => merge === 'changelog-stream' || merge === 'upsert-stream';

const lineOf = (chunk: Chunk, nth: number): { line?: number } => {
  const line = chunk.where?.(nth).line;
  return line === undefined ? {} : { line };
};

const encoded = (record: DataRecord): Uint8Array => Buffer.from(encodeRecord(record));
const parsed = (row: Uint8Array): DataRecord => parseObject(Buffer.from(row).toString('utf8'));

const isoTime = (ms: number): string => new Date(ms).toISOString();

/** `2026-11-19`, `2026-11-19T05:06`, with seconds, a fraction, a zone or none (UTC). Undefined for all else. */
const MOMENT = /^(\d{4}-\d\d-\d\d)(?:[T ](\d\d:\d\d)(:\d\d)?(\.\d+)?)?\s?(Z|[+-]\d\d(?::?\d\d)?)?$/;

function momentOf(value: unknown): string | undefined {
  const match = typeof value === 'string' ? MOMENT.exec(value) : null;
  if (match === null) return undefined;
  const [, day, minutes = '00:00', seconds = ':00', fraction = '', zone = 'Z'] = match;
  const [hours, rest] = zone === 'Z' ? [] : [zone.slice(0, 3), zone.slice(3).replace(':', '') || '00'];
  const offset = hours === undefined ? 'Z' : `${hours}:${rest}`;
  const ms = Date.parse(`${day}T${minutes}${seconds}${fraction.slice(0, 4)}${offset}`);
  return Number.isNaN(ms) ? undefined : isoTime(ms);
}

const column = (name: string, kind: ColumnKind): Column => ({ name, type: { kind }, nullable: false });

/** Those that history adds, in front of the columns of the source. */
function systemColumns({ columns, eventTime }: HistorySettings): Columns {
  const added = [
    column(columns.offset, 'int64'),
    column(columns.operation, 'int32'),
    column(columns.systemTime, 'timestamptz'),
  ];
  return eventTime === undefined ? [...added, column(columns.eventTime, 'timestamptz')] : added;
}

function withSystemColumns(settings: HistorySettings, columns: Columns, source: string): Columns {
  const consumed = isStream(settings) ? settings.operation : undefined;
  const own = columns.filter(({ name }) => name !== consumed);
  const added = systemColumns(settings);
  const twice = own.find(({ name }) => added.some((one) => one.name === name));
  if (twice !== undefined) throw columnTaken(twice.name, source);
  return [...added, ...own];
}

/**
 * Columns of the rows that history makes of a chunk; undefined where the source does not say its types. `known`: those
 * that the flow has ever had, since what is taken back is as it was read, with columns that may be gone by now.
 */
export function historyColumns(
  settings: HistorySettings,
  chunk: Chunk,
  { source, known }: { readonly source: string; readonly known: Columns },
): Columns | undefined {
  const said = chunk.types ?? chunk.described;
  if (said === undefined) return undefined;
  const now = withSystemColumns(settings, said, source);
  return [...now, ...known.filter(({ name }) => !now.some((one) => one.name === name))];
}

const columnTaken = (name: string, source: string): WaybillError =>
  new WaybillError('SOURCE_INVALID', `${source} has a column ${JSON.stringify(name)}, and so has every history`, {
    hint: 'Give the column of the history another name under `history: { columns: … }`.',
    ids: { column: name },
  });

const emptySnapshot = (source: string): WaybillError =>
  new WaybillError('SNAPSHOT_EMPTY', `${source} holds nothing now; taken at its word, every row of history would go`, {
    ids: { source },
  });
