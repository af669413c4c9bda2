// AssemblyScript. The different values of a column, and for each value the number of its like. A dictionary stands at
// one address for as long as a row group is made: two u32 that say how many values it has and how many bytes they take,
// slots of a hash table (u16, twice as many as values at most), where each value begins (u32), and the values.
import { copyBytes, setResult } from './memory';

const HEAD: usize = 16;
/** Values that share a slot are looked for so far; where more do, the column has no dictionary. */
const PROBES_MAX: u32 = 64;
/** Whether a column has many like values shows in its first ones. */
const SAMPLE: u32 = 4096;
const SAMPLE_MAX: u32 = 3900;

export function clearDictionary(at: usize, most: u32): void {
  memory.fill(at, 0, HEAD + (<usize>most << 2));
}

/** The upper bytes of a word that do not belong to a value are not looked at. */
@inline
function lastMask(size: usize): u64 {
  return u64.MAX_VALUE >> (((8 - size) & 7) << 3);
}

/** Upper bits are brought down first: a product carries what differs up, never down. */
@inline
function mixed(hash: u64): u64 {
  return (hash ^ (hash >> 32)) * 0x9e3779b97f4a7c15;
}

@inline
function hashOf(p: usize, size: usize): u32 {
  let hash: u64 = 0;
  while (size > 8) {
    hash = mixed(hash ^ load<u64>(p));
    p += 8;
    size -= 8;
  }
  return <u32>(mixed(hash ^ (load<u64>(p) & lastMask(size))) >> 40);
}

@inline
function isSame(a: usize, b: usize, size: usize): bool {
  while (size > 8) {
    if (load<u64>(a) != load<u64>(b)) return false;
    a += 8;
    b += 8;
    size -= 8;
  }
  return ((load<u64>(a) ^ load<u64>(b)) & lastMask(size)) == 0;
}

/**
 * Numbers (u16) for the values from `values` to `end`; new ones go into the dictionary, which holds up to `most` of
 * them in up to `room` bytes. Result: how many it has, and their bytes. Answers 0 where they do not fit, or differ too
 * much: then the dictionary takes no more.
 */
export function indexValues(
  at: usize,
  most: u32,
  room: u32,
  width: u32,
  values: usize,
  end: usize,
  indexes: usize,
): u32 {
  const slots = at + HEAD;
  const starts = slots + (<usize>most << 2);
  const data = starts + (<usize>most << 2);
  const mask = (most << 1) - 1;
  let count = load<u32>(at);
  let used = load<u32>(at, 4);
  const sampled = count == 0 ? indexes + (SAMPLE << 1) : 0;
  let p = values;
  while (p < end) {
    const size: usize = width != 0 ? width : 4 + <usize>load<u32>(p);
    let slot = hashOf(p, size) & mask;
    let number: u32 = 0;
    let probes: u32 = 0;
    while (true) {
      number = load<u16>(slots + (<usize>slot << 1));
      if (number == 0 || isSame(data + load<u32>(starts + (<usize>(number - 1) << 2)), p, size)) break;
      if (++probes == PROBES_MAX) return 0;
      slot = (slot + 1) & mask;
    }
    if (number == 0) {
      if (count == most || used + size > room) return 0;
      store<u32>(starts + (<usize>count << 2), used);
      copyBytes(data + used, p, size);
      used += <u32>size;
      number = ++count;
      store<u16>(slots + (<usize>slot << 1), <u16>number);
    }
    store<u16>(indexes, <u16>(number - 1));
    indexes += 2;
    p += size;
    if (indexes == sampled && count > SAMPLE_MAX) return 0;
  }
  store<u32>(at, count);
  store<u32>(at, used, 4);
  setResult(0, count);
  setResult(1, used);
  return 1;
}

/** A page of numbers of `bits` bits each: how many bits, and all of them as one stretch of groups of eight. */
export function packIndexes(indexes: usize, count: u32, bits: u32, out: usize): usize {
  store<u8>(out++, <u8>bits);
  const groups = (count + 7) >> 3;
  let head = (groups << 1) | 1;
  while (head > 0x7f) {
    store<u8>(out++, <u8>(head | 0x80));
    head >>= 7;
  }
  store<u8>(out++, <u8>head);
  let word: u64 = 0;
  let filled: u32 = 0;
  for (let i: u32 = 0; i < groups << 3; i++) {
    if (i < count) word |= <u64>load<u16>(indexes + (<usize>i << 1)) << filled;
    filled += bits;
    while (filled >= 8) {
      store<u8>(out++, <u8>word);
      word >>= 8;
      filled -= 8;
    }
  }
  return out;
}
