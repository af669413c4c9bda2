/** Encoded records, one a line. `spans`: start and end of each in `bytes`, without the line end. */
export interface Lines {
  readonly bytes: Uint8Array;
  readonly spans: Uint32Array;
  readonly count: number;
}

const FIRST_BYTES = 64 * 1024;
const FIRST_LINES = 256;

/**
 * Writes records into bytes as they are made. To gather the lines first and encode them together took twice as long:
 * the strings then live long enough to be moved by the garbage collector.
 */
export class LineWriter {
  #bytes = Buffer.allocUnsafe(FIRST_BYTES);
  #spans = new Uint32Array(FIRST_LINES * 2);
  #at = 0;
  #count = 0;

  /** Bytes that were written. */
  get size(): number {
    return this.#at;
  }

  write(line: string): void {
    // One UTF-16 unit takes at most three bytes.
    if (this.#at + line.length * 3 + 1 > this.#bytes.length) this.#growBytes(line);
    if (this.#count * 2 === this.#spans.length) this.#growSpans();
    this.#spans[this.#count * 2] = this.#at;
    this.#at += this.#bytes.write(line, this.#at);
    this.#spans[this.#count * 2 + 1] = this.#at;
    this.#bytes[this.#at++] = 0x0a;
    this.#count++;
  }

  /** What was written, without the last line end. The writer is done with. */
  finish(): Lines {
    const bytes = this.#bytes.subarray(0, Math.max(0, this.#at - 1));
    return { bytes, spans: this.#spans.slice(0, this.#count * 2), count: this.#count };
  }

  #growBytes(line: string): void {
    const needed = this.#at + Buffer.byteLength(line) + 1;
    // `write` never goes past the end, so the exact length is enough.
    if (needed <= this.#bytes.length) return;
    const larger = Buffer.allocUnsafe(Math.max(needed, this.#bytes.length * 2));
    this.#bytes.copy(larger, 0, 0, this.#at);
    this.#bytes = larger;
  }

  #growSpans(): void {
    const larger = new Uint32Array(this.#spans.length * 2);
    larger.set(this.#spans);
    this.#spans = larger;
  }
}
