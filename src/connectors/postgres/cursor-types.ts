import type * as Pg from 'pg';
import { noColumn, noCursor } from '../../cursors/refusals.ts';
import type { Lag } from '../../cursors/settings.ts';
import { WaybillError } from '../../model/errors.ts';
import type { BoundQuery } from './parameters.ts';

/** A type whose values have an order, and texts that the server reads back without loss. */
export interface CursorType {
  /** What a position calls it. */
  readonly word: string;
  /** What a value is cast to. */
  readonly cast: string;
  readonly is: 'number' | 'time' | 'text' | 'transaction';
}

const INTEGER: CursorType = { word: 'integer', cast: 'bigint', is: 'number' };
const TEXT: CursorType = { word: 'text', cast: 'text', is: 'text' };
/** By the numbers of PostgreSQL's types. A wider integer has the same order, so all of them are one type. */
const TYPES: ReadonlyMap<number, CursorType> = new Map([
  [21, INTEGER],
  [23, INTEGER],
  [20, INTEGER],
  [1700, { word: 'numeric', cast: 'numeric', is: 'number' }],
  [1082, { word: 'date', cast: 'date', is: 'time' }],
  [1114, { word: 'timestamp', cast: 'timestamp', is: 'time' }],
  [1184, { word: 'timestamptz', cast: 'timestamptz', is: 'time' }],
  [25, TEXT],
  [1043, TEXT],
  [2950, { word: 'uuid', cast: 'uuid', is: 'text' }],
  [5069, { word: 'xid8', cast: 'xid8', is: 'transaction' }],
]);

/** Numbers, times and transactions; a text may be a cursor as well, but few are meant to be. */
export function growsByType(oid: number): boolean {
  const type = TYPES.get(oid);
  return type !== undefined && type.is !== 'text';
}

const POSSIBLE = 'an integer, a numeric, a date, a timestamp with or without time zone, a text, a uuid or an xid8';

/**
 * The types of the cursor's columns. Throws SOURCE_INVALID for one that the query does not have, one of a type that
 * cannot be a cursor, and one of text whose collation takes different texts for the same.
 */
export async function cursorTypes(
  client: Pg.Client,
  columns: readonly string[],
  fields: readonly Pg.FieldDef[],
  select: (column: string) => BoundQuery,
): Promise<readonly CursorType[]> {
  const types: CursorType[] = [];
  for (const column of columns) {
    const field = fields.find(({ name }) => name === column);
    if (field === undefined)
      throw noColumn(
        column,
        fields.map(({ name }) => name),
      );
    const type = TYPES.get(field.dataTypeID);
    if (type === undefined) throw noCursor(column, POSSIBLE);
    if (type === TEXT) await expectDistinct(client, column, select(column));
    types.push(type);
  }
  return types;
}

async function expectDistinct(client: Pg.Client, column: string, { text, values }: BoundQuery): Promise<void> {
  const { rows } = await client.query<{ fine: boolean | null }>(
    `select collisdeterministic as fine from pg_collation where oid = pg_collation_for((${text}))::regcollation`,
    [...values],
  );
  if (rows[0]?.fine !== false) return;
  throw new WaybillError(
    'SOURCE_INVALID',
    `the collation of the cursor column ${JSON.stringify(column)} takes different texts for the same`,
    { hint: 'Let a query give it another one: `select …, name collate "C" as name`.' },
  );
}

/** Throws SOURCE_INVALID for a lag in units that the first column does not have. */
export function expectLag(lag: Lag | 'auto' | undefined, column: string, type: CursorType | undefined): void {
  if (lag === undefined || type === undefined) return;
  const asked = lag === 'auto' ? 'auto' : 'ms' in lag ? 'a duration' : 'a number';
  const fits: Readonly<Record<CursorType['is'], readonly string[]>> = {
    number: ['a number'],
    time: type.word === 'date' ? ['a duration'] : ['a duration', 'auto'],
    text: [],
    transaction: ['auto'],
  };
  const possible = fits[type.is];
  if (possible.includes(asked)) return;
  const may = possible.length === 0 ? 'there is none' : `it can be ${possible.join(' or ')}`;
  throw new WaybillError('SOURCE_INVALID', `\`lag\` is ${asked}, and for ${column} (${type.word}) ${may}`);
}

/** The fields that are columns of tables which forbid them to be null. */
export async function notNullColumns(client: Pg.Client, fields: readonly Pg.FieldDef[]): Promise<ReadonlySet<string>> {
  const { rows } = await client.query<{ place: string }>(
    `select place::text from unnest($1::oid[], $2::int2[]) with ordinality as field (relation, number, place)
      join pg_attribute on attrelid = relation and attnum = number and attnotnull`,
    [fields.map(({ tableID }) => tableID), fields.map(({ columnID }) => columnID)],
  );
  return new Set(rows.map(({ place }) => fields[Number(place) - 1]!.name));
}
