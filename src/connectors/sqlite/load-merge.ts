import { RefusedError } from '../../model/errors.ts';
import type { MergeBy } from '../../model/load.ts';
import { type Handle, quoteName } from './database.ts';
import { expectNone, mayLeaveOut, orAbort } from './left-out.ts';
import type { Done, OpenPlace, PlaceRow } from './load-books.ts';
import { fieldsOfRow, newValue, rowsOf } from './load-fields.ts';
import { columnNames, columnsInto, rowNumberOf, surelyColumn, type Target } from './load-place.ts';
import { surelyTable } from './load-rows.ts';
import { boundValue } from './records.ts';

export interface Merging {
  readonly place: OpenPlace;
  readonly target: Target;
  readonly by: MergeBy;
}

/** Rows that need be no place of their own. */
export type MergingRows = Omit<Merging, 'place'> & { readonly place: PlaceRow };

export interface Merged {
  readonly inserted: number;
  readonly updated: number;
  readonly deleted: number;
}

/**
 * By three statements instead of ON CONFLICT: that would need a unique index on exactly the key, and says nothing of
 * deletions. They are one transaction, so nobody sees what is between them.
 */
export function mergePlace(database: Handle, { place, target, by }: Merging): Done {
  surelyTable(database, target);
  const repeats = oneRowAKey(database, { place, target, by });
  const facts = mergeRows(database, rowsOf(database, place), { place, target, by });
  return { receipt: { summary: `${spell(facts)}${repeats}`, facts: { ...facts } } };
}

export const spell = ({ inserted, updated, deleted }: Merged): string =>
  `${inserted} rows inserted, ${updated} changed, ${deleted} removed`;

/** Leaves one row a key in the place. Throws RefusedError where it may not choose. Returns what to tell of it. */
export function oneRowAKey(database: Handle, merging: Merging): string {
  const { target, by } = merging;
  const { place } = merging.place;
  surelyNamed(database, target, by, place);
  const from = quoteName(place);
  const key = by.key.map(quoteName).join(', ');
  const columns = columnNames(database, place);
  const row = rowNumberOf(columns);
  const nulls = countOf(database, `${from} where ${by.key.map((name) => `${quoteName(name)} is null`).join(' or ')}`);
  if (nulls > 0) throw unfitRows('key-missing', `${nulls} rows of the load have no value in a column of the key`);
  // The rows of the target find those of the load by it, and the repeats one another.
  database.exec(`create index ${quoteName(`${place}_key`)} on ${from} (${key})`);
  const before = countOf(database, from);
  const alike = [...columns.map(quoteName), ...fieldsOfRow(merging.place, `${from}.${row}`)];
  if (countOf(database, `(select distinct ${key} from ${from})`) === before) return '';
  if (by.latestBy !== undefined) {
    database.exec(
      `delete from ${from} where ${row} in (select r from (select ${row} as r,
         rank() over (partition by ${key} order by ${quoteName(by.latestBy)} desc) as place from ${from})
       where place > 1)`,
    );
  }
  database.exec(
    `delete from ${from} where ${row} not in
       (select min(${row}) from ${from} group by ${alike.join(', ')})`,
  );
  const twice = countOf(database, `(select 1 from ${from} group by ${key} having count(*) > 1)`);
  if (twice > 0) throw unfitRows('key-repeated', `${twice} keys of the load have rows that differ${why(by)}`);
  return `; ${before - countOf(database, from)} repeats of a key in the load were left out`;
}

const why = ({ latestBy }: MergeBy): string =>
  latestBy === undefined ? ', and nothing says which is the latest' : ` and the same largest ${latestBy}`;

