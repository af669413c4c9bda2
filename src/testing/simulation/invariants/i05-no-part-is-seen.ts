import type { Evidence } from '../evidence.ts';

/** I5: who reads a transactional sink, at whatever moment, sees a batch whole or not at all. */
export function noPartIsSeen({ book }: Evidence): void {
  for (const { batch, seen, whole } of book.looks) {
    book.check('I5', seen === 0 || seen === whole, () => `a reader saw ${seen} of ${whole} records of b${batch}`);
  }
}
