// AssemblyScript. The first page of the memory is the module's own; `formats/parquet/column-kernel.ts` lays out the
// rest. Every input is followed by a guard of at least 64 bytes, and so is every output: blocks of 16 are loaded and
// stored past an end, and what is behind it does not count.

/** What a call did, u32 each. The compiler puts constants from 1024 on. */
export const RESULT: usize = 64;
/** Where the compressor notes what it has seen: 16,384 u16. */
export const TABLE: usize = 4096;

/** A cell is the address of its text and its length, u32 each; the upper three bits of the length say what it is. */
export const LENGTH: u32 = (1 << 29) - 1;
export const STATE: u32 = 7 << 29;
/** Text as it stands, in quotes or not. */
export const BARE: u32 = 0;
export const QUOTED: u32 = 1 << 29;
/** In quotes, with quotes inside, which are doubled. */
export const DOUBLED: u32 = 2 << 29;
export const NULL: u32 = 3 << 29;
/** No text, but the value as Parquet has it: the caller has read the cell. */
export const READY: u32 = 4 << 29;

@inline
export function byteAt(p: usize): u32 {
  return load<u8>(p);
}

@inline
export function setResult(index: usize, value: usize): void {
  store<u32>(RESULT + (index << 2), <u32>value);
}

/** May write up to 15 bytes more than asked for. */
@inline
export function copyBytes(to: usize, from: usize, length: usize): void {
  for (let i: usize = 0; i < length; i += 16) v128.store(to + i, v128.load(from + i));
}
