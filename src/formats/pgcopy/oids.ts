import { COLUMN_KINDS, type ColumnKind, type ColumnType } from '../../model/columns.ts';

/** How PostgreSQL numbers its types: the type itself and the array of it. The numbers are part of its protocol. */
export const OIDS: Readonly<Record<ColumnKind, readonly [own: number, array: number]>> = {
  boolean: [16, 1000],
  int16: [21, 1005],
  int32: [23, 1007],
  int64: [20, 1016],
  float32: [700, 1021],
  float64: [701, 1022],
  decimal: [1700, 1231],
  text: [25, 1009],
  bytes: [17, 1001],
  date: [1082, 1182],
  time: [1083, 1183],
  timestamp: [1114, 1115],
  timestamptz: [1184, 1185],
  uuid: [2950, 2951],
  json: [114, 199],
  jsonb: [3802, 3807],
};

/** The names in SQL. */
export const SQL_NAMES: Readonly<Record<ColumnKind, string>> = {
  boolean: 'boolean',
  int16: 'smallint',
  int32: 'integer',
  int64: 'bigint',
  float32: 'real',
  float64: 'double precision',
  decimal: 'numeric',
  text: 'text',
  bytes: 'bytea',
  date: 'date',
  time: 'time',
  timestamp: 'timestamp',
  timestamptz: 'timestamptz',
  uuid: 'uuid',
  json: 'json',
  jsonb: 'jsonb',
};

/** Types that are sent as the bytes of their text: name, character(n), character varying, xml. */
const TEXT_LIKE = new Set([19, 1042, 1043, 142]);

const BY_OID: ReadonlyMap<number, ColumnType> = new Map(
  COLUMN_KINDS.flatMap((kind): [number, ColumnType][] => [
    [OIDS[kind][0], { kind }],
    [OIDS[kind][1], { kind, array: true }],
  ]),
);

/**
 * The type of a column of a query, by the numbers that PostgreSQL describes it with. Undefined: a type that is not
 * carried (interval, ranges, enumerations, types of extensions); its values travel if the query casts them to text.
 */
export function columnTypeOfOid(oid: number, modifier = -1): ColumnType | undefined {
  if (TEXT_LIKE.has(oid)) return { kind: 'text' };
  const type = BY_OID.get(oid);
  if (type?.kind !== 'decimal' || modifier < 4) return type;
  const packed = modifier - 4;
  // The scale is a number of 11 bits with a sign.
  const scale = ((packed & 0x7ff) ^ 0x400) - 0x400;
  return { ...type, precision: (packed >> 16) & 0xffff, scale };
}

/** `numeric(12,2)[]`: the type of a column as `create table` takes it. */
export function sqlType({ kind, precision, scale, array }: ColumnType): string {
  const digits = precision === undefined ? '' : `(${precision},${scale ?? 0})`;
  return `${SQL_NAMES[kind]}${digits}${array === true ? '[]' : ''}`;
}
