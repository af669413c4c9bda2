// AssemblyScript. SipHash-1-3 (Aumasson and Bernstein): a keyed function, so that whoever chooses the records but does
// not know the seed cannot aim at a collision; a fast plain hash would let them.
import { SEED } from './memory';

let v0: u64 = 0;
let v1: u64 = 0;
let v2: u64 = 0;
let v3: u64 = 0;

@inline
function round(): void {
  v0 += v1;
  v1 = rotl<u64>(v1, 13) ^ v0;
  v0 = rotl<u64>(v0, 32);
  v2 += v3;
  v3 = rotl<u64>(v3, 16) ^ v2;
  v0 += v3;
  v3 = rotl<u64>(v3, 21) ^ v0;
  v2 += v1;
  v1 = rotl<u64>(v1, 17) ^ v2;
  v2 = rotl<u64>(v2, 32);
}

@inline
function absorb(word: u64): void {
  v3 ^= word;
  round();
  v0 ^= word;
}

function compress(p: usize, length: usize, wide: bool): void {
  const k0 = load<u64>(SEED);
  const k1 = load<u64>(SEED, 8);
  v0 = k0 ^ 0x736f6d6570736575;
  v1 = k1 ^ 0x646f72616e646f6d;
  v2 = k0 ^ 0x6c7967656e657261;
  v3 = k1 ^ 0x7465646279746573;
  if (wide) v1 ^= 0xee;
  const blocks = p + (length & ~7);
  for (; p < blocks; p += 8) absorb(load<u64>(p));
  const rest = <u64>(length & 7);
  // The load may reach past the end; the mask drops what is not ours.
  const tail = rest == 0 ? 0 : load<u64>(p) & (<u64>-1 >> (64 - (rest << 3)));
  absorb((<u64>length << 56) | tail);
}

@inline
function squeeze(): u64 {
  round();
  round();
  round();
  return v0 ^ v1 ^ v2 ^ v3;
}

export function hash64(p: usize, length: usize): u64 {
  compress(p, length, false);
  v2 ^= 0xff;
  return squeeze();
}

/** Writes 16 bytes at `out`, the top bit of the last set: the mark of a key that is a hash. */
export function hash128(p: usize, length: usize, out: usize): void {
  compress(p, length, true);
  v2 ^= 0xee;
  store<u64>(out, squeeze());
  v1 ^= 0xdd;
  store<u64>(out, squeeze() | 0x8000000000000000, 8);
}

/** A packed key: up to 15 bytes as they are, padded with zeros, then their number; anything longer as a hash. */
export function pack(p: usize, length: usize, out: usize): void {
  if (length > 15) return hash128(p, length, out);
  const low = length < 8 ? length : 8;
  const high = length - low;
  const first = low == 0 ? 0 : load<u64>(p) & (<u64>-1 >> (64 - (<u64>low << 3)));
  const second = high == 0 ? 0 : load<u64>(p, 8) & (<u64>-1 >> (64 - (<u64>high << 3)));
  store<u64>(out, first);
  store<u64>(out, second | (<u64>length << 56), 8);
}
