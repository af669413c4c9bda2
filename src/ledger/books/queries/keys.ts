import { KEY_BYTES } from '../../../model/chunk.ts';
import type { BatchId, RunId } from '../../../model/ids.ts';
import type { RecordState } from '../../../model/states.ts';
import type { Page, RecordRef, Trace } from '../../ledger.ts';
import { corrupt } from '../corrupt.ts';
import { type Asking, inTurn, query } from '../store.ts';
import { attemptsOf, toAttemptRow } from '../tables/attempts.ts';
import { type BatchRecord, findBatch, placesInRoot, readBatch } from '../tables/batches.ts';
import { exceptionsOf, type RecordNote, usualNote } from '../tables/exceptions.ts';
import { lanesOf, requireLane } from '../tables/lanes.ts';
import { decodeUnbatched, type MembersRecord, membersAfter, UNBATCHED } from '../tables/members.ts';
import { batchesIn, lanesOfFlow } from './batches.ts';
import type { KeyMemory } from './key-memory.ts';
import { KeySearch, type Sealed } from './key-search.ts';
import { limitOf, type Reading } from './reading.ts';
import { describe, unbatchedRow } from './records.ts';

/** Where it is now, and the batches that it went through on the way. */
interface Way {
  readonly steps: readonly { readonly batch: BatchRecord; readonly index: number }[];
  readonly state: RecordState;
}

export function* findKeys(
  r: Reading,
  memory: KeyMemory,
  ask: { run: RunId; lane: string; keys: Uint8Array },
): Asking<{ nth: number; ref: RecordRef; state: RecordState }[]> {
  const lane = yield* requireLane(r.store, ask.run, ask.lane);
  const search = new KeySearch(r, lane.id, memory);
  const places = yield* search.find(ask.keys);
  const found: { nth: number; ref: RecordRef; state: RecordState }[] = [];
  const follower = new Follower(r);
  for (const [nth, sealed] of places.entries()) {
    const ways = yield* inTurn(sealed, (one) => follower.follow(one));
    const now = ways
      .map(({ steps, state }) => ({ last: steps[steps.length - 1] as Sealed, state }))
      .sort((a, b) => b.last.batch.id - a.last.batch.id);
    for (const { last, state } of now) found.push({ nth, ref: { batch: last.batch.id, index: last.index }, state });
  }
  return found;
}

/** Of so many records what is said of them alone is remembered, for keys of the same batches. */
const REMEMBERED_MAX = 200_000;

/** Follows records from the batch that they were sealed in to the child, or child's child, that they went to. */
class Follower {
  readonly #r: Reading;
  readonly #exceptions = new Map<BatchId, ReadonlyMap<number, RecordNote>>();
  /** Where in a child the records of its root are. */
  readonly #places = new Map<BatchId, ReadonlyMap<number, number>>();
  #remembered = 0;

  constructor(reading: Reading) {
    this.#r = reading;
  }

  *follow(from: Sealed): Asking<Way> {
    const { store } = this.#r;
    const steps: Sealed[] = [from];
    for (let at = from; ; ) {
      const note = yield* this.note(at);
      if (note.child === null) return { steps, state: note.state };
      const place = placesInRoot(at.batch, [at.index])[0] as number;
      const child = yield* readBatch(store, note.child);
      const index = this.#placesOf(child).get(place);
      if (index === undefined)
        throw corrupt(store.place, `batch b${child.id} does not hold the record that moved there`);
      at = { batch: child, index };
      steps.push(at);
    }
  }

