// AssemblyScript. Whole chunks of newline-delimited JSON: framing with a full check, keys and digests.
import { hash64, pack } from './hash';
import { FOUND, HEADS, JOIN, JOIN_MAX, MEMBERS, MEMBERS_MAX, NAMES, byteAt, setResult } from './memory';
import {
  ESCAPED,
  checkedEnd,
  errorAt,
  forgetLongNumber,
  longNumber,
  setTape,
  skipSpace,
  skipString,
  skipValue,
  stringStop,
  tape,
  tooDeep,
} from './scan';

/** What is wrong with a line; the names stand in `kernel.ts`. */
const NOT_JSON: u32 = 1;
const NOT_OBJECT: u32 = 2;
const AFTER_OBJECT: u32 = 3;
const TOO_DEEP: u32 = 4;

@inline
function lineEnd(p: usize): usize {
  while (true) {
    const mask = i8x16.bitmask(i8x16.eq(v128.load(p), i8x16.splat(0x0a)));
    if (mask != 0) return p + ctz<i32>(mask);
    p += 16;
  }
}

@inline
function faultOf(p: usize, after: usize): u32 {
  if (after != 0) return AFTER_OBJECT;
  if (tooDeep) return TOO_DEEP;
  return NOT_JSON;
}

/**
 * Cuts `start` to `end` into lines and checks each. `spans` gets start and end of each object, counted from `start`;
 * `faults` gets for each broken line: records before it, its line (0-based), what is wrong, where in the line.
 * Stops early when either list is full. `names` is where the tape of names goes, 0 for none.
 * Result: spans, faults, lines, bytes consumed, 0, bytes of tape, whether a number may be more than a double holds.
 */
export function frameLines(
  start: usize,
  end: usize,
  spans: usize,
  spansMax: u32,
  faults: usize,
  faultsMax: u32,
  names: usize,
): void {
  setTape(names, start);
  forgetLongNumber();
  let count: u32 = 0;
  let broken: u32 = 0;
  let lines: u32 = 0;
  let line = start;
  while (line < end && count < spansMax && broken < faultsMax) {
    const p = skipSpace(line);
    const c = byteAt(p);
    if (c == 0x0a) {
      line = p + 1;
      lines++;
      continue;
    }
    const tapeBefore = tape;
    const object = checkedEnd(p);
    const after = object == 0 ? 0 : skipSpace(object);
    const whole = after != 0 && byteAt(after) == 0x0a;
    if (whole && c == 0x7b) {
      store<u32>(spans, <u32>(p - start));
      store<u32>(spans, <u32>(object - start), 4);
      spans += 8;
      count++;
      line = after + 1;
    } else {
      setTape(tapeBefore, start);
      store<u32>(faults, count + broken);
      store<u32>(faults, lines, 4);
      store<u32>(faults, whole ? NOT_OBJECT : faultOf(p, after), 8);
      store<u32>(faults, <u32>((whole ? p : after != 0 ? after : errorAt) - line), 12);
      faults += 16;
      broken++;
      line = lineEnd(whole || after != 0 ? after : errorAt) + 1;
    }
    lines++;
  }
  setResult(0, count);
  setResult(1, broken);
  setResult(2, lines);
  setResult(3, (line < end ? line : end) - start);
  setResult(4, 0);
  setResult(5, tape - names);
  setResult(6, longNumber ? 1 : 0);
}

/** The state of a record's key: all columns there, one of them absent or null, or more than this scan can tell. */
const COMPLETE: u32 = 0;
const MISSING: u32 = 1;
const SLOW: u32 = 2;

@inline
function sameBytes(a: usize, b: usize, length: usize): bool {
  let i: usize = 0;
  for (; i + 8 <= length; i += 8) if (load<u64>(a + i) != load<u64>(b + i)) return false;
  for (; i < length; i++) if (byteAt(a + i) != byteAt(b + i)) return false;
  return true;
}

