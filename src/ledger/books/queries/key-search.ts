import { KEY_BYTES } from '../../../model/chunk.ts';
import { keyHash, keyHashes } from '../../key-index.ts';
import { corrupt } from '../corrupt.ts';
import { type Asking, query } from '../store.ts';
import { BATCH, type BatchRecord, decodeBatch, findBatch } from '../tables/batches.ts';
import { keysOf, type MembersRecord, membersAfter, readMembers } from '../tables/members.ts';
import { indexedUpTo, KeyIndex } from './key-pages.ts';
import type { Reading } from './reading.ts';

/** A place where a key was sealed: always in a batch that came from the source, never in a child. */
export interface Sealed {
  readonly batch: BatchRecord;
  readonly index: number;
}
/**
 * Finds keys in a lane: in the index as far as that has come, then by walking through what was sealed since. The index
 * only proposes batches; a key counts as found where all its 16 bytes stand.
 */
export class KeySearch {
  readonly #r: Reading;
  readonly #lane: number;
  readonly #members = new Map<number, MembersRecord>();

  constructor(reading: Reading, lane: number) {
    this.#r = reading;
    this.#lane = lane;
  }

  /** For each of the keys, every place where it was sealed, oldest first. */
  *find(keys: Uint8Array): Asking<Sealed[][]> {
    const wanted = Array.from({ length: keys.length / KEY_BYTES }, (_, nth) =>
      keys.subarray(nth * KEY_BYTES, (nth + 1) * KEY_BYTES),
    );
    const found: Sealed[][] = wanted.map(() => []);
    const index = yield* KeyIndex.of(this.#r.store, this.#lane);
    // In the order of the index, so that keys whose entries are neighbours share its pages.
    const hashes = wanted.map((key, nth) => ({ hash: keyHash(key), nth })).sort((a, b) => a.hash - b.hash);
    const proposed = new Map<number, number[]>();
    for (const { hash, nth } of hashes) {
      for (const id of yield* index.candidates(hash)) {
        const nths = proposed.get(id);
        if (nths === undefined) proposed.set(id, [nth]);
        else nths.push(nth);
      }
    }
    yield* this.#indexed(wanted, proposed, found);
    yield* this.#walk(wanted, found);
    return found;
  }

  /** Batch by batch: what was proposed for many keys is gone through once for all of them. */
  *#indexed(
    wanted: readonly Uint8Array[],
    proposed: ReadonlyMap<number, readonly number[]>,
    found: Sealed[][],
  ): Asking<void> {
    for (const id of [...proposed.keys()].sort((a, b) => a - b)) {
      const batch = yield* findBatch(this.#r.store, id);
      // The batches of an extraction that was abandoned are gone; the index keeps their entries.
      if (batch === undefined) continue;
      const keys = yield* this.#keysOf(batch);
      for (const { nth, place } of hitsAmong(wanted, proposed.get(id)!, keys))
        found[nth]?.push({ batch, index: place });
    }
  }

  *#keysOf(batch: BatchRecord): Asking<Uint8Array> {
    let members = this.#members.get(batch.members);
    if (members === undefined) {
      members = yield* readMembers(this.#r.store, batch.members);
      // One at a time: a row of members can be megabytes, and neighbours in the question rarely share one.
      this.#members.clear();
      this.#members.set(batch.members, members);
    }
    return keysOf(batch, members);
  }

  *#walk(wanted: readonly Uint8Array[], found: Sealed[][]): Asking<void> {
    const all = wanted.map((_, nth) => nth);
    const table = tableOf(wanted, all);
    for (let next = yield* indexedUpTo(this.#r.store, this.#lane); ; ) {
      const members = yield* membersAfter(this.#r.store, this.#lane, next);
      if (members === undefined) return;
      next = members.id;
      const hits = all.length > FEW ? hitsIn(members.keys, wanted, table) : hitsAmong(wanted, all, members.keys);
      if (hits.length === 0) continue;
      const batches = yield* batchesIn(this.#r, members);
      for (const { nth, place } of hits) found[nth]?.push(sealedAt(batches, place));
    }
  }
}

interface Hit {
  readonly nth: number;
  readonly place: number;
}

/** So many keys are searched for one by one, at the speed of memory; with more a table of them is faster. */
const FEW = 16;

/** Where these of the wanted keys stand among packed keys. */
function hitsAmong(wanted: readonly Uint8Array[], nths: readonly number[], keys: Uint8Array): Hit[] {
  if (nths.length > FEW) return hitsIn(keys, wanted, tableOf(wanted, nths));
  return nths.flatMap((nth) => placesOf(wanted[nth] as Uint8Array, keys).map((place) => ({ nth, place })));
}

/** Every place of a key among packed keys. */
function placesOf(key: Uint8Array, keys: Uint8Array): number[] {
  const places: number[] = [];
  const bytes = Buffer.from(keys.buffer, keys.byteOffset, keys.byteLength);
  for (let at = bytes.indexOf(key); at >= 0; at = bytes.indexOf(key, at + 1)) {
    if (at % KEY_BYTES === 0) places.push(at / KEY_BYTES);
  }
  return places;
}

/** By hash: different keys of one hash stand together. */
function tableOf(wanted: readonly Uint8Array[], nths: readonly number[]): ReadonlyMap<number, readonly number[]> {
  const table = new Map<number, number[]>();
  for (const nth of nths) {
    const hash = keyHash(wanted[nth] as Uint8Array);
    const there = table.get(hash);
    if (there === undefined) table.set(hash, [nth]);
    else there.push(nth);
  }
  return table;
}

function hitsIn(keys: Uint8Array, wanted: readonly Uint8Array[], table: ReadonlyMap<number, readonly number[]>): Hit[] {
  const hits: Hit[] = [];
  for (const [place, hash] of keyHashes(keys).entries()) {
    for (const nth of table.get(hash) ?? []) {
      const key = wanted[nth] as Uint8Array;
      const at = place * KEY_BYTES;
      if (Buffer.compare(key, keys.subarray(at, at + KEY_BYTES)) === 0) hits.push({ nth, place });
    }
  }
  return hits;
}

function sealedAt(batches: readonly BatchRecord[], place: number): Sealed {
  let at = batches.length - 1;
  while (at > 0 && (batches[at] as BatchRecord).memberAt > place) at--;
  const batch = batches[at] as BatchRecord;
  return { batch, index: place - batch.memberAt };
}

const BETWEEN = query(BATCH, 'WHERE id BETWEEN ? AND ? ORDER BY id');

/** The batches whose keys stand in a row of members, in order. */
export function* batchesIn(r: Reading, members: MembersRecord): Asking<BatchRecord[]> {
  const rows = yield* r.store.many(BETWEEN, members.firstBatch, members.firstBatch + members.batches - 1);
  const batches = rows.map((cells) => decodeBatch(r.store, cells));
  const records = batches.reduce((sum, batch) => sum + batch.records, 0);
  if (records * KEY_BYTES === members.keys.length) return batches;
  throw corrupt(r.store.place, `row ${members.id} of members holds keys of other batches than it says`, {
    table: 'members',
    row: members.id,
  });
}
