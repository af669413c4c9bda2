import { WaybillError } from '../../../model/errors.ts';
import { showBatch } from '../../../model/ids.ts';
import { moveBatch } from '../../../model/states.ts';
import type { AttemptRef, Intend, Notes, ShardClaim } from '../../ledger.ts';
import type { Asking } from '../store.ts';
import { ATTEMPT, type AttemptRecord, encodeAttempt, readAttempt } from '../tables/attempts.ts';
import { type BatchRecord, readBatch } from '../tables/batches.ts';
import type { Transaction } from '../transaction.ts';
import { knownShard, requireShard, shardOf, showShard } from './claim-shard.ts';

export function* intend(tx: Transaction, ask: Intend): Asking<{ attempt: number }> {
  const lease = knownShard(tx, ask) ?? (yield* requireShard(tx, ask));
  if (lease.untilMs <= tx.nowMs) {
    throw new WaybillError(
      'FENCED',
      `the lease of ${showShard(ask)} ran out ${tx.nowMs - lease.untilMs} ms ago; nothing may be sent under it`,
      {
        ids: { run: ask.run, lane: ask.lane, shard: ask.shard, fence: ask.fence },
      },
    );
  }
  const batch = knownIn(tx, ask, ask.batch) ?? (yield* batchIn(tx, ask, ask.batch));
  const state = moveBatch(batch.state, 'sending');
  const attempt: AttemptRecord = {
    id: tx.nextKnown(ATTEMPT) ?? (yield* tx.next(ATTEMPT)),
    batch: batch.id,
    attempt: batch.attempts + 1,
    previous: batch.attempts === 0 ? null : batch.latest,
    fence: ask.fence,
    intendedAtMs: tx.nowMs,
    deadlineMs: ask.deadlineMs,
    notes: ask.notes ?? {},
    answeredAtMs: null,
    answer: null,
    applied: 0,
    refused: 0,
    unknown: 0,
    receipt: null,
    reason: null,
    print: null,
  };
  tx.store.insert(ATTEMPT, encodeAttempt(attempt));
  const after = { ...batch, state, attempts: attempt.attempt, latest: attempt.id, reason: null };
  tx.saveBatch(batch, after);
  tx.kept.attempts.set(batch.id, attempt);
  tx.event(ask.run, 'intended', { attempt: attempt.attempt, fence: ask.fence }, batch.id);
  return { attempt: attempt.attempt };
}

/** A batch that the claim covers, if it is remembered. */
export function knownIn(tx: Transaction, claim: ShardClaim, id: AttemptRef['batch']): BatchRecord | undefined {
  const batch = tx.kept.batches.get(id);
  const mine = batch !== undefined && batch.lane === tx.knownLane(claim.run, claim.lane);
  return mine && shardOf(batch.seq) === claim.shard ? batch : undefined;
}

/** A batch that the claim covers. */
export function* batchIn(tx: Transaction, claim: ShardClaim, id: AttemptRef['batch']): Asking<BatchRecord> {
  const batch = tx.kept.batches.get(id) ?? (yield* readBatch(tx.store, id));
  if (batch.lane === (yield* tx.laneId(claim.run, claim.lane)) && shardOf(batch.seq) === claim.shard) return batch;
  throw new WaybillError('FENCED', `batch ${showBatch(id)} does not belong to ${showShard(claim)}`, {
    ids: { batch: showBatch(id), run: claim.run, lane: claim.lane, shard: claim.shard },
  });
}

export function* note(tx: Transaction, ask: ShardClaim & AttemptRef & { notes: Notes }): Asking<void> {
  yield* requireShard(tx, ask);
  const batch = knownIn(tx, ask, ask.batch) ?? (yield* batchIn(tx, ask, ask.batch));
  const attempt =
    batch.state === 'sending' && batch.attempts === ask.attempt
      ? yield* readAttempt(tx.store, batch.latest)
      : undefined;
  tx.kept.attempts.delete(batch.id);
  if (attempt === undefined) {
    throw new WaybillError(
      'MOVE_FORBIDDEN',
      `attempt ${ask.attempt} of batch ${showBatch(batch.id)} is not open; nothing can be noted about it`,
      {
        ids: { batch: showBatch(batch.id), attempt: ask.attempt, state: batch.state },
      },
    );
  }
  tx.store.update(ATTEMPT, encodeAttempt({ ...attempt, notes: { ...attempt.notes, ...ask.notes } }));
}
