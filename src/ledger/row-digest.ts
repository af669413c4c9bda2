import { wordsOf } from './words.ts';

/** What a column can hold, as SQLite hands it over. */
export type Cell = number | string | Uint8Array | null;

const TWO_32 = 0x1_0000_0000;

/**
 * Digests of single rows: 53 bits, so that they are plain numbers and take the eight bytes of an integer column.
 * They find what a disk or a hand changed behind the ledger's back, not an attacker, who could read the seed beside
 * them. Every step is a bijection of the state, so a change of one cell can never be lost before the last fold.
 * SHA-256 costs 1 us a row and a buffer each; this costs about a tenth of that.
 */
export class RowDigest {
  readonly #seed: readonly [number, number];
  readonly #float = new Float64Array(1);
  readonly #words = new Int32Array(this.#float.buffer);
  #a = 0;
  #b = 0;

  /** `seed`: at least 8 bytes, the same for all rows of one ledger; rows of another ledger do not fit here. */
  constructor(seed: Uint8Array) {
    const view = new DataView(seed.buffer, seed.byteOffset, seed.byteLength);
    this.#seed = [view.getInt32(0, true), view.getInt32(4, true)];
  }

  /** Digest of the first `count` cells of a row of the table that `tag` stands for. */
  of(tag: number, cells: readonly Cell[], count: number = cells.length): number {
    this.#a = this.#seed[0];
    this.#b = this.#seed[1];
    this.#mix(tag);
    for (let at = 0; at < count; at++) this.#cell(cells[at] as Cell);
    this.#mix(count);
    this.#mix(0x5bd1e995);
    return (this.#a >>> 0) + (this.#b & 0x1fffff) * TWO_32;
  }

  #cell(cell: Cell): void {
    if (typeof cell === 'number') {
      this.#float[0] = cell;
      this.#mix(this.#words[0] as number);
      this.#mix(this.#words[1] as number);
    } else if (cell === null) this.#mix(0x6e756c6c);
    else if (typeof cell === 'string') this.#text(cell);
    else this.#bytes(cell);
  }

  #text(text: string): void {
    this.#mix(text.length ^ 0x74657874);
    let at = 0;
    for (; at + 1 < text.length; at += 2) this.#mix(text.charCodeAt(at) | (text.charCodeAt(at + 1) << 16));
    if (at < text.length) this.#mix(text.charCodeAt(at));
  }

  #bytes(bytes: Uint8Array): void {
    this.#mix(bytes.byteLength ^ 0x626c6f62);
    this.#mixAll(wordsOf(bytes));
    for (let at = bytes.byteLength & ~3; at < bytes.byteLength; at++) this.#mix(bytes[at] as number);
  }

  /**
   * As in `#mix`, with the state in variables: packed keys are megabytes. A function of its own: a loop that is
   * translated while it runs knows nothing of what follows it, and would be left that way each time.
   */
  #mixAll(words: Int32Array): void {
    let a = this.#a;
    let b = this.#b;
    for (let at = 0; at < words.length; at++) {
      a = Math.imul(a ^ (words[at] as number), 0x9e3779b1);
      a ^= a >>> 15;
      b = Math.imul(((b << 13) | (b >>> 19)) ^ a, 0x85ebca6b);
      a = Math.imul(a, 0xc2b2ae35) ^ (a >>> 13);
    }
    this.#a = a;
    this.#b = b;
  }

  #mix(word: number): void {
    let a = Math.imul(this.#a ^ word, 0x9e3779b1);
    a ^= a >>> 15;
    const b = this.#b;
    this.#b = Math.imul(((b << 13) | (b >>> 19)) ^ a, 0x85ebca6b);
    this.#a = Math.imul(a, 0xc2b2ae35) ^ (a >>> 13);
  }
}
