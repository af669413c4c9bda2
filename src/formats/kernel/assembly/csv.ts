// AssemblyScript. Whole chunks of CSV as RFC 4180 has it: framing that minds quotes, and keys by field number.
import { packFound } from './keys';
import { FOUND, NAMES, byteAt, setResult } from './memory';

/** What is wrong with a row; the names stand in `kernel.ts`. */
const STRAY_QUOTE: u32 = 5;
const AFTER_QUOTE: u32 = 6;
const FIELD_COUNT: u32 = 7;
const NUL: u32 = 8;
const LONE_RETURN: u32 = 10;

/** The next separator, quote, line end, carriage return or NUL from `p` on. */
@inline
function fieldStop(p: usize, delimiter: v128, quote: v128): usize {
  while (true) {
    const block = v128.load(p);
    const mask = i8x16.bitmask(
      v128.or(
        v128.or(i8x16.eq(block, delimiter), i8x16.eq(block, quote)),
        v128.or(
          v128.or(i8x16.eq(block, i8x16.splat(0x0a)), i8x16.eq(block, i8x16.splat(0x0d))),
          i8x16.eq(block, i8x16.splat(0)),
        ),
      ),
    );
    if (mask != 0) return p + ctz<i32>(mask);
    p += 16;
  }
}

let linesInside: u32 = 0;
let nulInside: bool = false;

/** From behind an opening quote to the closing one; 0 when there is none before `end`. Counts the line ends between. */
function closingQuote(p: usize, end: usize, quote: u32): usize {
  while (p < end) {
    const block = v128.load(p);
    const quotes = i8x16.bitmask(i8x16.eq(block, i8x16.splat(<i8>quote)));
    const room = end - p;
    const upTo = quotes != 0 ? ctz<i32>(quotes) : 16;
    const seen: i32 = (1 << (<usize>upTo < room ? upTo : <i32>room)) - 1;
    linesInside += popcnt<i32>(i8x16.bitmask(i8x16.eq(block, i8x16.splat(0x0a))) & seen);
    if ((i8x16.bitmask(i8x16.eq(block, i8x16.splat(0))) & seen) != 0) nulInside = true;
    p += upTo;
    if (quotes == 0) continue;
    if (p >= end) return 0;
    if (p + 1 >= end || byteAt(p + 1) != quote) return p;
    p += 2;
  }
  return 0;
}

let fieldsSeen: u32 = 0;
let fault: u32 = 0;

/** To the line end behind the row, or to `end`; 0 when a quote is open there. Leaves `fieldsSeen` and `fault`. */
@inline
function rowEnd(row: usize, end: usize, delimiter: u32, quote: u32): usize {
  const separator = i8x16.splat(<i8>delimiter);
  const quotes = i8x16.splat(<i8>quote);
  let field = row;
  let p = row;
  fieldsSeen = 1;
  fault = 0;
  linesInside = 0;
  nulInside = false;
  while (true) {
    p = fieldStop(p, separator, quotes);
    const c = byteAt(p);
    if (p >= end || c == 0x0a) break;
    if (c == delimiter) {
      fieldsSeen++;
      field = p + 1;
    } else if (c == 0) {
      fault = NUL;
    } else if (c == 0x0d) {
      // Some read it as a line end, some as text: two rows or one, so it is neither.
      if (p + 1 < end && byteAt(p + 1) != 0x0a && fault == 0) fault = LONE_RETURN;
    } else if (p != field) {
      if (fault == 0) fault = STRAY_QUOTE;
    } else {
      p = closingQuote(p + 1, end, quote);
      if (p == 0) return 0;
      const next = byteAt(p + 1);
      const ends = next == delimiter || next == 0x0a || (next == 0x0d && byteAt(p + 2) == 0x0a);
      if (!ends && fault == 0) fault = AFTER_QUOTE;
    }
    p++;
  }
  if (nulInside) fault = NUL;
  return p;
}

