// AssemblyScript. Digests of a chunk of NDJSON by column, with some columns left out.
import { hash64 } from './hash';
import { COMPLETE, SLOW, nameIndex } from './keys';
import { MEMBERS, MEMBERS_MAX, byteAt } from './memory';
import { skipSpace, skipString, skipValue, stringStop } from './scan';

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

/** Gathers the members that are not named, sorted; -1 when one has an escaped or double name, or they are too many. */
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
