import { isUtf8 } from 'node:buffer';
import type { ColumnKind, ColumnType } from '../../model/columns.ts';
import type { WaybillError } from '../../model/errors.ts';
import {
  DAY_MICROS,
  type Moment,
  readDate,
  readMoment,
  readTime,
  showDate,
  showMoment,
  showTime,
} from '../columns/moments.ts';
import { float32Text, float64Text } from '../columns/numbers.ts';
import { unfit } from '../columns/unfit.ts';
import { type Items, itemsOf, itemType, jsonOfItems, UTC } from '../columns/values.ts';
import { numericBytes, numericText } from './numeric.ts';
import { OIDS } from './oids.ts';

/** Days from 1970 to 2000, where PostgreSQL begins to count. */
const EPOCH_DAYS = 10_957;
const [DATE_END, DATE_BEGIN] = [0x7fffffff, -0x80000000];
const [MOMENT_END, MOMENT_BEGIN] = [2n ** 63n - 1n, -(2n ** 63n)];

/** Bytes of the types that always take as many: another number says that the column is of another type. */
const SIZES: Readonly<Partial<Record<ColumnKind, number>>> = {
  boolean: 1,
  int16: 2,
  int32: 4,
  int64: 8,
  float32: 4,
  float64: 8,
  date: 4,
  time: 8,
  timestamp: 8,
  timestamptz: 8,
  uuid: 16,
};
/** PostgreSQL's arrays have six dimensions at most. */
const DIMENSIONS_MAX = 6;

/** The plain text of the value in `bytes` from `at` to `end`, as binary COPY has it. */
export function binaryText(type: ColumnType, bytes: Buffer, at: number, end: number): string {
  if (type.array === true) return arrayText(itemType(type), bytes, at, end);
  const size = SIZES[type.kind];
  if (size !== undefined && end - at !== size) throw unfit(`takes ${end - at} bytes, not ${size}`);
  switch (type.kind) {
    case 'boolean':
      return bytes[at] === 0 ? 'false' : 'true';
    case 'int16':
      return String(bytes.readInt16BE(at));
    case 'int32':
      return String(bytes.readInt32BE(at));
    case 'int64':
      return longText(bytes, at);
    case 'float32':
      return float32Text(bytes.readFloatBE(at));
    case 'float64':
      return float64Text(bytes.readDoubleBE(at));
    case 'decimal':
      if (end - at < 8 || end - at !== 8 + bytes.readUInt16BE(at) * 2) throw malformed();
      return numericText(bytes, at);
    case 'text':
      return utf8(bytes, at, end);
    case 'bytes':
      return bytes.toString('base64', at, end);
    case 'json':
      return bytes.toString('utf8', at, end);
    case 'jsonb':
      // A version stands before the text.
      if (bytes[at] !== 1 || end === at) throw malformed();
      return bytes.toString('utf8', at + 1, end);
    case 'uuid':
      return uuidText(bytes.toString('hex', at, at + 16));
    case 'date':
      return dateText(bytes.readInt32BE(at));
    case 'time':
      return showTime(smallLong(bytes, at) ?? Number(bytes.readBigInt64BE(at)));
    default:
      return momentText(bytes, at, type.kind === 'timestamptz' ? UTC : '');
  }
}

function utf8(bytes: Buffer, at: number, end: number): string {
  const text = bytes.toString('utf8', at, end);
  // What is not UTF-8 would be turned into this character without a word.
  if (text.includes('\ufffd') && !isUtf8(bytes.subarray(at, end))) throw unfit('is not UTF-8 text');
  return text;
}

function longText(bytes: Buffer, at: number): string {
  return String(smallLong(bytes, at) ?? bytes.readBigInt64BE(at));
}

export function uuidText(hex: string): string {
  return `${hex.slice(0, 8)}-${hex.slice(8, 12)}-${hex.slice(12, 16)}-${hex.slice(16, 20)}-${hex.slice(20)}`;
}

function dateText(days: number): string {
  if (days === DATE_END) return 'infinity';
  return days === DATE_BEGIN ? '-infinity' : showDate(days + EPOCH_DAYS);
}

