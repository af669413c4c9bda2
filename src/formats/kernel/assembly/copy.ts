// AssemblyScript. Whole chunks of PostgreSQL's COPY, binary and text: framing, and keys by field number and type.
import { COMPLETE, SLOW, packFound } from './keys';
import { FOUND, MEMBERS, NAMES, byteAt, setResult } from './memory';

const MISSING: u32 = 1;

/** What is wrong with a row; the names stand in `kernel.ts`. */
const FIELD_COUNT: u32 = 7;
const NUL: u32 = 8;
const FIELD_LENGTH: u32 = 9;

/** How a key column is spelled; the numbers stand in `kernel.ts`. Anything else is left to the caller. */
const TEXT: u32 = 1;
const BOOLEAN: u32 = 2;
const INT16: u32 = 3;
const INT32: u32 = 4;
const INT64: u32 = 5;
const UUID: u32 = 6;

/** Room for the text of one key column: 36 bytes of a UUID, and more than `pack` may look past it. */
const ROOM: usize = 64;

@inline
function be32(p: usize): u32 {
  return bswap<u32>(load<u32>(p));
}

/**
 * Cuts `start` to `end` into rows of `fields` fields by walking over their lengths. Stops at the trailer, at a row that
 * is not there in full, and at one that is none. Result: spans, 0 or what is wrong with the next row, 1 behind the
 * trailer, bytes consumed, and the number of fields that were found instead.
 */
export function frameCopy(start: usize, end: usize, fields: u32, spans: usize, spansMax: u32): void {
  let count: u32 = 0;
  let fault: u32 = 0;
  let trailer: usize = 0;
  let found: u32 = fields;
  let row = start;
  while (count < spansMax && row + 2 <= end) {
    found = <u32>bswap<u16>(load<u16>(row));
    if (found != fields) {
      if (found == 0xffff) {
        trailer = 1;
        row += 2;
      } else fault = FIELD_COUNT;
      break;
    }
    let p = row + 2;
    let field: u32 = 0;
    for (; field < fields; field++) {
      if (p + 4 > end) break;
      const length = be32(p);
      p += 4;
      if (length == 0xffffffff) continue;
      if (<i32>length < 0) {
        fault = FIELD_LENGTH;
        break;
      }
      if (<usize>length > end - p) break;
      p += length;
    }
    if (field < fields) break;
    store<u32>(spans, <u32>(row - start));
    store<u32>(spans, <u32>(p - start), 4);
    spans += 8;
    count++;
    row = p;
  }
  setResult(0, count);
  setResult(1, fault);
  setResult(2, trailer);
  setResult(3, row - start);
  setResult(4, found);
}

/** The letter of a message that holds a part of a COPY. */
const COPY_DATA: u32 = 0x64;

/**
 * Takes the heads of messages out of a stretch of PostgreSQL's protocol: what they carry is written one behind the
 * other at `out`. `pending`: bytes at the start that belong to a message whose head came before. Stops at a head that
 * is not there in full, and at one of another kind of message. Result: bytes written, bytes consumed, bytes of the
 * last message that are still to come.
 */
export function unframeCopy(start: usize, end: usize, pending: u32, out: usize): void {
  let p = start;
  let to = out;
  let rest: usize = pending;
  while (true) {
    const here = rest < end - p ? rest : end - p;
    memory.copy(to, p, here);
    to += here;
    p += here;
    rest -= here;
    if (rest != 0 || p + 5 > end || byteAt(p) != COPY_DATA) break;
    const length = be32(p + 1);
    // A length counts its own four bytes.
    if (<i32>length < 4) break;
    rest = length - 4;
    p += 5;
  }
  setResult(0, to - out);
  setResult(1, p - start);
  setResult(2, rest);
}

/** Writes the digits of a number at `to`; answers where they end. */
@inline
function digits(value: i64, to: usize): usize {
  let rest: u64 = value < 0 ? <u64>0 - <u64>value : <u64>value;
  if (value < 0) store<u8>(to++, 0x2d);
  let length: usize = 1;
  for (let tens: u64 = 10; rest >= tens; tens *= 10) {
    length++;
    if (length == 20) break;
  }
  let p = to + length;
  do {
    const next = rest / 10;
    store<u8>(--p, <u8>(0x30 + (rest - next * 10)));
    rest = next;
  } while (rest != 0);
  return to + length;
}

