import { KEY_BYTES } from '../model/chunk.ts';

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

/** 32 bits of a packed key, which may itself be a plain number or a UUID and is not spread evenly. */
export const keyHash = (keys: Uint8Array, at: number): number => hashAt(viewOf(keys), at);

const viewOf = (keys: Uint8Array): DataView => new DataView(keys.buffer, keys.byteOffset, keys.byteLength);

function hashAt(keys: DataView, at: number): number {
  let hash = 0x9747b28c;
  for (let word = at; word < at + KEY_BYTES; word += 4) {
    hash = Math.imul(hash ^ keys.getInt32(word, true), 0x85ebca6b);
    hash = Math.imul((hash << 13) | (hash >>> 19), 0x9e3779b1);
  }
  hash = Math.imul(hash ^ (hash >>> 16), 0xc2b2ae35);
  return (hash ^ (hash >>> 15)) >>> 0;
}

/** Packed keys, and the batch of each record by its place in them; asked with rising places. */
export interface KeyedPlaces {
  readonly keys: Uint8Array;
  readonly batchOf: (place: number) => number;
}

/** Sorted entries for packed keys, of rising batches. */
export function entriesOf(all: readonly KeyedPlaces[]): Entries {
  const words = new Uint32Array(all.reduce((sum, { keys }) => sum + keys.length / KEY_BYTES, 0) * 2);
  let at = 0;
  for (const { keys, batchOf } of all) {
    const count = keys.length / KEY_BYTES;
    const view = viewOf(keys);
    for (let place = 0; place < count; place++, at += 2) {
      words[at] = batchOf(place);
      words[at + 1] = hashAt(view, place * KEY_BYTES);
    }
  }
  return sortByHash(words);
}

const DIGIT_BITS = 11;
const DIGITS = 1 << DIGIT_BITS;

/**
 * Pairs of batch and hash, sorted by the hash and, where it is the same, left in their order: batches rise with places
 * already. Three passes over a digit of the hash each take half the time of the native sort of 64-bit numbers.
 */
function sortByHash(words: Uint32Array<ArrayBuffer>): Entries {
  let [from, to] = [words, new Uint32Array(words.length)];
  for (let shift = 0; shift < 32; shift += DIGIT_BITS) {
    const starts = startsOf(from, shift);
    for (let at = 0; at < from.length; at += 2) {
      const hash = from[at + 1]!;
      const digit = (hash >>> shift) & (DIGITS - 1);
      const place = starts[digit]!;
      starts[digit] = place + 2;
      to[place] = from[at]!;
      to[place + 1] = hash;
    }
    [from, to] = [to, from];
  }
  return new BigUint64Array(from.buffer);
}

/** Where the pairs with each value of a digit begin. */
function startsOf(words: Uint32Array, shift: number): Uint32Array {
  const starts = new Uint32Array(DIGITS);
  for (let at = 1; at < words.length; at += 2) {
    const digit = (words[at]! >>> shift) & (DIGITS - 1);
    starts[digit] = starts[digit]! + 2;
  }
  for (let digit = 0, at = 0; digit < DIGITS; digit++) {
    const count = starts[digit]!;
    starts[digit] = at;
    at += count;
  }
  return starts;
}

/** One sorted run out of several. Native sorting of what is nearly sorted beats a merge written in JavaScript. */
export function mergeEntries(runs: readonly Entries[]): Entries {
  const all = new BigUint64Array(runs.reduce((sum, run) => sum + run.length, 0));
  let at = 0;
  for (const run of runs) {
    all.set(run, at);
    at += run.length;
  }
  return runs.length > 1 ? all.sort() : all;
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

/** Pages of at most `ENTRIES_PER_PAGE`, in order; only the last may be short. */
export function toPages(entries: Entries): Uint8Array[] {
  const pages: Uint8Array[] = [];
  for (let from = 0; from < entries.length; from += ENTRIES_PER_PAGE) {
    const page = entries.slice(from, from + ENTRIES_PER_PAGE);
    pages.push(new Uint8Array(page.buffer));
  }
  return pages;
}

export function toEntries(page: KeyPage): Entries {
  return new BigUint64Array(page.words.buffer, page.words.byteOffset, page.count);
}

export function readPage(bytes: Uint8Array): KeyPage {
  // Copied: what a driver hands over need not begin at a multiple of eight.
  const copy = new Uint8Array(bytes);
  const words = new Uint32Array(copy.buffer, 0, copy.byteLength / 4);
  const count = words.length / 2;
  return { words, count, first: words[1] ?? 0, last: words[words.length - 1] ?? 0 };
}

/** The batches that a page names for a hash, in rising order. */
export function pageHolds(page: KeyPage, hash: number): number[] {
  let [low, high] = [0, page.count];
  while (low < high) {
    const middle = (low + high) >>> 1;
    if ((page.words[middle * 2 + 1] as number) < hash) low = middle + 1;
    else high = middle;
  }
  const batches: number[] = [];
  for (; low < page.count && page.words[low * 2 + 1] === hash; low++) batches.push(page.words[low * 2] as number);
  return batches;
}
