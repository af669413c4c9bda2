import { WaybillError } from '../../../model/errors.ts';
import { type RunId, showRun } from '../../../model/ids.ts';
import { type LoadMove, type LoadRow, moveLoad as moveState } from '../../../model/load.ts';
import type { RunClaim } from '../../ledger.ts';
import { saveOutcome, setRunState } from '../outcome.ts';
import { type Asking, query } from '../store.ts';
import { BATCH, decodeBatch } from '../tables/batches.ts';
import { notesOf } from '../tables/exceptions.ts';
import { findGeneration } from '../tables/generations.ts';
import { lanesOf, requireLane } from '../tables/lanes.ts';
import { RUN_LEASE, requireLease, voidLease } from '../tables/leases.ts';
import { encodeLoad, findLoad, LOAD, type LoadRecord, loadsOf, loadsOfFlow, toLoadRow } from '../tables/loads.ts';
import { readRun } from '../tables/runs.ts';
import type { Transaction } from '../transaction.ts';
import { loseAttempt, shardOf } from './claim-shard.ts';

/** A step of a load is begun, has been done, or has been proved not to have happened. */
export function* moveLoad(tx: Transaction, ask: RunClaim & LoadMove): Asking<LoadRow> {
  yield* requireLease(tx.store, { run: ask.run, ...RUN_LEASE, fence: ask.fence });
  const lane = yield* requireLane(tx.store, ask.run, ask.lane);
  const before = yield* findLoad(tx.store, lane.id, ask.generation);
  if (before?.state === 'open' && ask.to === 'publishing') yield* refuseCancelled(tx, ask);
  if (before?.state === 'open' && ask.to === 'publishing' && ask.alone === true) yield* refuseBeside(tx, ask);
  const after = before === undefined ? yield* begun(tx, ask, lane.id) : moved(tx, before, ask);
  if (before !== undefined) tx.store.update(LOAD, encodeLoad(after));
  tx.event(ask.run, 'load-moved', {
    lane: ask.lane,
    generation: ask.generation,
    state: after.state,
    tries: after.tries,
    summary: ask.receipt?.summary,
    reason: ask.reason,
    undone: ask.undone?.map(({ run }) => showRun(run)),
  });
  if (ask.to === 'published' || ask.to === 'open') {
    if (ask.replaces === true) yield* replaceOlder(tx, lane.id, ask.generation);
    for (const other of ask.undone ?? []) yield* undo(tx, ask, other);
  }
  return toLoadRow(after, lane, yield* readRun(tx.store, ask.run));
}

/** What was sealed and not sent is skipped when its run is cancelled, so the load is not what the window brought. */
function* refuseCancelled(tx: Transaction, { run }: RunClaim): Asking<void> {
  if ((yield* readRun(tx.store, run)).state !== 'cancelled') return;
  throw new WaybillError('MOVE_FORBIDDEN', `${showRun(run)} was cancelled, so its load is not published`, {
    ids: { run: showRun(run) },
  });
}

function* refuseBeside(tx: Transaction, { run, lane }: RunClaim & LoadMove): Asking<void> {
  const { flow } = yield* readRun(tx.store, run);
  for (const load of yield* loadsOfFlow(tx.store, flow, lane)) {
    if (load.state !== 'publishing') continue;
    const other = yield* readRun(tx.store, (yield* tx.facts(load.lane)).run);
    if (other.id === run) continue;
    // A run that was cancelled is gone on with only when it is asked for anew.
    const call = `waybill run ${flow} --for ${other.window}${other.state === 'cancelled' ? ' --refresh' : ''}`;
    throw new WaybillError(
      'MOVE_FORBIDDEN',
      `${other.window} is being published, or may have been; that has to be found out first: ${call}`,
      { ids: { run: showRun(other.id), window: other.window } },
    );
  }
}

function* begun(tx: Transaction, ask: RunClaim & LoadMove, lane: number): Asking<LoadRecord> {
  const generation = yield* findGeneration(tx.store, ask.run, ask.generation);
  const run = yield* readRun(tx.store, ask.run);
  if (generation === undefined || run.generation !== ask.generation || ask.to !== 'opening') {
    throw new WaybillError('MOVE_FORBIDDEN', `a load begins with opening, in the latest generation of its run`, {
      ids: { run: showRun(ask.run), generation: ask.generation, to: ask.to },
    });
  }
  const fresh: LoadRecord = {
    lane,
    generation: ask.generation,
    beganAtMs: tx.nowMs,
    state: 'opening',
    tries: 1,
    publishedAtMs: null,
    opened: null,
    published: null,
    reason: null,
  };
  tx.store.insert(LOAD, encodeLoad(fresh));
  return fresh;
}

