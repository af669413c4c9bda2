import { KEY_BYTES } from '../model/chunk.ts';

const BLOCK_WORDS = 16;
/** So one new key in tens of thousands is mistaken: a question to the ledger costs more than thousands of bits. */
const BITS_PER_KEY = 32;
const FIRST_LAYER_KEYS = 65_536;
/** 32 MiB of filter; beyond the keys that it is made for it only asks the ledger more often. */
const LAST_LAYER_KEYS = 8_388_608;
const PROBES = 8;

/**
 * Says of a key "surely new" or "perhaps seen". It saves the question to the ledger for nearly every new record and
 * never decides anything by itself. Layers grow fourfold; each probe of a layer touches one cache line.
 */
export class KeyFilter {
  readonly #layers: Layer[] = [];
  #inLast = 0;

  add(keys: Uint8Array, nth: number): void {
    mix(viewOf(keys), nth * KEY_BYTES);
    const last = this.#layers.at(-1);
    const layer = last === undefined || this.#inLast >= last.room ? this.#grow() : last;
    setAll(layer, pair[0]!, pair[1]!);
    this.#inLast++;
  }

  perhaps(keys: Uint8Array, nth: number): boolean {
    mix(viewOf(keys), nth * KEY_BYTES);
    const [first, second] = [pair[0]!, pair[1]!];
    return this.#layers.some((layer) => isSet(layer, first, second));
  }

  /** Adds all of these in one go; answers which of them, in order, were perhaps seen before. */
  meet(keys: Uint8Array, count: number): number[] {
    const suspects: number[] = [];
    const view = viewOf(keys);
    for (let nth = 0; nth < count; nth++) {
      mix(view, nth * KEY_BYTES);
      const first = pair[0]!;
      const second = pair[1]!;
      let seen = false;
      for (let at = 0; at < this.#layers.length - 1 && !seen; at++) seen = isSet(this.#layers[at]!, first, second);
      const last = this.#layers.at(-1);
      const layer = last === undefined || this.#inLast >= last.room ? this.#grow() : last;
      // One that fills up is still asked: only then are keys in it that stand in no earlier one.
      if (!seen && last !== undefined && layer !== last) seen = isSet(last, first, second);
      if (seen || !setAll(layer, first, second)) suspects.push(nth);
      else this.#inLast++;
    }
    return suspects;
  }

  #grow(): Layer {
    const keys = Math.min(LAST_LAYER_KEYS, FIRST_LAYER_KEYS * 4 ** this.#layers.length);
    const last = this.#layers.at(-1);
    if (last !== undefined && last.room === LAST_LAYER_KEYS) return last;
    const blocks = Math.ceil((keys * BITS_PER_KEY) / (BLOCK_WORDS * 32));
    const layer = { words: new Uint32Array(blocks * BLOCK_WORDS), blocks, room: keys };
    this.#layers.push(layer);
    this.#inLast = 0;
    return layer;
  }
}

interface Layer {
  readonly words: Uint32Array;
  /** A power of two. */
  readonly blocks: number;
  readonly room: number;
}

function isSet({ words, blocks }: Layer, first: number, second: number): boolean {
  const base = (first & (blocks - 1)) * BLOCK_WORDS;
  for (let probe = 0, at = second; probe < PROBES; probe++, at = step(at)) {
    if ((words[base + (at >>> 28)]! & (1 << (at >>> 23))) === 0) return false;
  }
  return true;
}

/** True when one of the bits was not set before. */
function setAll({ words, blocks }: Layer, first: number, second: number): boolean {
  const base = (first & (blocks - 1)) * BLOCK_WORDS;
  let fresh = 0;
  for (let probe = 0, at = second; probe < PROBES; probe++, at = step(at)) {
    const word = base + (at >>> 28);
    const bit = 1 << (at >>> 23);
    fresh |= ~words[word]! & bit;
    words[word]! |= bit;
  }
  return fresh !== 0;
}

/** The two hashes of the key that was mixed last. */
const pair = new Uint32Array(2);

const viewOf = (keys: Uint8Array): DataView => new DataView(keys.buffer, keys.byteOffset, keys.byteLength);

/** Two 32-bit hashes of a 16-byte key: short keys are stored as they are, so their bytes must be mixed first. */
function mix(keys: DataView, at: number): void {
  let a = 0x9e3779b9;
  let b = 0x85ebca6b;
  for (let i = at; i < at + KEY_BYTES; i += 4) {
    const word = keys.getInt32(i, true);
    a = Math.imul(a ^ word, 0xcc9e2d51);
    a = (a << 15) | (a >>> 17);
    b = Math.imul(b ^ (word + a), 0x1b873593);
    b = (b << 13) | (b >>> 19);
  }
  pair[0] = scramble(a);
  pair[1] = scramble(b ^ a);
}

/** A 32-bit hash of the nth key. */
export function hashKey(keys: Uint8Array, nth: number): number {
  mix(viewOf(keys), nth * KEY_BYTES);
  return pair[0]!;
}

/** The same of the keys from `from` up to `to`, written one after the other from `place` on. */
export function hashKeys(keys: Uint8Array, from: number, to: number, out: Uint32Array, place: number): Uint32Array {
  const view = viewOf(keys);
  for (let nth = from; nth < to; nth++) {
    mix(view, nth * KEY_BYTES);
    out[place + nth - from] = pair[0]!;
  }
  return out;
}

function scramble(value: number): number {
  let x = value;
  x = Math.imul(x ^ (x >>> 16), 0x85ebca6b);
  x = Math.imul(x ^ (x >>> 13), 0xc2b2ae35);
  return (x ^ (x >>> 16)) >>> 0;
}

/** The next probe within a block, from the one before. Only its upper nine bits are used: the lower ones repeat. */
function step(at: number): number {
  return (Math.imul(at, 0x27d4eb2f) + 0x165667b1) >>> 0;
}
