import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import Database from 'better-sqlite3';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { Book } from '../../testing/suites/ledger-fixture.ts';
import type { Ledger } from '../ledger.ts';
import { META, openFile, UNSEEDED } from './ledger-file.ts';
import { MIGRATIONS, SCHEMA_VERSION } from './migrations/all.ts';
import { openSqliteLedger } from './open.ts';
import { now, SqliteStore } from './sqlite-store.ts';

const ports = {
  wallMs: () => Date.UTC(2026, 10, 19, 6),
  monotonicMs: () => 0,
  id: () => '00000000-0000-4000-8000-000000000001',
};
let folder = '';
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'waybill-migrations-'));
});
afterEach(() => rmSync(folder, { recursive: true }));

const open = (path: string, create = false): Promise<Ledger> =>
  openSqliteLedger({ path, ports, thread: 'main', create });

/** A ledger as the first schema left it, with a run in it. */
async function oldLedger(path: string): Promise<void> {
  const ledger = await open(path, true);
  await Book.sealed(ledger, [3]);
  await ledger.close();
  const db = new Database(path);
  const meta = new SqliteStore(db, path, UNSEEDED);
  db.exec(`DROP TABLE load; DROP TABLE slice; DROP TABLE look; DROP TABLE history;
    DROP INDEX event_schema_kept; DROP INDEX event_columns_left_out`);
  const rows = now(
    meta.plain("SELECT type, name, tbl_name, sql FROM sqlite_master WHERE name NOT LIKE 'sqlite_%' ORDER BY name"),
  );
  meta.update(META, ['version', 1]);
  meta.update(META, ['schema', meta.print(rows.flat())]);
  db.close();
}

describe('a ledger of an older schema', () => {
  it('F11: is brought up to date when it is opened, with all that is in it', async () => {
    const path = join(folder, 'old.db');
    await oldLedger(path);
    const ledger = await open(path);
    expect(ledger.identity.schemaVersion).toBe(SCHEMA_VERSION);
    expect(MIGRATIONS).toHaveLength(SCHEMA_VERSION);
    expect(await ledger.read.loads({ flow: 'members' })).toEqual([]);
    expect(await ledger.read.slices({ flow: 'members' })).toEqual([]);
    expect(await ledger.read.lastSlice('members')).toBeUndefined();
    expect(await ledger.read.batches({})).toHaveLength(1);
    expect(await ledger.read.verify()).toEqual([]);
    await ledger.close();
  });

  it('is brought up to date for whoever only looks', async () => {
    const path = join(folder, 'looked-at.db');
    await oldLedger(path);
    expect(openFile(path, { readonly: true }).identity.schemaVersion).toBe(SCHEMA_VERSION);
  });

  it('is left alone when its tables are not those of its schema', async () => {
    const path = join(folder, 'changed.db');
    await oldLedger(path);
    const db = new Database(path);
    db.exec('CREATE TABLE load (mine TEXT)');
    db.close();
    expect(() => openFile(path)).toThrow(/not those that it was made with/);
  });
});
