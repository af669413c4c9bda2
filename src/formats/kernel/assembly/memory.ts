// AssemblyScript. The first page of the memory is the kernel's own; the caller lays out everything after it.
// Every input is followed by a guard of line ends, at least GUARD bytes: all scans stop at one, so none needs to
// compare its pointer with the end byte by byte, and blocks of 16 may be loaded past it.

/** Four u32 that tell the caller what a call did. */
export const RESULT: usize = 64;
/** The ledger's seed: two u64. */
export const SEED: usize = 96;
/** One byte a level of nesting: 1 for an object, 0 for an array. */
export const STACK: usize = 1024;
export const DEPTH_MAX: u32 = 512;
/** What the key columns of one record were found to be: start and end, u32 each. */
export const FOUND: usize = 2048;
/** The caller's list of names: pairs of address and length, u32 each; or field numbers, one u32 each. */
export const NAMES: usize = 4096;
/** The first 8 bytes of each name and its closing quote, and the mask that cuts others to the same: u64 each. */
export const HEADS: usize = 4608;
/** Members of one record, for digests by column: name, name end, value, value end. */
export const MEMBERS: usize = 16384;
export const MEMBERS_MAX: u32 = 1024;
/** Where a key of several columns is put together. */
export const JOIN: usize = 40960;
export const JOIN_MAX: u32 = 16384;

@inline
export function byteAt(p: usize): u32 {
  return load<u8>(p);
}

@inline
export function setResult(index: usize, value: usize): void {
  store<u32>(RESULT + (index << 2), <u32>value);
}
