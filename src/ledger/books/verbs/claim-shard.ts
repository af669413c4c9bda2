import { type RunId, showBatch, showRun } from '../../../model/ids.ts';
import { type BatchState, moveBatch } from '../../../model/states.ts';
import { type ClaimShard, SHARD_BATCHES, type Shard, type ShardClaim } from '../../ledger.ts';
import { BATCH_STATE, toCode } from '../codes.ts';
import { corrupt } from '../corrupt.ts';
import { doubtRow } from '../doubt.ts';
import { setRunState } from '../outcome.ts';
import { type Asking, inTurn, query } from '../store.ts';
import { ATTEMPT, type AttemptRecord, encodeAttempt, readAttempt } from '../tables/attempts.ts';
import { BATCH, type BatchRecord, decodeBatch, readBatch } from '../tables/batches.ts';
import { type LaneRecord, lanesOf, requireLane } from '../tables/lanes.ts';
import {
  claimLease,
  type LeaseRecord,
  readLease,
  requireLease,
  saveLease,
  showOwner,
  voidLease,
} from '../tables/leases.ts';
import { readRun } from '../tables/runs.ts';
import type { Transaction } from '../transaction.ts';
import { takePlace } from './place.ts';

export const shardOf = (seq: number): number => Math.floor((seq - 1) / SHARD_BATCHES);

export function* claimShard(tx: Transaction, ask: ClaimShard): Asking<Shard | undefined> {
  const run = yield* readRun(tx.store, ask.run);
  const lane = yield* requireLane(tx.store, ask.run, ask.lane);
  if (run.paused || lane.paused || run.state === 'cancelled') return undefined;
  const shard = yield* nextShard(tx, lane, ask);
  if (shard === undefined) return undefined;
  const first = shard * SHARD_BATCHES + 1;
  yield* takePlace(tx, lane, { nth: shard, first, last: first + SHARD_BATCHES - 1 }, ask);
  const before = yield* readLease(tx.store, ask.run, lane.id, shard);
  const lease = yield* claimLease(tx.store, {
    run: ask.run,
    lane: lane.id,
    shard,
    owner: ask.owner,
    untilMs: tx.nowMs + ask.leaseMs,
  });
  // A run that failed goes on when somebody takes up what it had left.
  if (run.state === 'failed') setRunState(tx, run, 'open');
  const sealed = yield* openBatches(tx, lane.id, shard, 'sealed');
  for (const batch of sealed) tx.kept.keep(batch);
  for (const batch of yield* openBatches(tx, lane.id, shard, 'sending')) yield* lose(tx, batch, before, lease);
  return {
    run: ask.run,
    lane: ask.lane,
    shard,
    fence: lease.fence,
    leaseUntilMs: lease.untilMs,
    ready: yield* inTurn(sealed, (batch) => tx.row(batch)),
    doubts: yield* inTurn(yield* openBatches(tx, lane.id, shard, 'in-doubt'), function* (batch) {
      return yield* doubtRow(tx.store, batch, yield* tx.row(batch));
    }),
  };
}

const FIRST_OPEN = `SELECT min(seq) FROM batch WHERE state = ? AND lane = ? AND seq > ? AND state <> 4`;
const OPEN: readonly BatchState[] = ['sealed', 'sending', 'in-doubt'];

/** The lowest shard that has open work, may be returned, and is held by nobody else. */
function* nextShard(tx: Transaction, lane: LaneRecord, ask: ClaimShard): Asking<number | undefined> {
  const only = ask.only === undefined ? undefined : yield* shardsOf(tx, lane, ask.only);
  for (let after = 0; ; ) {
    const firsts = yield* inTurn(OPEN, (state) =>
      tx.store.scalar(FIRST_OPEN, toCode(BATCH_STATE, state), lane.id, after),
    );
    const first = Math.min(...firsts.map((seq) => (seq as number | null) ?? Number.POSITIVE_INFINITY));
    if (first === Number.POSITIVE_INFINITY) return undefined;
    const shard = shardOf(first);
    const wanted = only?.has(shard) !== false && ask.skip?.includes(shard) !== true;
    if (wanted && (yield* isFree(tx, lane, shard, ask.owner))) return shard;
    after = (shard + 1) * SHARD_BATCHES;
  }
}

function* shardsOf(tx: Transaction, lane: LaneRecord, batches: NonNullable<ClaimShard['only']>): Asking<Set<number>> {
  const asked = yield* inTurn(batches, (id) => readBatch(tx.store, id));
  const mine = asked.filter((batch) => batch.lane === lane.id);
  return new Set(mine.map((batch) => shardOf(batch.seq)));
}

function* isFree(tx: Transaction, lane: LaneRecord, shard: number, owner: string): Asking<boolean> {
  const lease = yield* readLease(tx.store, lane.run, lane.id, shard);
  return lease === undefined || lease.untilMs <= tx.nowMs || lease.owner === owner;
}

