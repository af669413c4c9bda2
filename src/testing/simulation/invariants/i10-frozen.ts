import type { Evidence } from '../evidence.ts';

/** I10: what was sealed never changes: every attempt of a batch carries the same records, those that are staged. */
export function frozen({ book, final }: Evidence): void {
  for (const { request } of book.sends) {
    const { id, digest } = request.batch;
    const batch = final.batches.get(id);
    if (batch === undefined) {
      book.check('I10', false, () => `b${id} was sent and the ledger does not know it`);
      continue;
    }
    const same = digest === batch.row.digest && request.texts.join('\n') === batch.texts.join('\n');
    book.check('I10', same, () => `attempt ${request.attempt} of b${id} carried other records than were sealed`);
  }
}
