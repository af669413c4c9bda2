// AssemblyScript. Packed keys of a chunk of NDJSON, from the values of named members.
import { pack } from './hash';
import { FOUND, HEADS, JOIN, JOIN_MAX, NAMES, byteAt } from './memory';
import { ESCAPED, skipSpace, skipValue, stringStop } from './scan';

/** The state of a record's key: all columns there, one of them absent or null, or more than this scan can tell. */
export const COMPLETE: u32 = 0;
const MISSING: u32 = 1;
export const SLOW: u32 = 2;

@inline
function sameBytes(a: usize, b: usize, length: usize): bool {
  let i: usize = 0;
  for (; i + 8 <= length; i += 8) if (load<u64>(a + i) != load<u64>(b + i)) return false;
  for (; i < length; i++) if (byteAt(a + i) != byteAt(b + i)) return false;
  return true;
}

@inline
export function nameIndex(p: usize, length: usize, names: u32): u32 {
  for (let i: u32 = 0; i < names; i++) {
    const entry = NAMES + (i << 3);
    if (load<u32>(entry, 4) == length && sameBytes(load<u32>(entry), p, length)) return i;
  }
  return u32.MAX_VALUE;
}

/** Notes where the named members of the object at `p` stand; the last of several with one name, as JSON.parse. */
function findMembers(p: usize, end: usize, names: u32): u32 {
  for (let i: u32 = 0; i < names; i++) store<u64>(FOUND + (i << 3), 0);
  p = skipSpace(p);
  if (byteAt(p) != 0x7b) return SLOW;
  p = skipSpace(p + 1);
  if (byteAt(p) == 0x7d) return COMPLETE;
  while (p < end) {
    if (byteAt(p) != 0x22) return SLOW;
    const name = p + 1;
    const quote = stringStop(name);
    // A name with an escape may be one of ours in another spelling.
    if (byteAt(quote) != 0x22) return SLOW;
    p = skipSpace(quote + 1);
    if (byteAt(p) != 0x3a) return SLOW;
    const value = skipSpace(p + 1);
    p = skipValue(value);
    if (p == 0 || p >= end) return SLOW;
    const index = nameIndex(name, quote - name, names);
    if (index != u32.MAX_VALUE) {
      store<u32>(FOUND + (index << 3), <u32>value);
      store<u32>(FOUND + (index << 3), <u32>p, 4);
    }
    p = skipSpace(p);
    const next = byteAt(p);
    if (next == 0x7d) return COMPLETE;
    if (next != 0x2c) return SLOW;
    p = skipSpace(p + 1);
  }
  return SLOW;
}

/** Narrows a found value to its canonical text. */
@inline
function canonical(entry: usize): u32 {
  const start = <usize>load<u32>(entry);
  const end = <usize>load<u32>(entry, 4);
  if (start == 0) return MISSING;
  const c = byteAt(start);
  if (c == 0x22) {
    if (stringStop(start + 1) != end - 1) return SLOW;
    store<u32>(entry, <u32>(start + 1));
    store<u32>(entry, <u32>(end - 1), 4);
    return COMPLETE;
  }
  if (c == 0x6e) return MISSING;
  if (c == 0x74 || c == 0x66) return COMPLETE;
  if (c == 0x7b || c == 0x5b) return SLOW;
  let p = start;
  if (c == 0x2d) {
    if (byteAt(++p) == 0x30) return SLOW;
  }
  for (; p < end; p++) if (byteAt(p) - 0x30 >= 10) return SLOW;
  return COMPLETE;
}

/** Joins the found values with a byte that UTF-8 never holds, so that no two lists of values look alike. */
export function packFound(names: u32, out: usize): u32 {
  if (names == 1) {
    const start = load<u32>(FOUND);
    pack(start, load<u32>(FOUND, 4) - start, out);
    return COMPLETE;
  }
  let to = JOIN;
  for (let i: u32 = 0; i < names; i++) {
    const start = load<u32>(FOUND + (i << 3));
    const length = load<u32>(FOUND + (i << 3), 4) - start;
    if (to - JOIN + length + 1 > JOIN_MAX) return SLOW;
    if (i > 0) store<u8>(to++, 0xff);
    memory.copy(to, start, length);
    to += length;
  }
  // What is left of an earlier record must not be read as part of this one; `pack` masks, so nothing is.
  pack(JOIN, to - JOIN, out);
  return COMPLETE;
}

