import { RefusedError } from '../../model/errors.ts';
import type { MergeBy } from '../../model/load.ts';
import { type Handle, kindOf, quoteName } from './database.ts';
import { type PlaceRow, publishedPlaces } from './load-books.ts';

/** A column, as far as what is collected for it can be held against it. */
interface Shape {
  readonly name: string;
  readonly type: string;
  readonly notnull: bigint;
  readonly dflt_value: string | null;
  readonly pk: bigint;
}

/** The table that loads are for, and what may be said of columns beside it. */
export interface Target {
  readonly table: string;
  readonly columns?: Readonly<Record<string, string>>;
}

/**
 * Makes a place like the target: its columns, types, defaults and what must not be null, so that a record that does
 * not fit is refused with its batch. Keys and references are not taken over: they speak of all rows of the target.
 */
export function makePlace(database: Handle, { table, columns = {} }: Target, place: string): void {
  const kind = kindOf(database, table);
  const like = kind === 'table' ? table : (publishedPlaces(database, table)[0]?.place ?? newestPart(database, table));
  const given = Object.entries(columns);
  if (like === undefined && given.length === 0) throw nothingToFollow(table);
  const shapes = like === undefined || (kind !== 'table' && given.length > 0) ? [] : shapesOf(database, like);
  const more = given.filter(([name]) => !shapes.some((shape) => shape.name === name));
  const lines = [...shapes.map((shape) => lineOf(shape, shapes)), ...more.map(declared)];
  const strict = like !== undefined && isStrict(database, like) && more.length === 0 ? ' strict' : '';
  database.exec(`create table ${quoteName(place)} (${lines.join(', ')})${strict}`);
}

/** Makes the target itself, where only the flow says what is in it. */
export function makeTarget(database: Handle, { table, columns = {} }: Target): void {
  if (kindOf(database, table) !== 'none') return;
  if (Object.keys(columns).length === 0) throw nothingToFollow(table);
  database.exec(`create table ${quoteName(table)} (${Object.entries(columns).map(declared).join(', ')})`);
}

export const columnNames = (database: Handle, table: string): readonly string[] =>
  shapesOf(database, table).map(({ name }) => name);

/** The same of many tables in one question: preparing one for each takes longer than all answers. */
export function columnsOfEach(database: Handle, tables: readonly string[]): readonly (readonly string[])[] {
  const rows = database
    .prepare<[string], { nth: bigint; name: string }>(
      `select each.key as nth, info.name from json_each(?) as each join pragma_table_xinfo(each.value) as info
        where info.hidden = 0 order by each.key, info.cid`,
    )
    .all(JSON.stringify(tables));
  const columns: string[][] = tables.map(() => []);
  for (const { nth, name } of rows) columns[Number(nth)]!.push(name);
  return columns;
}

/**
 * The columns that the records of the load have named and that the target has. One that only says which rows are
 * deletions, or which is the latest, need not be in the target; any other must.
 */
export function columnsInto(
  database: Handle,
  table: string,
  { named, load }: PlaceRow,
  by?: MergeBy,
): readonly string[] {
  const there = columnNames(database, table);
  const aside = [by?.latestBy, by?.deleted?.how === 'remove' ? by.deleted.column : undefined];
  const lost = named.find((name) => !there.includes(name) && !aside.includes(name));
  if (lost === undefined) return there.filter((name) => named.includes(name));
  throw unknownColumn(table, lost, load);
}

/** Throws RefusedError for a column that is not there. */
export function surelyColumn(database: Handle, table: string, column: string): void {
  if (!columnNames(database, table).includes(column)) throw unknownColumn(table, column);
}

export function unknownColumn(table: string, column: string, load?: string): RefusedError {
  return new RefusedError(`the table ${JSON.stringify(table)} has no column ${JSON.stringify(column)}`, {
    reason: 'column-unknown',
    about: 'request',
    ids: { table, column, ...(load === undefined ? {} : { load }) },
    hint: 'Correct the name in the flow file, or add the column to the table.',
  });
}

/** A name for the row numbers of a table that no column of it has taken. */
export function rowNumberOf(columns: readonly string[]): string {
  const taken = new Set(columns.map((name) => name.toLowerCase()));
  const free = ['rowid', '_rowid_', 'oid'].find((name) => !taken.has(name));
  if (free !== undefined) return free;
  throw new RefusedError('the table has columns that are called rowid, _rowid_ and oid; one of them must be free', {
    reason: 'rowid',
    about: 'request',
  });
}

function shapesOf(database: Handle, table: string): readonly Shape[] {
  return database
    .prepare<[string], Shape>(
      'select name, type, "notnull", dflt_value, pk from pragma_table_xinfo(?) where hidden = 0',
    )
    .all(table);
}

const isStrict = (database: Handle, table: string): boolean =>
  database
    .prepare<[string], { strict: bigint }>(`select strict from pragma_table_list(?) where schema = 'main'`)
    .get(table)?.strict === 1n;

function lineOf({ name, type, notnull, dflt_value, pk }: Shape, all: readonly Shape[]): string {
  // The number of a row: the target makes one for null, and takes nothing else than a whole number.
  const rowNumber = pk === 1n && type.toUpperCase() === 'INTEGER' && all.every((one) => one.pk < 2n);
  const checked = rowNumber ? ` check (typeof(${quoteName(name)}) in ('integer', 'null'))` : '';
  const filled = dflt_value === null ? '' : ` default (${dflt_value})`;
  return `${quoteName(name)} ${typeText(type)}${notnull === 1n ? ' not null' : ''}${filled}${checked}`;
}

const declared = ([name, type]: readonly [string, string]): string => `${quoteName(name)} ${type}`;

/** As it stood in the definition of the table, whatever that was. */
const typeText = (type: string): string =>
  type === '' || /^[A-Za-z_][\w ]*(\([\d, ]+\))?$/.test(type) ? type : quoteName(type);

function newestPart(database: Handle, target: string): string | undefined {
  return database
    .prepare<[string], { place: string }>(
      'select place from waybill_load_view where target = ? order by part desc limit 1',
    )
    .get(target)?.place;
}

function nothingToFollow(table: string): RefusedError {
  return new RefusedError(`there is no table ${JSON.stringify(table)}, and nothing says what is in it`, {
    reason: 'table-missing',
    about: 'request',
    hint: 'Make the table, or say its columns and their types: `columns: { id: integer not null, name: text }`.',
    ids: { table },
  });
}
