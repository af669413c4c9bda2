import { addHeld } from '../../key-index.ts';
import type { Asking } from '../store.ts';
import { type BatchRecord, findBatch } from '../tables/batches.ts';
import { keysOf, membersAfter } from '../tables/members.ts';
import { batchesIn } from './batches.ts';
import { KeyMemory } from './key-memory.ts';
import { KeyIndex } from './key-pages.ts';
import type { Reading } from './reading.ts';
import { WantedKeys } from './wanted-keys.ts';

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
  readonly #memory: KeyMemory;

  constructor(reading: Reading, lane: number, memory = new KeyMemory(0)) {
    this.#r = reading;
    this.#lane = lane;
    this.#memory = memory;
  }

  /** For each of the keys, every place where it was sealed, oldest first. */
  *find(keys: Uint8Array): Asking<Sealed[][]> {
    const wanted = new WantedKeys(keys);
    const found: Sealed[][] = Array.from({ length: wanted.count }, () => []);
    const { kept, rests, restAfter } = yield* this.#memory.entered(this.#r, this.#lane, wanted.count);
    const proposed = new Set<number>();
    for (const page of kept) addHeld(page, wanted.hashes, proposed);
    const index = new KeyIndex(this.#r.store, rests);
    for (const hash of rests.length > 0 ? wanted.hashes : [])
      for (const id of yield* index.candidates(hash)) proposed.add(id);
    yield* this.#indexed(wanted, [...proposed], found);
    if (restAfter !== undefined) yield* this.#walk(wanted, restAfter, found);
    return found;
  }

  /** Batch by batch: each is gone through once for all keys. */
  *#indexed(wanted: WantedKeys, proposed: number[], found: Sealed[][]): Asking<void> {
    for (const id of proposed.sort((a, b) => a - b)) {
      const batch = yield* findBatch(this.#r.store, id);
      // The batches of an extraction that was abandoned are gone; the index keeps their entries.
      if (batch === undefined) continue;
      const keys = keysOf(batch, yield* this.#memory.members(this.#r, batch.members));
      wanted.eachIn(keys, (nth, index) => found[nth]!.push({ batch, index }));
    }
  }

  *#walk(wanted: WantedKeys, after: number, found: Sealed[][]): Asking<void> {
    for (let next = after; ; ) {
      const members = yield* membersAfter(this.#r.store, this.#lane, next);
      if (members === undefined) return;
      next = members.id;
      const hits: { nth: number; place: number }[] = [];
      wanted.eachIn(members.keys, (nth, place) => hits.push({ nth, place }));
      if (hits.length === 0) continue;
      const batches = yield* batchesIn(this.#r, members);
      for (const { nth, place } of hits) found[nth]!.push(sealedAt(batches, place));
    }
  }
}

function sealedAt(batches: readonly BatchRecord[], place: number): Sealed {
  let at = batches.length - 1;
  while (at > 0 && (batches[at] as BatchRecord).memberAt > place) at--;
  const batch = batches[at] as BatchRecord;
  return { batch, index: place - batch.memberAt };
}
