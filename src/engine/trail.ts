import { type Chunk, DIGEST_BYTES, type Identities, KEY_BYTES } from '../model/chunk.ts';

/**
 * What an extraction has read so far, row by row, as two words of 32 bits. It tells whether a reading that goes on
 * meets the rows again that an earlier process decided; equal rows in another order make another trail.
 */
export interface Trail {
  readonly high: number;
  readonly low: number;
}

export const TRAIL_START: Trail = { high: 0x6a09_e667, low: 0xbb67_ae85 };

/** The rows of a chunk in the order of the source; a number below zero is the reject at `-1 - number`. */
interface Rows {
  readonly chunk: Chunk;
  readonly identities: Identities;
  readonly order: Int32Array;
}

/** Where a trail stands before the first row of a chunk and after each row: two words each. */
export type TrailWords = Uint32Array;

const REJECT = 0x52_45_4a_45;

/**
 * Plain arithmetic, since a row's key and digest are hashes or close to it and one call of the kernel for each row
 * would cost more than the rest. A reject has no content here; that it is one, and of what kind, is what counts.
 */
export function trailOf(from: Trail, { chunk, identities, order }: Rows): TrailWords {
  const { keys, digests } = identities;
  const keyWords = new DataView(keys.buffer, keys.byteOffset, keys.byteLength);
  const digestWords = new DataView(digests.buffer, digests.byteOffset, digests.byteLength);
  const words = new Uint32Array((order.length + 1) * 2);
  let { high, low } = from;
  const fold = (word: number): void => {
    high = Math.imul(high ^ word, 0x9e37_79b1);
    high ^= high >>> 15;
    low = Math.imul(((low << 13) | (low >>> 19)) + word, 0x85eb_ca77) ^ high;
    low ^= low >>> 13;
  };
  words[0] = high;
  words[1] = low;
  for (let i = 0; i < order.length; i++) {
    const nth = order[i]!;
    if (nth < 0) {
      fold(REJECT);
      for (const letter of chunk.rejects![-1 - nth]!.code) fold(letter.charCodeAt(0));
    } else {
      for (let at = nth * KEY_BYTES; at < (nth + 1) * KEY_BYTES; at += 4) fold(keyWords.getUint32(at, true));
      for (let at = nth * DIGEST_BYTES; at < (nth + 1) * DIGEST_BYTES; at += 4) fold(digestWords.getUint32(at, true));
    }
    words[i * 2 + 2] = high;
    words[i * 2 + 3] = low;
  }
  return words;
}

/** After so many rows of the chunk. */
export const trailAt = (words: TrailWords, rows: number): Trail => ({
  high: words[rows * 2]!,
  low: words[rows * 2 + 1]!,
});

export const isSameTrail = (one: Trail, other: Trail): boolean => one.high === other.high && one.low === other.low;

/** 16 hexadecimal digits, as the ledger keeps it. */
export const showTrail = ({ high, low }: Trail): string => hex(high) + hex(low);

export const readTrail = (text: string): Trail => ({
  high: Number.parseInt(text.slice(0, 8), 16),
  low: Number.parseInt(text.slice(8), 16),
});

const hex = (word: number): string => (word >>> 0).toString(16).padStart(8, '0');
