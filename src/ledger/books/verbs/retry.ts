import { WaybillError } from '../../../model/errors.ts';
import { type BatchId, showBatch } from '../../../model/ids.ts';
import type { Child, Moved } from '../../ledger.ts';
import { addChildren, saveOutcome, settlePending } from '../outcome.ts';
import type { Asking } from '../store.ts';
import { readBatch } from '../tables/batches.ts';
import { notesOf } from '../tables/exceptions.ts';
import type { Transaction } from '../transaction.ts';

export function* retry(
  tx: Transaction,
  ask: { batch: BatchId; children: readonly Child[]; who: string; reason: string },
): Asking<Moved> {
  const batch = yield* readBatch(tx.store, ask.batch);
  const { run } = yield* tx.facts(batch.lane);
  if (batch.refused === 0 || ask.children.length === 0) {
    throw new WaybillError(
      'MOVE_FORBIDDEN',
      `batch ${showBatch(batch.id)} is ${batch.state} with ${batch.refused} refused records; there is nothing to retry`,
      {
        ids: { batch: showBatch(batch.id), state: batch.state },
      },
    );
  }
  const notes = yield* notesOf(tx.store, batch);
  const children = yield* addChildren(tx, batch, notes, ask.children, 'refused');
  const after = saveOutcome(tx, batch, notes);
  tx.event(run, 'retried', { who: ask.who, reason: ask.reason, children: children.map((child) => child.id) }, batch.id);
  return yield* settlePending(tx, run, after, children);
}
