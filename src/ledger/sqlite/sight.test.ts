import { copyFileSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import Database from 'better-sqlite3';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { HISTORY } from '../../model/slice.ts';
import { Book, delivered, LEASE_MS, refusedWith } from '../../testing/suites/ledger-fixture.ts';
import type { Ledger } from '../ledger.ts';
import { openSqliteLedger } from './open.ts';

const WINDOW = '2026-11-19';
const PULL = 'pull-000002';
let nowMs = Date.UTC(2026, 10, 19, 6);
const ports = { wallMs: () => nowMs, monotonicMs: () => nowMs, id: () => '00000000-0000-4000-8000-000000000001' };
let folder = '';
let whole = '';
let held: Book;
let copies = 0;

const open = (path: string): Promise<Ledger> => openSqliteLedger({ path, ports, thread: 'main', create: true });

beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), 'waybill-sight-'));
  whole = join(folder, 'whole.db');
  const ledger = await open(whole);
  await window(ledger);
  await pull(ledger);
  await ledger.emitted({ emitter: 'queue', seq: 7 });
  await ledger.close();
  nowMs += 2 * LEASE_MS;
});
afterAll(() => rmSync(folder, { recursive: true }));

/** One batch is delivered, one is being sent, one waits, another lane waits; a load is open, columns are kept. */
async function window(ledger: Ledger): Promise<void> {
  held = await Book.open(ledger, { lanes: ['api', 'archive'] });
  await held.start();
  const ids = await held.seal([2, 2, 2]);
  await held.seal([3], 'archive');
  await held.close();
  while (!(await ledger.indexKeys({})).done);
  await ledger.keepSchema({ ...held.claim, lane: 'api', generation: 1, columns: [], changes: [] });
  await ledger.moveLoad({ ...held.claim, lane: 'api', generation: 1, to: 'opening' });
  const { claim } = await held.deliver(ids[0]!, delivered(2));
  await ledger.intend({ ...claim, batch: ids[1]!, deadlineMs: 100 });
}

/** A pull that has moved a position, with a slice and a row of history. */
async function pull(ledger: Ledger): Promise<void> {
  const book = await Book.open(ledger, { flow: 'rates', window: 'pull-000001' });
  await book.start();
  await ledger.seal({
    ...book.claim,
    generation: 1,
    batches: [],
    unbatched: [],
    counts: [],
    rows: 0,
    position: { sourceName: 'table', kind: 'row', value: '5' },
    slice: { offset: 0, records: 1, bytes: 4, digest: Buffer.alloc(32, 7), late: 0, systemTimeMs: 1, part: 'a.csv' },
    history: {
      kinds: Uint8Array.of(HISTORY.insert),
      keys: Buffer.alloc(16, 1),
      lengths: Uint32Array.of(4),
      rows: Buffer.from('row1'),
    },
  });
  await book.close();
}

/** What happens to the file behind the ledger's back. */
type Damage = (db: Database.Database) => void;

/** The index forgets a row: that is removed, and written again while nobody knows that there is an index. */
const forgotten =
  (index: string, table: string, where: string): Damage =>
  (db) => {
    db.unsafeMode(true);
    const row = db.prepare(`SELECT * FROM ${table} WHERE ${where}`).get() as Record<string, unknown>;
    db.exec(`DELETE FROM ${table} WHERE ${where}`);
    db.pragma('writable_schema = ON');
    const entry = db.prepare('SELECT * FROM sqlite_schema WHERE name = ?').get(index) as Record<string, unknown>;
    const sql = db.prepare('SELECT sql FROM sqlite_schema WHERE name = ?').pluck().get(table) as string;
    const setSql = db.prepare('UPDATE sqlite_schema SET sql = ? WHERE name = ?');
    db.prepare('DELETE FROM sqlite_schema WHERE name = ?').run(index);
    setSql.run(sql.replace(/,\s*UNIQUE \([^)]*\)/, ''), table);
    db.pragma('writable_schema = RESET');
    const columns = Object.keys(row);
    const names = columns.map((name) => `"${name}"`).join(', ');
    const cells = columns.map((name) => `@${name}`).join(', ');
    db.prepare(`INSERT INTO ${table} (${names}) VALUES (${cells})`).run(row);
    db.pragma('writable_schema = ON');
    db.prepare('INSERT INTO sqlite_schema VALUES (@type, @name, @tbl_name, @rootpage, @sql)').run(entry);
    setSql.run(sql, table);
    db.pragma('writable_schema = RESET');
  };
