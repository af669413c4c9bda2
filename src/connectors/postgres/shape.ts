import { createHash } from 'node:crypto';
import type * as Pg from 'pg';
import { RefusedError } from '../../model/errors.ts';
import { quoteName } from './connection.ts';
import { quoteTable } from './table.ts';

/** A column as another table could have it. */
export interface ShapeColumn {
  readonly name: string;
  /** As SQL writes the type: `numeric(12,2)`. */
  readonly type: string;
  /** The name of the type in the catalogue, of a domain that of what it is made from: `timestamptz`. */
  readonly base: string;
  /** An identity that can only be given by the server when a row changes. */
  readonly identity: '' | 'always' | 'default';
  readonly generated: boolean;
  readonly required: boolean;
}

/** A name and what stands behind it now. */
export interface Place {
  readonly schema: string;
  readonly name: string;
  /** Schema and name as SQL writes them. */
  readonly quoted: string;
}
export interface Shape extends Place {
  readonly oid: number;
  readonly kind: 'table' | 'view' | 'other';
  readonly columns: readonly ShapeColumn[];
}

interface ShapeRow {
  readonly oid: number;
  readonly relkind: string;
  readonly schema: string;
  readonly relname: string;
  readonly name: string | null;
  readonly type: string;
  readonly base: string;
  readonly identity: string;
  readonly generated: boolean;
  readonly required: boolean;
}

const SHAPE = `select c.oid::int8::float8 as oid, c.relkind, n.nspname as schema, c.relname,
    a.attname as name, format_type(a.atttypid, a.atttypmod) as type, base.typname as base,
    a.attidentity as identity, a.attgenerated <> '' as generated, a.attnotnull as required
  from pg_catalog.pg_class c
  join pg_catalog.pg_namespace n on n.oid = c.relnamespace
  left join pg_catalog.pg_attribute a on a.attrelid = c.oid and a.attnum > 0 and not a.attisdropped
  left join lateral (
    with recursive made as (
      select t.typname, t.typtype, t.typbasetype from pg_catalog.pg_type t where t.oid = a.atttypid
      union all
      select d.typname, d.typtype, d.typbasetype from pg_catalog.pg_type d
      join made on made.typtype = 'd' and d.oid = made.typbasetype)
    select typname from made where typtype <> 'd') base on true
  where c.oid = to_regclass($1)
  order by a.attnum`;

const KINDS: Readonly<Record<string, Shape['kind']>> = { r: 'table', p: 'table', v: 'view' };
const IDENTITIES: Readonly<Record<string, ShapeColumn['identity']>> = { a: 'always', d: 'default' };

/** What stands behind a name that is quoted already; undefined when nothing does. */
export async function readShape(client: Pg.Client, quoted: string): Promise<Shape | undefined> {
  const { rows } = await client.query<ShapeRow>(SHAPE, [quoted]);
  const first = rows[0];
  if (first === undefined) return undefined;
  const columns = rows.flatMap(({ name, type, base, identity, generated, required }) =>
    name === null ? [] : [{ name, type, base, identity: IDENTITIES[identity] ?? '', generated, required }],
  );
  const place = placeOf(first.schema, first.relname);
  return { ...place, oid: first.oid, kind: KINDS[first.relkind] ?? 'other', columns };
}

export const placeOf = (schema: string, name: string): Place => ({ schema, name, quoted: quoteTable([schema, name]) });

/** Where the sink's name leads to, or would be made: without a schema, the first of the search path. */
export async function readTarget(client: Pg.Client, table: readonly string[]): Promise<Target> {
  const shape = await readShape(client, quoteTable(table));
  if (shape !== undefined) return { ...placeOf(shape.schema, shape.name), shape };
  if (table.length > 1) return placeOf(table[0]!, table[1]!);
  const { rows } = await client.query<{ schema: string | null }>('select current_schema() as schema');
  const schema = rows[0]?.schema;
  if (schema == null) {
    throw new RefusedError(`nothing says in which schema ${quoteTable(table)} is to be made`, {
      reason: 'schema-missing',
      about: 'request',
      hint: 'Write the schema in front of the name of the table.',
    });
  }
  return placeOf(schema, table[0]!);
}

export interface Target extends Place {
  /** Absent: there is nothing of this name. */
  readonly shape?: Shape;
}

/** A table that rows can be written to. Throws RefusedError for anything else of the name. */
export function tableOf(target: Target): Shape {
  if (target.shape?.kind === 'table') return target.shape;
  throw new RefusedError(
    target.shape === undefined ? `there is no table ${target.quoted}` : `${target.quoted} is no table`,
    {
      reason: 'table-missing',
      about: 'request',
      hint: 'Rows can be changed in tables only; one that proxy or metadata-cleaner has made is a view over several.',
    },
  );
}

/** Throws RefusedError when the table has no such column. `what`: where it is named, for the message. */
export function columnOf(shape: Shape, name: string, what: string): ShapeColumn {
  const column = shape.columns.find((one) => one.name === name);
  if (column !== undefined) return column;
  throw new RefusedError(`the table ${shape.quoted} has no column ${JSON.stringify(name)}, which ${what} names`, {
    reason: 'column-unknown',
    about: 'request',
    ids: { column: name },
    hint: `Correct ${what} in the flow file, or add the column to the table.`,
  });
}

/** A name of its own beside another: PostgreSQL cuts names at 63 bytes, and two that are cut could be the same. */
export function nameBeside(name: string, end: string): string {
  const whole = `${name}_${end}`;
  if (Buffer.byteLength(whole) <= NAME_BYTES) return whole;
  const mark = createHash('sha256').update(whole).digest('hex').slice(0, 8);
  let kept = name;
  while (Buffer.byteLength(`${kept}_${mark}_${end}`) > NAME_BYTES) kept = [...kept].slice(0, -1).join('');
  return `${kept}_${mark}_${end}`;
}

const NAME_BYTES = 63;

export const quoteNames = (names: readonly string[]): string => names.map(quoteName).join(', ');