  *note({ batch, index }: Sealed): Asking<RecordNote> {
    if (index >= batch.records) throw corrupt(this.#r.store.place, `batch b${batch.id} has no record ${index}`);
    let exceptions = this.#exceptions.get(batch.id);
    if (exceptions === undefined) {
      exceptions = yield* exceptionsOf(this.#r.store, batch);
      this.#remember(exceptions.size);
      this.#exceptions.set(batch.id, exceptions);
    }
    return exceptions.get(index) ?? usualNote(batch);
  }

  #placesOf(child: BatchRecord): ReadonlyMap<number, number> {
    let places = this.#places.get(child.id);
    if (places === undefined) {
      const all = Array.from({ length: child.records }, (_, nth) => nth);
      places = new Map(placesInRoot(child, all).map((place, index) => [place, index]));
      this.#remember(child.records);
      this.#places.set(child.id, places);
    }
    return places;
  }

  #remember(more: number): void {
    this.#remembered += more;
    if (this.#remembered <= REMEMBERED_MAX) return;
    this.#exceptions.clear();
    this.#places.clear();
    this.#remembered = more;
  }
}

const UNBATCHED_WITH = query(UNBATCHED, 'WHERE key = ? AND lane = ? ORDER BY id');

export function* trace(
  r: Reading,
  filter: { key: Uint8Array; flow?: string; run?: RunId; lane?: string },
): Asking<Trace[]> {
  const found: Trace[] = [];
  const follower = new Follower(r);
  for (const lane of yield* lanesToSearch(r, filter)) {
    const [places = []] = yield* new KeySearch(r, lane).find(filter.key);
    for (const place of places) found.push(yield* traceOf(r, follower, yield* follower.follow(place)));
    for (const cells of yield* r.store.many(UNBATCHED_WITH, filter.key, lane))
      found.push({ record: yield* unbatchedRow(r, decodeUnbatched(r.store, cells)), steps: [] });
  }
  return found;
}

function* lanesToSearch(r: Reading, filter: { flow?: string; run?: RunId; lane?: string }): Asking<number[]> {
  const ids =
    filter.run === undefined
      ? yield* lanesOfFlow(r, { ...(filter.flow === undefined ? {} : { flow: filter.flow }) })
      : (yield* lanesOf(r.store, filter.run)).map((lane) => lane.id);
  const wanted: number[] = [];
  for (const id of ids) {
    const { lane, flow } = yield* r.facts(id);
    if ((filter.lane ?? lane) === lane && (filter.flow ?? flow) === flow) wanted.push(id);
  }
  return wanted;
}

function* traceOf(r: Reading, follower: Follower, way: Way): Asking<Trace> {
  const last = way.steps[way.steps.length - 1] as Sealed;
  return {
    record: (yield* describe(r, last.batch))(last.index, yield* follower.note(last)),
    steps: yield* inTurn(way.steps, function* ({ batch, index }) {
      const attempts = (yield* attemptsOf(r.store, batch)).map(toAttemptRow);
      return { batch: yield* r.row(batch), index, attempts };
    }),
  };
}

/** Batch by batch as they were sealed; children bring no keys of their own. `after`: a batch. */
export function* laneKeys(
  r: Reading,
  ask: { run: RunId; lane: string } & Page,
): Asking<{ batch: BatchId; keys: Uint8Array }[]> {
  const lane = yield* requireLane(r.store, ask.run, ask.lane);
  const limit = limitOf(ask.limit);
  const found: { batch: BatchId; keys: Uint8Array }[] = [];
  const before = ask.after === undefined ? undefined : yield* findBatch(r.store, ask.after);
  for (let next = before === undefined ? 0 : before.members - 1; found.length < limit; ) {
    const members = yield* membersAfter(r.store, lane.id, next);
    if (members === undefined) return found;
    for (const batch of yield* batchesIn(r, members)) {
      if (batch.id > (ask.after ?? 0) && found.length < limit)
        found.push({ batch: batch.id, keys: sliceOf(batch, members) });
    }
    next = members.id;
  }
  return found;
}

/** A copy: the row that it is a part of can be as large as a whole seal. */
const sliceOf = (batch: BatchRecord, members: MembersRecord): Uint8Array =>
  new Uint8Array(members.keys.subarray(batch.memberAt * KEY_BYTES, (batch.memberAt + batch.records) * KEY_BYTES));
