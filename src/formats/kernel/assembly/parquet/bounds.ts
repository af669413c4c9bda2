// AssemblyScript. The least and the greatest of the values of a page, in the order that Parquet says for their type.
import { byteAt, setResult } from './memory';

/** How values are compared; the same numbers stand in `reading.ts`. */
const BYTE: u32 = 1;
const INT32: u32 = 2;
const INT64: u32 = 3;
const FLOAT: u32 = 4;
const DOUBLE: u32 = 5;
/** Sixteen bytes, most significant first: with a sign, or without. */
const SIGNED16: u32 = 6;
const BYTES16: u32 = 7;

@inline
function boundsOf<T>(values: usize, end: usize): void {
  let least: usize = 0;
  let most: usize = 0;
  let min: T = 0;
  let max: T = 0;
  let strange: u32 = 0;
  for (let p = values; p < end; p += sizeof<T>()) {
    const value = load<T>(p);
    // NaN, which has no place in an order.
    if (value != value) {
      strange++;
      continue;
    }
    if (least == 0 || value < min) {
      least = p;
      min = value;
    }
    if (most == 0 || value > max) {
      most = p;
      max = value;
    }
  }
  setResult(0, least);
  setResult(1, most);
  setResult(2, strange);
}

@inline
function precedes16(a: usize, b: usize, flip: u64): bool {
  const high = bswap<u64>(load<u64>(a)) ^ flip;
  const other = bswap<u64>(load<u64>(b)) ^ flip;
  if (high != other) return high < other;
  return bswap<u64>(load<u64>(a, 8)) < bswap<u64>(load<u64>(b, 8));
}

function boundsOf16(values: usize, end: usize, flip: u64): void {
  let least: usize = 0;
  let most: usize = 0;
  for (let p = values; p < end; p += 16) {
    if (least == 0 || precedes16(p, least, flip)) least = p;
    if (most == 0 || precedes16(most, p, flip)) most = p;
  }
  setResult(0, least);
  setResult(1, most);
  setResult(2, 0);
}

/** Result: addresses of the least and the greatest, 0 where there is none; how many are NaN. */
export function boundsFixed(order: u32, values: usize, end: usize): void {
  switch (order) {
    case BYTE:
      return boundsOf<u8>(values, end);
    case INT32:
      return boundsOf<i32>(values, end);
    case INT64:
      return boundsOf<i64>(values, end);
    case FLOAT:
      return boundsOf<f32>(values, end);
    case DOUBLE:
      return boundsOf<f64>(values, end);
    case SIGNED16:
      return boundsOf16(values, end, 1 << 63);
    case BYTES16:
      return boundsOf16(values, end, 0);
  }
}

/** Whether one text stands before another, byte by byte: of UTF-8 that is the order of its characters. */
@inline
function precedes(a: usize, b: usize): bool {
  const aLength = load<u32>(a);
  const bLength = load<u32>(b);
  const shared = aLength < bLength ? aLength : bLength;
  for (let i: u32 = 0; i < shared; i++) {
    const one = byteAt(a + 4 + i);
    const other = byteAt(b + 4 + i);
    if (one != other) return one < other;
  }
  return aLength < bLength;
}

/** The same of texts, each behind its length. */
export function boundsTexts(values: usize, end: usize): void {
  let least: usize = 0;
  let most: usize = 0;
  for (let p = values; p < end; p += 4 + <usize>load<u32>(p)) {
    if (least == 0 || precedes(p, least)) least = p;
    if (most == 0 || precedes(most, p)) most = p;
  }
  setResult(0, least);
  setResult(1, most);
  setResult(2, 0);
}