/** Brings the target up to date by the rows of `source`, a table or a query with one row a key. */
export function mergeRows(database: Handle, source: string, { place, target, by }: MergingRows): Merged {
  const columns = columnsInto(database, target.table, place, by);
  for (const name of by.key) surelyColumn(database, target.table, name);
  if (columns.length === 0) return { inserted: 0, updated: 0, deleted: 0 };
  const table = quoteName(target.table);
  const same = by.key.map((name) => `t.${quoteName(name)} = s.${quoteName(name)}`).join(' and ');
  const both = `${source} as s join ${table} as t on ${same}`;
  surelyOnce(database, `${both} group by ${spelled('s', by.key)}`);
  surelyApart(database, `${both} group by ${spelled('t', by.key)}`);
  const flag = flagOf(by);
  const run = (sql: string, values: readonly unknown[]): number => database.prepare(sql).run(...values).changes;
  const update = orAbort(database, 'update', target.table);
  const updated = updateSql(columns, { update, table, source, same, place, by });
  const list = columns.map(quoteName).join(', ');
  const merged = {
    updated: updated === undefined ? 0 : run(updated, flag.how === 'remove' ? flag.values : []),
    deleted:
      flag.how !== 'remove'
        ? 0
        : run(
            `delete from ${table} as t where exists (select 1 from ${source} as s where ${same} and ${flag.sql})`,
            flag.values,
          ),
    // A join, so that SQLite may index the target for itself where it has no index on the key.
    inserted: run(
      `${orAbort(database, 'insert', target.table)} into ${table} (${list}) select ${spelled('s', columns)}
         from ${source} as s left join ${table} as t on ${same}
        where t.${quoteName(by.key[0]!)} is null and not ${flag.sql}`,
      flag.values,
    ),
  };
  if (mayLeaveOut(database, target.table)) {
    const missing = `${source} as s left join ${table} as t on ${same} where t.${quoteName(by.key[0]!)} is null`;
    const left = `${missing} and not ${flag.sql}`;
    expectNone(database, target.table, { left, values: flag.values, stayed: false });
    const there = { left: `${both} where ${flag.sql}`, values: flag.values, stayed: true };
    if (flag.how === 'remove') expectNone(database, target.table, there);
  }
  return merged;
}

interface Joined {
  /** How the statement begins. */
  readonly update: string;
  readonly table: string;
  readonly source: string;
  /** When a row of the target, `t`, and one of the load, `s`, have the same key. */
  readonly same: string;
  readonly place: PlaceRow;
  readonly by: MergeBy;
}

/** Changes only rows that differ. Undefined where a row is nothing but its key. */
function updateSql(columns: readonly string[], { update, table, source, same, place, by }: Joined): string | undefined {
  const rest = columns.filter((name) => !by.key.includes(name)).map((name) => [quoteName(name), newValue(name, place)]);
  if (rest.length === 0) return undefined;
  const flag = flagOf(by);
  const stays = flag.how === 'remove' ? `not ${flag.sql}` : 'true';
  // What a column takes for equal (\`collate nocase\`) may differ all the same.
  const differs = rest.map(([name, value]) => `t.${name} is not (${value}) collate binary`).join(' or ');
  const values = rest.map(([name, value]) => `${name} = ${value}`).join(', ');
  return `${update} ${table} as t set ${values} from ${source} as s
    where ${same} and ${stays} and (${differs})`;
}

const spelled = (table: string, columns: readonly string[]): string =>
  columns.map((name) => `${table}.${quoteName(name)}`).join(', ');

/** Where the target holds a key twice, nobody can say which of the rows the load means. */
function surelyOnce(database: Handle, joined: string): void {
  const twice = countOf(database, `(select 1 from ${joined} having count(*) > 1)`);
  if (twice > 0) throw unfitRows('key-ambiguous', `${twice} keys of the load are in the table more than once`);
}

/** Keys that differ in the load may be one to the table, whose column compares otherwise (`collate nocase`). */
function surelyApart(database: Handle, joined: string): void {
  const one = countOf(database, `(select 1 from ${joined} having count(*) > 1)`);
  if (one > 0) throw unfitRows('key-repeated', `${one} keys of the table are named by several rows of the load`);
}

/** Which rows of the load, called `s`, are deletions. */
function flagOf({ deleted }: MergeBy): { how?: 'remove' | 'mark'; sql: string; values: readonly unknown[] } {
  if (deleted === undefined || deleted.values.length === 0) return { sql: 'false', values: [] };
  const places = deleted.values.map(() => '?').join(', ');
  return {
    how: deleted.how,
    sql: `coalesce(s.${quoteName(deleted.column)} in (${places}), false)`,
    values: deleted.values.map((value) => boundValue(value)),
  };
}

function surelyNamed(database: Handle, { table }: Target, { key, deleted, latestBy }: MergeBy, place: string): void {
  for (const name of key) surelyColumn(database, table, name);
  if (deleted?.how === 'mark') surelyColumn(database, table, deleted.column);
  for (const name of [deleted?.column, latestBy]) if (name !== undefined) surelyColumn(database, place, name);
}

const countOf = (database: Handle, from: string): number =>
  Number(database.prepare<[], { n: bigint }>(`select count(*) as n from ${from}`).get()!.n);

const unfitRows = (reason: string, message: string): RefusedError =>
  new RefusedError(`${message}; nothing was changed`, { reason });
