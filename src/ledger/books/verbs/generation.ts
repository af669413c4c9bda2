import { assert } from '../../../model/assert.ts';
import { WaybillError } from '../../../model/errors.ts';
import { type BatchId, type RunId, showBatch, showRun } from '../../../model/ids.ts';
import type { CloseGeneration, RunClaim, StartGeneration, SupersededCounts } from '../../ledger.ts';
import { corrupt } from '../corrupt.ts';
import { saveOutcome, setRunState, skipBatch } from '../outcome.ts';
import { type Asking, inTurn, query } from '../store.ts';
import { BATCH, decodeBatch, readBatch } from '../tables/batches.ts';
import { notesOf } from '../tables/exceptions.ts';
import {
  completeGeneration,
  encodeGeneration,
  findGeneration,
  GENERATION,
  type GenerationLane,
  type GenerationRecord,
  generationLane,
  generationLanes,
  saveGenerationLane,
} from '../tables/generations.ts';
import { lanesOf, readLane } from '../tables/lanes.ts';
import { RUN_LEASE, requireLease, voidLease } from '../tables/leases.ts';
import { decodeUnbatched, MEMBERS, UNBATCHED } from '../tables/members.ts';
import { putPosition } from '../tables/positions.ts';
import { encodeRun, RUN, readRun } from '../tables/runs.ts';
import type { Transaction } from '../transaction.ts';
import { shardOf } from './claim-shard.ts';
import { giveUpLoads } from './load.ts';

export function* startGeneration(tx: Transaction, ask: StartGeneration): Asking<{ generation: number }> {
  yield* requireLease(tx.store, { run: ask.run, ...RUN_LEASE, fence: ask.fence });
  const run = yield* readRun(tx.store, ask.run);
  if (run.state === 'cancelled' && ask.reopens !== true) {
    const since = 'was cancelled since this start has opened it; it is begun again by another start only';
    throw new WaybillError('MOVE_FORBIDDEN', `run ${showRun(run.id)} ${since}`, { ids: { run: showRun(run.id) } });
  }
  if ((yield* findGeneration(tx.store, run.id, run.generation))?.state === 'open') {
    throw forbidden(run.id, run.generation, 'is still open; close or abandon it before another is started');
  }
  const generation = run.generation + 1;
  // First, while they are what they were when their bytes were looked for: a load that is given up takes its batches
  // along, and those would be sealed no more.
  const withdrawn = ask.withdraw ?? [];
  for (const id of withdrawn) yield* withdraw(tx, run.id, id, generation);
  yield* giveUpLoads(tx, run.id);
  const opened = run.state === 'open' ? run : setRunState(tx, run, 'open');
  tx.store.update(RUN, encodeRun({ ...opened, generation }));
  const fresh: GenerationRecord = {
    run: run.id,
    generation,
    kind: ask.kind,
    startedAtMs: tx.nowMs,
    reason: ask.reason,
    state: 'open',
    closedAtMs: null,
    position: null,
    rows: 0,
    before: {},
    trail: null,
  };
  tx.store.insert(GENERATION, encodeGeneration(fresh));
  if ((yield* findGeneration(tx.store, run.id, generation)) === undefined)
    throw corrupt(tx.store.place, `generation ${generation} of run r${run.id} was written, and is not found`);
  for (const lane of yield* lanesOf(tx.store, run.id))
    yield* saveGenerationLane(tx.store, yield* generationLane(tx.store, run.id, generation, lane.id));
  const also = withdrawn.length === 0 ? {} : { withdrawn };
  tx.event(run.id, 'generation-started', { generation, kind: ask.kind, reason: ask.reason, ...also });
  return { generation };
}

/** Only what is sealed: of anything else something may have been applied. */
function* withdraw(tx: Transaction, run: RunId, id: BatchId, generation: number): Asking<void> {
  const batch = yield* readBatch(tx.store, id);
  const ids = { run: showRun(run), batch: showBatch(id) };
  if ((yield* tx.facts(batch.lane)).run !== run || batch.state !== 'sealed') {
    throw new WaybillError('MOVE_FORBIDDEN', `${showBatch(id)} is ${batch.state}; only what is sealed is withdrawn`, {
      ids,
    });
  }
  skipBatch(tx, batch, `its bytes are lost; generation ${generation} reads its records again`);
}