function moved(tx: Transaction, before: LoadRecord, ask: RunClaim & LoadMove): LoadRecord {
  const state = moveState(before.state, ask.to);
  const step = state === 'opening' || state === 'publishing';
  const again = before.state === state || (before.state === 'open' && before.reason !== null);
  return {
    ...before,
    state,
    tries: step ? (again ? before.tries + 1 : 1) : before.tries,
    reason: ask.reason ?? null,
    ...(ask.to === 'open' && ask.receipt !== undefined ? { opened: ask.receipt } : {}),
    ...(ask.to === 'published' ? { published: ask.receipt ?? null, publishedAtMs: tx.nowMs } : {}),
  };
}

function* replaceOlder(tx: Transaction, lane: number, generation: number): Asking<void> {
  for (const load of yield* loadsOf(tx.store, lane)) {
    if (load.generation < generation && load.state === 'published') yield* end(tx, load, 'replaced');
  }
}

/** What readers saw of another window is gone: its records count no more, and its run has something to do again. */
function* undo(tx: Transaction, by: RunClaim, other: NonNullable<LoadMove['undone']>[number]): Asking<void> {
  const lane = yield* requireLane(tx.store, other.run, other.lane);
  const load = yield* findLoad(tx.store, lane.id, other.generation);
  if (load === undefined || load.state !== 'published') return;
  yield* end(tx, load, 'replaced');
  const run = yield* readRun(tx.store, other.run);
  if (run.state !== 'open' && run.state !== 'cancelled') setRunState(tx, run, 'open');
  tx.event(other.run, 'load-moved', {
    lane: other.lane,
    generation: other.generation,
    state: 'replaced',
    tries: load.tries,
    reason: `${showRun(by.run)} took out what this window had brought; load it again`,
  });
}

/** Before a run begins a new generation: what was collected and never published is not going to be. */
export function* giveUpLoads(tx: Transaction, run: RunId): Asking<void> {
  for (const lane of yield* lanesOf(tx.store, run)) {
    for (const load of yield* loadsOf(tx.store, lane.id)) {
      if (load.state === 'publishing') {
        throw new WaybillError(
          'MOVE_FORBIDDEN',
          `generation ${load.generation} of ${showRun(run)} may have been published; that has to be found out first`,
          { ids: { run: showRun(run), generation: load.generation } },
        );
      }
      if (load.state === 'opening' || load.state === 'open') yield* end(tx, load, 'given-up');
    }
  }
}

/** Whether every load of the run's latest generation has been published. */
export function* loadsArePublished(tx: Transaction, run: RunId): Asking<boolean> {
  for (const lane of yield* lanesOf(tx.store, run)) {
    const latest = (yield* loadsOf(tx.store, lane.id)).at(-1);
    if (latest !== undefined && latest.state !== 'published') return false;
  }
  return true;
}

const BATCHES_OF = query(BATCH, 'WHERE lane = ? AND generation = ?');

/** The records of a load that readers do not see are counted nowhere. Whoever is still at it is fenced off. */
function* end(tx: Transaction, load: LoadRecord, to: 'given-up' | 'replaced'): Asking<void> {
  tx.store.update(LOAD, encodeLoad({ ...load, state: moveState(load.state, to) }));
  const shards = new Map<number, RunId>();
  for (const cells of yield* tx.store.many(BATCHES_OF, load.lane, load.generation)) {
    const found = decodeBatch(tx.store, cells);
    const { run } = yield* tx.facts(found.lane);
    shards.set(shardOf(found.seq), run);
    const batch = found.state === 'sending' ? yield* loseAttempt(tx, run, found, REASONS[to]) : found;
    const notes = yield* notesOf(tx.store, batch);
    const counted = notes.filter((note) => note.child === null && note.state !== 'superseded');
    if (counted.length === 0) continue;
    for (const note of counted) note.state = 'superseded';
    saveOutcome(tx, batch, notes, { possibly: null, reason: REASONS[to] });
  }
  for (const [shard, run] of shards) yield* voidLease(tx.store, { run, lane: load.lane, shard });
}

const REASONS = {
  'given-up': 'the load was given up before it was published; a later reading brings the records again',
  replaced: 'what the load had brought was taken out again by a later one',
} as const;