const done =
  (sql: string): Damage =>
  (db) =>
    void db.exec(sql);

/** With a copy of the ledger, to which this happens after it was opened: a large one is not looked through then. */
async function damaged<T>(damage: Damage, work: (ledger: Ledger) => Promise<T>): Promise<T> {
  const path = join(folder, `copy ${++copies}.db`);
  copyFileSync(whole, path);
  const ledger = await open(path);
  try {
    const db = new Database(path);
    damage(db);
    db.close();
    return await work(ledger);
  } finally {
    await ledger.close();
  }
}

const goOn = (ledger: Ledger): Promise<string> =>
  refusedWith(Book.open(ledger, { lanes: ['api', 'archive'], owner: 'second' }));
const pullOn = (ledger: Ledger): Promise<string> =>
  refusedWith(Book.open(ledger, { flow: 'rates', window: PULL, owner: 'second' }));

describe('a ledger whose trees have lost sight of a row', () => {
  it('that nothing has happened to is gone on with', async () => {
    expect(await damaged(done(''), goOn)).toBe('not refused');
    expect(await damaged(done(''), pullOn)).toBe('not refused');
  });

  it.each<[string, Damage]>([
    ['its run', forgotten('sqlite_autoindex_run_1', 'run', `"window" = '${WINDOW}'`)],
    ['a lane', forgotten('sqlite_autoindex_lane_1', 'lane', `name = 'archive'`)],
    ['its reading', done('DELETE FROM generation WHERE run = 1')],
    ['its lease', done('DELETE FROM lease WHERE run = 1 AND lane = 0')],
    ['what a lane was counted with', done('DELETE FROM generation_lane WHERE lane = 2')],
    ['a batch that was delivered', forgotten('batch_lane', 'batch', 'id = 1')],
    ['a batch that waits', forgotten('batch_notable', 'batch', 'id = 3')],
    ['a batch that is being sent', forgotten('batch_notable', 'batch', 'id = 2')],
    ['keys', forgotten('members_lane', 'members', 'lane = 1')],
    ['the index of its keys', forgotten('key_part_lane', 'key_part', 'lane = 1')],
    ['how far that index goes', done('DELETE FROM key_lane WHERE lane = 1')],
    ['a load', done('DELETE FROM load')],
    ['the columns of its sink', forgotten('event_schema_kept', 'event', 'kind = 19')],
  ])('is found out before a window is gone on with: %s', async (_, damage) => {
    expect(await damaged(damage, goOn)).toBe('LEDGER_CORRUPT');
  });

  it.each<[string, Damage]>([
    ['where the source stands', done(`UPDATE position SET flow = 'rate'`)],
    ['a slice', forgotten('slice_flow', 'slice', 'id = 1')],
    ['what new rows are compared with', done(`UPDATE history SET key = zeroblob(16)`)],
  ])('is found out before anything new is read: %s', async (_, damage) => {
    expect(await damaged(damage, pullOn)).toBe('LEDGER_CORRUPT');
  });

  it('is found out before an emitter says everything again', async () => {
    const asked = (ledger: Ledger): Promise<string> => refusedWith(ledger.read.emitted('queue'));
    expect(await damaged(done(''), asked)).toBe('not refused');
    expect(await damaged(done(`UPDATE emitter SET name = 'queux'`), asked)).toBe('LEDGER_CORRUPT');
  });

  it('is found out before a shard is claimed whose lease is not found', async () => {
    const claim = async (ledger: Ledger): Promise<string> => {
      const book = await Book.open(ledger, { lanes: ['api', 'archive'], owner: 'second' });
      return await refusedWith(book.claimShard({ owner: 'second' }));
    };
    expect(await damaged(done(''), claim)).toBe('not refused');
    expect(await damaged(done('DELETE FROM lease WHERE run = 1 AND lane = 1'), claim)).toBe('LEDGER_CORRUPT');
  });

  it('is found out by verify, too, where a batch that waits would never be sent', async () => {
    const found = await damaged(forgotten('batch_notable', 'batch', 'id = 3'), (ledger) => ledger.read.verify());
    expect(found).toContain('lane api of run r1: of 1 batches that are sealed, not all are found so');
  });
});
