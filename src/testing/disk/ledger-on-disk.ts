import { BooksLedger } from '../../ledger/books/books-ledger.ts';
import { BooksReader } from '../../ledger/books/books-reader.ts';
import type { DiskNow } from '../../ledger/disk.ts';
import type { Ledger } from '../../ledger/ledger.ts';
import type { Connection, Driver } from '../../ledger/sqlite/connection.ts';
import { ledgerError } from '../../ledger/sqlite/failure.ts';
import { HighMark } from '../../ledger/sqlite/high-mark.ts';
import { createFile, META, openFile, UNSEEDED } from '../../ledger/sqlite/ledger-file.ts';
import { LocalWriter } from '../../ledger/sqlite/local-writer.ts';
import { answerFrom } from '../../ledger/sqlite/reader.ts';
import { SqliteStore } from '../../ledger/sqlite/sqlite-store.ts';
import { Writer } from '../../ledger/sqlite/writer.ts';
import type { Clock } from '../../model/ports.ts';
import type { SimDisk } from './sim-disk.ts';
import { wasmDriver } from './wasm-connection.ts';
import type { WasmSqlite } from './wasm-sqlite.ts';

export interface OpenOnDisk {
  readonly path: string;
  readonly ports: Clock & { id(): string };
  /** As in `openSqliteLedger`. */
  readonly mark?: string;
  /** After how many pages the log is folded into the file; as in production when absent. */
  readonly checkpointPages?: number;
  /** A pragma to be taken instead of one of the ledger's; for planted mistakes. */
  readonly pragma?: (text: string) => string;
  /** The file passes for one that is too large to be looked through whenever it is opened. */
  readonly large?: boolean;
  /** The secret of a ledger that is made now; by chance when absent, so that no two ledgers are alike. */
  readonly seed?: Uint8Array;
}

export interface LedgerOnDisk {
  readonly ledger: Ledger;
  /** Lets go of the memory without touching the disk: the process is gone. */
  drop(): void;
}

/**
 * The ledger as it is, with its schema, verbs and questions, on a simulated disk. Questions share the writer's
 * connection, since that has the file for itself; a question never runs within a transaction of the writer.
 */
export function openLedgerOn(sqlite: WasmSqlite, disk: SimDisk, options: OpenOnDisk): LedgerOnDisk {
  const { path, ports } = options;
  const wasm = wasmDriver(sqlite, disk, options.pragma);
  const driver = options.large === true ? { ...wasm, disk: enlarged(disk) } : wasm;
  const made = disk.find(path) === undefined;
  createFile(path, ports.id(), driver);
  if (made && options.seed !== undefined) setSeed(path, driver, options.seed);
  const { store, identity } = openFile(path, { driver });
  if (options.checkpointPages !== undefined) store.db.pragma(`wal_autocheckpoint = ${options.checkpointPages}`);
  const mark = options.mark === undefined ? undefined : markFor(disk, options.mark, identity.id);
  try {
    mark?.expectReached(store);
  } catch (error) {
    throw ledgerError(error, path, 'opening the ledger');
  }
  const borrowed = new SqliteStore(borrow(store.db), path, identity.seed);
  const reader = new BooksReader(answerFrom(borrowed, identity.id));
  const writer = new LocalWriter(new Writer(store, identity.id, mark), path, ports);
  return {
    ledger: new BooksLedger({ identity, reader, writer, ports, closeReader: () => void borrowed.db.close() }),
    drop: () => {
      store.db.close();
      sqlite.forget(disk);
    },
  };
}

function setSeed(path: string, driver: Driver, seed: Uint8Array): void {
  const { db } = openFile(path, { driver }).store;
  new SqliteStore(db, path, UNSEEDED).update(META, ['seed', seed]);
  db.close();
}

/** A disk whose files are all as large as can be, to whoever asks. */
const enlarged = (disk: SimDisk): DiskNow =>
  new Proxy<DiskNow>(disk, {
    get: (_, name) => {
      if (name === 'sizeNow') return (path: string) => disk.sizeNow(path) && Number.MAX_SAFE_INTEGER;
      const value: unknown = Reflect.get(disk, name, disk);
      return typeof value === 'function' ? value.bind(disk) : value;
    },
  });

const markFor = (disk: SimDisk, path: string, ledger: string): HighMark => new HighMark({ disk, path, ledger });

/** The same connection, which this holder cannot close. */
const borrow = (db: Connection): Connection => ({
  name: db.name,
  get open() {
    return db.open;
  },
  get inTransaction() {
    return db.inTransaction;
  },
  prepare: (sql) => db.prepare(sql),
  pragma: (text, options) => db.pragma(text, options),
  exec: (sql) => db.exec(sql),
  close: () => undefined,
});
