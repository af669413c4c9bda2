import { randomBytes } from 'node:crypto';
import { closeSync, existsSync, mkdirSync, openSync, statSync } from 'node:fs';
import { dirname } from 'node:path';
import Database from 'better-sqlite3';
import { WaybillError } from '../../model/errors.ts';
import type { LedgerIdentity } from '../ledger.ts';
import type { Cell } from '../row-digest.ts';
import { corrupt, ledgerError } from './failure.ts';
import { MIGRATIONS, SCHEMA_VERSION } from './migrations/all.ts';
import { query, Store, table } from './store.ts';

export interface LedgerFile {
  readonly store: Store;
  readonly identity: LedgerIdentity;
}

/** `WBld`: tells a ledger from any other SQLite file. */
const APPLICATION_ID = 0x57426c64;
const PAGE_BYTES = 4096;
/** 16 MiB of log before it is folded into the file: at 4 MiB, folding takes a fifth of the time of a busy run. */
const CHECKPOINT_PAGES = 4096;
const BUSY_TIMEOUT_MS = 5000;
/** How large a file may be for its pages to be checked whenever it is opened; about 60 ms then. */
const CHECKED_AT_OPEN_BYTES = 64 * 1024 * 1024;

/** What there is to know about the ledger as a whole. Its form is the same in every schema version. */
export const META = table('meta', 100, { keys: ['name'], rest: ['value'] });
const META_OF = query(META, 'WHERE name = ?');
/** The seed itself stands in this table, so its rows are signed without one. */
export const UNSEEDED = new Uint8Array(16);

/** Makes the file, its folder and its schema where they are missing. Throws as `openFile`. */
export function createFile(path: string, id: string): void {
  guarded(path, 'creating the ledger', () => {
    makeFolder(dirname(path));
    // Made here, since SQLite would make it readable to others; its side files then get the same mode.
    closeSync(openSync(path, 'a', 0o600));
    const db = connect(path, { readonly: false });
    try {
      if (isEmpty(db)) initialise(db, id);
    } finally {
      db.close();
    }
  });
}

/** With its parents; Node's own way of doing that never returns where a parent cannot be made, as below /proc. */
function makeFolder(folder: string): void {
  if (existsSync(folder)) return;
  if (dirname(folder) !== folder) makeFolder(dirname(folder));
  try {
    mkdirSync(folder, { mode: 0o700 });
  } catch (error) {
    // Another process may have been faster.
    if (!existsSync(folder)) throw error;
  }
}

/**
 * With EXTRA, which also syncs the folder when the journal is removed: under FULL, the rollback journal of the switch
 * to WAL can come back after a power cut and take the ledger's first commits with it.
 */
function initialise(db: Database.Database, id: string): void {
  db.pragma('synchronous = EXTRA');
  db.pragma(`page_size = ${PAGE_BYTES}`);
  db.exec('BEGIN IMMEDIATE');
  // Another process may have been faster.
  if (db.prepare('SELECT count(*) FROM sqlite_master').pluck().get() === 0) {
    const meta = new Store(db, db.name, UNSEEDED);
    for (const migration of MIGRATIONS) db.exec(migration);
    db.pragma(`application_id = ${APPLICATION_ID}`);
    meta.insert(META, ['id', id]);
    meta.insert(META, ['seed', randomBytes(16)]);
    meta.insert(META, ['version', SCHEMA_VERSION]);
    meta.insert(META, ['schema', schemaPrint(meta)]);
  }
  db.exec('COMMIT');
  requireWal(db);
}

/**
 * Opens a ledger that is there. LEDGER_MISSING, LEDGER_NEWER, LEDGER_CORRUPT (no ledger, damaged, or changed by
 * somebody else), LEDGER_WRITE (cannot be opened or written), LEDGER_BUSY.
 */
