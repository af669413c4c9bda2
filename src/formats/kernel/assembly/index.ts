// AssemblyScript. What the kernel offers to `kernel.ts`: each call works on a whole chunk.
import { hash64, hash128, pack } from './hash';

export { frameCopy, frameCopyText, keysOfCopy, keysOfCopyText, unframeCopy } from './copy';
export { frameRows, keysOfRows } from './csv';
export { columnDigests } from './columns';
export { keysOfLines, keysOfTape } from './keys';
export { frameLines } from './ndjson';

/** 8 bytes for each stretch of `spans`. */
export function hashSpans(base: usize, spans: usize, count: u32, out: usize): void {
  for (let i: u32 = 0; i < count; i++) {
    const start = load<u32>(spans + (i << 3));
    hash64(base + start, load<u32>(spans + (i << 3), 4) - start, out + (i << 3));
  }
}

/** 16 bytes for each stretch of `spans`: always a hash, however short the stretch. */
export function hashSpansWide(base: usize, spans: usize, count: u32, out: usize): void {
  for (let i: u32 = 0; i < count; i++) {
    const start = load<u32>(spans + (i << 3));
    hash128(base + start, load<u32>(spans + (i << 3), 4) - start, out + (i << 4));
  }
}

/** One packed key from text that is canonical already. */
export function packText(p: usize, length: usize, out: usize): void {
  pack(p, length, out);
}
