import { KEY_BYTES } from '../../../model/chunk.ts';
import type { BatchId, RunId } from '../../../model/ids.ts';
import type { RecordState } from '../../../model/states.ts';
import type { Page, RecordRef, Trace } from '../../ledger.ts';
import { corrupt } from '../failure.ts';
import { query } from '../store.ts';
import { attemptsOf, toAttemptRow } from '../tables/attempts.ts';
import { type BatchRecord, findBatch, placesInRoot, readBatch } from '../tables/batches.ts';
import { notesOf } from '../tables/exceptions.ts';
import { lanesOf, requireLane } from '../tables/lanes.ts';
import { decodeMembers, decodeUnbatched, MEMBERS_AFTER, type MembersRecord, UNBATCHED } from '../tables/members.ts';
import { lanesOfFlow } from './batches.ts';
import { batchesIn, KeySearch, type Sealed } from './key-search.ts';
import { limitOf, type Reading } from './reading.ts';
import { describe, unbatchedRow } from './records.ts';

/** Where it is now, and the batches that it went through on the way. */
interface Way {
  readonly steps: readonly { readonly batch: BatchRecord; readonly index: number }[];
  readonly state: RecordState;
}

export function findKeys(
  r: Reading,
  ask: { run: RunId; lane: string; keys: Uint8Array },
): { nth: number; ref: RecordRef; state: RecordState }[] {
  const lane = requireLane(r.store, ask.run, ask.lane);
  const search = new KeySearch(r, lane.id);
  const places = search.find(ask.keys);
  return places.flatMap((sealed, nth) =>
    sealed
      .map((one) => follow(r, one))
      .map(({ steps, state }) => ({ last: steps[steps.length - 1] as Sealed, state }))
      .sort((a, b) => b.last.batch.id - a.last.batch.id)
      .map(({ last, state }) => ({ nth, ref: { batch: last.batch.id, index: last.index }, state })),
  );
}

/** From the batch that a record was sealed in to the child, or child's child, that it went to. */
function follow(r: Reading, from: Sealed): Way {
  const steps: Sealed[] = [from];
  for (let at = from; ; ) {
    const note = notesOf(r.store, at.batch)[at.index];
    if (note === undefined) throw corrupt(r.store.place, `batch b${at.batch.id} has no record ${at.index}`);
    if (note.child === null) return { steps, state: note.state };
    const place = placesInRoot(at.batch, [at.index])[0] as number;
    const child = readBatch(r.store, note.child);
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

export function trace(r: Reading, filter: { key: Uint8Array; flow?: string; run?: RunId; lane?: string }): Trace[] {
  return lanesToSearch(r, filter).flatMap((lane) => {
    const [places = []] = new KeySearch(r, lane).find(filter.key);
    const inBatches = places.map((place) => traceOf(r, follow(r, place)));
    const beside = r.store.many(UNBATCHED_WITH, filter.key, lane).map((cells) => decodeUnbatched(r.store, cells));
    return [...inBatches, ...beside.map((one): Trace => ({ record: unbatchedRow(r, one), steps: [] }))];
  });
}

function lanesToSearch(r: Reading, filter: { flow?: string; run?: RunId; lane?: string }): number[] {
  const ids =
    filter.run === undefined
      ? lanesOfFlow(r, { ...(filter.flow === undefined ? {} : { flow: filter.flow }) })
      : lanesOf(r.store, filter.run).map((lane) => lane.id);
  return ids.filter((id) => {
    const facts = r.facts(id);
    return (
      (filter.lane === undefined || facts.lane === filter.lane) &&
      (filter.flow === undefined || facts.flow === filter.flow)
    );
  });
}

function traceOf(r: Reading, way: Way): Trace {
  const last = way.steps[way.steps.length - 1] as Sealed;
  const note = notesOf(r.store, last.batch)[last.index];
  return {
    record: describe(r, last.batch)(last.index, note as NonNullable<typeof note>),
    steps: way.steps.map(({ batch, index }) => ({
      batch: r.row(batch),
      index,
      attempts: attemptsOf(r.store, batch).map(toAttemptRow),
    })),
  };
}

/** Batch by batch as they were sealed; children bring no keys of their own. `after`: a batch. */
export function laneKeys(r: Reading, ask: { run: RunId; lane: string } & Page): { batch: BatchId; keys: Uint8Array }[] {
  const lane = requireLane(r.store, ask.run, ask.lane);
  const limit = limitOf(ask.limit);
  const found: { batch: BatchId; keys: Uint8Array }[] = [];
  const before = ask.after === undefined ? undefined : findBatch(r.store, ask.after);
  for (let next = before === undefined ? 0 : before.members - 1; found.length < limit; ) {
    const [cells] = r.store.many(MEMBERS_AFTER, lane.id, next, 1);
    if (cells === undefined) return found;
    const members = decodeMembers(cells);
    for (const batch of batchesIn(r, members)) {
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
