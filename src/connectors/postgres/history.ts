import type * as Pg from 'pg';
import type { MergeBy } from '../../model/load.ts';
import { quoteName } from './connection.ts';
import type { FieldSets } from './load-books.ts';
import { FIELDS, madeTarget } from './load-place.ts';
import { columnsFor, countOf, type Done, lockForWriters, ofAnotherFlow, type Publishing } from './load-steps.ts';
import { inWords, merge, rowsToMerge } from './merge.ts';
import { nameBeside, type Place, placeOf, quoteNames, readShape, type Shape, tableOf } from './shape.ts';
import { quoteTable } from './table.ts';

const LOAD = 'waybill_load';
const AT = 'waybill_at';
/** What the table held before its first load: earlier than any window, and not to be gone back behind. */
const BASELINE = 'baseline';
const BASELINE_SET = '0';

/**
 * Merges, and keeps the rows of every load beside the table, by the time that they were meant for. When there are rows
 * of that time or of later ones, they are taken out first: every key that they name is put back to what the loads
 * before had made of it. So a window that is loaded again finds what it found the first time.
 */
export async function mergePlaceAt(publishing: Publishing, by: MergeBy, at: string): Promise<Done> {
  const { client, options } = publishing;
  const table = tableOf(await madeTarget(client, options));
  columnsFor(publishing, table);
  const rows = await rowsToMerge(publishing, table, by);
  await lockForWriters(client, table);
  const history = await History.open(publishing, table);
  const undone = await history.undo(by, at);
  await history.keep(rows.from, at);
  const merged = await merge(client, { table, rows, by });
  const back =
    undone.loads === 0 ? '' : `${undone.rows} keys put back to before ${at} (${undone.loads} loads undone); `;
  return {
    receipt: {
      summary: `${back}${table.quoted}: ${inWords(merged)}, from ${publishing.records} rows of the load`,
      facts: { ...merged, rows: rows.rows, undoneLoads: undone.loads, putBack: undone.rows, history: history.name },
    },
  };
}

interface Kept {
  readonly load: string;
  readonly fields: Readonly<Record<string, readonly string[]>>;
}

class History {
  readonly #publishing: Publishing;
  readonly #table: Shape;
  readonly #place: Place;
  /** The row of each load: its time, and which columns its rows have brought. */
  readonly #entries: string;

  private constructor(publishing: Publishing, table: Shape, place: Place) {
    this.#publishing = publishing;
    this.#table = table;
    this.#place = place;
    this.#entries = quoteTable([publishing.options.markerSchema, 'waybill_history']);
  }

  static async open(publishing: Publishing, table: Shape): Promise<History> {
    const place = placeOf(table.schema, nameBeside(table.name, 'waybill_history'));
    const history = new History(publishing, table, place);
    const shape = await readShape(publishing.client, place.quoted);
    if (shape === undefined) await history.#make();
    else await history.#widen(shape);
    return history;
  }

  get name(): string {
    return this.#place.quoted;
  }

