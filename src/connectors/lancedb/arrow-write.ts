import { Buffer } from 'node:buffer';
import type * as Arrow from 'apache-arrow';
import { DAY_MICROS, readDate, readMoment, readTime } from '../../formats/columns/moments.ts';
import { unscaled } from '../../formats/columns/numbers.ts';
import { unfit } from '../../formats/columns/unfit.ts';
import { itemsOf } from '../../formats/columns/values.ts';
import type { ColumnType } from '../../model/columns.ts';

/** The texts of one column; null where the record has no value. */
export type Texts = readonly (string | null)[];

/** Thrown for a text that does not fit: what is wrong with it, and where it stands. */
export class UnfitAt {
  readonly row: number;
  readonly error: unknown;
  readonly column: string | undefined;
  constructor(row: number, error: unknown, column?: string) {
    this.row = row;
    this.error = error;
    this.column = column;
  }
}

/** A table from plain texts, column by column; no value passes a double that cannot hold it. Throws UnfitAt. */
export function tableOf(
  arrow: typeof Arrow,
  fields: readonly { readonly field: Arrow.Field; readonly type: ColumnType; readonly texts: Texts }[],
  rows: number,
): Arrow.Table {
  const children = fields.map(({ field, type, texts }) => columnData(arrow, field, type, texts));
  const schema = new arrow.Schema(fields.map(({ field }) => field));
  const struct = new arrow.Struct(schema.fields);
  const data = arrow.makeData({ type: struct, length: rows, nullCount: 0, children });
  return new arrow.Table(schema, new arrow.RecordBatch(schema, data));
}

function columnData(arrow: typeof Arrow, field: Arrow.Field, type: ColumnType, texts: Texts): Arrow.Data {
  const empty = field.nullable ? -1 : texts.indexOf(null);
  if (empty >= 0) throw new UnfitAt(empty, unfit('is missing, and the column must have one'), field.name);
  try {
    return dataOf(arrow, field.type, type, texts);
  } catch (error) {
    throw error instanceof UnfitAt ? new UnfitAt(error.row, error.error, field.name) : error;
  }
}

function dataOf(arrow: typeof Arrow, dataType: Arrow.DataType, type: ColumnType, texts: Texts): Arrow.Data {
  const { DataType } = arrow;
  const base = { length: texts.length, ...validity(texts) };
  const make = (parts: object): Arrow.Data => arrow.makeData({ type: dataType, ...base, ...parts } as never);
  if (DataType.isList(dataType) || DataType.isFixedSizeList(dataType))
    return listData(arrow, dataType, type, texts, make);
  if (DataType.isBool(dataType)) return make({ data: bits(texts, (text) => text === 'true') });
  if (DataType.isUtf8(dataType)) return make(variable(texts, 'utf8', (n) => new Int32Array(n), Number));
  if (DataType.isLargeUtf8(dataType)) return make(variable(texts, 'utf8', (n) => new BigInt64Array(n), BigInt));
  if (DataType.isBinary(dataType)) return make(variable(texts, 'base64', (n) => new Int32Array(n), Number));
  if (DataType.isLargeBinary(dataType)) return make(variable(texts, 'base64', (n) => new BigInt64Array(n), BigInt));
  if (DataType.isDecimal(dataType)) return make({ data: decimals(texts, dataType.scale) });
  return make({ data: fixed(arrow, dataType, type, texts) });
}

/** One bit a row, lowest first. */
function bits(texts: Texts, isSet: (text: string | null) => boolean): Uint8Array {
  const bytes = new Uint8Array(Math.ceil(texts.length / 8));
  for (let at = 0; at < texts.length; at++) {
    if (isSet(texts[at]!)) bytes[at >> 3]! |= 1 << (at & 7);
  }
  return bytes;
}

function validity(texts: Texts): { nullCount: number; nullBitmap?: Uint8Array } {
  const nullCount = texts.reduce((count, text) => count + (text === null ? 1 : 0), 0);
  return nullCount === 0 ? { nullCount } : { nullCount, nullBitmap: bits(texts, (text) => text !== null) };
}

function variable<T extends Int32Array | BigInt64Array>(
  texts: Texts,
  encoding: 'utf8' | 'base64',
  offsets: (length: number) => T,
  as: (value: number) => number | bigint,
): object {
  const valueOffsets = offsets(texts.length + 1);
  const parts: Buffer[] = [];
  let end = 0;
  for (let at = 0; at < texts.length; at++) {
    const text = texts[at]!;
    if (text !== null) {
      const part = Buffer.from(text, encoding);
      parts.push(part);
      end += part.length;
    }
    valueOffsets[at + 1] = as(end) as never;
  }
  return { valueOffsets, data: new Uint8Array(Buffer.concat(parts, end)) };
}

