import type * as Mysql from 'mysql2';
import { float32Text } from '../../formats/columns/numbers.ts';
import { exactNumber, parseObject } from '../../formats/rows.ts';
import { geoJsonOf } from './geometry.ts';

/** How MySQL numbers the types of its columns: part of its protocol. */
export const TYPE = {
  decimal: 0,
  tiny: 1,
  short: 2,
  long: 3,
  float: 4,
  double: 5,
  timestamp: 7,
  longlong: 8,
  int24: 9,
  date: 10,
  datetime: 12,
  year: 13,
  varchar: 15,
  bit: 16,
  json: 245,
  newDecimal: 246,
  tinyBlob: 249,
  mediumBlob: 250,
  longBlob: 251,
  blob: 252,
  varString: 253,
  string: 254,
  geometry: 255,
} as const;

/** Turns what the driver gives for one column into what a record holds. */
export type ValueReader = (value: unknown) => unknown;

/** What the driver is told of values that it would spoil; nothing where there are none, since it costs each value. */
export function castsOf(fields: readonly Mysql.FieldPacket[]): Pick<Mysql.QueryOptions, 'typeCast'> {
  if (!fields.some(({ columnType }) => columnType === TYPE.geometry)) return {};
  return { typeCast: (field, next) => (field.type === 'GEOMETRY' ? field.buffer() : next()) };
}

/**
 * Whole numbers and decimals keep all of their digits, times are ISO 8601 (a `timestamp` in UTC, a `datetime` as it
 * is), JSON is JSON, geometries are GeoJSON, and bytes become base64.
 */
export function valueReader({
  columnType,
  extendedFormat,
}: Mysql.FieldPacket & { extendedFormat?: string }): ValueReader {
  const read = extendedFormat === 'json' ? json : READERS.get(columnType ?? -1);
  return read === undefined ? (value) => value : (value) => (value === null ? null : read(value));
}

const number: ValueReader = (value) => exactNumber(String(value));
const json: ValueReader = (value) => parseObject(`{"json":${String(value)}}`).json;
const datetime: ValueReader = (value) => String(value).replace(' ', 'T');

const READERS: ReadonlyMap<number, ValueReader> = new Map([
  [TYPE.decimal, number],
  [TYPE.newDecimal, number],
  [TYPE.longlong, number],
  [TYPE.json, json],
  [TYPE.geometry, (value) => geoJsonOf(value as Buffer)],
  [TYPE.datetime, datetime],
  [TYPE.timestamp, (value) => `${String(datetime(value))}+00:00`],
  // A double shows digits of a float that nobody has written.
  [TYPE.float, (value) => (Number.isFinite(value) ? Number(float32Text(value as number)) : value)],
]);
