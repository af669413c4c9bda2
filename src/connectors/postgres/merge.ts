import type * as Pg from 'pg';
import { RefusedError } from '../../model/errors.ts';
import type { MergeBy } from '../../model/load.ts';
import { quoteName, sqlState } from './connection.ts';
import { LEFT_OUT_HINT, mayLeaveOut } from './left-out.ts';
import type { FieldSets } from './load-books.ts';
import { columnsOf, FIELDS, madeTarget } from './load-place.ts';
import { columnsFor, countOf, type Done, lockForWriters, type Publishing } from './load-steps.ts';
import { columnOf, quoteNames, type Shape, tableOf } from './shape.ts';
import { FIXED_HINT } from './table.ts';

/** Rows to merge: each key once. */
export interface MergeRows {
  /** A table, or a query in parentheses. */
  readonly from: string;
  readonly rows: number;
  readonly sets: FieldSets;
}

export interface Merged {
  readonly inserted: number;
  readonly updated: number;
  readonly deleted: number;
}

/** Brings the table up to date with the load. */
export async function mergePlace(publishing: Publishing, by: MergeBy): Promise<Done> {
  const { client, options } = publishing;
  const table = tableOf(await madeTarget(client, options));
  columnsFor(publishing, table);
  const rows = await rowsToMerge(publishing, table, by);
  await lockForWriters(client, table);
  const merged = await merge(client, { table, rows, by });
  const summary = `${table.quoted}: ${inWords(merged)}, from ${publishing.records} rows of the load`;
  return { receipt: { summary, facts: { ...merged, rows: rows.rows } } };
}

export const inWords = ({ inserted, updated, deleted }: Merged): string =>
  `${inserted} rows inserted, ${updated} updated, ${deleted} deleted`;

/**
 * The rows of the load, each key once. Throws RefusedError for a key without a value, for columns that are not there,
 * and for two rows of one key between which nothing decides.
 */
export async function rowsToMerge(publishing: Publishing, table: Shape, by: MergeBy): Promise<MergeRows> {
  const { client, place, sets, records } = publishing;
  await expectColumns(publishing, table, by);
  // Nobody has counted yet what lies in a table that was filled just now, and a plan made blindly may take for ever.
  await client.query(`analyze ${place.quoted}`);
  await expectKeys(publishing, by.key);
  const key = quoteNames(by.key);
  const again = await countOf(
    client,
    `select count(*)::float8 as count from (select from ${place.quoted} group by ${key} having count(*) > 1) k`,
  );
  if (again > 0) await expectDecided(publishing, by);
  const order = by.latestBy === undefined ? '' : `, ${quoteName(by.latestBy)} desc nulls last`;
  const from =
    again === 0 ? place.quoted : `(select distinct on (${key}) * from ${place.quoted} order by ${key}${order})`;
  const rows = again === 0 ? records : await countOf(client, `select count(*)::float8 as count from ${from} s`);
  await expectFixed(client, { table, rows: { from, rows, sets }, by });
  return { from, rows, sets };
}

/** A number that PostgreSQL lets nobody change would stay as it is in a row that is there, without a word. */
async function expectFixed(client: Pg.Client, { table, rows: { from, sets }, by }: MergeAsk): Promise<void> {
  const brought = columnsOf(sets);
  const fixed = table.columns.flatMap(({ name, identity }) =>
    identity === 'always' && brought.has(name) && !by.key.includes(name) ? [name] : [],
  );
  if (fixed.length === 0) return;
  const differ = fixed.map((name) => `${newValue(name, sets)} is distinct from t.${quoteName(name)}`).join(' or ');
  const stays = by.deleted?.how === 'remove' ? `not coalesce(${goneCondition(table, by)}, false)` : 'true';
  const others = await countOf(
    client,
    `select count(*)::float8 as count from ${from} s join ${table.quoted} t on ${sameKeys(by)}
      where (${differ}) and ${stays}`,
    by.deleted?.how === 'remove' ? [by.deleted.values.map(String)] : [],
  );
  if (others === 0) return;
  const names = fixed.map((name) => JSON.stringify(name)).join(', ');
  throw new RefusedError(
    `${others} rows of the load have another value in ${names} than the rows of their keys in ${table.quoted}: an ` +
      'identity that is generated always, which no update may change',
    { reason: 'identity-fixed', ids: { rows: others }, hint: FIXED_HINT },
  );
}

