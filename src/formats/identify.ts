import { assert } from '../model/assert.ts';
import { type Chunk, type DataRecord, DIGEST_BYTES, KEY_BYTES } from '../model/chunk.ts';
import { WaybillError } from '../model/errors.ts';
import { encodeText } from './canonical.ts';
import { rawFields } from './csv-row.ts';
import type { Identify } from './formats.ts';
import { rawMembers } from './json-members.ts';
import { COPY_KINDS, type IdentityWants, kernel, SCAN_STATE, type Scan } from './kernel.ts';
import { packKey } from './keys.ts';
import { copyColumns, copyJson, copyPlaces, isCopy, jsonHeads } from './pgcopy/fields.ts';
import { textAt } from './record-text.ts';
import { parseObject, rowAt } from './rows.ts';

/** How digests are made, kept in the ledger: digests of two recipes are never compared. */
export const DIGEST_RECIPES = { raw: 'raw-1', columns: 'columns-1' } as const;
export type DigestRecipe = (typeof DIGEST_RECIPES)[keyof typeof DIGEST_RECIPES];

/**
 * `raw-1`: of the record's bytes. `columns-1`: of its other columns, sorted by name, with their values as spelled; in
 * COPY as their JSON is, so that a row has the same digest in each format in which its types are known.
 */
export function digestRecipe(exclude: readonly string[] | undefined, byColumn = false): DigestRecipe {
  return byColumn || (exclude !== undefined && exclude.length > 0) ? DIGEST_RECIPES.columns : DIGEST_RECIPES.raw;
}

/**
 * Keys and digests of a whole chunk. The records are known to be well-formed, as framers and encoders make them.
 * Without key columns the key is a hash of the content; the engine tells equal records apart by `withOccurrence`.
 */
export const identify: Identify = (chunk, options) => {
  const { key, seed, exclude = [], room } = options;
  assert(seed.length === 16, 'formats.seed-has-16-bytes', { length: seed.length });
  assert(key === null || key.length > 0, 'formats.key-has-columns');
  const byColumn = digestRecipe(exclude, options.byColumn) === DIGEST_RECIPES.columns;
  const named = chunk.format === 'ndjson';
  const wants = {
    key: key === null ? null : keyPlaces(chunk, key),
    // The columns of other formats have no names in the record, so the kernel cannot tell them apart.
    exclude: byColumn && named ? exclude : null,
    seed,
  };
  const scan = kernel().identify(chunk.bytes, spansOf(chunk), wants, room);
  const missing = key === null ? [] : finishKeys(chunk, scan.keys, key, seed);
  const slow = byColumn && !named ? allSlow(scan.digests, chunk.count) : scan.digests;
  if (slow.special > 0) digestSlowRows(chunk, slow, new Set(exclude), seed);
  return { keys: scan.keys.out, digests: scan.digests.out, missing };
};

/** What the kernel has to look at for the key. */
function keyPlaces(chunk: Chunk, key: readonly string[]): NonNullable<IdentityWants['key']> {
  if (chunk.format === 'ndjson') return { names: key };
  if (!isCopy(chunk.format)) return { fields: fieldNumbers(chunk, key) };
  const columns = copyColumns(chunk);
  const copy = copyPlaces(columns, key).map((field) => {
    const { kind, array } = columns[field]!.type;
    return { field, kind: array === true ? 0 : (COPY_KINDS[kind] ?? 0) };
  });
  return { copy, binary: chunk.format === 'pgcopy' };
}

/** Works out the keys that the kernel left; answers which records have none. */
function finishKeys(chunk: Chunk, scan: Scan, key: readonly string[], seed: Uint8Array): number[] {
  const missing: number[] = [];
  if (scan.special === 0) return missing;
  for (let i = 0; i < chunk.count; i++) {
    const state = scan.states[i];
    if (state === SCAN_STATE.complete) continue;
    const packed = state === SCAN_STATE.slow ? keyOfRow(chunk, i, key, seed) : undefined;
    if (packed === undefined) missing.push(i);
    else scan.out.set(packed, i * KEY_BYTES);
  }
  for (const i of missing) scan.out.fill(0, i * KEY_BYTES, (i + 1) * KEY_BYTES);
  return missing;
}