export function* closeGeneration(tx: Transaction, ask: CloseGeneration): Asking<SupersededCounts[]> {
  const generation = yield* openGeneration(tx, ask);
  const vanished = new Map(ask.vanished.map(({ lane, records }) => [lane, records]));
  const superseded = yield* supersede(tx, ask);
  const before = yield* generationLanes(tx.store, ask.run, ask.generation);
  const lanes = yield* inTurn(before, function* (lane) {
    const { read, same, sealed, unbatched } = lane;
    assertAddsUp(lane);
    const { name } = yield* readLane(tx.store, lane.lane);
    lane.vanished += vanished.get(name) ?? 0;
    yield* saveGenerationLane(tx.store, lane);
    return {
      lane: name,
      read,
      same,
      sealed,
      unbatched,
      vanished: lane.vanished,
    };
  });
  tx.store.update(GENERATION, encodeGeneration({ ...generation, state: 'closed', closedAtMs: tx.nowMs }));
  const also = superseded.length === 0 ? {} : { superseded };
  tx.event(ask.run, 'generation-closed', { generation: ask.generation, lanes, ...also });
  return superseded;
}

export function* interruptGeneration(tx: Transaction, ask: RunClaim & { generation: number }): Asking<void> {
  const generation = yield* openGeneration(tx, ask);
  for (const lane of yield* generationLanes(tx.store, ask.run, ask.generation)) assertAddsUp(lane);
  tx.store.update(GENERATION, encodeGeneration({ ...generation, state: 'interrupted', closedAtMs: tx.nowMs }));
  tx.event(ask.run, 'generation-closed', { generation: ask.generation, interrupted: true });
}

function assertAddsUp(lane: GenerationLane): void {
  const { run, read, same, sealed, unbatched } = lane;
  const figures = { run: showRun(run), lane: lane.lane, read, same, sealed, unbatched };
  assert(read === same + sealed + unbatched, 'generation.read-adds-up', figures);
}

const UNBATCHED_BEFORE = query(UNBATCHED, 'WHERE lane = ? AND generation >= ? AND generation < ?');

/**
 * Takes out of the totals what this reading has taken the place of: the named records of batches, and everything that
 * got into no batch since the window was last read to its end. A reading of the whole window judges all of it anew.
 */
function* supersede(tx: Transaction, ask: CloseGeneration): Asking<SupersededCounts[]> {
  const counts = new Map<number, { refused: number; skipped: number }>();
  const complete = yield* completeGeneration(tx.store, ask.run);
  for (const { id: lane } of yield* lanesOf(tx.store, ask.run)) {
    const gone = { refused: 0, skipped: 0 };
    counts.set(lane, gone);
    yield* tx.store.each(UNBATCHED_BEFORE, [lane, complete, ask.generation], (cells) => {
      gone[decodeUnbatched(tx.store, cells).state === 'refused' ? 'refused' : 'skipped']++;
    });
    const tally = yield* tx.tally(lane);
    tally.read -= gone.refused + gone.skipped;
    tally.refused -= gone.refused;
    tally.skipped -= gone.skipped;
  }
  for (const { batch, picks } of ask.superseded ?? []) {
    const { lane, refused, skipped } = yield* supersedeIn(tx, ask.generation, batch, picks);
    const gone = counts.get(lane)!;
    gone.refused += refused;
    gone.skipped += skipped;
  }
  const some = [...counts].filter(([, gone]) => gone.refused + gone.skipped > 0);
  return yield* inTurn(some, function* ([lane, gone]) {
    return { lane: (yield* readLane(tx.store, lane)).name, ...gone };
  });
}

