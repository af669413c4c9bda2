import { assert } from '../model/assert.ts';
import { KEY_BYTES } from '../model/chunk.ts';
import { canonicalText, encodeText } from './canonical.ts';
import { kernel } from './kernel.ts';

/**
 * Packed keys: 16 bytes. Canonical text of up to 15 bytes stands as it is, padded with zeros, its length in the last
 * byte: exact, no hash. Longer text is a keyed 128-bit hash with the top bit of the last byte set. The values of
 * several columns are joined by the byte 0xff, which no UTF-8 text holds.
 */
const SEPARATOR = 0xff;
const RAW_MAX = 15;
const HASHED = 0x80;

/** The key of these values, in the order of the key columns; undefined when one is null or absent. */
export function packKey(values: readonly unknown[], seed: Uint8Array): Uint8Array | undefined {
  const parts: string[] = [];
  for (const value of values) {
    const text = canonicalText(value);
    if (text === undefined) return undefined;
    parts.push(text);
  }
  return packKeyText(parts, seed);
}

/** The key that somebody typed, one text for each key column. */
export function packKeyText(parts: readonly string[], seed: Uint8Array): Uint8Array {
  assert(seed.length === 16, 'formats.seed-has-16-bytes', { length: seed.length });
  const bytes = joinParts(parts);
  if (bytes.length > RAW_MAX) return kernel().packText(bytes, seed);
  const key = new Uint8Array(KEY_BYTES);
  key.set(bytes);
  key[RAW_MAX] = bytes.length;
  return key;
}

function joinParts(parts: readonly string[]): Uint8Array {
  if (parts.length === 1) return encodeText(parts[0]!);
  const pieces: Uint8Array[] = [];
  for (const [index, part] of parts.entries()) {
    if (index > 0) pieces.push(Uint8Array.of(SEPARATOR));
    pieces.push(encodeText(part));
  }
  return Buffer.concat(pieces);
}

/** What people see: the text where the key holds it, several columns joined with `, `; else `#` and the hash in hex. */
export function showKey(key: Uint8Array): string {
  const length = key[RAW_MAX]!;
  if ((length & HASHED) !== 0) return `#${Buffer.from(key.buffer, key.byteOffset, KEY_BYTES).toString('hex')}`;
  const parts: string[] = [];
  let start = 0;
  for (let at = 0; at <= length; at++) {
    if (at < length && key[at] !== SEPARATOR) continue;
    parts.push(Buffer.from(key.subarray(start, at)).toString('utf8'));
    start = at + 1;
  }
  return parts.join(', ');
}

/** The key of the n-th record with the same content, 1-based: two equal rows are two records. The first keeps `key`. */
export function withOccurrence(key: Uint8Array, n: number, seed: Uint8Array): Uint8Array {
  assert(Number.isSafeInteger(n) && n >= 1, 'formats.occurrence-counts-from-1', { n });
  if (n === 1) return key.slice();
  // More than 15 bytes, so the result is always a hash.
  const bytes = Buffer.concat([key, Buffer.from(`occurrence ${n}`)]);
  return kernel().packText(bytes, seed);
}
