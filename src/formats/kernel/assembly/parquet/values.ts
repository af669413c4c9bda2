// AssemblyScript. The cells of one column to its values, as a page of Parquet has them: one behind the other, nulls
// left out. A cell that is not read here is noted for the caller, which reads it and asks again.
import { BARE, DOUBLED, LENGTH, NULL, QUOTED, READY, STATE, byteAt, copyBytes, setResult } from './memory';
import { days, micros, readDate, readMoment, readTime } from './moments';
import {
  digitAt,
  double,
  isPlainDecimal,
  readDecimal,
  readDouble,
  readFloat,
  readUuid,
  readWhole,
  whole,
} from './numbers';

/** What a column holds; the same numbers stand in `reading.ts`. */
const BOOLEAN: u32 = 1;
const INT16: u32 = 2;
const INT32: u32 = 3;
const INT64: u32 = 4;
const FLOAT: u32 = 5;
const DOUBLE: u32 = 6;
const DATE: u32 = 7;
const TIME: u32 = 8;
const TIMESTAMP: u32 = 9;
const TIMESTAMPTZ: u32 = 10;
const UUID: u32 = 11;
const DECIMAL: u32 = 12;
const TEXT: u32 = 13;
const DECIMAL_TEXT: u32 = 14;

function readBoolean(p: usize, end: usize, to: usize): bool {
  const length = end - p;
  const first = byteAt(p) | 0x20;
  if (length == 1) {
    const digit = digitAt(p);
    store<u8>(to, first == 0x74 || digit == 1 ? 1 : 0);
    return first == 0x74 || first == 0x66 || digit <= 1;
  }
  const word = load<u32>(p) | 0x20202020;
  store<u8>(to, word == 0x65757274 ? 1 : 0);
  if (length == 4) return word == 0x65757274;
  return length == 5 && word == 0x736c6166 && (byteAt(p + 4) | 0x20) == 0x65;
}

@inline
function storeWhole(to: usize, width: u32, value: i64): void {
  if (width == 4) store<i32>(to, <i32>value);
  else store<i64>(to, value);
  // Most significant byte first, the sign in front.
  if (width != 16) return;
  store<i64>(to, value >> 63);
  store<u64>(to, bswap<u64>(<u64>value), 8);
}

/** One value of a type that always takes `width` bytes. */
function readValue(kind: u32, p: usize, end: usize, to: usize, width: u32, precision: u32, scale: u32): bool {
  switch (kind) {
    case BOOLEAN:
      return readBoolean(p, end, to);
    case INT16:
      if (!readWhole(p, end) || whole != <i64>(<i16>whole)) return false;
      break;
    case INT32:
      if (!readWhole(p, end) || whole != <i64>(<i32>whole)) return false;
      break;
    case INT64:
      if (!readWhole(p, end)) return false;
      break;
    case FLOAT:
      if (!readFloat(p, end)) return false;
      store<f32>(to, <f32>double);
      return true;
    case DOUBLE:
      if (!readDouble(p, end)) return false;
      store<f64>(to, double);
      return true;
    case DATE:
      if (!readDate(p, end)) return false;
      store<i32>(to, days);
      return true;
    case TIME:
      if (!readTime(p, end)) return false;
      store<i64>(to, micros);
      return true;
    case TIMESTAMP:
    case TIMESTAMPTZ:
      if (!readMoment(p, end, kind == TIMESTAMPTZ)) return false;
      store<i64>(to, micros);
      return true;
    case UUID:
      return readUuid(p, end, to);
    case DECIMAL:
      if (!readDecimal(p, end, precision, scale)) return false;
      break;
    default:
      return false;
  }
  storeWhole(to, width, whole);
  return true;
}

/**
 * Values of `width` bytes. `mask` gets a bit for each row that has one, `left` the rows that the caller has to read.
 * Result: end of the values, rows left, nulls.
 */
export function readFixed(
  kind: u32,
  width: u32,
  precision: u32,
  scale: u32,
  cells: usize,
  count: u32,
  mask: usize,
  values: usize,
  left: usize,
): void {
  memory.fill(mask, 0, (count >> 3) + 1);
  let to = values;
  let missed: u32 = 0;
  let nulls: u32 = 0;
  for (let row: u32 = 0; row < count; row++) {
    const start = <usize>load<u32>(cells + (row << 3));
    const said = load<u32>(cells + (row << 3), 4);
    const state = said & STATE;
    if (state == NULL) {
      nulls++;
      continue;
    }
    const byte = mask + (row >> 3);
    store<u8>(byte, <u8>(<u32>load<u8>(byte) | (1 << (row & 7))));
    if (state == READY) {
      copyBytes(to, start, width);
    } else if (state == DOUBLED || !readValue(kind, start, start + (said & LENGTH), to, width, precision, scale)) {
      store<u32>(left + (missed++ << 2), row);
    }
    to += width;
  }
  setResult(0, to);
  setResult(1, missed);
  setResult(2, nulls);
}

/** Copies a text whose quotes are doubled; answers its end. */
function copyUndoubled(to: usize, p: usize, end: usize): usize {
  while (p < end) {
    const byte = byteAt(p);
    store<u8>(to++, <u8>byte);
    p += byte == 0x22 ? 2 : 1;
  }
  return to;
}

function isAscii(p: usize, end: usize): bool {
  while (p < end) if (byteAt(p++) > 0x7f) return false;
  return true;
}

/** Texts, each behind its length. `utf8`: all of the input is known to be UTF-8. Result as of `readFixed`. */
export function readTexts(
  kind: u32,
  utf8: u32,
  cells: usize,
  count: u32,
  mask: usize,
  values: usize,
  left: usize,
): void {
  memory.fill(mask, 0, (count >> 3) + 1);
  let to = values;
  let missed: u32 = 0;
  let nulls: u32 = 0;
  for (let row: u32 = 0; row < count; row++) {
    const start = <usize>load<u32>(cells + (row << 3));
    const said = load<u32>(cells + (row << 3), 4);
    const state = said & STATE;
    if (state == NULL) {
      nulls++;
      continue;
    }
    const byte = mask + (row >> 3);
    store<u8>(byte, <u8>(<u32>load<u8>(byte) | (1 << (row & 7))));
    const end = start + (said & LENGTH);
    const read =
      state == READY ||
      (kind == TEXT && (utf8 != 0 || isAscii(start, end))) ||
      (kind == DECIMAL_TEXT && state != DOUBLED && isPlainDecimal(start, end));
    if (!read) {
      store<u32>(left + (missed++ << 2), row);
    } else if (state == DOUBLED) {
      const stop = copyUndoubled(to + 4, start, end);
      store<u32>(to, <u32>(stop - to - 4));
      to = stop;
    } else {
      store<u32>(to, <u32>(end - start));
      copyBytes(to + 4, start, end - start);
      to += 4 + (end - start);
    }
  }
  setResult(0, to);
  setResult(1, missed);
  setResult(2, nulls);
}
