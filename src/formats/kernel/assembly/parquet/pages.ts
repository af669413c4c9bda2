// AssemblyScript. What stands in a page beside the values: which rows have one.
import { byteAt } from './memory';

@inline
function varint(to: usize, value: u32): usize {
  while (value > 0x7f) {
    store<u8>(to++, <u8>(value | 0x80));
    value >>= 7;
  }
  store<u8>(to, <u8>value);
  return to + 1;
}

/** Runs of so many bytes that are all the same are worth a run of their own. */
const RUN_BYTES: u32 = 4;

/** How many bytes from `at` on are the same, of the first `full` ones. */
@inline
function sameBytes(mask: usize, at: u32, full: u32): u32 {
  const byte = byteAt(mask + at);
  if (byte != 0 && byte != 0xff) return 0;
  let end = at + 1;
  while (end < full && byteAt(mask + end) == byte) end++;
  return end - at;
}

/**
 * Definition levels of a column that may be null, as runs and stretches of single bits: `mask` has a bit a row, and
 * zeros behind the last. Answers their end.
 */
export function packLevels(mask: usize, count: u32, nulls: u32, out: usize): usize {
  if (nulls == 0 || nulls == count) {
    out = varint(out, count << 1);
    store<u8>(out, nulls == 0 ? 1 : 0);
    return out + 1;
  }
  const full = count >> 3;
  const bytes = (count + 7) >> 3;
  let at: u32 = 0;
  while (at < bytes) {
    const run = at < full ? sameBytes(mask, at, full) : 0;
    if (run >= RUN_BYTES) {
      out = varint(out, run << 4);
      store<u8>(out++, <u8>(byteAt(mask + at) & 1));
      at += run;
      continue;
    }
    const start = at;
    while (at < bytes && (at >= full || sameBytes(mask, at, full) < RUN_BYTES)) at++;
    out = varint(out, ((at - start) << 1) | 1);
    memory.copy(out, mask + start, at - start);
    out += at - start;
  }
  return out;
}

/** Booleans of a byte each to bits, in the same place. Answers their end. */
export function packBits(values: usize, end: usize): usize {
  let to = values;
  for (let p = values; p < end; p += 8) {
    let bits: u32 = 0;
    for (let i: u32 = 0; i < 8 && p + i < end; i++) bits |= byteAt(p + i) << i;
    store<u8>(to++, <u8>bits);
  }
  return to;
}
