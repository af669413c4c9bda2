import type { Answer } from '../books/books-reader.ts';
import { Reading } from '../books/queries/reading.ts';
import type { Asking } from '../books/store.ts';
import { ledgerError } from './failure.ts';
import { now, type SqliteStore } from './sqlite-store.ts';

/** Questions, on a connection of their own that cannot write. Each sees the ledger as of one moment. */
export function answerFrom(store: SqliteStore, ledgerId: string): Answer {
  return async (what, question) => {
    try {
      return atOneMoment(store, question(new Reading(store, ledgerId)));
    } catch (error) {
      throw ledgerError(error, store.place, `reading ${what}`);
    }
  };
}

/** Ending the transaction can fail too, on a damaged file; there is nothing in it that could be lost. */
function atOneMoment<T>(store: SqliteStore, asking: Asking<T>): T {
  store.execute('BEGIN');
  try {
    return now(asking);
  } finally {
    if (store.db.open && store.db.inTransaction) store.execute('COMMIT');
  }
}
