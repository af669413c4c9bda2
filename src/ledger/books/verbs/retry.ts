import { WaybillError } from '../../../model/errors.ts';
import { type BatchId, type RunId, showBatch, showRun } from '../../../model/ids.ts';
import type { Child, Moved } from '../../ledger.ts';
import { addChildren, saveOutcome, settlePending } from '../outcome.ts';
import type { Asking } from '../store.ts';
import { readBatch } from '../tables/batches.ts';
import { notesOf } from '../tables/exceptions.ts';
import { findGeneration } from '../tables/generations.ts';
import { readRun } from '../tables/runs.ts';
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
  yield* refuseWhileRead(tx, batch.id, run);
  const notes = yield* notesOf(tx.store, batch);
  const children = yield* addChildren(tx, batch, notes, ask.children, 'refused');
  const after = saveOutcome(tx, batch, notes);
  tx.event(run, 'retried', { who: ask.who, reason: ask.reason, children: children.map((child) => child.id) }, batch.id);
  return yield* settlePending(tx, run, after, children);
}

/** What such a reading finds takes the place of what was refused before: both would be sent, or neither be counted. */
function* refuseWhileRead(tx: Transaction, batch: BatchId, id: RunId): Asking<void> {
  const { window, generation } = yield* readRun(tx.store, id);
  const reading = yield* findGeneration(tx.store, id, generation);
  if (reading?.state !== 'open' || reading.kind === 'first') return;
  throw new WaybillError(
    'MOVE_FORBIDDEN',
    `window ${window} (${showRun(id)}) is being read again, which decides what becomes of refused records`,
    {
      hint: 'Wait until the reading has ended, or start the window if its process is gone; then retry what is left.',
      ids: { batch: showBatch(batch), run: showRun(id), generation },
    },
  );
}
