import { KEY_BYTES } from '../model/chunk.ts';
import { wordsOf } from './words.ts';

/**
 * The pure half of the key index: sorted entries of (hash of a key, batch), 8 bytes each, cut into pages. Entries only
 * propose where a key may be; whoever uses them compares the whole key. An entry is one 64-bit number with the hash
 * above the batch, so that sorting numbers sorts entries, and stands little-endian in a page.
 */
export type Entries = BigUint64Array;

export const ENTRY_BYTES = 8;
/** Two pages of 4,000 bytes, their row headers and digests fill a page of 8 KiB of the database. */
export const ENTRIES_PER_PAGE = 504;

export interface KeyPage {
  /** Batch, hash, batch, hash… */
  readonly words: Uint32Array;
  readonly count: number;
  readonly first: number;
  readonly last: number;
}

/** 32 bits of each of these packed keys, which may be plain numbers or UUIDs and are not spread evenly. */
export function keyHashes(keys: Uint8Array): Uint32Array {
  const words = wordsOf(keys);
  const hashes = new Uint32Array(keys.length / KEY_BYTES);
  for (let nth = 0; nth < hashes.length; nth++) hashes[nth] = hashAt(words, nth * KEY_WORDS);
  return hashes;
}

const KEY_WORDS = KEY_BYTES / 4;

function hashAt(keys: Int32Array, word: number): number {
  let hash = 0x9747b28c;
  for (let at = word; at < word + KEY_WORDS; at++) {
    hash = Math.imul(hash ^ keys[at]!, 0x85ebca6b);
    hash = Math.imul((hash << 13) | (hash >>> 19), 0x9e3779b1);
  }
  hash = Math.imul(hash ^ (hash >>> 16), 0xc2b2ae35);
  return hash ^ (hash >>> 15);
}

/** Packed keys of batches whose ids rise by one, and the place in them where each of these batches ends. */
export interface KeysOfBatches {
  readonly keys: Uint8Array;
  readonly firstBatch: number;
  readonly ends: readonly number[];
}

/** Sorted entries for packed keys, of rising batches. */
export function entriesOf(all: readonly KeysOfBatches[]): Entries {
  const pairs = new Int32Array(all.reduce((sum, { keys }) => sum + keys.length / KEY_BYTES, 0) * 2);
  let at = 0;
  for (const { keys, firstBatch, ends } of all) {
    const words = wordsOf(keys);
    const count = keys.length / KEY_BYTES;
    for (let nth = 0, from = 0; from < count; nth++) {
      const until = nth + 1 < ends.length ? Math.min(ends[nth]!, count) : count;
      hashRun(words, { from, until, batch: firstBatch + nth }, pairs.subarray((at + from) * 2));
      from = until;
    }
    at += count;
  }
  return sortByHash(pairs);
}

// What follows walks over megabytes. Each loop is a function of its own that is called again and again: one that is
// translated while it runs for the first time knows nothing of what follows it, and is thrown away there.

/** Batch and hash for the keys of one batch, a word each. */
function hashRun(keys: Int32Array, run: { from: number; until: number; batch: number }, pairs: Int32Array): void {
  const { from, until, batch } = run;
  for (let place = from, at = 0; place < until; place++, at += 2) {
    pairs[at] = batch;
    pairs[at + 1] = hashAt(keys, place * KEY_WORDS);
  }
}

/** The digits of a hash, the lowest first: 11, 11 and 10 bits. */
const DIGIT_BITS = 11;
const DIGITS = 1 << DIGIT_BITS;
const PASSES = 3;

/**
 * Pairs of batch and hash, sorted by the hash and, where it is the same, left in their order: batches rise with places
 * already. Three passes over a digit of the hash each take half the time of the native sort of 64-bit numbers.
 */
function sortByHash(pairs: Int32Array<ArrayBuffer>): Entries {
  const starts = new Int32Array(PASSES * DIGITS);
  countDigits(pairs, starts);
  let [from, to] = [pairs, new Int32Array(pairs.length)];
  for (let pass = 0; pass < PASSES; pass++) {
    const places = starts.subarray(pass * DIGITS, (pass + 1) * DIGITS);
    toPlaces(places);
    scatter(from, to, places, pass * DIGIT_BITS);
    [from, to] = [to, from];
  }
  return new BigUint64Array(from.buffer);
}

/** How often each value of each digit comes. */
function countDigits(pairs: Int32Array, counts: Int32Array): void {
  for (let at = 1; at < pairs.length; at += 2) {
    const hash = pairs[at]!;
    counts[hash & (DIGITS - 1)]!++;
    counts[DIGITS + ((hash >>> DIGIT_BITS) & (DIGITS - 1))]!++;
    counts[2 * DIGITS + (hash >>> (2 * DIGIT_BITS))]!++;
  }
}