/** Writes the 36 characters of a UUID: both halves of each byte are looked up at once, and then parted by dashes. */
@inline
function uuid(p: usize, to: usize): usize {
  const letters = i8x16(48, 49, 50, 51, 52, 53, 54, 55, 56, 57, 97, 98, 99, 100, 101, 102);
  const block = v128.load(p);
  const high = i8x16.swizzle(letters, i8x16.shr_u(block, 4));
  const low = i8x16.swizzle(letters, v128.and(block, i8x16.splat(15)));
  const first = i8x16.shuffle(high, low, 0, 16, 1, 17, 2, 18, 3, 19, 4, 20, 5, 21, 6, 22, 7, 23);
  const second = i8x16.shuffle(high, low, 8, 24, 9, 25, 10, 26, 11, 27, 12, 28, 13, 29, 14, 30, 15, 31);
  store<u64>(to, i64x2.extract_lane(first, 0));
  store<u8>(to, 0x2d, 8);
  store<u32>(to, i32x4.extract_lane(first, 2), 9);
  store<u8>(to, 0x2d, 13);
  store<u32>(to, i32x4.extract_lane(first, 3), 14);
  store<u8>(to, 0x2d, 18);
  store<u32>(to, i32x4.extract_lane(second, 0), 19);
  store<u8>(to, 0x2d, 23);
  store<u32>(to, i32x4.extract_lane(second, 1), 24);
  store<u64>(to, i64x2.extract_lane(second, 1), 28);
  return to + 36;
}

@inline
function word(truth: bool, to: usize): usize {
  if (truth) {
    store<u32>(to, 0x65757274);
    return to + 4;
  }
  store<u32>(to, 0x736c6166);
  store<u8>(to, 0x65, 4);
  return to + 5;
}

/** Notes the canonical text of a binary field for key column `k`. */
@inline
function noteBinary(kind: u32, p: usize, length: u32, k: u32): u32 {
  const entry = FOUND + (k << 3);
  const room = MEMBERS + k * ROOM;
  if (kind == TEXT) {
    store<u32>(entry, <u32>p);
    store<u32>(entry, <u32>p + length, 4);
    return COMPLETE;
  }
  let end: usize = 0;
  if (kind == INT64 && length == 8) end = digits(<i64>bswap<u64>(load<u64>(p)), room);
  else if (kind == INT32 && length == 4) end = digits(<i64>(<i32>be32(p)), room);
  else if (kind == INT16 && length == 2) end = digits(<i64>(<i16>bswap<u16>(load<u16>(p))), room);
  else if (kind == UUID && length == 16) end = uuid(p, room);
  else if (kind == BOOLEAN && length == 1) end = word(byteAt(p) != 0, room);
  else return SLOW;
  store<u32>(entry, <u32>room);
  store<u32>(entry, <u32>end, 4);
  return COMPLETE;
}

/**
 * A packed key for each row of binary COPY, from the fields whose numbers and kinds stand in NAMES, u32 each; states as
 * in `keysOfLines`. The rows are whole, as `frameCopy` has seen.
 */
export function keysOfCopy(
  base: usize,
  spans: usize,
  count: u32,
  names: u32,
  last: u32,
  keys: usize,
  states: usize,
): u32 {
  let special: u32 = 0;
  for (let i: u32 = 0; i < count; i++) {
    let p = base + load<u32>(spans + (i << 3)) + 2;
    let state = COMPLETE;
    for (let field: u32 = 0; field <= last; field++) {
      const length = be32(p);
      p += 4;
      const isNull = length == 0xffffffff;
      for (let k: u32 = 0; k < names; k++) {
        if (load<u32>(NAMES + (k << 3)) != field) continue;
        const found = isNull ? MISSING : noteBinary(load<u32>(NAMES + (k << 3), 4), p, length, k);
        if (state != MISSING && found != COMPLETE) state = found;
      }
      if (!isNull) p += length;
    }
    if (state == COMPLETE) state = packFound(names, keys + (i << 4));
    store<u8>(states + i, state);
    if (state != COMPLETE) special++;
  }
  return special;
}

