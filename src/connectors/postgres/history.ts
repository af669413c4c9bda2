import type * as Pg from 'pg';
import type { MergeBy } from '../../model/load.ts';
import { quoteName } from './connection.ts';
import { expectDeleted } from './left-out.ts';
import type { FieldSets } from './load-books.ts';
import { FIELDS, FIELDS_SETTING, LACKS_SETTING, madeTarget, makePlace } from './load-place.ts';
import { columnsFor, countOf, type Done, lockForWriters, ofAnotherFlow, type Publishing } from './load-steps.ts';
import { inWords, type MergeRows, merge, rowsToMerge } from './merge.ts';
import { nameBeside, type Place, placeOf, quoteNames, readShape, type Shape, tableOf } from './shape.ts';
import { quoteTable } from './table.ts';

const LOAD = 'waybill_load';
const AT = 'waybill_at';
/** What the table held before its first load: earlier than any window, and not to be gone back behind. */
const BASELINE = 'baseline';
const BASELINE_SET = '0';
/** In rows that are put back: what any load has brought. What none has is left to the table. */
const LOADS_SET = '1';
const LACKING = `select set_config('${LACKS_SETTING}', $1, true)`;
const FIELDS_OF_ROWS = `select set_config('${FIELDS_SETTING}', $1, true)`;

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
  const undone = await history.undo({ by, rows }, at);
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

/** The load that is about to be merged. */
interface Next {
  readonly by: MergeBy;
  readonly rows: MergeRows;
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

  /** Takes out what belongs to `at` and later. What it had named and `next` names, too, is then as that makes it. */
  async undo(next: Next, at: string): Promise<{ readonly loads: number; readonly rows: number }> {
    const { client } = this.#publishing;
    const { by } = next;
    const [target, quoted] = [this.#table.quoted, this.#place.quoted];
    const loads = await countOf(
      client,
      `select count(*)::float8 as count from ${this.#entries} where target = $1 and at >= $2`,
      [target, at],
    );
    if (loads === 0) return { loads, rows: 0 };
    await this.#expectOwn(at);
    const brought = await this.#brought();
    const key = quoteNames(by.key);
    const touched = this.#beside('keys').quoted;
    // A statement that makes a table takes no values.
    const since = `${AT} >= ${literal(at)}::timestamptz`;
    await client.query(`create unlogged table ${touched} as select distinct ${key} from ${quoted} where ${since}`);
    await client.query(`analyze ${touched}`);
    await client.query(`delete from ${quoted} where ${AT} >= $1`, [at]);
    await client.query(`delete from ${this.#entries} where target = $1 and at >= $2`, [target, at]);
    await this.#putBack(next, touched, brought);
    const rows = await countOf(client, `select count(*)::float8 as count from ${touched}`);
    await client.query(`drop table ${touched}`);
    return { loads, rows };
  }

  /** All columns that any load has brought: those that are about to be undone and this one as well. */
  async #brought(): Promise<readonly string[]> {
    const { rows } = await this.#publishing.client.query<{ name: string }>(
      `select distinct jsonb_array_elements_text(s.value) as name from ${this.#entries} e, jsonb_each(e.fields) s
        where e.target = $1 and e.load <> $2`,
      [this.#table.quoted, BASELINE],
    );
    return [...new Set([...rows.map(({ name }) => name), ...this.#publishing.columns])];
  }

  /**
   * The rows are made beside the table, and the table is made like them: a row that was there before and stays is
   * changed where it stands. Deleted and added again, it would take along what refers to it (`on delete cascade`), and
   * lose what no load has brought, such as a number that the table gave it.
   */
  async #putBack(next: Next, touched: string, brought: readonly string[]): Promise<void> {
    const { client, options } = this.#publishing;
    const { by } = next;
    const table = this.#table;
    const place = this.#beside('before');
    await makePlace(client, place, { ...table, shape: table }, { ...options, places: 'fast' });
    const before = (await readShape(client, place.quoted))!;
    // What the table requires is said by the table itself, in the end.
    await client.query(LACKING, [JSON.stringify(table.columns.map(({ name }) => name))]);
    await this.#replay(by, touched, before);
    await this.#add(next, touched, before);
    const gone = `${touched} k where not exists (select from ${place.quoted} s where ${sameKey(by, 's', 'k')})`;
    await client.query(
      `delete from ${table.quoted} as t using (select k.* from ${gone}) k where ${sameKey(by, 't', 'k')}`,
    );
    const left = `${table.quoted} t join (select k.* from ${gone}) k on ${sameKey(by, 't', 'k')}`;
    await expectDeleted(client, table.quoted, { from: left });
    const rows = await countOf(client, `select count(*)::float8 as count from ${place.quoted}`);
    const sets = new Map([
      [BASELINE_SET, this.#names()],
      [LOADS_SET, brought],
    ]);
    await merge(client, { table, rows: { from: place.quoted, rows, sets }, by: { key: by.key } });
    await client.query(`drop table ${place.quoted}`);
  }

  /** The load itself, as far as it names these keys: a row that it names again is not to go away in between. */
  async #add({ by, rows }: Next, touched: string, into: Shape): Promise<void> {
    const { client } = this.#publishing;
    const from = `(select n.* from ${rows.from} n join ${touched} k on ${sameKey(by, 'n', 'k')})`;
    const count = await countOf(client, `select count(*)::float8 as count from ${from} n`);
    await client.query(FIELDS_OF_ROWS, [LOADS_SET]);
    await merge(client, { table: into, rows: { ...rows, from, rows: count }, by });
    await client.query(FIELDS_OF_ROWS, ['']);
  }

  /** A table that is there for as long as this load is published. */
  #beside(end: string): Place {
    const { step, options } = this.#publishing;
    return placeOf(options.markerSchema, nameBeside(step.load.id, end));
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

  /** The loads that are left, one after the other, as far as they name these keys, into a table that is empty. */
  async #replay(by: MergeBy, touched: string, into: Shape): Promise<void> {
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
      await client.query(FIELDS_OF_ROWS, [load === BASELINE ? BASELINE_SET : LOADS_SET]);
      const { inserted } = await merge(client, {
        table: into,
        rows: { from, rows: count, sets: setsOf(fields) },
        by: how,
      });
      if (inserted > 0) await client.query(`analyze ${into.quoted}`);
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