function allSlow({ out }: Scan, count: number): Scan {
  return { out, states: new Uint8Array(count).fill(SCAN_STATE.slow), special: count };
}

/** The key columns that have no value in a record, in the order of the key. */
export function missingKeys(chunk: Chunk, index: number, key: readonly string[]): readonly string[] {
  const record = rowAt(chunk, index);
  return key.filter((name) => packKey([record[name]], NO_SEED) === undefined);
}
const NO_SEED = new Uint8Array(16);

function keyOfRow(chunk: Chunk, index: number, key: readonly string[], seed: Uint8Array): Uint8Array | undefined {
  const record = isCopy(chunk.format) ? keyColumns(chunk, index, key) : rowAt(chunk, index);
  return packKey(
    key.map((name) => record[name]),
    seed,
  );
}

/** The key columns of a row of COPY, as a record of NDJSON would have them. */
function keyColumns(chunk: Chunk, index: number, key: readonly string[]): DataRecord {
  const columns = copyColumns(chunk);
  return parseObject(copyJson(chunk, index, jsonHeads(columns), copyPlaces(columns, key)));
}

function fieldNumbers(chunk: Chunk, names: readonly string[]): number[] {
  const columns = chunk.columns ?? [];
  return names.map((name) => {
    const number = columns.indexOf(name);
    if (number >= 0) return number;
    throw new WaybillError('SOURCE_INVALID', `the key column ${JSON.stringify(name)} is not in the CSV`, {
      hint: `Its columns are: ${columns.join(', ')}.`,
    });
  });
}

/** `spans` may be longer than the records it describes. */
function spansOf(chunk: Chunk): Uint32Array {
  return chunk.spans.length === chunk.count * 2 ? chunk.spans : chunk.spans.subarray(0, chunk.count * 2);
}

/** The rows that the kernel left: the same bytes are put together here and hashed in one call. */
function digestSlowRows(chunk: Chunk, scan: Scan, exclude: ReadonlySet<string>, seed: Uint8Array): void {
  const places: number[] = [];
  const pieces: Uint8Array[] = [];
  const spans: number[] = [];
  let at = 0;
  for (let i = 0; i < chunk.count; i++) {
    if (scan.states[i] !== SCAN_STATE.slow) continue;
    const bytes = sortedMembers(membersOf(chunk, i), exclude);
    places.push(i);
    pieces.push(bytes);
    spans.push(at, at + bytes.length);
    at += bytes.length;
  }
  const digests = kernel().hashSpans(Buffer.concat(pieces), Uint32Array.from(spans), seed);
  for (const [n, i] of places.entries()) {
    scan.out.set(digests.subarray(n * DIGEST_BYTES, (n + 1) * DIGEST_BYTES), i * DIGEST_BYTES);
  }
}

function membersOf(chunk: Chunk, index: number): Map<string, string> {
  if (isCopy(chunk.format)) return rawMembers(copyJson(chunk, index, jsonHeads(copyColumns(chunk))));
  const text = textAt(chunk, index);
  if (chunk.format === 'ndjson') return rawMembers(text);
  const fields = rawFields(text);
  return new Map((chunk.columns ?? []).map((name, i) => [name, fields[i] ?? '']));
}

/** Length, name, length, value for each member, sorted by the bytes of the names: what the kernel hashes as well. */
function sortedMembers(members: ReadonlyMap<string, string>, exclude: ReadonlySet<string>): Uint8Array {
  const kept = [...members]
    .filter(([name]) => !exclude.has(name))
    .map(([name, value]) => [encodeText(name), Buffer.from(value)] as const)
    .sort(([a], [b]) => Buffer.compare(a, b));
  return Buffer.concat(kept.flatMap(([name, value]) => [lengthOf(name), name, lengthOf(value), value]));
}

function lengthOf(bytes: Uint8Array): Uint8Array {
  const length = Buffer.alloc(4);
  length.writeUInt32LE(bytes.length);
  return length;
}
