import type { Answer } from '../books/books-reader.ts';
import { Reading } from '../books/queries/reading.ts';
import type { Line } from './line.ts';
import type { PostgresStore } from './postgres-store.ts';

const BEGIN = 'BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY';

/** Questions, one after the other, on a connection of their own. Each sees the ledger as of one moment. */
export function answerFrom(line: Line, ledgerId: string, store: PostgresStore): Answer {
  let last: Promise<unknown> = Promise.resolve();
  return (what, question) => {
    const answer = last.then(() =>
      line.again(`reading ${what}`, async (session) => {
        await session.run(BEGIN);
        try {
          return await store.carry(session, question(new Reading(store, ledgerId)));
        } finally {
          // Nothing was written, so how it ends makes no difference.
          await session.rollBack();
        }
      }),
    );
    // The next question waits for this one, and not for what it came to.
    last = answer.catch(() => undefined);
    return answer;
  };
}
