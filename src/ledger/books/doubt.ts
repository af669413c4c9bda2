import type { BatchRow, DoubtRow } from '../ledger.ts';
import { corrupt } from './corrupt.ts';
import type { Asking, Store } from './store.ts';
import { attemptsOf, toAttemptRow } from './tables/attempts.ts';
import type { BatchRecord } from './tables/batches.ts';
import { notesOf } from './tables/exceptions.ts';

/** A batch in doubt, with what there is to decide it by. */
export function* doubtRow(store: Store, batch: BatchRecord, row: BatchRow): Asking<DoubtRow> {
  const attempts = yield* attemptsOf(store, batch);
  const [first, last] = [attempts[0], attempts[attempts.length - 1]];
  if (first === undefined || last === undefined)
    throw corrupt(store.place, `batch b${batch.id} is in doubt and was never attempted`);
  const doubtful = (yield* notesOf(store, batch)).flatMap((note, index) =>
    note.state === 'in-doubt' && note.child === null ? [index] : [],
  );
  return { ...row, attempt: toAttemptRow(last), firstIntendedAtMs: first.intendedAtMs, doubtful };
}