export function openFile(path: string, options: { readonly?: boolean } = {}): LedgerFile {
  return guarded(path, 'opening the ledger', () => {
    const size = sizeOf(path);
    const readonly = options.readonly === true;
    const db = connect(path, { readonly });
    try {
      if (size === 0 || isEmpty(db)) throw missing(path);
      if (db.pragma('application_id', { simple: true }) !== APPLICATION_ID)
        throw corrupt(path, 'it is a database, but no ledger');
      const identity = readIdentity(db, path);
      if (!readonly) {
        requireWal(db);
        if (size < CHECKED_AT_OPEN_BYTES) checkPages(db, path);
      }
      return { store: new Store(db, path, identity.seed), identity };
    } catch (error) {
      db.close();
      throw error;
    }
  });
}

function connect(path: string, options: { readonly: boolean }): Database.Database {
  const db = new Database(path, { readonly: options.readonly, fileMustExist: true, timeout: BUSY_TIMEOUT_MS });
  db.pragma('cell_size_check = ON');
  db.pragma('trusted_schema = OFF');
  // Four MiB of pages: batches are written once and read by place, so more of them would only take room.
  db.pragma('cache_size = -4096');
  if (options.readonly) return db;
  db.pragma('synchronous = FULL');
  db.pragma(`wal_autocheckpoint = ${CHECKPOINT_PAGES}`);
  // On a Mac, a plain fsync leaves data in the cache of the disk.
  db.pragma('fullfsync = ON');
  db.pragma('checkpoint_fullfsync = ON');
  return db;
}

/** `initialise` may have been cut short just before the switch, which needs EXTRA whenever it is made. */
function requireWal(db: Database.Database): void {
  if (db.pragma('journal_mode', { simple: true }) === 'wal') return;
  db.pragma('synchronous = EXTRA');
  const mode = db.pragma('journal_mode = WAL', { simple: true });
  db.pragma('synchronous = FULL');
  if (mode === 'wal') return;
  throw new WaybillError(
    'LEDGER_WRITE',
    `the ledger ${db.name} cannot keep a write-ahead log where it lies (${String(mode)})`,
    {
      hint: 'Put it on a local disk; network folders cannot hold it.',
      ids: { path: db.name },
    },
  );
}

/** No page at all. A file without tables may be a ledger whose first page is damaged: nothing is made in its place. */
const isEmpty = (db: Database.Database): boolean => db.pragma('page_count', { simple: true }) === 0;

function sizeOf(path: string): number {
  const stat = statSync(path, { throwIfNoEntry: false });
  if (stat === undefined) throw missing(path);
  return stat.size;
}

const missing = (path: string): WaybillError =>
  new WaybillError('LEDGER_MISSING', `there is no ledger at ${path}`, { ids: { path } });

function readIdentity(db: Database.Database, path: string): LedgerIdentity {
  const meta = new Store(db, path, UNSEEDED);
  const value = (name: string): Cell => {
    const cells = meta.one(META_OF, name);
    if (cells === undefined) throw corrupt(path, `its ${name} is missing`, { table: 'meta', row: name });
    return cells[1] as Cell;
  };
  const schemaVersion = value('version') as number;
  if (schemaVersion > SCHEMA_VERSION) {
    throw new WaybillError(
      'LEDGER_NEWER',
      `the ledger ${path} has schema ${schemaVersion}; this Waybill knows ${SCHEMA_VERSION}`,
      { ids: { path, schemaVersion } },
    );
  }
  if (value('schema') !== schemaPrint(meta))
    throw corrupt(path, 'its tables are not those that it was made with', { table: 'sqlite_master' });
  return {
    id: value('id') as string,
    seed: new Uint8Array(value('seed') as Uint8Array),
    schemaVersion,
    place: path,
    local: true,
  };
}

const schemaPrint = (meta: Store): number =>
  meta.print(
    meta
      .plain("SELECT type, name, tbl_name, sql FROM sqlite_master WHERE name NOT LIKE 'sqlite_%' ORDER BY name")
      .flat(),
  );

function checkPages(db: Database.Database, path: string): void {
  const lines = db.prepare('PRAGMA quick_check(5)').pluck().all() as string[];
  if (lines.length === 1 && lines[0] === 'ok') return;
  throw corrupt(path, lines.join('; '));
}

function guarded<T>(path: string, doing: string, work: () => T): T {
  try {
    return work();
  } catch (error) {
    throw ledgerError(error, path, doing);
  }
}