const sameKeys = ({ key }: MergeBy): string =>
  key.map((name) => `t.${quoteName(name)} = s.${quoteName(name)}`).join(' and ');

async function expectColumns({ client, columns, records }: Publishing, table: Shape, by: MergeBy): Promise<void> {
  for (const name of by.key) columnOf(table, name, 'the key of the flow');
  if (by.latestBy !== undefined) columnOf(table, by.latestBy, '`load.latestBy`');
  if (by.deleted !== undefined) {
    const { type, name } = columnOf(table, by.deleted.column, '`load.deleted`');
    await expectValues(client, by.deleted.values, { type, name });
  }
  if (records === 0) return;
  for (const name of by.key) {
    if (!columns.includes(name)) throw keyMissing(records, name);
  }
}

async function expectKeys({ client, place }: Publishing, key: readonly string[]): Promise<void> {
  for (const name of key) {
    const without = `select count(*)::float8 as count from ${place.quoted} where ${quoteName(name)} is null`;
    const rows = await countOf(client, without);
    if (rows > 0) throw keyMissing(rows, name);
  }
}

const keyMissing = (rows: number, column: string): RefusedError =>
  new RefusedError(`${rows} rows of the load have no value in the key column ${JSON.stringify(column)}`, {
    reason: 'key-missing',
    ids: { column, rows },
    hint: 'Name a key that every record has, or let the query leave these rows out.',
  });

/** Rows of one key that are equal count as one; of others the latest does, if one is later than the rest. */
async function expectDecided({ client, place }: Publishing, { key, latestBy }: MergeBy): Promise<void> {
  const names = quoteNames(key);
  const first = latestBy === undefined ? '' : ` order by ${quoteName(latestBy)} desc nulls last`;
  // Not every type has an equality (json, point), and every row has a text. It has names that no column may have, and
  // is made of the row as such: `s::text` alone would be the column `s` of a table that has one.
  const rivals = await countOf(
    client,
    `select count(*)::float8 as count from (
      select from (
        select ${names}, waybill_text, rank() over (partition by ${names}${first}) as waybill_rank from (
          select s.*, (s.*)::text as waybill_text, count(*) over (partition by ${names}) as waybill_times
          from ${place.quoted} s) s
        where waybill_times > 1) s
      where waybill_rank = 1 group by ${names} having count(distinct waybill_text) > 1) k`,
  );
  if (rivals === 0) return;
  const which = latestBy === undefined ? '' : `, also in ${JSON.stringify(latestBy)}, of which the largest counts`;
  throw new RefusedError(
    `${rivals} keys come in several rows of the load that differ, and nothing says which of them counts${which}`,
    {
      reason: 'key-repeated',
      ids: { keys: rivals },
      hint: 'Let the query give one row a key, or say in `load.latestBy` which column tells the latest.',
    },
  );
}

async function expectValues(
  client: Pg.Client,
  values: NonNullable<MergeBy['deleted']>['values'],
  { type, name }: { readonly type: string; readonly name: string },
): Promise<void> {
  try {
    await client.query(`select $1::${type}[]`, [values.map(String)]);
  } catch (error) {
    if (sqlState(error)?.startsWith('22') !== true) throw error;
    throw new RefusedError(
      `the column ${JSON.stringify(name)} of \`load.deleted\` is of the type ${type}, and a value is not`,
      {
        reason: 'deleted-unfit',
        about: 'request',
        ids: { column: name },
        hint: 'Write in `load.deleted.values` what the column holds where a row is deleted.',
      },
    );
  }
}

export interface MergeAsk {
  readonly table: Shape;
  readonly rows: MergeRows;
  readonly by: MergeBy;
}

/** The merge itself. Throws RefusedError when one key was found in several rows of the table. */
export async function merge(client: Pg.Client, ask: MergeAsk): Promise<Merged> {
  const { table, rows, by } = ask;
  if (rows.rows === 0) return { inserted: 0, updated: 0, deleted: 0 };
  const before = await changesOf(client, table);
  const values = by.deleted === undefined ? [] : [by.deleted.values.map(String)];
  const { rowCount } = await client.query(mergeSql(ask), values);
  const after = await changesOf(client, table);
  const done = {
    inserted: after.inserted - before.inserted,
    updated: after.updated - before.updated,
    deleted: after.deleted - before.deleted,
  };
  if ((rowCount ?? 0) > rows.rows) throw ambiguous(table, by.key);
  if ((rowCount ?? 0) < rows.rows && (await mayLeaveOut(client, table.quoted))) await expectMerged(client, ask);
  return done;
}

