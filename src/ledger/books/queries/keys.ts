import { KEY_BYTES } from '../../../model/chunk.ts';
import type { BatchId, RunId } from '../../../model/ids.ts';
import type { RecordState } from '../../../model/states.ts';
import type { Page, RecordRef, Trace } from '../../ledger.ts';
import { corrupt } from '../corrupt.ts';
import { type Asking, inTurn, query } from '../store.ts';
import { attemptsOf, toAttemptRow } from '../tables/attempts.ts';
import { type BatchRecord, findBatch, placesInRoot, readBatch } from '../tables/batches.ts';
import { notesOf } from '../tables/exceptions.ts';
import { lanesOf, requireLane } from '../tables/lanes.ts';
import { decodeUnbatched, type MembersRecord, membersAfter, UNBATCHED } from '../tables/members.ts';
import { lanesOfFlow } from './batches.ts';
import { batchesIn, KeySearch, type Sealed } from './key-search.ts';
import { limitOf, type Reading } from './reading.ts';
import { describe, unbatchedRow } from './records.ts';

/** Where it is now, and the batches that it went through on the way. */
interface Way {
  readonly steps: readonly { readonly batch: BatchRecord; readonly index: number }[];
  readonly state: RecordState;
}

export function* findKeys(
  r: Reading,
  ask: { run: RunId; lane: string; keys: Uint8Array },
): Asking<{ nth: number; ref: RecordRef; state: RecordState }[]> {
  const lane = yield* requireLane(r.store, ask.run, ask.lane);
  const search = new KeySearch(r, lane.id);
  const places = yield* search.find(ask.keys);
  const found: { nth: number; ref: RecordRef; state: RecordState }[] = [];
  for (const [nth, sealed] of places.entries()) {
    const ways = yield* inTurn(sealed, (one) => follow(r, one));
    const now = ways
      .map(({ steps, state }) => ({ last: steps[steps.length - 1] as Sealed, state }))
      .sort((a, b) => b.last.batch.id - a.last.batch.id);
    for (const { last, state } of now) found.push({ nth, ref: { batch: last.batch.id, index: last.index }, state });
  }
  return found;
}

/** From the batch that a record was sealed in to the child, or child's child, that it went to. */
function* follow(r: Reading, from: Sealed): Asking<Way> {
  const steps: Sealed[] = [from];
  for (let at = from; ; ) {
    const note = (yield* notesOf(r.store, at.batch))[at.index];
    if (note === undefined) throw corrupt(r.store.place, `batch b${at.batch.id} has no record ${at.index}`);
    if (note.child === null) return { steps, state: note.state };
    const place = placesInRoot(at.batch, [at.index])[0] as number;
    const child = yield* readBatch(r.store, note.child);
    const index = placesInRoot(
      child,
      Array.from({ length: child.records }, (_, nth) => nth),
    ).indexOf(place);
    if (index < 0) throw corrupt(r.store.place, `batch b${child.id} does not hold the record that moved there`);
    at = { batch: child, index };
    steps.push(at);
  }
}

const UNBATCHED_WITH = query(UNBATCHED, 'WHERE key = ? AND lane = ? ORDER BY id');

export function* trace(
  r: Reading,
  filter: { key: Uint8Array; flow?: string; run?: RunId; lane?: string },
): Asking<Trace[]> {
  const found: Trace[] = [];
  for (const lane of yield* lanesToSearch(r, filter)) {
    const [places = []] = yield* new KeySearch(r, lane).find(filter.key);
    for (const place of places) found.push(yield* traceOf(r, yield* follow(r, place)));
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

function* traceOf(r: Reading, way: Way): Asking<Trace> {
  const last = way.steps[way.steps.length - 1] as Sealed;
  const note = (yield* notesOf(r.store, last.batch))[last.index];
  return {
    record: (yield* describe(r, last.batch))(last.index, note as NonNullable<typeof note>),
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