/** Each value in a place of the same width; zero where there is none. */
function fixed(arrow: typeof Arrow, dataType: Arrow.DataType, type: ColumnType, texts: Texts): unknown {
  const values = new (dataType.ArrayType as new (length: number) => { [at: number]: number | bigint })(texts.length);
  const big = values instanceof BigInt64Array || values instanceof BigUint64Array;
  each(texts, (text, at) => {
    const value = numberOf(arrow, dataType, type, text);
    values[at] = big ? BigInt(value) : Number(value);
    const exact = big || arrow.DataType.isFloat(dataType) || values[at] === Number(value);
    if (!exact || (big && values[at] !== BigInt(value))) throw unfit('is out of the range of the column');
  });
  return values;
}

function numberOf(arrow: typeof Arrow, dataType: Arrow.DataType, { kind }: ColumnType, text: string): number | bigint {
  if (kind === 'float32' || kind === 'float64') return Number(text);
  if (kind === 'date') return finite(readDate(text));
  if (kind === 'time') return BigInt(readTime(text));
  if (kind !== 'timestamp' && kind !== 'timestamptz') return BigInt(text);
  const { days, micros } = finite(readMoment(text, kind === 'timestamptz'));
  return inUnit(arrow, (dataType as Arrow.Timestamp).unit, BigInt(days) * BigInt(DAY_MICROS) + BigInt(micros));
}

function finite<T>(value: T | string): T {
  if (typeof value === 'string') throw unfit('is infinite, which dates and timestamps of LanceDB are not');
  return value;
}

function inUnit({ TimeUnit }: typeof Arrow, unit: Arrow.TimeUnit, micros: bigint): bigint {
  if (unit === TimeUnit.MICROSECOND) return micros;
  if (unit === TimeUnit.NANOSECOND) return micros * 1000n;
  const size = unit === TimeUnit.SECOND ? 1_000_000n : 1000n;
  if (micros % size !== 0n) throw unfit('is more exact than the column');
  return micros / size;
}

const LOW_64 = (1n << 64n) - 1n;

function decimals(texts: Texts, scale: number): Uint32Array {
  const halves = new BigUint64Array(texts.length * 2);
  each(texts, (text, at) => {
    if (text === 'NaN') throw unfit('is NaN, which a decimal of LanceDB has not');
    const value = unscaled(text, scale);
    halves[at * 2] = value & LOW_64;
    halves[at * 2 + 1] = (value >> 64n) & LOW_64;
  });
  return new Uint32Array(halves.buffer);
}

function listData(
  arrow: typeof Arrow,
  dataType: Arrow.List | Arrow.FixedSizeList,
  type: ColumnType,
  texts: Texts,
  make: (parts: object) => Arrow.Data,
): Arrow.Data {
  const size = arrow.DataType.isFixedSizeList(dataType) ? dataType.listSize : undefined;
  const items: (string | null)[] = [];
  const owners: number[] = [];
  const valueOffsets = new Int32Array(texts.length + 1);
  for (let at = 0; at < texts.length; at++) {
    const own = texts[at] === null ? Array<null>(size ?? 0).fill(null) : flat(type, texts[at]!, at);
    if (size !== undefined && own.length !== size) throw new UnfitAt(at, unfit(`has not ${size} items`));
    for (const item of own) {
      items.push(item);
      owners.push(at);
    }
    valueOffsets[at + 1] = items.length;
  }
  const { array: _, ...itemType } = type;
  try {
    const child = dataOf(arrow, dataType.children[0]!.type, itemType, items);
    return make(size === undefined ? { valueOffsets, child } : { child });
  } catch (error) {
    throw error instanceof UnfitAt ? new UnfitAt(owners[error.row]!, error.error) : error;
  }
}

function flat(type: ColumnType, text: string, row: number): readonly (string | null)[] {
  return itemsOf(type, text).map((item) => {
    if (item === undefined || typeof item === 'string') return item ?? null;
    throw new UnfitAt(row, unfit('has more than one dimension, which arrays of LanceDB have not'));
  });
}

function each(texts: Texts, take: (text: string, at: number) => void): void {
  for (let at = 0; at < texts.length; at++) {
    const text = texts[at]!;
    if (text === null) continue;
    try {
      take(text, at);
    } catch (error) {
      throw new UnfitAt(at, error);
    }
  }
}