/**
 * Cuts `start` to `end` into rows of `fields` fields; where the last row has no line end, `end` is taken for one.
 * `spans` and `faults` as in `frameLines`. An open quote at `end` stops the call: it consumes up to the row's start
 * and the fifth result is 1. Result: spans, faults, lines, bytes consumed, open.
 */
export function frameRows(
  start: usize,
  end: usize,
  delimiter: u32,
  quote: u32,
  fields: u32,
  spans: usize,
  spansMax: u32,
  faults: usize,
  faultsMax: u32,
): void {
  let count: u32 = 0;
  let broken: u32 = 0;
  let lines: u32 = 0;
  let row = start;
  let open: usize = 0;
  while (row < end && count < spansMax && broken < faultsMax) {
    const p = rowEnd(row, end, delimiter, quote);
    if (p == 0) {
      open = 1;
      break;
    }
    const close = p > row && byteAt(p - 1) == 0x0d ? p - 1 : p;
    if (fault == 0 && fieldsSeen != fields) fault = FIELD_COUNT;
    if (close > row && fault == 0) {
      store<u32>(spans, <u32>(row - start));
      store<u32>(spans, <u32>(close - start), 4);
      spans += 8;
      count++;
    } else if (close > row) {
      store<u32>(faults, count + broken);
      store<u32>(faults, lines, 4);
      store<u32>(faults, fault, 8);
      store<u32>(faults, fieldsSeen, 12);
      faults += 16;
      broken++;
    }
    lines += 1 + linesInside;
    row = p + 1;
  }
  setResult(0, count);
  setResult(1, broken);
  setResult(2, lines);
  setResult(3, (row < end ? row : end) - start);
  setResult(4, open);
}

/** Behind the field at `p`. */
@inline
function fieldEnd(p: usize, end: usize, delimiter: v128): usize {
  if (p < end && byteAt(p) == 0x22) {
    const close = closingQuote(p + 1, end, 0x22);
    return close == 0 ? end : close + 1;
  }
  while (true) {
    const stop = fieldStop(p, delimiter, i8x16.splat(0x22));
    if (stop >= end) return end;
    if (byteAt(stop) == 0x2c) return stop;
    p = stop + 1;
  }
}

/** A packed key for each row from the fields whose numbers stand in NAMES; states as in `keysOfLines`. */
export function keysOfRows(
  base: usize,
  spans: usize,
  count: u32,
  names: u32,
  last: u32,
  keys: usize,
  states: usize,
): u32 {
  const comma = i8x16.splat(0x2c);
  let special: u32 = 0;
  for (let i: u32 = 0; i < count; i++) {
    const end = base + load<u32>(spans + (i << 3), 4);
    let p = base + load<u32>(spans + (i << 3));
    let state: u32 = 0;
    for (let field: u32 = 0; field <= last; field++) {
      const stop = fieldEnd(p, end, comma);
      for (let k: u32 = 0; k < names; k++) {
        if (load<u32>(NAMES + (k << 2)) != field) continue;
        const found = noteField(p, stop, FOUND + (k << 3));
        if (found > state) state = found;
      }
      p = stop + 1;
    }
    if (state == 0) state = packFound(names, keys + (i << 4));
    store<u8>(states + i, state);
    if (state != 0) special++;
  }
  return special;
}

/** Notes a field's text without its quotes. Nothing between the separators: no value. A quote inside: the slow way. */
@inline
function noteField(start: usize, end: usize, entry: usize): u32 {
  if (start >= end) return 1;
  const quoted: usize = byteAt(start) == 0x22 ? 1 : 0;
  store<u32>(entry, <u32>(start + quoted));
  store<u32>(entry, <u32>(end - quoted), 4);
  if (quoted == 0) return 0;
  for (let p = start + 1; p < end - 1; p++) if (byteAt(p) == 0x22) return 2;
  return 0;
}
