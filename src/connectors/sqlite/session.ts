import { describeError, NotAppliedError, RefusedError, WaybillError } from '../../model/errors.ts';
import { type Handle, openDatabase, sqliteCode } from './database.ts';

/** One database file, opened at the first call; everything that is written to it is one transaction a call. */
export class SqliteSession {
  readonly #folder: string;
  readonly #file: string;
  #database: Handle | undefined;

  constructor(folder: string, file: string) {
    this.#folder = folder;
    this.#file = file;
  }

  /** What `work` throws rolls everything back, and the caller gets it as proof that nothing was applied. */
  transaction<T>(work: (database: Handle) => T): T {
    const database = this.#open();
    let result: T;
    try {
      // At once for writing: who reads first and writes later can find that somebody else has written in between.
      database.exec('begin immediate');
      result = work(database);
    } catch (error) {
      // Nothing was committed, and a rollback that fails leaves the rest to SQLite's recovery, which rolls back too.
      if (database.inTransaction) this.#rollBack(database);
      throw sinkError(error, this.#file);
    }
    this.#commit(database);
    return result;
  }

  close(): void {
    this.#database?.close();
    this.#database = undefined;
  }

  #commit(database: Handle): void {
    try {
      database.exec('commit');
    } catch (error) {
      // Still open: SQLite has refused the commit (a deferred foreign key, a reader's lock) and applied nothing.
      if (!database.inTransaction) {
        throw new WaybillError('SINK_FAILED', `the commit in ${this.#file} failed`, { cause: error });
      }
      this.#rollBack(database);
      throw sinkError(error, this.#file);
    }
  }

  #rollBack(database: Handle): void {
    try {
      database.exec('rollback');
    } catch (error) {
      if (sqliteCode(error) === undefined) throw error;
      this.close();
    }
  }

  #open(): Handle {
    if (this.#database !== undefined) return this.#database;
    let database: Handle | undefined;
    try {
      database = openDatabase(this.#folder, this.#file, { readonly: false });
      database.pragma('synchronous = EXTRA');
      database.pragma('foreign_keys = ON');
      this.#database = database;
      return database;
    } catch (error) {
      database?.close();
      throw sinkError(error, this.#file);
    }
  }
}

/** Everything that happens before the commit proves that nothing was applied. */
function sinkError(error: unknown, file: string): unknown {
  if (error instanceof NotAppliedError || error instanceof RefusedError) return error;
  const code = sqliteCode(error);
  if (code?.startsWith('SQLITE_CONSTRAINT') || code === 'SQLITE_MISMATCH') {
    return new RefusedError(`the database refused it: ${describeError(error)}`, { reason: code, cause: error });
  }
  const hint = /ON CONFLICT clause/.test(describeError(error))
    ? 'Make a unique index on exactly the columns of `key`.'
    : 'Correct the connection or the table; what was not sent stays sealed.';
  const details = { cause: error, hint, sinkAway: code !== 'SQLITE_BUSY' };
  return new NotAppliedError(`nothing was written to ${file}${code === undefined ? '' : ` (${code})`}`, details);
}
