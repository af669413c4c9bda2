import { assert } from '../../../model/assert.ts';
import { KEY_BYTES } from '../../../model/chunk.ts';
import { asBatchId, type BatchId, type RunId, showRun } from '../../../model/ids.ts';
import type { Position } from '../../../model/position.ts';
import type { LaneCounts, Seal, SealedBatch } from '../../ledger.ts';
import { nextBatchId, skipBatch } from '../outcome.ts';
import type { Asking } from '../store.ts';
import { type BatchRecord, readBatch } from '../tables/batches.ts';
import {
  encodeGeneration,
  GENERATION,
  type GenerationRecord,
  generationLane,
  saveGenerationLane,
} from '../tables/generations.ts';
import { requireLane } from '../tables/lanes.ts';
import { encodeUnbatched, MEMBERS, segmentId, UNBATCHED } from '../tables/members.ts';
import { findPosition, putPosition } from '../tables/positions.ts';
import { readRun } from '../tables/runs.ts';
import type { Transaction } from '../transaction.ts';
import { openGeneration } from './generation.ts';
import { addSlice } from './slice.ts';

/** What a seal carries, with the keys of each lane in one piece: they are stored so, and cross to a worker so. */
export interface PackedSeal extends Omit<Seal, 'batches'> {
  readonly lanes: readonly PackedLane[];
}
export interface PackedLane {
  readonly lane: string;
  readonly keys: Uint8Array;
  readonly digests: Uint8Array;
  readonly batches: readonly (Omit<SealedBatch, 'lane' | 'keys' | 'digest'> & { readonly nth: number })[];
}

const DIGEST_SIZE = 32;

/** Done on the caller's side; copies, so that the caller may use its buffers again at once. */
export function packSeal(ask: Seal): PackedSeal {
  const byLane = new Map<string, { batch: SealedBatch; nth: number }[]>();
  ask.batches.forEach((batch, nth) => {
    const ids = { run: showRun(ask.run), lane: batch.lane, nth };
    assert(batch.records > 0 && batch.keys.length === batch.records * KEY_BYTES, 'batch.one-key-a-record', ids);
    assert(batch.digest.length === DIGEST_SIZE, 'batch.has-a-digest', ids);
    const lane = byLane.get(batch.lane);
    if (lane === undefined) byLane.set(batch.lane, [{ batch, nth }]);
    else lane.push({ batch, nth });
  });
  const { batches: _, ...rest } = ask;
  const unbatched = ask.unbatched.map((one) =>
    one.key === undefined ? one : { ...one, key: new Uint8Array(one.key) },
  );
  return { ...rest, unbatched, lanes: [...byLane].map(([lane, batches]) => packLane(lane, batches)) };
}

function packLane(lane: string, batches: readonly { batch: SealedBatch; nth: number }[]): PackedLane {
  const keys = new Uint8Array(batches.reduce((sum, { batch }) => sum + batch.keys.length, 0));
  const digests = new Uint8Array(batches.length * DIGEST_SIZE);
  let at = 0;
  const packed = batches.map(({ batch, nth }, index) => {
    keys.set(batch.keys, at);
    at += batch.keys.length;
    digests.set(batch.digest, index * DIGEST_SIZE);
    const { records, bytes, staged, leftOut } = batch;
    return { nth, records, bytes, staged, ...(leftOut === undefined ? {} : { leftOut }) };
  });
  return { lane, keys, digests, batches: packed };
}

export function* seal(tx: Transaction, ask: PackedSeal): Asking<{ batches: readonly BatchId[] }> {
  const generation = yield* openGeneration(tx, ask);
  const ids: BatchId[] = [];
  for (const lane of ask.lanes) yield* sealLane(tx, ask, lane, ids);
  for (const lane of new Set(ask.unbatched.map((one) => one.lane))) yield* addUnbatched(tx, ask, lane);
  for (const counts of ask.counts) yield* addCounts(tx, ask, counts);
  if (ask.position !== undefined) yield* movePosition(tx, generation, { ...ask, position: ask.position });
  if (ask.slice !== undefined && ask.position !== undefined)
    yield* addSlice(tx, generation, { slice: ask.slice, position: ask.position, history: ask.history });
  const lanes = ask.lanes.map(({ lane, keys, batches }) => [lane, batches.length, keys.length / KEY_BYTES]);
  const run = yield* readRun(tx.store, ask.run);
  // The reading has not heard yet that nothing is to be sent any more.
  if (run.state === 'cancelled')
    for (const id of ids) skipBatch(tx, yield* readBatch(tx.store, id), 'the run was cancelled');
  tx.event(ask.run, 'sealed', { generation: ask.generation, lanes, position: ask.position?.value });
  return { batches: ids };
}

