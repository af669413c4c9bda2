import { copyFileSync, existsSync, mkdirSync } from 'node:fs';
import { join } from 'node:path';
import type { LedgerIdentity } from '../../ledger/ledger.ts';
import { createFile, META, openFile, UNSEEDED } from '../../ledger/sqlite/ledger-file.ts';
import { now, SqliteStore } from '../../ledger/sqlite/sqlite-store.ts';

const LEDGER_ID = '00000000-0000-4000-8000-00000000beef';
const SEED = Uint8Array.from({ length: 16 }, (_, at) => at * 7 + 1);

/** A pair of connections, as every process has: one that writes, one that asks. */
export interface Connections {
  readonly writing: SqliteStore;
  readonly reading: SqliteStore;
}

/**
 * The real ledger file of a worker. It is made once from a migrated template; its connections, with their prepared
 * statements, are lent to one simulated process after the other, and its rows are removed after each schedule: opening
 * a database costs more than a whole schedule does. What a writer remembers is never lent: each process has its own.
 */
export class LedgerBench {
  readonly path: string;
  readonly identity: LedgerIdentity;
  readonly #free: Connections[] = [];
  readonly #all: Connections[] = [];
  readonly #tables: readonly string[];

  constructor(folder: string) {
    mkdirSync(folder, { recursive: true });
    this.path = join(folder, 'ledger.db');
    const template = join(folder, 'template.db');
    if (!existsSync(template)) makeTemplate(template);
    copyFileSync(template, this.path);
    const { store, identity } = openFile(this.path);
    this.identity = identity;
    const tables = now(store.plain("SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT IN ('meta')"));
    this.#tables = tables.map(([name]) => String(name));
    store.db.close();
  }

  lend(): Connections {
    const free = this.#free.pop();
    if (free !== undefined) return free;
    const writing = openFile(this.path).store;
    // Disks that fail are simulated elsewhere; here a sync would only cost time.
    writing.db.pragma('synchronous = OFF');
    const made = { writing, reading: openFile(this.path, { readonly: true }).store };
    this.#all.push(made);
    return made;
  }

  giveBack(connections: Connections): void {
    this.#free.push(connections);
  }

  /** An empty ledger again. */
  reset(): void {
    const { writing } = this.#all[0] ?? this.lend();
    writing.execute('BEGIN IMMEDIATE');
    for (const table of this.#tables) writing.execute(`DELETE FROM ${table}`);
    writing.execute('COMMIT');
    this.#free.length = 0;
    this.#free.push(...this.#all);
  }

  close(): void {
    for (const { writing, reading } of this.#all) {
      reading.db.close();
      writing.db.close();
    }
  }
}

/** Keys and digests depend on the seed of the ledger, so it has to be the same one in every replay. */
function makeTemplate(path: string): void {
  createFile(path, LEDGER_ID);
  const { db } = openFile(path).store;
  new SqliteStore(db, path, UNSEEDED).update(META, ['seed', SEED]);
  db.pragma('wal_checkpoint(TRUNCATE)');
  db.close();
}