function prepareHeads(names: u32): void {
  for (let i: u32 = 0; i < names; i++) {
    const start = load<u32>(NAMES + (i << 3));
    const length = load<u32>(NAMES + (i << 3), 4) + 1;
    const mask = length >= 8 ? <u64>-1 : ((<u64>1) << (length << 3)) - 1;
    store<u64>(HEADS + (i << 4), load<u64>(start) & mask);
    store<u64>(HEADS + (i << 4), mask, 8);
  }
}

/** Whether the name at `p` is the caller's, closing quote and all. */
@inline
function isName(p: usize, index: u32): bool {
  const head = HEADS + (index << 4);
  if ((load<u64>(p) & load<u64>(head, 8)) != load<u64>(head)) return false;
  const length = load<u32>(NAMES + (index << 3), 4) + 1;
  return length <= 8 || sameBytes(load<u32>(NAMES + (index << 3)) + 8, p + 8, length - 8);
}

/** From the names that were found, in FOUND, to their values. */
function resolveValues(names: u32): u32 {
  for (let i: u32 = 0; i < names; i++) {
    const entry = FOUND + (i << 3);
    const name = <usize>load<u32>(entry);
    if (name == 0) return MISSING;
    const colon = skipSpace(name + load<u32>(NAMES + (i << 3), 4) + 1);
    const value = skipSpace(colon + 1);
    const end = skipValue(value);
    if (end == 0) return SLOW;
    store<u32>(entry, <u32>value);
    store<u32>(entry, <u32>end, 4);
  }
  return COMPLETE;
}

/** As `keysOfLines`, with the tape that `frameLines` wrote for these very bytes. */
export function keysOfTape(
  base: usize,
  spans: usize,
  count: u32,
  places: usize,
  placesEnd: usize,
  names: u32,
  keys: usize,
  states: usize,
): u32 {
  prepareHeads(names);
  let special: u32 = 0;
  for (let i: u32 = 0; i < count; i++) {
    const end = load<u32>(spans + (i << 3), 4);
    for (let k: u32 = 0; k < names; k++) store<u64>(FOUND + (k << 3), 0);
    let state = COMPLETE;
    for (; places < placesEnd; places += 4) {
      const place = load<u32>(places);
      if ((place & ~ESCAPED) >= end) break;
      if ((place & ESCAPED) != 0) {
        state = SLOW;
        continue;
      }
      const name = base + place;
      for (let k: u32 = 0; k < names; k++) if (isName(name, k)) store<u32>(FOUND + (k << 3), <u32>name);
    }
    if (state == COMPLETE) state = resolveValues(names);
    for (let k: u32 = 0; k < names && state == COMPLETE; k++) state = canonical(FOUND + (k << 3));
    if (state == COMPLETE) state = packFound(names, keys + (i << 4));
    store<u8>(states + i, state);
    if (state != COMPLETE) special++;
  }
  return special;
}

/**
 * Writes a packed key and a state byte for each record; the caller does the slow ones itself. Returns how many records
 * are not complete.
 */
export function keysOfLines(
  base: usize,
  spans: usize,
  count: u32,
  names: u32,
  keys: usize,
  states: usize,
): u32 {
  let special: u32 = 0;
  for (let i: u32 = 0; i < count; i++) {
    const start = base + load<u32>(spans + (i << 3));
    const end = base + load<u32>(spans + (i << 3), 4);
    let state = findMembers(start, end, names);
    for (let k: u32 = 0; k < names && state == COMPLETE; k++) state = canonical(FOUND + (k << 3));
    if (state == COMPLETE) state = packFound(names, keys + (i << 4));
    store<u8>(states + i, state);
    if (state != COMPLETE) special++;
  }
  return special;
}
