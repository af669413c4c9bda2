import type { Answer, AttemptRef, ShardClaim } from './ledger.ts';

/**
 * Answers that the ledger has not got yet. An answer that was heard must not be lost again because the ledger is away
 * for a minute: it is made durable here first, and carried into the ledger when that is back, also by the next
 * process on this machine. Where the ledger shares this disk it is written only when the ledger refuses.
 */
export interface Journal {
  /** Durable when it resolves. Throws JOURNAL_WRITE; the entry may or may not be found later then. */
  write(entry: JournalEntry): Promise<void>;
  /**
   * Every entry that was not struck out, oldest first. A line that was cut short by a crash is left out.
   * Throws JOURNAL_READ.
   */
  entries(): Promise<readonly JournalEntry[]>;
  /** The ledger has it. */
  strike(entry: AttemptRef): Promise<void>;
  close(): Promise<void>;
}

export interface JournalEntry extends ShardClaim, AttemptRef {
  readonly ledger: string;
  readonly answer: Answer;
}