function* supersedeIn(
  tx: Transaction,
  generation: number,
  id: BatchId,
  picks: readonly number[],
): Asking<{ lane: number; refused: number; skipped: number }> {
  const batch = yield* readBatch(tx.store, id);
  const notes = yield* notesOf(tx.store, batch);
  const ids = { batch: showBatch(id), generation };
  for (const pick of picks) {
    const note = notes[pick];
    const idle = note !== undefined && note.child === null && (note.state === 'refused' || note.state === 'skipped');
    assert(idle && batch.generation < generation, 'superseded.was-refused-or-skipped-before', { ...ids, index: pick });
    note.state = 'superseded';
  }
  const after = saveOutcome(tx, batch, notes);
  return { lane: batch.lane, refused: batch.refused - after.refused, skipped: batch.skipped - after.skipped };
}

const BATCHES_OF = query(BATCH, 'WHERE lane = ? AND generation = ?');
const UNBATCHED_OF = query(UNBATCHED, 'WHERE lane = ? AND generation = ?');
const MEMBERS_OF = 'SELECT id FROM members WHERE lane = ? AND generation = ?';

/**
 * Removes what was sealed, and puts the position back to where it stood, so that the next extraction reads the same
 * again. Ids of removed batches are never given out a second time, and whoever holds a shard of them is fenced off.
 */
export function* abandonGeneration(
  tx: Transaction,
  ask: RunClaim & { generation: number; reason: string },
): Asking<{ records: number }> {
  const generation = yield* openGeneration(tx, ask);
  const run = yield* readRun(tx.store, ask.run);
  let records = 0;
  for (const lane of yield* lanesOf(tx.store, ask.run)) records += yield* forgetLane(tx, ask, lane.id);
  for (const [sourceName, before] of Object.entries(generation.before)) {
    yield* putPosition(tx.store, { flow: run.flow, sourceName, position: before, atMs: tx.nowMs, run: run.id });
  }
  tx.store.update(
    GENERATION,
    encodeGeneration({ ...generation, state: 'abandoned', closedAtMs: tx.nowMs, position: null, rows: 0 }),
  );
  tx.event(ask.run, 'generation-abandoned', { generation: ask.generation, reason: ask.reason, records });
  return { records };
}

function* forgetLane(tx: Transaction, ask: { run: RunId; generation: number }, lane: number): Asking<number> {
  const tally = yield* tx.tally(lane);
  let records = 0;
  const shards = new Set<number>();
  for (const cells of yield* tx.store.many(BATCHES_OF, lane, ask.generation)) {
    const batch = decodeBatch(tx.store, cells);
    if (batch.attempts > 0 || batch.state !== 'sealed') {
      throw forbidden(
        ask.run,
        ask.generation,
        `has batches that were ${batch.attempts > 0 ? 'attempted' : batch.state}; it can no longer be abandoned`,
      );
    }
    tx.store.remove(BATCH, batch.id);
    tx.kept.batches.delete(batch.id);
    shards.add(shardOf(batch.seq));
    tally.batches--;
    tally.read -= batch.records;
    tally.pending -= batch.records;
    records += batch.records;
  }
  for (const shard of shards) yield* voidLease(tx.store, { run: ask.run, lane, shard });
  for (const cells of yield* tx.store.many(UNBATCHED_OF, lane, ask.generation)) {
    const { id, state } = decodeUnbatched(tx.store, cells);
    tx.store.remove(UNBATCHED, id);
    tally.read--;
    tally[state === 'refused' ? 'refused' : 'skipped']--;
  }
  for (const [id] of yield* tx.store.plain(MEMBERS_OF, lane, ask.generation)) tx.store.remove(MEMBERS, id as number);
  return records;
}

/** The generation that a claim may still add to: the latest, and open. */
export function* openGeneration(tx: Transaction, ask: RunClaim & { generation: number }): Asking<GenerationRecord> {
  yield* requireLease(tx.store, { run: ask.run, ...RUN_LEASE, fence: ask.fence });
  const generation = yield* findGeneration(tx.store, ask.run, ask.generation);
  if (generation === undefined) throw forbidden(ask.run, ask.generation, 'does not exist');
  if (generation.state !== 'open') throw forbidden(ask.run, ask.generation, `is ${generation.state}`);
  return generation;
}

const forbidden = (run: RunId, generation: number, why: string): WaybillError =>
  new WaybillError('MOVE_FORBIDDEN', `generation ${generation} of run ${showRun(run)} ${why}`, {
    ids: { run: showRun(run), generation },
  });
