import { KEY_BYTES } from '../model/chunk.ts';
import { hashKeys } from './key-filter.ts';
import { KeyTable } from './key-table.ts';

const FIRST_KEYS = 4_096;
/** Questions after which a table costs less than looking through the hashes each time. */
const SCANS_MAX = 64;

/**
 * Keys on their way into the ledger, in the order in which they go there: whole stretches come in at one end and leave
 * at the other. Few are ever asked for, since a filter stands before, so nothing is built for each of them: a question
 * looks through 32-bit hashes. Where questions are many a table answers them until all keys have left.
 */
export class UnsealedKeys {
  #keys = Buffer.allocUnsafeSlow(FIRST_KEYS * KEY_BYTES);
  /** Made when somebody asks. */
  #hashes: Uint32Array = NONE;
  #from = 0;
  #to = 0;
  /** Up to here there are hashes. */
  #hashed = 0;
  #scans = 0;
  #table: KeyTable | undefined;

  /** Takes the keys from `from` up to `to`. */
  add(keys: Uint8Array, from: number, to: number): void {
    this.#makeRoom(to - from);
    this.#keys.set(keys.subarray(from * KEY_BYTES, to * KEY_BYTES), this.#to * KEY_BYTES);
    this.#to += to - from;
    for (let nth = from; this.#table !== undefined && nth < to; nth++) this.#table.add(keys, nth);
  }

  has(keys: Uint8Array, nth: number): boolean {
    if (this.#from === this.#to) return false;
    if (this.#table === undefined && ++this.#scans > SCANS_MAX) this.#build();
    return this.#table === undefined ? this.#isThere(keys, nth) : this.#table.has(keys, nth);
  }

  /** The oldest ones have arrived. */
  drop(count: number): void {
    const to = Math.min(this.#from + count, this.#to);
    for (let nth = this.#from; this.#table !== undefined && nth < to; nth++) this.#table.remove(this.#keys, nth);
    this.#from = to;
    if (this.#from < this.#to) return;
    this.#from = 0;
    this.#to = 0;
    this.#hashed = 0;
    this.#scans = 0;
    this.#table = undefined;
  }

  /** The keys that are on their way, packed; the caller's for as long as nothing comes or goes. */
  get keys(): Uint8Array {
    return this.#keys.subarray(this.#from * KEY_BYTES, this.#to * KEY_BYTES);
  }

  #isThere(keys: Uint8Array, nth: number): boolean {
    this.#hash();
    const [hash] = hashKeys(keys, nth, nth + 1, ONE, 0);
    const wanted = keys.subarray(nth * KEY_BYTES, (nth + 1) * KEY_BYTES);
    const hashes = this.#hashes.subarray(0, this.#to);
    for (let at = hashes.indexOf(hash!, this.#from); at >= 0; at = hashes.indexOf(hash!, at + 1)) {
      if (this.#keys.compare(wanted, 0, KEY_BYTES, at * KEY_BYTES, (at + 1) * KEY_BYTES) === 0) return true;
    }
    return false;
  }

  #hash(): void {
    if (this.#hashes.length < this.#room) {
      const larger = new Uint32Array(this.#room);
      larger.set(this.#hashes.subarray(0, this.#hashed));
      this.#hashes = larger;
    }
    if (this.#hashed < this.#to) hashKeys(this.#keys, this.#hashed, this.#to, this.#hashes, this.#hashed);
    this.#hashed = this.#to;
  }

  #build(): void {
    this.#table = new KeyTable();
    for (let nth = this.#from; nth < this.#to; nth++) this.#table.add(this.#keys, nth);
  }

  /** How many keys there is room for. */
  get #room(): number {
    return this.#keys.length / KEY_BYTES;
  }

  #makeRoom(count: number): void {
    if (this.#to + count <= this.#room) return;
    const held = this.#to - this.#from;
    const [from, to] = [this.#from * KEY_BYTES, this.#to * KEY_BYTES];
    // Half of it is free afterwards, or keys would be moved all the time.
    if ((held + count) * 2 <= this.#room) this.#keys.copyWithin(0, from, to);
    else {
      const larger = Buffer.allocUnsafeSlow(Math.max(FIRST_KEYS, (held + count) * 2) * KEY_BYTES);
      larger.set(this.#keys.subarray(from, to));
      this.#keys = larger;
    }
    const hashed = Math.max(this.#from, this.#hashed);
    this.#hashes.copyWithin(0, this.#from, hashed);
    this.#hashed = hashed - this.#from;
    this.#from = 0;
    this.#to = held;
  }
}

const ONE = new Uint32Array(1);
const NONE = new Uint32Array(0);
