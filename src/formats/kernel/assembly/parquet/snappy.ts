// AssemblyScript. Snappy, as its format description has it: literals, and copies of what stands up to 64 KiB back.
import { TABLE, copyBytes } from './memory';

const TABLE_BITS: u32 = 14;
const BLOCK: usize = 65_536;
/** So near to the end nothing is looked for: words are loaded without a look at where the block ends. */
const MARGIN: usize = 15;

@inline
function hashAt(p: usize, shift: u32): usize {
  return <usize>((load<u32>(p) * 0x1e35a7bd) >> shift);
}

@inline
function literal(to: usize, from: usize, length: usize): usize {
  if (length == 0) return to;
  const last = <u32>(length - 1);
  if (last < 60) {
    store<u8>(to++, <u8>(last << 2));
  } else if (last < 256) {
    store<u8>(to, 60 << 2);
    store<u8>(to, <u8>last, 1);
    to += 2;
  } else {
    // A block has no more than fits into two bytes.
    store<u8>(to, 61 << 2);
    store<u16>(to, <u16>last, 1);
    to += 3;
  }
  copyBytes(to, from, length);
  return to + length;
}

@inline
function copyOnce(to: usize, offset: u32, length: u32): usize {
  if (length < 12 && offset < 2048) {
    store<u8>(to, <u8>(1 | ((length - 4) << 2) | ((offset >> 8) << 5)));
    store<u8>(to, <u8>offset, 1);
    return to + 2;
  }
  store<u8>(to, <u8>(2 | ((length - 1) << 2)));
  store<u16>(to, <u16>offset, 1);
  return to + 3;
}

@inline
function copy(to: usize, offset: u32, length: u32): usize {
  while (length >= 68) {
    to = copyOnce(to, offset, 64);
    length -= 64;
  }
  // No copy of four or more that would leave one of fewer.
  if (length > 64) {
    to = copyOnce(to, offset, 60);
    length -= 60;
  }
  return copyOnce(to, offset, length);
}

/** How many bytes at `a` and `b` are the same, up to `end`. */
@inline
function matchLength(a: usize, b: usize, end: usize): usize {
  const start = b;
  while (b + 8 <= end) {
    const differs = load<u64>(a) ^ load<u64>(b);
    if (differs != 0) return b - start + <usize>(ctz<u64>(differs) >> 3);
    a += 8;
    b += 8;
  }
  while (b < end && load<u8>(a) == load<u8>(b)) {
    a++;
    b++;
  }
  return b - start;
}

/** One block of up to 64 KiB. */
function packBlock(start: usize, length: usize, to: usize): usize {
  const end = start + length;
  if (length < MARGIN) return literal(to, start, length);
  let bits: u32 = 8;
  while (bits < TABLE_BITS && (<usize>1 << bits) < length) bits++;
  const shift = 32 - bits;
  memory.fill(TABLE, 0, <usize>2 << bits);
  const limit = end - MARGIN;
  let done = start;
  let p = start + 1;
  while (p <= limit) {
    // The longer nothing is found, the longer the steps: what cannot be packed is left soon.
    let skip: usize = 32;
    let candidate: usize = 0;
    while (true) {
      const slot = TABLE + (hashAt(p, shift) << 1);
      candidate = start + load<u16>(slot);
      store<u16>(slot, <u16>(p - start));
      if (load<u32>(candidate) == load<u32>(p)) break;
      p += skip >> 5;
      skip += skip >> 5;
      if (p > limit) return literal(to, done, end - done);
    }
    to = literal(to, done, p - done);
    while (true) {
      const matched: usize = 4 + matchLength(candidate + 4, p + 4, end);
      to = copy(to, <u32>(p - candidate), <u32>matched);
      p += matched;
      done = p;
      if (p > limit) return literal(to, done, end - done);
      store<u16>(TABLE + (hashAt(p - 1, shift) << 1), <u16>(p - 1 - start));
      const slot = TABLE + (hashAt(p, shift) << 1);
      candidate = start + load<u16>(slot);
      store<u16>(slot, <u16>(p - start));
      if (load<u32>(candidate) != load<u32>(p)) break;
    }
    p++;
  }
  return literal(to, done, end - done);
}

/** Packs what stands from `start` to `end`; answers where it ends. A sixth more than the input may be needed. */
export function pack(start: usize, end: usize, to: usize): usize {
  let length = <u32>(end - start);
  while (length > 0x7f) {
    store<u8>(to++, <u8>(length | 0x80));
    length >>= 7;
  }
  store<u8>(to++, <u8>length);
  for (let p = start; p < end; p += BLOCK) to = packBlock(p, end - p < BLOCK ? end - p : BLOCK, to);
  return to;
}
