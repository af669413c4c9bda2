import { WaybillError } from '../../../model/errors.ts';
import { showBatch } from '../../../model/ids.ts';
import { moveBatch } from '../../../model/states.ts';
import type { AttemptRef, Intend, Notes, ShardClaim } from '../../ledger.ts';
import { ATTEMPT, type AttemptRecord, encodeAttempt, readAttempt } from '../tables/attempts.ts';
import { type BatchRecord, readBatch } from '../tables/batches.ts';
import type { Transaction } from '../transaction.ts';
import { requireShard, shardOf, showShard } from './claim-shard.ts';

const LAST_ATTEMPT = 'SELECT max(id) FROM attempt';

export function intend(tx: Transaction, ask: Intend): { attempt: number } {
  const lease = requireShard(tx, ask);
  if (lease.untilMs <= tx.nowMs) {
    throw new WaybillError(
      'FENCED',
      `the lease of ${showShard(ask)} ran out ${tx.nowMs - lease.untilMs} ms ago; nothing may be sent under it`,
      {
        ids: { run: ask.run, lane: ask.lane, shard: ask.shard, fence: ask.fence },
      },
    );
  }
  const batch = batchIn(tx, ask, ask.batch);
  const state = moveBatch(batch.state, 'sending');
  const attempt: AttemptRecord = {
    id: tx.next(LAST_ATTEMPT),
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

/** A batch that the claim covers. */
export function batchIn(tx: Transaction, claim: ShardClaim, id: AttemptRef['batch']): BatchRecord {
  const batch = tx.kept.batches.get(id) ?? readBatch(tx.store, id);
  if (batch.lane === tx.laneId(claim.run, claim.lane) && shardOf(batch.seq) === claim.shard) return batch;
  throw new WaybillError('FENCED', `batch ${showBatch(id)} does not belong to ${showShard(claim)}`, {
    ids: { batch: showBatch(id), run: claim.run, lane: claim.lane, shard: claim.shard },
  });
}

export function note(tx: Transaction, ask: ShardClaim & AttemptRef & { notes: Notes }): void {
  requireShard(tx, ask);
  const batch = batchIn(tx, ask, ask.batch);
  const attempt =
    batch.state === 'sending' && batch.attempts === ask.attempt ? readAttempt(tx.store, batch.latest) : undefined;
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
