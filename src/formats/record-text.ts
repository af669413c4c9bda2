import type { Chunk } from '../model/chunk.ts';

/** The text of the record at place `index` (0-based), as it is encoded. Not for binary formats. */
export function textAt(chunk: Chunk, index: number): string {
  const { bytes, spans } = chunk;
  const buffer = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  return buffer.toString('utf8', spans[index * 2]!, spans[index * 2 + 1]!);
}
