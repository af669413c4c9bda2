import { isUtf8 } from 'node:buffer';
import type { SchemaElement } from 'hyparquet';
import type { ColumnType } from '../../model/columns.ts';
import { DAY_MICROS, readDate, readMoment, readTime, showDate, showMoment, showTime } from '../columns/moments.ts';
import { float32Text, float64Text, scaledText, unscaled } from '../columns/numbers.ts';
import { unfit } from '../columns/unfit.ts';
import { UTC } from '../columns/values.ts';
import { uuidText } from '../pgcopy/binary-values.ts';
import { isParquetDecimal } from './schema.ts';

/**
 * Values as they lie in Parquet: whole numbers as number or bigint, decimals as bigint in units of their last digit,
 * moments as microseconds since 1970, texts and bytes as bytes.
 */
export type Cell = boolean | number | bigint | Uint8Array | string;

const [LONG_MIN, LONG_MAX] = [-(2n ** 63n), 2n ** 63n - 1n];

/** A plain text as the writer wants it. Throws VALUE_UNFIT for what Parquet has no form for. */
export function cellOf(type: ColumnType, plain: string): Cell {
  if (type.array === true) return Buffer.from(plain);
  switch (type.kind) {
    case 'boolean':
      return plain === 'true';
    case 'int16':
    case 'int32':
    case 'float32':
    case 'float64':
      return Number(plain);
    case 'int64':
      return BigInt(plain);
    case 'decimal':
      return decimalCell(type, plain);
    case 'text':
      return plain;
    case 'bytes':
      return Buffer.from(plain, 'base64');
    case 'date':
      return endless(readDate(plain));
    case 'time':
      return BigInt(readTime(plain));
    case 'uuid':
      return Buffer.from(plain.replaceAll('-', ''), 'hex');
    case 'json':
    case 'jsonb':
      return Buffer.from(plain);
    default:
      return momentCell(plain, type.kind === 'timestamptz');
  }
}

function decimalCell(type: ColumnType, plain: string): Cell {
  if (!isParquetDecimal(type)) return plain;
  if (plain === 'NaN') throw unfit('is NaN, which a decimal of Parquet has not');
  return unscaled(plain, type.scale ?? 0);
}

function endless<T>(value: T | string): T {
  if (typeof value === 'string') throw unfit('is infinite, which dates and timestamps of Parquet are not');
  return value;
}

function momentCell(plain: string, zoned: boolean): bigint {
  const { days, micros } = endless(readMoment(plain, zoned));
  const value = BigInt(days) * BigInt(DAY_MICROS) + BigInt(micros);
  if (value > LONG_MAX || value < LONG_MIN) throw unfit('is outside the years that Parquet counts in microseconds');
  return value;
}

/** The plain text of a value as the file holds it, nothing converted. Throws VALUE_UNFIT. */
export function plainOfCell(type: ColumnType, element: SchemaElement, cell: Cell): string {
  if (type.array === true) return utf8(cell);
  switch (type.kind) {
    case 'float32':
      return float32Text(typeof cell === 'number' ? cell : half(cell as Uint8Array));
    case 'float64':
      return float64Text(cell as number);
    case 'decimal':
      return element.type === 'BYTE_ARRAY' && !isParquetDecimal(type) ? utf8(cell) : decimalText(element, cell);
    case 'text':
    case 'json':
    case 'jsonb':
      return utf8(cell);
    case 'bytes':
      return asBuffer(cell).toString('base64');
    case 'uuid':
      return uuidText(asBuffer(cell).toString('hex'));
    case 'date':
      return showDate(cell as number);
    case 'time':
      return showTime(Number(inMicros(element, cell)));
    case 'timestamp':
    case 'timestamptz':
      return momentText(inMicros(element, cell), type.kind === 'timestamptz' ? UTC : '');
    default:
      return wholeText(element, cell);
  }
}

function asBuffer(cell: Cell): Buffer {
  const bytes = cell as Uint8Array;
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
}

function utf8(cell: Cell): string {
  if (typeof cell === 'string') return cell;
  const bytes = asBuffer(cell);
  const text = bytes.toString('utf8');
  // What is not UTF-8 would be turned into this character without a word.
  if (text.includes('\ufffd') && !isUtf8(bytes)) throw unfit('is not UTF-8 text');
  return text;
}

/** Unsigned numbers are stored in the bits of signed ones. */
function wholeText({ type, converted_type: converted, logical_type: logical }: SchemaElement, cell: Cell): string {
  const unsigned = converted?.startsWith('UINT') === true || (logical?.type === 'INTEGER' && !logical.isSigned);
  if (!unsigned) return String(cell);
  return String(type === 'INT64' ? BigInt.asUintN(64, BigInt(cell as bigint)) : (cell as number) >>> 0);
}

function decimalText(element: SchemaElement, cell: Cell): string {
  const { logical_type: logical } = element;
  if (logical?.type === 'INTEGER' || element.converted_type === 'UINT_64') return wholeText(element, cell);
  const scale = logical?.type === 'DECIMAL' ? logical.scale : (element.scale ?? 0);
  return scaledText(cell instanceof Uint8Array ? signed(cell) : BigInt(cell as number | bigint), scale);
}

/** A whole number, most significant byte first. */
function signed(bytes: Uint8Array): bigint {
  if (bytes.length === 0) return 0n;
  return BigInt.asIntN(bytes.length * 8, BigInt(`0x${asBuffer(bytes).toString('hex')}`));
}

const TO_MICROS: Readonly<Record<string, bigint>> = { MILLIS: 1000n, MICROS: 1n };

function inMicros(element: SchemaElement, cell: Cell): bigint {
  const value = BigInt(cell as number | bigint);
  const { logical_type: logical, converted_type: converted, type } = element;
  const said = logical?.type === 'TIME' || logical?.type === 'TIMESTAMP' ? logical.unit : converted?.split('_')[1];
  const unit = type === 'INT96' ? 'NANOS' : (said ?? 'MICROS');
  const factor = TO_MICROS[unit];
  if (factor !== undefined) return value * factor;
  if (value % 1000n !== 0n) throw unfit('is more exact than a microsecond');
  return value / 1000n;
}

function momentText(value: bigint, zone: string): string {
  const day = BigInt(DAY_MICROS);
  const micros = ((value % day) + day) % day;
  return showMoment({ days: Number((value - micros) / day), micros: Number(micros) }, zone);
}

/** A float of 16 bits, least significant byte first. */
function half(bytes: Uint8Array): number {
  const bits = bytes[0]! | (bytes[1]! << 8);
  const sign = bits >> 15 === 0 ? 1 : -1;
  const exponent = (bits >> 10) & 0x1f;
  const fraction = bits & 0x3ff;
  if (exponent === 0x1f) return fraction === 0 ? sign * Number.POSITIVE_INFINITY : Number.NaN;
  return exponent === 0 ? (sign * fraction) / 2 ** 24 : sign * (1 + fraction / 1024) * 2 ** (exponent - 15);
}