/** Where the pairs with each value of a digit begin, in place of how many there are. */
function toPlaces(counts: Int32Array): void {
  for (let digit = 0, at = 0; digit < DIGITS; digit++) {
    const count = counts[digit]!;
    counts[digit] = at;
    at += count * 2;
  }
}

/** One pass: each pair to the next place of its digit. */
function scatter(from: Int32Array, to: Int32Array, places: Int32Array, shift: number): void {
  for (let at = 0; at < from.length; at += 2) {
    const hash = from[at + 1]!;
    const digit = (hash >>> shift) & (DIGITS - 1);
    const place = places[digit]!;
    places[digit] = place + 2;
    to[place] = from[at]!;
    to[place + 1] = hash;
  }
}

/** One sorted run out of several. Native sorting of what is nearly sorted beats a merge written in JavaScript. */
export function mergeEntries(runs: readonly Entries[]): Entries {
  const all = joinEntries(runs);
  return runs.length > 1 ? all.sort() : all;
}

/** A copy of all of them, one behind the other. */
export function joinEntries(runs: readonly Entries[]): Entries {
  const all = new BigUint64Array(runs.reduce((sum, run) => sum + run.length, 0));
  let at = 0;
  for (const run of runs) {
    all.set(run, at);
    at += run.length;
  }
  return all;
}

/**
 * How many entries at the head of each run may be merged now, when more may follow in the runs that are not `ended`:
 * none above the lowest last entry of those.
 */
export function mergeable(heads: readonly { readonly entries: Entries; readonly ended: boolean }[]): number[] {
  const open = heads.filter((head) => !head.ended);
  if (open.length === 0) return heads.map((head) => head.entries.length);
  const ends = new BigUint64Array(open.map((head) => head.entries[head.entries.length - 1] as bigint)).sort();
  return heads.map((head) => countUpTo(head.entries, ends[0] as bigint));
}

function countUpTo(entries: Entries, limit: bigint): number {
  let [low, high] = [0, entries.length];
  while (low < high) {
    const middle = (low + high) >>> 1;
    if ((entries[middle] as bigint) <= limit) low = middle + 1;
    else high = middle;
  }
  return low;
}

/** Pages of at most `ENTRIES_PER_PAGE`, in order; only the last may be short. They lie in the entries themselves. */
export function toPages(entries: Entries): Uint8Array[] {
  const pages: Uint8Array[] = [];
  const bytes = new Uint8Array(entries.buffer, entries.byteOffset, entries.byteLength);
  const size = ENTRIES_PER_PAGE * ENTRY_BYTES;
  for (let from = 0; from < bytes.length; from += size) pages.push(bytes.subarray(from, from + size));
  return pages;
}

export function toEntries(page: KeyPage): Entries {
  return new BigUint64Array(page.words.buffer, page.words.byteOffset, page.count);
}

export function readPage(bytes: Uint8Array): KeyPage {
  // Copied: what a driver hands over need not begin at a multiple of eight.
  return pageOf(new BigUint64Array(new Uint8Array(bytes).buffer));
}

/** Sorted entries, as many as they are, as they are searched in. */
export function pageOf(entries: Entries): KeyPage {
  const words = new Uint32Array(entries.buffer, entries.byteOffset, entries.length * 2);
  return { words, count: entries.length, first: words[1] ?? 0, last: words[words.length - 1] ?? 0 };
}

/** The batches that a page names for a hash, in rising order. */
export function pageHolds(page: KeyPage, hash: number): number[] {
  const batches: number[] = [];
  for (let at = firstNotBelow(page, hash, 0); hashIn(page, at) === hash; at++) batches.push(page.words[at * 2]!);
  return batches;
}

/** Adds the batches that a page names for any of these hashes, which rise. */
export function addHeld(page: KeyPage, hashes: Uint32Array, batches: Set<number>): void {
  let [from, before] = [0, -1];
  for (const hash of hashes) {
    from = firstNotBelow(page, hash, from);
    for (let at = from; hashIn(page, at) === hash; at++) {
      const batch = page.words[at * 2]!;
      if (batch !== before) batches.add(batch);
      before = batch;
    }
  }
}

const hashIn = ({ words }: KeyPage, at: number): number | undefined => words[at * 2 + 1];

/** The first place from `from` on whose hash is not below this one. What is near is found in a few steps. */
function firstNotBelow({ words, count }: KeyPage, hash: number, from: number): number {
  let [low, high] = [from, from];
  for (let step = 1; high < count && words[high * 2 + 1]! < hash; step *= 2) {
    low = high + 1;
    high += step;
  }
  if (high > count) high = count;
  while (low < high) {
    const middle = (low + high) >>> 1;
    if (words[middle * 2 + 1]! < hash) low = middle + 1;
    else high = middle;
  }
  return low;
}