const IN_SHARD = query(BATCH, 'WHERE state = ? AND lane = ? AND seq BETWEEN ? AND ? AND state <> 4 ORDER BY seq');

function* openBatches(tx: Transaction, lane: number, shard: number, state: BatchState): Asking<BatchRecord[]> {
  const first = shard * SHARD_BATCHES + 1;
  const rows = yield* tx.store.many(IN_SHARD, toCode(BATCH_STATE, state), lane, first, first + SHARD_BATCHES - 1);
  return rows.map((cells) => decodeBatch(tx.store, cells));
}

/**
 * What a process that is gone had sent in a run that was cancelled: no claim of a shard will find it, since there is
 * none any more. Whoever held the shard can bring no answer after this.
 */
export function* loseForsaken(tx: Transaction, run: RunId, owner: string): Asking<void> {
  for (const lane of yield* lanesOf(tx.store, run)) {
    const rows = yield* tx.store.many(SENDING, toCode(BATCH_STATE, 'sending'), lane.id);
    for (const batch of rows.map((cells) => decodeBatch(tx.store, cells))) {
      const before = yield* readLease(tx.store, run, lane.id, shardOf(batch.seq));
      if (before === undefined || before.untilMs > tx.nowMs) continue;
      yield* voidLease(tx.store, before);
      yield* lose(tx, batch, before, { ...before, owner });
    }
  }
}

const SENDING = query(BATCH, 'WHERE state = ? AND lane = ? AND state <> 4');

const iso = (atMs: number): string => new Date(atMs).toISOString();

/** Sent under an older claim and never answered: nobody knows what became of it. */
function* lose(tx: Transaction, batch: BatchRecord, before: LeaseRecord | undefined, lease: LeaseRecord): Asking<void> {
  const attempt = yield* readAttempt(tx.store, batch.latest);
  if (attempt.fence > (before?.fence ?? 0))
    throw corrupt(tx.store.place, `the lease under which ${showBatch(batch.id)} was sent is not found`, {
      table: 'lease',
    });
  const holder = before === undefined ? 'nobody known' : showOwner(before.owner);
  const takeover = `${showOwner(lease.owner)} took over ${iso(tx.nowMs)}`;
  yield* loseAttempt(tx, lease.run, batch, `no answer: sent ${iso(attempt.intendedAtMs)} by ${holder}; ${takeover}`);
}

/** Nobody will say what became of the open attempt of a batch that is `sending`. */
export function* loseAttempt(tx: Transaction, run: RunId, batch: BatchRecord, reason: string): Asking<BatchRecord> {
  const attempt = yield* readAttempt(tx.store, batch.latest);
  const answered: AttemptRecord = {
    ...attempt,
    answer: 'lost',
    answeredAtMs: tx.nowMs,
    unknown: batch.records,
    reason,
  };
  tx.store.update(ATTEMPT, encodeAttempt(answered));
  const moved = { state: moveBatch(batch.state, 'in-doubt'), pending: 0, inDoubt: batch.pending };
  const after = { ...batch, ...moved, reason };
  tx.saveBatch(batch, after);
  tx.event(
    run,
    'answered',
    { attempt: attempt.attempt, answer: 'lost', state: 'in-doubt', unknown: batch.records, reason },
    batch.id,
  );
  return after;
}

export function* renewShard(tx: Transaction, ask: ShardClaim & { leaseMs: number }): Asking<{ leaseUntilMs: number }> {
  const lease = yield* requireShard(tx, ask);
  const untilMs = tx.nowMs + ask.leaseMs;
  saveLease(tx.store, { ...lease, untilMs });
  return { leaseUntilMs: untilMs };
}

export function* releaseShard(tx: Transaction, ask: ShardClaim): Asking<void> {
  saveLease(tx.store, { ...(yield* requireShard(tx, ask)), untilMs: 0 });
}

/** The lease of a shard claim. RUN_UNKNOWN for a lane that is not there, FENCED when somebody else has it now. */
export function* requireShard(tx: Transaction, ask: ShardClaim): Asking<LeaseRecord> {
  const lane = yield* tx.laneId(ask.run, ask.lane);
  const lease = yield* requireLease(tx.store, { run: ask.run, lane, shard: ask.shard, fence: ask.fence });
  tx.kept.leases.set(keyOf(ask), lease);
  return lease;
}

const keyOf = (ask: ShardClaim): string => `${ask.run}/${ask.lane}/${ask.shard}`;

/** The same, if it is remembered. */
export function knownShard(tx: Transaction, ask: ShardClaim): LeaseRecord | undefined {
  const known = tx.kept.leases.get(keyOf(ask));
  return known?.fence === ask.fence ? known : undefined;
}

export const showShard = (ask: ShardClaim): string =>
  `shard ${ask.shard} of lane ${ask.lane} of run ${showRun(ask.run)}`;