@inline
function nameIndex(p: usize, length: usize, names: u32): u32 {
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

/** Writes a packed key and a state byte for each record; the caller does the slow ones itself. Returns how many are not plain. */
export function keysOfLines(base: usize, spans: usize, count: u32, names: u32, keys: usize, states: usize): u32 {
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

@inline
function compareNames(a: usize, b: usize): i32 {
  const aStart = load<u32>(a);
  const bStart = load<u32>(b);
  const aLength = load<u32>(a, 4) - aStart;
  const bLength = load<u32>(b, 4) - bStart;
  const shared = aLength < bLength ? aLength : bLength;
  for (let i: u32 = 0; i < shared; i++) {
    const difference = <i32>byteAt(aStart + i) - <i32>byteAt(bStart + i);
    if (difference != 0) return difference;
  }
  return <i32>aLength - <i32>bLength;
}

/** Puts a member where it belongs by name. Records spell their columns in one order mostly, so this moves little. */
@inline
function insertMember(count: u32, name: usize, nameEnd: usize, value: usize, valueEnd: usize): bool {
  let at = MEMBERS + (count << 4);
  store<u32>(at, <u32>name);
  store<u32>(at, <u32>nameEnd, 4);
  store<u32>(at, <u32>value, 8);
  store<u32>(at, <u32>valueEnd, 12);
  while (at > MEMBERS) {
    const order = compareNames(at - 16, at);
    if (order < 0) return true;
    if (order == 0) return false;
    const earlier = v128.load(at - 16);
    v128.store(at - 16, v128.load(at));
    v128.store(at, earlier);
    at -= 16;
  }
  return true;
}

/** Gathers the members that are not named, sorted; -1 when the record has an escaped name, a double one, or too many. */
function gatherOthers(p: usize, end: usize, names: u32): i32 {
  let count: u32 = 0;
  p = skipSpace(p);
  if (byteAt(p) != 0x7b) return -1;
  p = skipSpace(p + 1);
  if (byteAt(p) == 0x7d) return 0;
  while (p < end && count < MEMBERS_MAX) {
    const name = p + 1;
    if (byteAt(p) != 0x22) return -1;
    p = skipString(name);
    const nameEnd = p - 1;
    if (p == 0 || stringStop(name) != nameEnd) return -1;
    p = skipSpace(p);
    if (byteAt(p) != 0x3a) return -1;
    const value = skipSpace(p + 1);
    p = skipValue(value);
    if (p == 0 || p >= end) return -1;
    if (nameIndex(name, nameEnd - name, names) == u32.MAX_VALUE) {
      if (!insertMember(count++, name, nameEnd, value, p)) return -1;
    }
    p = skipSpace(p);
    const next = byteAt(p);
    if (next == 0x7d) return count;
    if (next != 0x2c) return -1;
    p = skipSpace(p + 1);
  }
  return -1;
}

/** Writes the sorted members as length, name, length, value; `room` holds 8 bytes a member more than the record. */
export function hashMembers(count: u32, room: usize, out: usize): void {
  let to = room;
  for (let i: u32 = 0; i < count << 1; i++) {
    const start = load<u32>(MEMBERS + (i << 3));
    const length = load<u32>(MEMBERS + (i << 3), 4) - start;
    store<u32>(to, length);
    memory.copy(to + 4, start, length);
    to += 4 + length;
  }
  hash64(room, to - room, out);
}

/** Digests by column, without the named ones. A state byte of 2: the caller does the record itself. */
export function columnDigests(
  base: usize,
  spans: usize,
  count: u32,
  names: u32,
  digests: usize,
  states: usize,
  room: usize,
): u32 {
  let special: u32 = 0;
  for (let i: u32 = 0; i < count; i++) {
    const start = base + load<u32>(spans + (i << 3));
    const end = base + load<u32>(spans + (i << 3), 4);
    const members = gatherOthers(start, end, names);
    store<u8>(states + i, members < 0 ? SLOW : COMPLETE);
    if (members < 0) special++;
    else hashMembers(members, room, digests + (i << 3));
  }
  return special;
}
