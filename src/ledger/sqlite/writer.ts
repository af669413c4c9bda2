import { Kept } from '../books/kept.ts';
import { Transaction } from '../books/transaction.ts';
import { type Command, carryOut } from '../books/verbs/all.ts';
import { COMMANDS_PER_COMMIT, type Outcome } from '../books/waiting.ts';
import { ledgerError } from './failure.ts';
import type { HighMark } from './high-mark.ts';
import { now, type SqliteStore } from './sqlite-store.ts';

/**
 * The one writer of a connection. Commands that are there together share a transaction and with it the one wait for
 * the disk. A command that throws takes nobody with it: what came before it is committed, it alone is refused, and
 * what comes after it goes on in the next transaction, exactly as if they had been asked one after the other.
 */
export class Writer {
  readonly #store: SqliteStore;
  readonly #ledgerId: string;
  readonly #mark: HighMark | undefined;
  readonly #kept = new Kept();

  constructor(store: SqliteStore, ledgerId: string, mark?: HighMark) {
    this.#store = store;
    this.#ledgerId = ledgerId;
    this.#mark = mark;
  }

  /** One outcome for each command, in their order. Never throws. */
  carryOut(commands: readonly Command[]): Outcome[] {
    const outcomes: Outcome[] = [];
    while (outcomes.length < commands.length) {
      const group = commands.slice(outcomes.length, outcomes.length + COMMANDS_PER_COMMIT);
      outcomes.push(...this.#group(group));
    }
    return outcomes;
  }

  /** Folds the log into the file. What a full disk has no room for stays in the log, where it is as safe. */
  close(): void {
    try {
      this.#store.db.pragma('wal_checkpoint(TRUNCATE)');
    } catch (error) {
      if (!(error instanceof Error && error.name === 'SqliteError')) throw error;
    } finally {
      this.#mark?.close();
      this.#store.db.close();
    }
  }

  /** Another connection of this process writes from now on, and folds the log when it ends. */
  leave(): void {
    this.#mark?.close();
    this.#store.db.close();
  }

  /** Outcomes for as many of the first commands as could be decided together; at least one. */
  #group(commands: readonly Command[]): Outcome[] {
    const values: unknown[] = [];
    try {
      this.#store.execute('BEGIN IMMEDIATE');
      this.#kept.begin(this.#store.scalarNow('PRAGMA data_version') as number);
      const tx = new Transaction(this.#store, this.#ledgerId, this.#kept);
      for (const command of commands) values.push(now(carryOut(tx, command)));
      now(tx.flush());
      this.#store.settle();
      this.#store.execute('COMMIT');
      if (tx.last !== undefined) this.#mark?.write(tx.last);
      return values.map((value) => ({ ok: true, value }));
    } catch (error) {
      this.#rollBack();
      if (commands.length === 1 || isShut(error)) return commands.map((command) => this.#refused(command, error));
      const guilty = values.length;
      // Thrown by the end of the transaction and not by a command: halving it finds out whose doing it was.
      if (guilty === commands.length) return this.#group(commands.slice(0, Math.ceil(guilty / 2)));
      const before = guilty === 0 ? [] : this.#group(commands.slice(0, guilty));
      // It was refused beside those: when one of them did not come about after all, it has to be asked again.
      const stands = before.length === guilty && before.every((outcome) => outcome.ok);
      return stands ? [...before, this.#refused(commands[guilty] as Command, error)] : before;
    }
  }

  #refused(command: Command, error: unknown): Outcome {
    return { ok: false, error: ledgerError(error, this.#store.place, command.verb) };
  }

  #rollBack(): void {
    this.#kept.undo();
    this.#store.forget();
    if (this.#store.db.inTransaction) this.#store.execute('ROLLBACK');
  }
}

/** The database as a whole cannot be written now: trying each command by itself would only take as long again. */
function isShut(error: unknown): boolean {
  const code = error instanceof Error && 'code' in error ? String(error.code) : '';
  return /^SQLITE_(BUSY|LOCKED|IOERR|READONLY|CANTOPEN|NOTADB|CORRUPT)/.test(code);
}
