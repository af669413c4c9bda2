import { KEY_BYTES } from '../../../model/chunk.ts';
import { keyHashes } from '../../key-index.ts';
import { wordsOf } from '../../words.ts';

/** So many keys are searched for one by one, at the speed of memory; with more a table of them is faster. */
const FEW = 16;
const KEY_WORDS = KEY_BYTES / 4;

/** The keys of one question, packed, and where they stand among others. */
export class WantedKeys {
  readonly count: number;
  /** Of all of them, rising: the order of the index. */
  readonly hashes: Uint32Array;
  readonly #keys: Uint8Array;
  readonly #words: Int32Array;
  /** The last key of each slot by its hash, and before each key the one of the same slot; -1 where there is none. */
  readonly #heads: Int32Array;
  readonly #before: Int32Array;

  constructor(keys: Uint8Array) {
    const hashes = keyHashes(keys);
    this.count = hashes.length;
    this.#keys = keys;
    this.#words = wordsOf(keys);
    this.#heads = new Int32Array(2 ** Math.ceil(Math.log2(hashes.length * 2 + 1))).fill(-1);
    this.#before = new Int32Array(hashes.length);
    for (const [nth, hash] of hashes.entries()) {
      const slot = hash & (this.#heads.length - 1);
      this.#before[nth] = this.#heads[slot]!;
      this.#heads[slot] = nth;
    }
    this.hashes = hashes.sort();
  }

  /** Takes each place of each of them among packed keys; places of one key rise. */
  eachIn(keys: Uint8Array, take: (nth: number, place: number) => void): void {
    if (this.count > FEW) this.#eachByHash(keys, take);
    else this.#eachBySearch(keys, take);
  }

  #eachBySearch(keys: Uint8Array, take: (nth: number, place: number) => void): void {
    const bytes = Buffer.from(keys.buffer, keys.byteOffset, keys.byteLength);
    for (let nth = 0; nth < this.count; nth++) {
      const key = this.#keys.subarray(nth * KEY_BYTES, (nth + 1) * KEY_BYTES);
      for (let at = bytes.indexOf(key); at >= 0; at = bytes.indexOf(key, at + 1))
        if (at % KEY_BYTES === 0) take(nth, at / KEY_BYTES);
    }
  }

  #eachByHash(keys: Uint8Array, take: (nth: number, place: number) => void): void {
    const words = wordsOf(keys);
    const hashes = keyHashes(keys);
    const mask = this.#heads.length - 1;
    for (let place = 0; place < hashes.length; place++) {
      let nth = this.#heads[hashes[place]! & mask]!;
      for (; nth >= 0; nth = this.#before[nth]!) if (this.#isAt(nth, words, place)) take(nth, place);
    }
  }

  #isAt(nth: number, words: Int32Array, place: number): boolean {
    for (let at = 0; at < KEY_WORDS; at++)
      if (this.#words[nth * KEY_WORDS + at] !== words[place * KEY_WORDS + at]) return false;
    return true;
  }
}
