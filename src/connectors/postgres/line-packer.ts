import { Buffer } from 'node:buffer';
import type { Chunk } from '../../model/chunk.ts';

const CHUNK_BYTES = 256 * 1024;
const [LINE_FEED, CARRIAGE_RETURN, SPACE] = [10, 13, 32];

/** Puts records that the server wrote as JSON one after the other, as lines, until a chunk is full. */
export class LinePacker {
  #bytes = Buffer.allocUnsafeSlow(CHUNK_BYTES);
  #size = 0;
  #spans: number[] = [];
  #firstRow = 1;

  /** The chunk that was full before this record, if it was. The bytes are copied. */
  add(from: Uint8Array, start: number, end: number): Chunk | undefined {
    const needed = end - start + 1;
    const full = this.#size > 0 && this.#size + needed > CHUNK_BYTES ? this.flush() : undefined;
    if (needed > this.#bytes.length) this.#bytes = Buffer.allocUnsafeSlow(needed);
    this.#bytes.set(from.subarray(start, end), this.#size);
    this.#spans.push(this.#size, this.#size + needed - 1);
    this.#size += needed;
    // A space for now, so that a line end in the chunk can only be one that the server sent.
    this.#bytes[this.#size - 1] = SPACE;
    return full;
  }

  /** What has been gathered, or undefined when that is nothing. */
  flush(): Chunk | undefined {
    if (this.#spans.length === 0) return undefined;
    const bytes = this.#bytes.subarray(0, this.#size);
    withoutLineEnds(bytes);
    for (let at = 1; at < this.#spans.length; at += 2) bytes[this.#spans[at]!] = LINE_FEED;
    const [count, firstRow] = [this.#spans.length / 2, this.#firstRow];
    const chunk: Chunk = { format: 'ndjson', bytes, spans: Uint32Array.from(this.#spans), count, firstRow };
    this.#firstRow += count;
    this.#bytes = Buffer.allocUnsafeSlow(CHUNK_BYTES);
    this.#spans = [];
    this.#size = 0;
    return chunk;
  }
}

// A column of type json keeps the white space that it was given. In JSON a line end can only be white space between
// two tokens, as it is escaped in texts, so a blank in its place changes nothing but makes one record one line.
function withoutLineEnds(bytes: Buffer): void {
  for (const code of [LINE_FEED, CARRIAGE_RETURN]) {
    for (let at = bytes.indexOf(code); at !== -1; at = bytes.indexOf(code, at + 1)) bytes[at] = SPACE;
  }
}