/** Of a row that a trigger has left out, the key is not there, or still is: the merge itself does not tell. */
async function expectMerged(client: Pg.Client, { table, rows: { from }, by }: MergeAsk): Promise<void> {
  const there = `exists (select from ${table.quoted} t where ${sameKeys(by)})`;
  const gone = goneCondition(table, by);
  const still = by.deleted?.how === 'remove' ? `${gone} and ${there}` : 'false';
  const left = await countOf(
    client,
    `select count(*)::float8 as count from ${from} s
      where case when ${gone ?? 'false'} then ${still} else not ${there} end`,
    by.deleted === undefined ? [] : [by.deleted.values.map(String)],
  );
  if (left === 0) return;
  throw new RefusedError(`${left} rows of the load did not get to ${table.quoted}: a trigger or a rule left them out`, {
    reason: 'rows-left-out',
    hint: LEFT_OUT_HINT,
  });
}

const ambiguous = (table: Shape, key: readonly string[]): RefusedError =>
  new RefusedError(`${table.quoted} holds several rows of one key (${key.join(', ')}): they cannot be told apart`, {
    reason: 'key-not-unique',
    about: 'request',
    hint: 'Remove the rows that are too many, and make a unique index on the columns of the key.',
  });

function mergeSql({ table, rows: { from, sets }, by }: MergeAsk): string {
  const brought = columnsOf(sets);
  const columns = table.columns.filter(({ name, generated }) => !generated && brought.has(name));
  const changed = columns.filter(({ name, identity }) => identity !== 'always' && !by.key.includes(name));
  const set = changed.map(({ name }) => `${quoteName(name)} = ${newValue(name, sets)}`).join(', ');
  const list = quoteNames(columns.map(({ name }) => name));
  const values = columns.map(({ name }) => `s.${quoteName(name)}`).join(', ');
  const gone = goneCondition(table, by);
  return [
    `merge into ${table.quoted} as t using ${from} as s on ${sameKeys(by)}`,
    ...(gone !== undefined && by.deleted?.how === 'remove' ? [`when matched and ${gone} then delete`] : []),
    set === '' ? 'when matched then do nothing' : `when matched then update set ${set}`,
    ...(gone === undefined ? [] : [`when not matched and ${gone} then do nothing`]),
    `when not matched then insert (${list}) overriding system value values (${values})`,
  ].join('\n');
}

/** Is the row of the load a deletion? The values are `$1`. */
function goneCondition(table: Shape, { deleted }: MergeBy): string | undefined {
  if (deleted === undefined) return undefined;
  const { name, type } = columnOf(table, deleted.column, '`load.deleted`');
  return `s.${quoteName(name)} = any($1::${type}[])`;
}

/** A record that has not brought a column leaves the value as it is, though others of the load have brought it. */
function newValue(name: string, sets: FieldSets): string {
  const quoted = quoteName(name);
  const having = [...sets].flatMap(([id, columns]) => (columns.includes(name) ? [id] : []));
  if (having.length === sets.size) return `s.${quoted}`;
  return `case when s.${FIELDS} in (${having.map((id) => `(${id})`).join(', ')}) then s.${quoted} else t.${quoted} end`;
}

/** What this transaction has done to the table so far, by the server's own count; its partitions are counted too. */
async function changesOf(client: Pg.Client, { oid }: Shape): Promise<Merged> {
  const { rows } = await client.query<Merged>(
    `with recursive tree as (
       select $1::oid as relid union all select inhrelid from pg_catalog.pg_inherits join tree on inhparent = relid)
     select coalesce(sum(pg_stat_get_xact_tuples_inserted(relid)), 0)::float8 as inserted,
       coalesce(sum(pg_stat_get_xact_tuples_updated(relid)), 0)::float8 as updated,
       coalesce(sum(pg_stat_get_xact_tuples_deleted(relid)), 0)::float8 as deleted from tree`,
    [oid],
  );
  return rows[0]!;
}
