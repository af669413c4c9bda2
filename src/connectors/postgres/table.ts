import type * as Pg from 'pg';
import { RefusedError } from '../../model/errors.ts';
import { quoteName } from './connection.ts';

/** What decides how a JSON value is written for a column. */
export type InputKind = 'text' | 'boolean' | 'integer' | 'bytes' | 'json' | 'hstore' | 'composite' | 'other';

export interface TableColumn {
  readonly name: string;
  readonly kind: InputKind;
  /** The column holds arrays of `kind`. */
  readonly array: boolean;
  /** Between the elements of an array; a comma when absent. */
  readonly delimiter?: string;
  /** Of a composite type, in the order in which it names them. */
  readonly fields?: readonly TableColumn[];
  /** The server fills it in by itself where a record has no such field. */
  readonly defaulted: boolean;
  /** Computed by the server: it cannot be written. */
  readonly generated: boolean;
  /** An identity that is given once and that no update may change. */
  readonly fixed?: boolean;
  /** The server's number of its type; of a domain, of the type that it is made from. */
  readonly oid: number;
}

export interface Table {
  /** As SQL writes it. */
  readonly name: string;
  /** Without its schema: how the server names it in messages. */
  readonly shortName: string;
  readonly columns: ReadonlyMap<string, TableColumn>;
  /** Changes with a name or a type of a column; `shapeText` asks for that of now. */
  readonly shape: string;
}

/** The type that a domain is made from, and those of domains over domains; of any other type, the type itself. */
const baseOf = (oid: string): string => `(
    with recursive made as (
      select oid, typtype, typbasetype from pg_catalog.pg_type where oid = ${oid}
      union all
      select d.oid, d.typtype, d.typbasetype from pg_catalog.pg_type d
      join made on made.typtype = 'd' and d.oid = made.typbasetype)
    select oid from made where typtype <> 'd')`;

// A domain is written as the type that it is made from, in an array as well. `typcategory` is the server's own grouping
// of types.
const COLUMNS = `select a.attname as name, a.attgenerated <> '' as generated, a.attidentity = 'a' as fixed,
    b.typcategory as category,
    b.oid::int as type, coalesce(e.oid, 0)::int as element, coalesce(e.typcategory, '') as "elementCategory",
    coalesce(e.typdelim, ',') as delimiter, coalesce(e.typname, b.typname) as "typeName",
    coalesce(e.typrelid, b.typrelid)::int as relation,
    a.atthasdef or a.attidentity <> '' or t.typdefault is not null as defaulted
  from pg_catalog.pg_attribute a
  join pg_catalog.pg_type t on t.oid = a.atttypid
  join pg_catalog.pg_type b on b.oid = ${baseOf('a.atttypid')}
  left join pg_catalog.pg_type e on b.typcategory = 'A' and e.oid = ${baseOf('b.typelem')}
  where a.attrelid = coalesce(to_regclass($1)::oid, $2::oid) and a.attnum > 0 and not a.attisdropped
  order by a.attnum`;

interface ColumnRow {
  readonly name: string;
  readonly generated: boolean;
  readonly fixed: boolean;
  readonly category: string;
  readonly type: number;
  readonly element: number;
  readonly elementCategory: string;
  readonly delimiter: string;
  /** Of an array, that of its elements. */
  readonly typeName: string;
  /** Where the fields of a composite type are kept, else 0; of an array, that of its elements. */
  readonly relation: number;
  readonly defaulted: boolean;
}

export const quoteTable = (table: readonly string[]): string => table.map(quoteName).join('.');

export interface TableOptions {
  /** A name, or a schema and a name. */
  readonly table: readonly string[];
  /** Columns with a unique index; with them the sink can `put` and `find`. */
  readonly key?: readonly string[];
  /** Makes the table where there is none, with these columns: SQL types by name. */
  readonly create?: Readonly<Record<string, string>>;
}