/** The next tab, line end or NUL from `p` on. */
@inline
function tabStop(p: usize): usize {
  while (true) {
    const block = v128.load(p);
    const mask = i8x16.bitmask(
      v128.or(
        v128.or(i8x16.eq(block, i8x16.splat(0x09)), i8x16.eq(block, i8x16.splat(0x0a))),
        i8x16.eq(block, i8x16.splat(0)),
      ),
    );
    if (mask != 0) return p + ctz<i32>(mask);
    p += 16;
  }
}

/**
 * Cuts `start` to `end` into lines of text COPY; where the last has no line end, `end` is taken for one. An empty line
 * is a row: that of one empty text. The line `\.` ends what psql writes, and is none. `spans`, `faults` and the result
 * as in `frameRows`.
 */
export function frameCopyText(
  start: usize,
  end: usize,
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
  while (row < end && count < spansMax && broken < faultsMax) {
    let seen: u32 = 1;
    let fault: u32 = 0;
    let p = row;
    while (true) {
      p = tabStop(p);
      const c = byteAt(p);
      if (p >= end || c == 0x0a) break;
      if (c == 0) fault = NUL;
      else seen++;
      p++;
    }
    const close = p > row && byteAt(p - 1) == 0x0d ? p - 1 : p;
    const last = close - row == 2 && load<u16>(row) == 0x2e5c;
    if (fault == 0 && seen != fields) fault = FIELD_COUNT;
    if (!last && fault == 0) {
      store<u32>(spans, <u32>(row - start));
      store<u32>(spans, <u32>(close - start), 4);
      spans += 8;
      count++;
    } else if (!last) {
      store<u32>(faults, count + broken);
      store<u32>(faults, lines, 4);
      store<u32>(faults, fault, 8);
      store<u32>(faults, seen, 12);
      faults += 16;
      broken++;
    }
    lines++;
    row = p + 1;
  }
  setResult(0, count);
  setResult(1, broken);
  setResult(2, lines);
  setResult(3, (row < end ? row : end) - start);
  setResult(4, 0);
}

/** Notes the canonical text of a field of text COPY for key column `k`. */
@inline
function noteText(kind: u32, start: usize, end: usize, k: u32): u32 {
  if (end - start == 2 && load<u16>(start) == 0x4e5c) return MISSING;
  if (kind == 0) return SLOW;
  for (let p = start; p < end; p++) if (byteAt(p) == 0x5c) return SLOW;
  const entry = FOUND + (k << 3);
  store<u32>(entry, <u32>start);
  store<u32>(entry, <u32>end, 4);
  if (kind != BOOLEAN) return COMPLETE;
  const room = MEMBERS + k * ROOM;
  store<u32>(entry, <u32>room);
  store<u32>(entry, <u32>word(byteAt(start) == 0x74, room), 4);
  return COMPLETE;
}

/** As `keysOfCopy`, for lines of text COPY. */
export function keysOfCopyText(
  base: usize,
  spans: usize,
  count: u32,
  names: u32,
  last: u32,
  keys: usize,
  states: usize,
): u32 {
  let special: u32 = 0;
  for (let i: u32 = 0; i < count; i++) {
    const end = base + load<u32>(spans + (i << 3), 4);
    let p = base + load<u32>(spans + (i << 3));
    let state = COMPLETE;
    for (let field: u32 = 0; field <= last; field++) {
      let stop = tabStop(p);
      if (stop > end) stop = end;
      for (let k: u32 = 0; k < names; k++) {
        if (load<u32>(NAMES + (k << 3)) != field) continue;
        const found = noteText(load<u32>(NAMES + (k << 3), 4), p, stop, k);
        if (state != MISSING && found != COMPLETE) state = found;
      }
      p = stop + 1;
    }
    if (state == COMPLETE) state = packFound(names, keys + (i << 4));
    store<u8>(states + i, state);
    if (state != COMPLETE) special++;
  }
  return special;
}
