import { KEY_BYTES } from '../model/chunk.ts';
import { hashKey } from './key-filter.ts';

const FIRST_SLOTS = 1_024;

/**
 * Counts keys of 16 bytes, in two arrays and without an object a key: an extraction passes millions through it. Open
 * addressing; a key whose count has gone back to nothing keeps its slot until the table is built anew.
 */
export class KeyTable {
  #slots = FIRST_SLOTS;
  #keys = Buffer.alloc(FIRST_SLOTS * KEY_BYTES);
  /** How often, plus one; 0 marks a slot that was never used. */
  #counts = new Uint32Array(FIRST_SLOTS);
  #used = 0;

  has(keys: Uint8Array, nth: number): boolean {
    return this.#counts[this.#slot(keys, nth)]! > 1;
  }

  add(keys: Uint8Array, nth: number): void {
    if (this.#used * 2 >= this.#slots) this.#rebuild();
    const slot = this.#slot(keys, nth);
    if (this.#counts[slot] === 0) {
      this.#keys.set(keys.subarray(nth * KEY_BYTES, (nth + 1) * KEY_BYTES), slot * KEY_BYTES);
      this.#counts[slot] = 1;
      this.#used++;
    }
    this.#counts[slot]!++;
  }

  remove(keys: Uint8Array, nth: number): void {
    const slot = this.#slot(keys, nth);
    if (this.#counts[slot]! > 1) this.#counts[slot]!--;
  }

  clear(): void {
    if (this.#used === 0) return;
    this.#counts.fill(0);
    this.#used = 0;
  }

  /** Where the key is, or where it would go. */
  #slot(keys: Uint8Array, nth: number): number {
    const from = nth * KEY_BYTES;
    for (let slot = hashKey(keys, nth) & (this.#slots - 1); ; slot = (slot + 1) & (this.#slots - 1)) {
      if (this.#counts[slot] === 0 || this.#equals(slot * KEY_BYTES, keys, from)) return slot;
    }
  }

  #equals(at: number, keys: Uint8Array, from: number): boolean {
    for (let i = 0; i < KEY_BYTES; i++) if (this.#keys[at + i] !== keys[from + i]) return false;
    return true;
  }

  #rebuild(): void {
    const [keys, counts] = [this.#keys, this.#counts];
    const live = counts.reduce((sum, count) => sum + (count > 1 ? 1 : 0), 0);
    while (this.#slots < live * 4) this.#slots *= 2;
    this.#keys = Buffer.alloc(this.#slots * KEY_BYTES);
    this.#counts = new Uint32Array(this.#slots);
    this.#used = live;
    counts.forEach((count, old) => {
      if (count <= 1) return;
      const slot = this.#slot(keys, old);
      this.#keys.set(keys.subarray(old * KEY_BYTES, (old + 1) * KEY_BYTES), slot * KEY_BYTES);
      this.#counts[slot] = count;
    });
  }
}
