import { existsSync } from 'node:fs';
import { resolve } from 'node:path';
import Database from 'better-sqlite3';
import { WaybillError } from '../../model/errors.ts';

export type Handle = Database.Database;

/** A query that gives rows as lists of values. */
export type Statement = Database.Statement<[Record<string, unknown>], readonly unknown[]>;

/** A name as SQL writes it. The only place where a name becomes part of a statement; values are always bound. */
export function quoteName(name: string): string {
  if (name === '' || name.includes('\0')) {
    throw new WaybillError('CONFIG_INVALID', `${JSON.stringify(name)} is not the name of a table or a column`);
  }
  return `"${name.replaceAll('"', '""')}"`;
}

const FOLDER = 'Correct `file` of the connection: it is meant from the folder of the flow file.';
const OR_MAKE = 'If it is to be a new one, make an empty file first: that is an empty database.';

/** Opens a file that exists; never makes one, since an empty database where data was expected hides a typing error. */
export function openDatabase(folder: string, file: string, options: { readonly: boolean }): Handle {
  const path = resolve(folder, file);
  if (!existsSync(path)) {
    throw new WaybillError('SOURCE_FAILED', `there is no database file ${path}`, {
      hint: options.readonly ? FOLDER : `${FOLDER} ${OR_MAKE}`,
      ids: { path },
    });
  }
  // A lock is waited for here only briefly, because the wait blocks the process; the engine tries again later.
  const database = new Database(path, { readonly: options.readonly, fileMustExist: true, timeout: 250 });
  database.defaultSafeIntegers(true);
  return database;
}

export interface Column {
  readonly name: string;
  readonly type: string;
}

/** The columns of a table that can be written, or undefined when there is no such table. */
export function columnsOfTable(database: Handle, table: string): readonly Column[] | undefined {
  const found = database
    .prepare<[string], Column>('select name, type from pragma_table_xinfo(?) where hidden = 0')
    .all(table);
  return found.length === 0 ? undefined : found;
}

export type Kind = 'table' | 'view' | 'none';

export function kindOf(database: Handle, name: string): Kind {
  const row = database
    .prepare<[string], { type: Kind }>(
      `select type from sqlite_schema where name = ? collate nocase and type in ('table', 'view')`,
    )
    .get(name);
  return row?.type ?? 'none';
}

/** SQLite's own code of an error (`SQLITE_BUSY`, `SQLITE_CONSTRAINT_UNIQUE`); undefined for any other error. */
export function sqliteCode(error: unknown): string | undefined {
  return error instanceof Database.SqliteError ? error.code : undefined;
}
