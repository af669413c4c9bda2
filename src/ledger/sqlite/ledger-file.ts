import { randomBytes } from 'node:crypto';
import { dirname } from 'node:path';
import { WaybillError } from '../../model/errors.ts';
import { corrupt } from '../books/corrupt.ts';
import { query, table } from '../books/store.ts';
import type { DiskNow } from '../disk.ts';
import type { LedgerIdentity } from '../ledger.ts';
import type { Cell } from '../row-digest.ts';
import { betterSqlite, type Connection, type Driver } from './connection.ts';
import { isBusy, ledgerError, unreadable } from './failure.ts';
import { MIGRATIONS, SCHEMA_VERSION } from './migrations/all.ts';
import { now, SqliteStore } from './sqlite-store.ts';

export interface LedgerFile {
  readonly store: SqliteStore;
  readonly identity: LedgerIdentity;
}

interface OpenOptions {
  readonly readonly?: boolean;
  readonly driver?: Driver;
  /** This process has it open, and looked at its pages then. */
  readonly checked?: boolean;
}

/** `WBld`: tells a ledger from any other SQLite file. */
const APPLICATION_ID = 0x57426c64;
const PAGE_BYTES = 4096;
/** 16 MiB of log before it is folded into the file: at 4 MiB, folding takes a fifth of the time of a busy run. */
const CHECKPOINT_PAGES = 4096;
const BUSY_TIMEOUT_MS = 5000;
/** Each that fails means that another process did something meanwhile. */
const MOST_SWITCHES = 100;
/** How large a file may be for its pages to be checked whenever it is opened; about 60 ms then. */
const CHECKED_AT_OPEN_BYTES = 64 * 1024 * 1024;

/** What there is to know about the ledger as a whole. Its form is the same in every schema version. */
export const META = table('meta', 100, { keys: ['name'], rest: ['value'] });
const META_OF = query(META, 'WHERE name = ?');
/** The seed itself stands in this table, so its rows are signed without one. */
export const UNSEEDED = new Uint8Array(16);

/** Makes the file, its folder and its schema where they are missing. Throws as `openFile`. */
export function createFile(path: string, id: string, driver: Driver = betterSqlite): void {
  guarded(path, 'creating the ledger', () => {
    makeFolder(driver.disk, dirname(path));
    // Made here, since SQLite would make it readable to others; its side files then get the same mode.
    driver.disk.makeFileNow(path);
    const db = connect(path, { readonly: false, driver });
    try {
      if (isEmpty(db)) {
        // SQLite syncs the folder of its files, and not that folder's own name; `makeFolder` may not have lived to.
        driver.disk.syncFolderNow(dirname(dirname(path)));
        initialise(db, id);
      }
    } finally {
      db.close();
    }
  });
}

/** With its parents; Node's own way of doing that never returns where a parent cannot be made, as below /proc. */
function makeFolder(disk: DiskNow, folder: string): void {
  if (isThere(disk, folder)) return;
  if (dirname(folder) !== folder) makeFolder(disk, dirname(folder));
  try {
    disk.makeFolderNow(folder);
  } catch (error) {
    // Another process may have been faster.
    if (!isThere(disk, folder)) throw error;
  }
  disk.syncFolderNow(dirname(folder));
}

function isThere(disk: DiskNow, path: string): boolean {
  try {
    return disk.sizeNow(path) !== undefined;
  } catch {
    // What cannot be looked at, below a file say, cannot be made either; making it says why.
    return false;
  }
}

/**
 * With EXTRA, which also syncs the folder when the journal is removed: under FULL, the rollback journal of the switch
 * to WAL can come back after a power cut and take the ledger's first commits with it.
 */
