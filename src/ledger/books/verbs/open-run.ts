import { WaybillError } from '../../../model/errors.ts';
import { asRunId, showRun } from '../../../model/ids.ts';
import { isPull } from '../../../model/window.ts';
import type { LaneRow, LaneSpec, OpenedRun, OpenRun } from '../../ledger.ts';
import { balanceProblems } from '../balance.ts';
import { corrupt } from '../corrupt.ts';
import { expectInSight, expectLanes, expectNoRun, expectPulls, expectRuns } from '../sight.ts';
import type { Asking } from '../store.ts';
import { findGeneration, generationRow } from '../tables/generations.ts';
import {
  emptyTally,
  encodeLane,
  encodeTally,
  findLane,
  LANE,
  type LaneRecord,
  lanesOf,
  TALLY,
  toLaneRow,
} from '../tables/lanes.ts';
import { claimLease, RUN_LEASE, readLease } from '../tables/leases.ts';
import { encodeRun, findRun, RUN, type RunRecord, toRunRow } from '../tables/runs.ts';
import type { Transaction } from '../transaction.ts';
import { loseForsaken } from './claim-shard.ts';

/** `freshId`: a new name from the caller's ports, for a run that gets no correlation id. */
export function* openRun(tx: Transaction, ask: OpenRun & { readonly freshId: string }): Asking<OpenedRun> {
  const found = yield* findRun(tx.store, ask.flow, ask.window.name);
  if (found !== undefined) {
    yield* refuseWhileHeld(tx, found);
    yield* tx.checkChain(found.id);
    yield* expectWhole(tx, found);
  }
  if (isPull(ask.window.name)) yield* expectPulls(tx.store, ask.flow);
  const run = found === undefined ? yield* createRun(tx, ask) : goOn(tx, found, ask);
  for (const spec of ask.lanes) yield* openLane(tx, run, spec);
  const lease = yield* claimLease(tx.store, {
    run: run.id,
    ...RUN_LEASE,
    owner: ask.owner,
    untilMs: tx.nowMs + ask.leaseMs,
  });
  yield* expectFound(tx, run);
  tx.event(run.id, 'run-opened', { owner: ask.owner, fence: lease.fence, created: found === undefined });
  if (run.state === 'cancelled') yield* loseForsaken(tx, run.id, ask.owner);
  const generation = yield* findGeneration(tx.store, run.id, run.generation);
  return {
    run: yield* toRunRow(tx.store, run),
    lanes: yield* lanesInOrder(tx, run, ask.lanes),
    fence: lease.fence,
    leaseUntilMs: lease.untilMs,
    created: found === undefined,
    ...(generation === undefined ? {} : { generation: yield* generationRow(tx.store, generation) }),
  };
}

/** By whoever it is: two starts of one window in one process would get into each other's way, too. */
function* refuseWhileHeld(tx: Transaction, run: RunRecord): Asking<void> {
  const lease = yield* readLease(tx.store, run.id, RUN_LEASE.lane, RUN_LEASE.shard);
  if (lease === undefined || lease.untilMs <= tx.nowMs) return;
  const left = lease.untilMs - tx.nowMs;
  throw new WaybillError(
    'LEASE_HELD',
    `${run.flow} for ${run.window} (${showRun(run.id)}) is held by ${lease.owner} for another ${left} ms`,
    {
      ids: {
        run: showRun(run.id),
        flow: run.flow,
        window: run.window,
        owner: lease.owner,
        leaseUntilMs: lease.untilMs,
      },
    },
  );
}

/** A run is gone on with only if all of it is there, adds up, and is found where it is looked for. */
function* expectWhole(tx: Transaction, run: RunRecord): Asking<void> {
  yield* expectInSight(tx.store, run);
  const [problem] = yield* balanceProblems(tx.store, run.id);
  if (problem !== undefined) throw corrupt(tx.store.place, problem, { run: run.id });
}

/** What was just written goes where look-ups find it: in a damaged tree it may not. */
function* expectFound(tx: Transaction, run: RunRecord): Asking<void> {
  yield* expectRuns(tx.store, run.flow);
  yield* expectLanes(tx.store, run.id);
  const found = yield* findRun(tx.store, run.flow, run.window);
  if (found?.id !== run.id)
    throw corrupt(tx.store.place, `run r${run.id} was written, and is not found`, { run: run.id });
}

function* createRun(tx: Transaction, ask: OpenRun & { readonly freshId: string }): Asking<RunRecord> {
  yield* expectNoRun(tx.store, ask.flow, ask.window.name);
  const run: RunRecord = {
    id: asRunId(yield* tx.next(RUN)),
    flow: ask.flow,
    window: ask.window.name,
    windowStart: ask.window.start ?? null,
    windowEnd: ask.window.end ?? null,
    openedAtMs: tx.nowMs,
    state: 'open',
    paused: false,
    correlationId: ask.correlationId ?? ask.freshId,
    configDigest: ask.configDigest,
    generation: 0,
    endedAtMs: null,
    reason: null,
  };
  tx.store.insert(RUN, encodeRun(run));
  return run;
}

/** What the run has come to stays as it is until something gives it work. */
function goOn(tx: Transaction, found: RunRecord, ask: OpenRun): RunRecord {
  const run = { ...found, configDigest: ask.configDigest, correlationId: ask.correlationId ?? found.correlationId };
  tx.store.update(RUN, encodeRun(run));
  return run;
}

function* openLane(tx: Transaction, run: RunRecord, { lane: name, ...spec }: LaneSpec): Asking<void> {
  const found = yield* findLane(tx.store, run.id, name);
  const lane: LaneRecord =
    found === undefined
      ? { id: yield* tx.next(LANE), run: run.id, name, spec, paused: false, position: null }
      : { ...found, spec };
  if (found !== undefined) {
    tx.store.update(LANE, encodeLane(lane));
    return;
  }
  tx.store.insert(LANE, encodeLane(lane));
  tx.store.insert(TALLY, encodeTally(emptyTally(lane.id)));
}

/** Those that were asked for, in that order, and after them any that only an earlier start had. */
function* lanesInOrder(tx: Transaction, run: RunRecord, asked: readonly LaneSpec[]): Asking<LaneRow[]> {
  const rank = new Map(asked.map((spec, nth) => [spec.lane, nth]));
  const rows = (yield* lanesOf(tx.store, run.id)).map(toLaneRow);
  return rows.sort((a, b) => (rank.get(a.lane) ?? asked.length) - (rank.get(b.lane) ?? asked.length));
}