  /** Takes out what belongs to `at` and later. */
  async undo(by: MergeBy, at: string): Promise<{ readonly loads: number; readonly rows: number }> {
    const { client, step } = this.#publishing;
    const [target, quoted] = [this.#table.quoted, this.#place.quoted];
    const loads = await countOf(
      client,
      `select count(*)::float8 as count from ${this.#entries} where target = $1 and at >= $2`,
      [target, at],
    );
    if (loads === 0) return { loads, rows: 0 };
    await this.#expectOwn(at);
    const key = quoteNames(by.key);
    const touched = quoteTable([this.#publishing.options.markerSchema, nameBeside(step.load.id, 'keys')]);
    // A statement that makes a table takes no values.
    const since = `${AT} >= ${literal(at)}::timestamptz`;
    await client.query(`create unlogged table ${touched} as select distinct ${key} from ${quoted} where ${since}`);
    await client.query(`analyze ${touched}`);
    await client.query(`delete from ${quoted} where ${AT} >= $1`, [at]);
    await client.query(`delete from ${this.#entries} where target = $1 and at >= $2`, [target, at]);
    await client.query(`delete from ${target} as t using ${touched} as k where ${sameKey(by, 't', 'k')}`);
    await this.#replay(by, touched);
    const rows = await countOf(client, `select count(*)::float8 as count from ${touched}`);
    await client.query(`drop table ${touched}`);
    return { loads, rows };
  }

  async #expectOwn(at: string): Promise<void> {
    const { client, step, options } = this.#publishing;
    const { rows } = await client.query<{ flow: string }>(
      `select l.flow from ${this.#entries} e join ${quoteTable([options.markerSchema, 'waybill_load'])} l
        on l.load = e.load where e.target = $1 and e.at >= $2 and l.flow <> $3 order by l.nth desc limit 1`,
      [this.#table.quoted, at, step.load.flow],
    );
    if (rows[0] === undefined) return;
    throw ofAnotherFlow(`${this.#table.quoted} from ${at} on`, rows[0].flow, this.#publishing);
  }

  /** The loads that are left, one after the other, as far as they name these keys. */
  async #replay(by: MergeBy, touched: string): Promise<void> {
    const { client } = this.#publishing;
    const quoted = this.#place.quoted;
    const { rows } = await client.query<Kept & { rows: number }>(
      `select e.load, e.fields, h.rows from ${this.#entries} e join (
          select h.${LOAD} as load, count(*)::float8 as rows
          from ${quoted} h join ${touched} k on ${sameKey(by, 'h', 'k')} group by 1) h on h.load = e.load
        where e.target = $1 order by e.at`,
      [this.#table.quoted],
    );
    const { deleted: _, ...plain } = by;
    for (const { load, fields, rows: count } of rows) {
      const from = `(select h.* from ${quoted} h join ${touched} k on ${sameKey(by, 'h', 'k')}
        where h.${LOAD} = ${literal(load)})`;
      // A flag in a row that was there from the beginning deletes nothing: somebody has kept it.
      const how = load === BASELINE ? plain : by;
      await merge(client, { table: this.#table, rows: { from, rows: count, sets: setsOf(fields) }, by: how });
    }
  }

  async keep(from: string, at: string): Promise<void> {
    const { client, step, sets, columns } = this.#publishing;
    const names = quoteNames([...columns, FIELDS]);
    await client.query(
      `insert into ${this.#place.quoted} (${names}, ${AT}, ${LOAD}) select ${names}, $1, $2 from ${from} s`,
      [at, step.load.id],
    );
    await this.#enter(client, { load: step.load.id, fields: Object.fromEntries(sets) }, at);
  }

  async #make(): Promise<void> {
    const { client } = this.#publishing;
    const names = this.#names();
    const { quoted } = this.#place;
    await client.query(
      `create table ${quoted} as select ${quoteNames(names)}, ${BASELINE_SET}::bigint as ${FIELDS},
        '-infinity'::timestamptz as ${AT}, '${BASELINE}'::text as ${LOAD} from ${this.#table.quoted}`,
    );
    await client.query(`create index on ${quoted} (${AT})`);
    await client.query(`delete from ${this.#entries} where target = $1`, [this.#table.quoted]);
    await this.#enter(client, { load: BASELINE, fields: { [BASELINE_SET]: names } }, '-infinity');
  }

  async #enter(client: Pg.Client, { load, fields }: Kept, at: string): Promise<void> {
    await client.query(`insert into ${this.#entries} (target, load, at, fields) values ($1, $2, $3, $4)`, [
      this.#table.quoted,
      load,
      at,
      JSON.stringify(fields),
    ]);
  }

  /** Columns that the table has got since, and types that it has changed: what is kept goes back into it. */
  async #widen(shape: Shape): Promise<void> {
    const there = new Map(shape.columns.map(({ name, type }) => [name, type]));
    for (const { name, type, generated } of this.#table.columns) {
      if (generated || there.get(name) === type) continue;
      const quoted = quoteName(name);
      const change = there.has(name)
        ? `alter column ${quoted} type ${type} using ${quoted}::${type}`
        : `add column ${quoted} ${type}`;
      await this.#publishing.client.query(`alter table ${this.#place.quoted} ${change}`);
    }
  }

  #names(): readonly string[] {
    return this.#table.columns.filter(({ generated }) => !generated).map(({ name }) => name);
  }
}

const setsOf = (fields: Kept['fields']): FieldSets => new Map(Object.entries(fields));

const sameKey = ({ key }: MergeBy, one: string, other: string): string =>
  key.map((name) => `${one}.${quoteName(name)} = ${other}.${quoteName(name)}`).join(' and ');

const literal = (text: string): string => `'${text.replaceAll("'", "''")}'`;
