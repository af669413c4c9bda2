import { KEY_BYTES } from '../../../model/chunk.ts';
import { keyHash } from '../../key-index.ts';
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
    const hashes = wanted.map((key, nth) => ({ hash: keyHash(key, 0), nth })).sort((a, b) => a.hash - b.hash);
    for (const { hash, nth } of hashes)
      found[nth] = yield* this.#indexed(wanted[nth] as Uint8Array, yield* index.candidates(hash));
    yield* this.#walk(wanted, found);
    return found;
  }

  *#indexed(key: Uint8Array, batches: readonly number[]): Asking<Sealed[]> {
    const found: Sealed[] = [];
    for (const id of batches) {
      const batch = yield* findBatch(this.#r.store, id);
      // The batches of an extraction that was abandoned are gone; the index keeps their entries.
      if (batch === undefined) continue;
      for (const index of placesOf(key, yield* this.#keysOf(batch))) found.push({ batch, index });
    }
    return found;
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

  /** Many keys are looked up in a table made of them; a few are searched for directly, which is much faster. */
  *#walk(wanted: readonly Uint8Array[], found: Sealed[][]): Asking<void> {
    const table = wanted.length > FEW ? tableOf(wanted) : undefined;
    for (let next = yield* indexedUpTo(this.#r.store, this.#lane); ; ) {
      const members = yield* membersAfter(this.#r.store, this.#lane, next);
      if (members === undefined) return;
      next = members.id;
      const hits =
        table === undefined
          ? wanted.flatMap((key, nth) => placesOf(key, members.keys).map((place) => ({ nth, place })))
          : hitsIn(members.keys, table);
      if (hits.length === 0) continue;
      const batches = yield* batchesIn(this.#r, members);
      for (const { nth, place } of hits) found[nth]?.push(sealedAt(batches, place));
    }
  }
}

const FEW = 4;

/** Every place of a key among packed keys. */
function placesOf(key: Uint8Array, keys: Uint8Array): number[] {
  const places: number[] = [];
  const bytes = Buffer.from(keys.buffer, keys.byteOffset, keys.byteLength);
  for (let at = bytes.indexOf(key); at >= 0; at = bytes.indexOf(key, at + 1)) {
    if (at % KEY_BYTES === 0) places.push(at / KEY_BYTES);
  }
  return places;
}

const textOf = (keys: Uint8Array, nth: number): string =>
  Buffer.from(keys.buffer, keys.byteOffset + nth * KEY_BYTES, KEY_BYTES).toString('latin1');

function tableOf(wanted: readonly Uint8Array[]): Map<string, number[]> {
  const table = new Map<string, number[]>();
  wanted.forEach((key, nth) => {
    const text = textOf(key, 0);
    const there = table.get(text);
    if (there === undefined) table.set(text, [nth]);
    else there.push(nth);
  });
  return table;
}

function hitsIn(keys: Uint8Array, table: ReadonlyMap<string, readonly number[]>): { nth: number; place: number }[] {
  const hits: { nth: number; place: number }[] = [];
  for (let place = 0; place < keys.length / KEY_BYTES; place++) {
    for (const nth of table.get(textOf(keys, place)) ?? []) hits.push({ nth, place });
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
