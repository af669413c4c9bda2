// AssemblyScript. SipHash-1-3 (Aumasson and Bernstein): a keyed function, so that whoever chooses the records but does
// not know the seed cannot aim at a collision; a fast plain hash would let them.
import { SEED } from './memory';

/** The mark of a key that is a hash: the top bit of its last byte. */
const HASHED: u64 = 0x8000000000000000;

/**
 * Writes 8 bytes at `out`, or 16 for a packed key. The state stands in locals and the round is written out three
 * times: in globals and functions of their own it took more than twice as long.
 */
@inline
function sip(p: usize, length: usize, wide: bool, out: usize): void {
  const k0 = load<u64>(SEED);
  const k1 = load<u64>(SEED, 8);
  let v0 = k0 ^ 0x736f6d6570736575;
  let v1 = k1 ^ (wide ? 0x646f72616e646f83 : 0x646f72616e646f6d);
  let v2 = k0 ^ 0x6c7967656e657261;
  let v3 = k1 ^ 0x7465646279746573;
  const blocks = p + (length & ~7);
  const rest = <u64>(length & 7);
  // The load may reach past the end; the mask drops what is not ours.
  const tail = rest == 0 ? 0 : load<u64>(blocks) & (<u64>-1 >> (64 - (rest << 3)));
  for (; p <= blocks; p += 8) {
    const word = p < blocks ? load<u64>(p) : (<u64>length << 56) | tail;
    v3 ^= word;
    v0 += v1;
    v2 += v3;
    v1 = rotl<u64>(v1, 13) ^ v0;
    v3 = rotl<u64>(v3, 16) ^ v2;
    v0 = rotl<u64>(v0, 32) + v3;
    v2 += v1;
    v3 = rotl<u64>(v3, 21) ^ v0;
    v1 = rotl<u64>(v1, 17) ^ v2;
    v2 = rotl<u64>(v2, 32);
    v0 ^= word;
  }
  v2 ^= wide ? 0xee : 0xff;
  for (let i = 0; i < 3; i++) {
    v0 += v1;
    v2 += v3;
    v1 = rotl<u64>(v1, 13) ^ v0;
    v3 = rotl<u64>(v3, 16) ^ v2;
    v0 = rotl<u64>(v0, 32) + v3;
    v2 += v1;
    v3 = rotl<u64>(v3, 21) ^ v0;
    v1 = rotl<u64>(v1, 17) ^ v2;
    v2 = rotl<u64>(v2, 32);
  }
  store<u64>(out, v0 ^ v1 ^ v2 ^ v3);
  if (!wide) return;
  v1 ^= 0xdd;
  for (let i = 0; i < 3; i++) {
    v0 += v1;
    v2 += v3;
    v1 = rotl<u64>(v1, 13) ^ v0;
    v3 = rotl<u64>(v3, 16) ^ v2;
    v0 = rotl<u64>(v0, 32) + v3;
    v2 += v1;
    v3 = rotl<u64>(v3, 21) ^ v0;
    v1 = rotl<u64>(v1, 17) ^ v2;
    v2 = rotl<u64>(v2, 32);
  }
  store<u64>(out, (v0 ^ v1 ^ v2 ^ v3) | HASHED, 8);
}

/** 8 bytes at `out`. */
export function hash64(p: usize, length: usize, out: usize): void {
  sip(p, length, false, out);
}

/** 16 bytes at `out`: a key that is a hash. */
export function hash128(p: usize, length: usize, out: usize): void {
  sip(p, length, true, out);
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
