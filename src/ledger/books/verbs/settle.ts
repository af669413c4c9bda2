import { WaybillError } from '../../../model/errors.ts';
import { showBatch } from '../../../model/ids.ts';
import { tally } from '../../../model/verdict.ts';
import type { BatchRow, Child, Moved, Settle, SettleDecision } from '../../ledger.ts';
import { addChildren, saveOutcome, settlePending } from '../outcome.ts';
import type { Asking } from '../store.ts';
import { type BatchRecord, readBatch } from '../tables/batches.ts';
import { notesOf, type RecordNote } from '../tables/exceptions.ts';
import { readLease } from '../tables/leases.ts';
import type { Transaction } from '../transaction.ts';
import { applyOutcomes } from './answer.ts';
import { requireShard, shardOf } from './claim-shard.ts';
import { batchIn } from './intend.ts';

export function* settle(tx: Transaction, ask: Settle): Asking<Moved> {
  const batch = ask.claim === undefined ? yield* unclaimed(tx, ask) : yield* claimed(tx, ask, ask.claim);
  const { run } = yield* tx.facts(batch.lane);
  if (batch.state !== 'in-doubt') {
    throw new WaybillError(
      'MOVE_FORBIDDEN',
      `batch ${showBatch(batch.id)} is ${batch.state}, not in doubt; there is nothing to settle`,
      {
        ids: { batch: showBatch(batch.id), state: batch.state },
      },
    );
  }
  // Whatever cannot be taken back is not decided on the strength of a history that was tampered with.
  if (ask.decision.kind === 'resend' || ask.decision.kind === 'skip') yield* tx.checkChain(run);
  const records = batch.inDoubt;
  const { after, children } = yield* decide(tx, batch, ask);
  tx.event(
    run,
    'settled',
    {
      decision: ask.decision.kind,
      state: after.state,
      who: ask.who,
      evidence: ask.evidence,
      records: records - after.inDoubt,
      children: children.length === 0 ? undefined : children.map((child) => child.id),
    },
    batch.id,
  );
  return yield* settlePending(tx, run, after, children);
}

function* claimed(tx: Transaction, ask: Settle, claim: NonNullable<Settle['claim']>): Asking<BatchRecord> {
  yield* requireShard(tx, claim);
  return yield* batchIn(tx, claim, ask.batch);
}

/** By a person: refused while a worker holds the shard, which may be settling the same doubt just now. */
function* unclaimed(tx: Transaction, ask: Settle): Asking<BatchRecord> {
  const batch = yield* readBatch(tx.store, ask.batch);
  const { run } = yield* tx.facts(batch.lane);
  const lease = yield* readLease(tx.store, run, batch.lane, shardOf(batch.seq));
  if (lease === undefined || lease.untilMs <= tx.nowMs) return batch;
  throw new WaybillError(
    'LEASE_HELD',
    `batch ${showBatch(batch.id)} is being worked on by ${lease.owner} for another ${lease.untilMs - tx.nowMs} ms`,
    {
      ids: { batch: showBatch(batch.id), owner: lease.owner, leaseUntilMs: lease.untilMs },
    },
  );
}

const inDoubt = (note: RecordNote): boolean => note.state === 'in-doubt' && note.child === null;

function* decide(
  tx: Transaction,
  batch: BatchRecord,
  ask: Settle,
): Asking<{ after: BatchRecord; children: readonly BatchRow[] }> {
  const notes = yield* notesOf(tx.store, batch);
  const { decision } = ask;
  switch (decision.kind) {
    case 'known':
      return yield* known(tx, batch, notes, decision);
    case 'absent':
    case 'repeat':
    case 'resend':
      return yield* sendAgain(tx, batch, notes, decision, ask.evidence);
    case 'skip':
      for (const note of notes.filter(inDoubt)) note.state = 'skipped';
      // What was sent again without proof may be there twice, whatever is done with it afterwards.
      return {
        after: saveOutcome(tx, batch, notes, { reason: ask.evidence, possibly: twiceOr(batch, 'lost') }),
        children: [],
      };
    case 'delivered':
      for (const note of notes.filter(inDoubt)) note.state = 'delivered';
      return { after: saveOutcome(tx, batch, notes, { reason: ask.evidence }), children: [] };
  }
}

/** The verdict speaks of the whole batch; only what is in doubt is decided by it. */
function* known(
  tx: Transaction,
  batch: BatchRecord,
  notes: RecordNote[],
  decision: SettleDecision & { kind: 'known' },
): Asking<{ after: BatchRecord; children: readonly BatchRow[] }> {
  tally(decision, batch.records);
  applyOutcomes(notes, decision.outcomes, decision.refusals, inDoubt);
  const children = yield* addChildren(tx, batch, notes, decision.children, 'refused');
  return { after: saveOutcome(tx, batch, notes, { reason: decision.receipt.summary }), children };
}

const twiceOr = <P>(batch: BatchRecord, possibly: P): P | 'twice' => (batch.possibly === 'twice' ? 'twice' : possibly);

/** What is sent again without proof: twice at the worst, or, where the sink tells a repeat, there already. */
const POSSIBLY_AFTER = { absent: null, repeat: 'there', resend: 'twice' } as const;

function* sendAgain(
  tx: Transaction,
  batch: BatchRecord,
  notes: RecordNote[],
  decision: { kind: 'absent' | 'repeat' | 'resend'; child?: Child },
  evidence: string,
): Asking<{ after: BatchRecord; children: readonly BatchRow[] }> {
  const possibly = POSSIBLY_AFTER[decision.kind];
  if (decision.child !== undefined) {
    const left = batch.inDoubt - decision.child.picks.length;
    const children = yield* addChildren(tx, batch, notes, [decision.child], 'in-doubt', possibly);
    if (left === 0) return { after: saveOutcome(tx, batch, notes, { reason: evidence }), children };
    throw new WaybillError(
      'MOVE_FORBIDDEN',
      `the child leaves ${left} records of batch ${showBatch(batch.id)} in doubt; it must take all of them`,
      { ids: { batch: showBatch(batch.id) } },
    );
  }
  if (batch.inDoubt < batch.records) {
    throw new WaybillError(
      'MOVE_FORBIDDEN',
      `${batch.inDoubt} of ${batch.records} records of ${showBatch(batch.id)} are in doubt: a child must take them`,
      {
        ids: { batch: showBatch(batch.id) },
      },
    );
  }
  for (const note of notes) note.state = 'pending';
  return {
    after: saveOutcome(tx, batch, notes, {
      reason: evidence,
      possibly: twiceOr(batch, possibly),
    }),
    children: [],
  };
}