/** Reads the catalogue. Throws RefusedError about the request when there is no such table, or none that is seen. */
export async function readTable(client: Pg.Client, options: TableOptions): Promise<Table> {
  const name = quoteTable(options.table);
  // Asked first: what changes in between is found out by who compares.
  let shape = await shapeOf(client, name);
  let rows = await columnsOf(client, name);
  if (rows.length === 0 && options.create !== undefined) {
    await client.query(createSql(name, options.create, options.key));
    shape = await shapeOf(client, name);
    rows = await columnsOf(client, name);
  }
  if (rows.length === 0) {
    throw new RefusedError(`there is no table ${name} that this user can see`, {
      reason: 'table-missing',
      about: 'request',
      hint: 'Create it, or say its columns and types in `create`; without a schema it is sought in the search_path.',
    });
  }
  const columns = new Map((await madeOf(client, rows)).map((column) => [column.name, column]));
  return { name, shortName: options.table.at(-1)!, columns, shape };
}

const columnsOf = async (client: Pg.Client, table: string | null, relation = 0): Promise<readonly ColumnRow[]> =>
  (await client.query<ColumnRow>(COLUMNS, [table, relation])).rows;

async function madeOf(client: Pg.Client, rows: readonly ColumnRow[]): Promise<TableColumn[]> {
  const columns: TableColumn[] = [];
  for (const row of rows) {
    const column = columnOf(row);
    const fields = column.kind === 'composite' ? await columnsOf(client, null, row.relation) : [];
    columns.push(fields.length === 0 ? column : { ...column, fields: await madeOf(client, fields) });
  }
  return columns;
}

/** Names and types of the columns as one text. */
const shapeOf = async (client: Pg.Client, table: string): Promise<string> =>
  (await client.query<{ shape: string | null }>(shapeText(client, table))).rows[0]?.shape ?? '';

/** The statement that asks for the shape a table has now. `table`: as SQL writes it. */
export const shapeText = ({ escapeLiteral }: Pg.Client, table: string): string =>
  `select string_agg(concat_ws(' ', quote_ident(attname), atttypid, attgenerated), ',' order by attnum) as shape
    from pg_catalog.pg_attribute
    where attrelid = to_regclass(${escapeLiteral(table)}) and attnum > 0 and not attisdropped`;

/** What a type may look like in `create`: words, digits in parentheses, brackets. Nothing that could end it. */
export const SQL_TYPE =
  /^[a-z][a-z0-9_]*(?: [a-z0-9_]+)*(?:\([0-9]{1,4}(?:, ?-?[0-9]{1,4})?\))?(?: [a-z]+)*(?:\[\])*$/i;

/** Two that make it at once would stand in each other's way even with `if not exists`. */
function createSql(name: string, types: Readonly<Record<string, string>>, key: readonly string[] = []): string {
  return `begin; ${DDL_LOCK}; create table if not exists ${name} (${columnList(types, key)}); commit`;
}

/** What stands between the parentheses of `create table`. */
export function columnList(types: Readonly<Record<string, string>>, key: readonly string[] = []): string {
  const columns = Object.entries(types).map(([column, type]) => `${quoteName(column)} ${type}`);
  const primary = key.length === 0 ? [] : [`primary key (${key.map(quoteName).join(', ')})`];
  return [...columns, ...primary].join(', ');
}

/** Any number does, as long as nobody else locks it for something else. */
export const DDL_LOCK = 'select pg_advisory_xact_lock(8172041123581321)';

function columnOf({ name, generated, fixed, defaulted, typeName, delimiter, ...type }: ColumnRow): TableColumn {
  const array = type.category === 'A' && type.element !== 0;
  const [oid, category] = array ? [type.element, type.elementCategory] : [type.type, type.category];
  const kind = kindOf(oid, category, typeName);
  const column = { name, kind, array, defaulted, generated, fixed, oid: type.type };
  return delimiter === ',' ? column : { ...column, delimiter };
}

// Numbers of types are part of the protocol; those of extensions are not among them.
const KINDS: ReadonlyMap<number, InputKind> = new Map([
  [16, 'boolean'],
  [17, 'bytes'],
  [20, 'integer'],
  [21, 'integer'],
  [23, 'integer'],
  [26, 'integer'],
  [114, 'json'],
  [3802, 'json'],
]);

function kindOf(oid: number, category: string, name: string): InputKind {
  const known = KINDS.get(oid);
  if (known !== undefined) return known;
  if (category === 'S') return 'text';
  if (category === 'C') return 'composite';
  return name === 'hstore' ? 'hstore' : 'other';
}
