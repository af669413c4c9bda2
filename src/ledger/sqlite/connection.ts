import Database from 'better-sqlite3';
import type { DiskNow } from '../disk.ts';
import { realDisk } from '../real-disk.ts';

/** What the ledger uses of a connection of `better-sqlite3`, so that it can be tried on a disk that loses power. */
export interface Connection {
  /** The path that it was opened with. */
  readonly name: string;
  readonly open: boolean;
  readonly inTransaction: boolean;
  prepare<P extends unknown[], R>(sql: string): Prepared<P, R>;
  pragma(text: string, options?: { readonly simple?: boolean }): unknown;
  exec(sql: string): unknown;
  close(): unknown;
}

export interface Prepared<P extends unknown[], R> {
  get(...params: P): R | undefined;
  all(...params: P): R[];
  iterate(...params: P): IterableIterator<R>;
  run(...params: P): { readonly changes: number };
  /** Rows as arrays of cells. */
  raw(on: boolean): Prepared<P, R>;
  /** The first cell of each row. */
  pluck(): Prepared<P, R>;
}

/** Where a ledger file lies, and what opens it. The file is there: `disk` made it. */
export interface Driver {
  readonly disk: DiskNow;
  connect(path: string, options: { readonly readonly: boolean; readonly timeoutMs: number }): Connection;
}

export const betterSqlite: Driver = {
  disk: realDisk,
  connect: (path, { readonly, timeoutMs }) => new Database(path, { readonly, fileMustExist: true, timeout: timeoutMs }),
};
