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

/** What may be over the next time; anything else stays as it is until somebody changes something. */
const FOR_NOW = /^SQLITE_(?:BUSY|LOCKED|PROTOCOL|INTERRUPT|NOMEM|FULL|IOERR|CANTOPEN)/;
const OF_CONTENT = /^SQLITE_(?:CONSTRAINT|MISMATCH|TOOBIG)/;

/** Everything that happens before the commit proves that nothing was applied. */
function sinkError(error: unknown, file: string): unknown {
  if (error instanceof NotAppliedError || error instanceof RefusedError) return error;
  if (error instanceof WaybillError) {
    return new RefusedError(error.message, { reason: error.code, about: 'request', hint: error.hint, cause: error });
  }
  const code = sqliteCode(error);
  if (code === undefined || FOR_NOW.test(code)) {
    const sinkAway = code !== 'SQLITE_BUSY';
    const hint = 'Make room, or see who holds the database; what was not sent stays sealed.';
    const why = code === undefined ? '' : ` (${code})`;
    return new NotAppliedError(`nothing was written to ${file}${why}`, { cause: error, hint, sinkAway });
  }
  if (OF_CONTENT.test(code)) {
    return new RefusedError(`the database refused it: ${describeError(error)}`, { reason: code, cause: error });
  }
  const hint = /ON CONFLICT clause/.test(describeError(error))
    ? 'Make a unique index on exactly the columns of `key`.'
    : 'Correct the connection or the table; what was not sent stays sealed.';
  const what = `SQLite refuses to write to ${file} (${code})`;
  return new RefusedError(what, { reason: code, about: 'request', hint, cause: error });
}