function* sealLane(tx: Transaction, ask: PackedSeal, packed: PackedLane, ids: BatchId[]): Asking<void> {
  const lane = yield* requireLane(tx.store, ask.run, packed.lane);
  const members = yield* tx.next(MEMBERS);
  let memberAt = 0;
  let first: number | undefined;
  const segments = new Map<string, number>();
  for (const [index, batch] of packed.batches.entries()) {
    const { segment } = batch.staged;
    if (!segments.has(segment)) segments.set(segment, yield* segmentId(tx.store, ask.run, segment));
    const id = yield* nextBatchId(tx);
    first ??= id;
    ids[batch.nth] = id;
    tx.addBatch({
      ...UNSENT,
      id,
      latest: id,
      lane: lane.id,
      generation: ask.generation,
      seq: (yield* tx.tally(lane.id)).seq + 1,
      records: batch.records,
      pending: batch.records,
      bytes: batch.bytes,
      digest: packed.digests.subarray(index * DIGEST_SIZE, (index + 1) * DIGEST_SIZE),
      members,
      memberAt,
      segment: segments.get(segment) as number,
      stagedAt: batch.staged.offset,
      stagedBytes: batch.staged.bytes === batch.bytes ? null : batch.staged.bytes,
      trailerBytes: batch.staged.trailerBytes,
    });
    memberAt += batch.records;
    const { leftOut: columns = [] } = batch;
    if (columns.length > 0) tx.event(ask.run, 'columns-left-out', { lane: packed.lane, columns }, id);
  }
  tx.store.insert(MEMBERS, [
    members,
    lane.id,
    ask.generation,
    first ?? asBatchId(0),
    packed.batches.length,
    packed.keys,
  ]);
  const counts = yield* generationLane(tx.store, ask.run, ask.generation, lane.id);
  counts.batches += packed.batches.length;
  counts.sealed += memberAt;
  yield* saveGenerationLane(tx.store, counts);
}

const UNSENT = {
  parent: null,
  root: null,
  picks: null,
  state: 'sealed',
  attempts: 0,
  delivered: 0,
  refused: 0,
  skipped: 0,
  inDoubt: 0,
  moved: 0,
  reason: null,
  possibly: null,
} as const satisfies Partial<BatchRecord>;

/** What the rows of a lane have in common is asked for once: they may be all that a reading brings. */
function* addUnbatched(tx: Transaction, ask: PackedSeal, name: string): Asking<void> {
  const lane = yield* requireLane(tx.store, ask.run, name);
  const tally = yield* tx.tally(lane.id);
  const counts = yield* generationLane(tx.store, ask.run, ask.generation, lane.id);
  for (const { row, key, state, code, message } of ask.unbatched.filter((one) => one.lane === name)) {
    const cells = encodeUnbatched({
      id: yield* tx.next(UNBATCHED),
      lane: lane.id,
      generation: ask.generation,
      row,
      key: key ?? null,
      state,
      code,
      message,
      atMs: tx.nowMs,
    });
    tx.store.insert(UNBATCHED, cells);
    tally.read++;
    tally[state]++;
    counts.unbatched++;
  }
  yield* saveGenerationLane(tx.store, counts);
}

function* addCounts(tx: Transaction, ask: { run: RunId; generation: number }, more: LaneCounts): Asking<void> {
  const lane = yield* requireLane(tx.store, ask.run, more.lane);
  const counts = yield* generationLane(tx.store, ask.run, ask.generation, lane.id);
  counts.read += more.read;
  counts.same += more.same;
  counts.changed += more.changed;
  counts.duplicates += more.duplicates;
  counts.trail = more.trail ?? counts.trail;
  yield* saveGenerationLane(tx.store, counts);
}

/** Keeps where the source stood before this extraction, so that abandoning it can put the source back there. */
function* movePosition(
  tx: Transaction,
  generation: GenerationRecord,
  { position, rows, trail }: { position: Position; rows: number; trail?: string | undefined },
): Asking<void> {
  const { sourceName } = position;
  const { flow } = yield* readRun(tx.store, generation.run);
  const stood = (yield* findPosition(tx.store, flow, sourceName))?.position ?? null;
  const before = sourceName in generation.before ? generation.before : { ...generation.before, [sourceName]: stood };
  tx.store.update(GENERATION, encodeGeneration({ ...generation, position, rows, trail: trail ?? null, before }));
  yield* putPosition(tx.store, { flow, sourceName, position, atMs: tx.nowMs, run: generation.run });
}