function initialise(db: Connection, id: string): void {
  db.pragma('synchronous = EXTRA');
  db.pragma(`page_size = ${PAGE_BYTES}`);
  db.exec('BEGIN IMMEDIATE');
  // Another process may have been faster.
  if (db.prepare('SELECT count(*) FROM sqlite_master').pluck().get() === 0) {
    const meta = new SqliteStore(db, db.name, UNSEEDED);
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
export function openFile(path: string, options: OpenOptions = {}): LedgerFile {
  return guarded(path, 'opening the ledger', () => {
    const driver = options.driver ?? betterSqlite;
    const size = sizeOf(driver.disk, path);
    const readonly = options.readonly === true;
    const db = connect(path, { readonly, driver });
    try {
      if (size === 0 || isEmpty(db)) throw missing(path);
      if (db.pragma('application_id', { simple: true }) !== APPLICATION_ID)
        throw corrupt(path, 'it is a database, but no ledger');
      let identity = readIdentity(db, path);
      if (readonly && identity.schemaVersion < SCHEMA_VERSION) return reopened(db, path, driver);
      if (!readonly) {
        requireWal(db);
        if (size < CHECKED_AT_OPEN_BYTES && options.checked !== true) checkPages(db, path);
        if (identity.schemaVersion < SCHEMA_VERSION) identity = migrated(db, path);
      }
      return { store: new SqliteStore(db, path, identity.seed), identity };
    } catch (error) {
      db.close();
      throw error;
    }
  });
}

/** Whoever only looks cannot read tables that are not there yet. */
function reopened(db: Connection, path: string, driver: Driver): LedgerFile {
  db.close();
  const writing = connect(path, { readonly: false, driver });
  try {
    requireWal(writing);
    migrated(writing, path);
  } finally {
    writing.close();
  }
  return openFile(path, { readonly: true, driver });
}

/** The whole of it or nothing. Another process may have been faster. */
function migrated(db: Connection, path: string): LedgerIdentity {
  db.exec('BEGIN IMMEDIATE');
  try {
    const { schemaVersion } = readIdentity(db, path);
    for (const migration of MIGRATIONS.slice(schemaVersion)) db.exec(migration);
    const meta = new SqliteStore(db, path, UNSEEDED);
    meta.update(META, ['version', SCHEMA_VERSION]);
    meta.update(META, ['schema', schemaPrint(meta)]);
    db.exec('COMMIT');
  } catch (error) {
    if (db.inTransaction) db.exec('ROLLBACK');
    throw error;
  }
  return readIdentity(db, path);
}

function connect(path: string, options: { readonly: boolean; driver: Driver }): Connection {
  const db = options.driver.connect(path, { readonly: options.readonly, timeoutMs: BUSY_TIMEOUT_MS });
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
function requireWal(db: Connection): void {
  if (journalMode(db) === 'wal') return;
  db.pragma('synchronous = EXTRA');
  switchToWal(db);
  db.pragma('synchronous = FULL');
  const mode = journalMode(db);
  if (mode === 'wal') return;
  throw new WaybillError(
    'LEDGER_WRITE',
    `the ledger ${db.name} cannot keep a write-ahead log where it lies (${mode})`,
    {
      hint: 'Put it on a local disk; network folders cannot hold it.',
      ids: { path: db.name },
    },
  );
}

const journalMode = (db: Connection): string => String(db.pragma('journal_mode', { simple: true }));

/** SQLite waits here for who reads the file, and not for who may write to it: a lock of our own does. */
function switchToWal(db: Connection): void {
  for (let tries = 1; ; tries++) {
    try {
      db.pragma('journal_mode = WAL');
      return;
    } catch (error) {
      if (!isBusy(error) || tries === MOST_SWITCHES) throw error;
    }
    db.exec('BEGIN EXCLUSIVE');
    db.exec('COMMIT');
  }
}

/** No page at all. A file without tables may be a ledger whose first page is damaged: nothing is made in its place. */
const isEmpty = (db: Connection): boolean => db.pragma('page_count', { simple: true }) === 0;

function sizeOf(disk: DiskNow, path: string): number {
  const size = disk.sizeNow(path);
  if (size === undefined) throw missing(path);
  return size;
}

const missing = (path: string): WaybillError =>
  new WaybillError('LEDGER_MISSING', `there is no ledger at ${path}`, { ids: { path } });

function readIdentity(db: Connection, path: string): LedgerIdentity {
  const meta = new SqliteStore(db, path, UNSEEDED);
  const value = (name: string): Cell => {
    const cells = meta.oneNow(META_OF, name);
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

const schemaPrint = (meta: SqliteStore): number =>
  meta.print(
    now(
      meta.plain("SELECT type, name, tbl_name, sql FROM sqlite_master WHERE name NOT LIKE 'sqlite_%' ORDER BY name"),
    ).flat(),
  );

/** The lowest byte of SQLite's codes is what kind of error it is. */
const isIoError = (code: number): boolean => (code & 0xff) === 10;

function checkPages(db: Connection, path: string): void {
  const lines = db.prepare('PRAGMA quick_check(5)').pluck().all() as string[];
  if (lines.length === 1 && lines[0] === 'ok') return;
  // A page that the device does not hand over now says nothing of what stands on it.
  const unread = lines.find((line) => isIoError(Number(/error code=(\d+)/.exec(line)?.[1] ?? 0)));
  if (unread !== undefined) throw unreadable(path, unread);
  throw corrupt(path, lines.join('; '));
}

function guarded<T>(path: string, doing: string, work: () => T): T {
  try {
    return work();
  } catch (error) {
    throw ledgerError(error, path, doing);
  }
}