/** A whole number of 64 bits, where a double holds it: BigInt is several times as slow, and few need it. */
function smallLong(bytes: Buffer, at: number): number | undefined {
  const high = bytes.readInt32BE(at);
  return high >= -0x200000 && high < 0x200000 ? high * 0x1_0000_0000 + bytes.readUInt32BE(at + 4) : undefined;
}

function momentText(bytes: Buffer, at: number, zone: string): string {
  const small = smallLong(bytes, at);
  if (small !== undefined) {
    const days = Math.floor(small / DAY_MICROS);
    return showMoment({ days: days + EPOCH_DAYS, micros: small - days * DAY_MICROS }, zone);
  }
  const value = bytes.readBigInt64BE(at);
  if (value === MOMENT_END) return 'infinity';
  if (value === MOMENT_BEGIN) return '-infinity';
  const day = BigInt(DAY_MICROS);
  const micros = Number(((value % day) + day) % day);
  return showMoment({ days: Number((value - BigInt(micros)) / day) + EPOCH_DAYS, micros }, zone);
}

function arrayText(item: ColumnType, bytes: Buffer, at: number, end: number): string {
  const dimensions = bytes.readInt32BE(at);
  if (dimensions === 0) return '[]';
  const first = at + 12 + dimensions * 8;
  if (dimensions < 0 || dimensions > DIMENSIONS_MAX || first > end) throw malformed();
  if (bytes.readInt32BE(at + 8) !== OIDS[item.kind][0]) throw unfit('is an array of another type');
  if (dimensions > 1 && (item.kind === 'json' || item.kind === 'jsonb')) {
    throw unfit('is an array of JSON of several dimensions, which no other form can tell from one');
  }
  const lengths: number[] = [];
  for (let nth = 0; nth < dimensions; nth++) {
    lengths.push(bytes.readInt32BE(at + 12 + nth * 8));
    if (bytes.readInt32BE(at + 16 + nth * 8) !== 1) throw unfit('is an array that does not begin at 1');
  }
  // Every item takes four bytes at least: no room is made for more than can be there.
  const count = lengths.reduce((product, length) => product * length, 1);
  if (lengths.some((length) => length < 1) || count * 4 > end - first) throw malformed();
  const reading = new ArrayReading(item, bytes, first, end);
  return jsonOfItems(item, reading.items(lengths));
}

/** Bytes that no value of the type is sent as. */
const malformed = (): WaybillError => unfit('is not in the form that its type is sent in');

class ArrayReading {
  readonly #item: ColumnType;
  readonly #bytes: Buffer;
  readonly #end: number;
  #at: number;

  constructor(item: ColumnType, bytes: Buffer, at: number, end: number) {
    this.#item = item;
    this.#bytes = bytes;
    this.#at = at;
    this.#end = end;
  }

  items([length = 0, ...inner]: readonly number[]): Items {
    return Array.from({ length }, () => (inner.length === 0 ? this.#one() : this.items(inner)));
  }

  #one(): string | undefined {
    const start = this.#at + 4;
    if (start > this.#end) throw malformed();
    const size = this.#bytes.readInt32BE(this.#at);
    this.#at = start + Math.max(size, 0);
    if (this.#at > this.#end) throw malformed();
    return size < 0 ? undefined : binaryText(this.#item, this.#bytes, start, this.#at);
  }
}

/** The bytes of a plain text in binary COPY. Throws VALUE_UNFIT for what PostgreSQL does not store. */
export function binaryBytes(type: ColumnType, plain: string): Buffer {
  if (type.array === true) return arrayBytes(type, plain);
  switch (type.kind) {
    case 'boolean':
      return Buffer.of(plain === 'true' ? 1 : 0);
    case 'float32':
      return written(4, (bytes) => bytes.writeFloatBE(Number(plain)));
    case 'float64':
      return written(8, (bytes) => bytes.writeDoubleBE(Number(plain)));
    case 'decimal':
      return numericBytes(plain);
    case 'text':
      return Buffer.from(storable(plain));
    case 'bytes':
      return Buffer.from(plain, 'base64');
    case 'json':
      return Buffer.from(plain);
    case 'jsonb':
      return Buffer.from(`\u0001${storableJson(plain)}`);
    case 'uuid':
      return Buffer.from(plain.replaceAll('-', ''), 'hex');
    default:
      return countedBytes(type, plain);
  }
}

function countedBytes({ kind }: ColumnType, plain: string): Buffer {
  switch (kind) {
    case 'int16':
      return written(2, (bytes) => bytes.writeInt16BE(Number(plain)));
    case 'int32':
      return written(4, (bytes) => bytes.writeInt32BE(Number(plain)));
    case 'int64':
      return written(8, (bytes) => bytes.writeBigInt64BE(BigInt(plain)));
    case 'date':
      return written(4, (bytes) => bytes.writeInt32BE(dateNumber(plain)));
    case 'time':
      return written(8, (bytes) => bytes.writeBigInt64BE(BigInt(readTime(plain))));
    default:
      return written(8, (bytes) => bytes.writeBigInt64BE(momentNumber(readMoment(plain, kind === 'timestamptz'))));
  }
}

function written(size: number, write: (bytes: Buffer) => void): Buffer {
  const bytes = Buffer.allocUnsafe(size);
  write(bytes);
  return bytes;
}

function dateNumber(plain: string): number {
  const days = readDate(plain);
  if (typeof days !== 'string') return days - EPOCH_DAYS;
  return days === 'infinity' ? DATE_END : DATE_BEGIN;
}

function momentNumber(moment: Moment | string): bigint {
  if (typeof moment === 'string') return moment === 'infinity' ? MOMENT_END : MOMENT_BEGIN;
  return BigInt(moment.days - EPOCH_DAYS) * BigInt(DAY_MICROS) + BigInt(moment.micros);
}

/** PostgreSQL has no NUL in text. */
export function storable(text: string): string {
  if (text.includes('\0')) throw unfit('holds a NUL, which PostgreSQL has not in text');
  return text;
}

const ESCAPE = /\\(?:u([0-9a-f]{4})|.)/gi;

/** `jsonb` keeps texts, not their spelling: it has neither a NUL nor half a surrogate pair. */
export function storableJson(text: string): string {
  if (!text.includes('\\u')) return text;
  let open = false;
  let end = -1;
  for (const match of text.matchAll(ESCAPE)) {
    const code = match[1] === undefined ? -1 : Number.parseInt(match[1], 16);
    const low = code >= 0xdc00 && code <= 0xdfff;
    if (code === 0) throw unfit('holds a NUL, which jsonb has not');
    if (open !== low || (low && match.index !== end)) throw unfit('holds half a surrogate pair, which jsonb has not');
    open = code >= 0xd800 && code <= 0xdbff;
    end = match.index + match[0].length;
  }
  if (open) throw unfit('holds half a surrogate pair, which jsonb has not');
  return text;
}

function arrayBytes(type: ColumnType, plain: string): Buffer {
  const item = itemType(type);
  const items = itemsOf(type, plain);
  const lengths = items.length === 0 ? [] : lengthsOf(items);
  const pieces: Buffer[] = [];
  const nulls = addItems(items, item, pieces);
  const head = Buffer.allocUnsafe(12 + lengths.length * 8);
  head.writeInt32BE(lengths.length, 0);
  head.writeInt32BE(nulls ? 1 : 0, 4);
  head.writeInt32BE(OIDS[item.kind][0], 8);
  for (const [nth, length] of lengths.entries()) {
    head.writeInt32BE(length, 12 + nth * 8);
    head.writeInt32BE(1, 16 + nth * 8);
  }
  return Buffer.concat([head, ...pieces]);
}

export function lengthsOf(items: Items): number[] {
  const lengths: number[] = [];
  for (let level: Items[number] = items; Array.isArray(level); level = (level as Items)[0]) lengths.push(level.length);
  if (lengths.length > DIMENSIONS_MAX) throw unfit(`is an array of more than ${DIMENSIONS_MAX} dimensions`);
  return lengths;
}

/** Whether there is a null among them. */
function addItems(items: Items, item: ColumnType, pieces: Buffer[]): boolean {
  let nulls = false;
  for (const one of items) {
    if (one !== undefined && typeof one !== 'string') {
      nulls = addItems(one, item, pieces) || nulls;
      continue;
    }
    const bytes = one === undefined ? undefined : binaryBytes(item, one);
    pieces.push(written(4, (size) => size.writeInt32BE(bytes?.length ?? -1)));
    if (bytes === undefined) nulls = true;
    else pieces.push(bytes);
  }
  return nulls;
}
