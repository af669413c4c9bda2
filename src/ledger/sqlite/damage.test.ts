import { copyFileSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { serialize } from 'node:v8';
import Database from 'better-sqlite3';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { WaybillError } from '../../model/errors.ts';
import {
  Book,
  child,
  delivered,
  keyOf,
  keysOf,
  refusedWith,
  sealedBatch,
  shardClaim,
  verdict,
} from '../../testing/suites/ledger-fixture.ts';
import type { Ledger } from '../ledger.ts';
import { META, UNSEEDED } from './ledger-file.ts';
import { SCHEMA_VERSION } from './migrations/all.ts';
import { openSqliteLedger } from './open.ts';
import { SqliteStore } from './sqlite-store.ts';

const ports = {
  wallMs: () => Date.UTC(2026, 10, 19, 6),
  monotonicMs: () => 0,
  id: () => '00000000-0000-4000-8000-000000000001',
};
let folder = '';
let whole = '';
let answers: unknown;

beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), 'waybill-damage-'));
  whole = join(folder, 'whole.db');
  const ledger = await open(whole, true);
  await fill(ledger);
  answers = await everything(ledger);
  expect(await ledger.read.verify()).toEqual([]);
  await ledger.close();
});
afterAll(() => rmSync(folder, { recursive: true }));

const open = (path: string, create = false): Promise<Ledger> =>
  openSqliteLedger({ path, ports, thread: 'main', create });

/** Rows in every table, in every state. */
async function fill(ledger: Ledger): Promise<void> {
  await Book.sealed(ledger, [4, 4], { window: '2026-11-18' });
  const book = await Book.open(ledger, { lanes: ['api', 'archive'] });
  await book.start();
  const position = { sourceName: 'members', kind: 'row', value: '500' };
  const unbatched = [
    { lane: 'archive', row: 501, state: 'refused', code: 'JSON_INVALID', message: 'not JSON' },
    { lane: 'archive', row: 502, key: keyOf(502), state: 'skipped', code: 'DUPLICATE_KEY', message: 'came before' },
  ] as const;
  const counts = [{ lane: 'archive', read: 202, same: 0, changed: 0, duplicates: 1 }];
  const batches = Array.from({ length: 20 }, (_, nth) => sealedBatch('archive', 1_000 + nth * 10, 10));
  await ledger.seal({ ...book.claim, generation: 1, batches, unbatched, counts, position, rows: 502 });
  const ids = await book.seal([3, 3, 3, 3, 3, 300]);
  await book.close();
  const { claim } = await book.deliver(ids[0]!, delivered(3));
  const receipt = { summary: '207', reference: 'req-9', excerpt: 'e'.repeat(9_000) };
  const parted = await book.deliver(ids[1]!, { ...verdict('arr', [child([1])]), receipt }, claim);
  await book.deliver(parted.children[0]!.id, verdict('u'), claim);
  await book.deliver(ids[2]!, verdict('aru'), claim);
  await book.deliver(ids[3]!, { kind: 'lost', evidence: 'cut off' }, claim);
  await ledger.intend({ ...claim, batch: ids[4]!, deadlineMs: 5, notes: { jobHandle: 'j' } });
  while (!(await ledger.indexKeys({})).done);
  // The generation may be closed by now; then there is one batch less.
  await book.seal([1]).catch(() => undefined);
  await ledger.emitted({ emitter: 'log', seq: 4 });
  const elsewhere = { flow: 'rates', sourceName: 'rates', who: 'ann' };
  for (const value of ['1', '2'])
    await ledger.setPosition({ ...elsewhere, position: { sourceName: 'rates', kind: 'row', value } });
  const archive = shardClaim((await book.claimShard({ lane: 'archive' }))!);
  for (const { id } of await ledger.read.batches({ run: book.run, lane: 'archive' }))
    await book.deliver(id, delivered(10), archive);
}

/** Every question that there is, with its answer. */
async function everything(ledger: Ledger): Promise<unknown> {
  const { read } = ledger;
  const runs = await read.runs({});
  const perRun = [];
  for (const { id } of runs) {
    const lanes = await read.lanes(id);
    const keys = [];
    for (const { lane } of lanes)
      keys.push(await read.laneKeys({ run: id, lane }), await read.findKeys({ run: id, lane, keys: keysOf(1, 12) }));
    const events = await read.events({ run: id });
    perRun.push(
      await read.run(id),
      lanes,
      keys,
      events,
      await read.generations(id),
      [...(await read.balance(id))],
      await read.doubts({ run: id }),
    );
  }
  const batches = await read.batches({});
  const perBatch = [];
  for (const { id } of batches) perBatch.push(await read.attempts(id), await read.children(id), await read.batch(id));
  const states = await read.batches({ states: ['sealed', 'sending', 'partial', 'in-doubt', 'refused'] });
  const traces = [];
  for (const number of [1, 2, 5, 9, 300, 1_050, 502]) traces.push(await read.trace({ key: keyOf(number) }));
  const listed = [await read.records({}), await read.records({ states: ['refused', 'skipped', 'in-doubt'] })];
  return {
    identity: ledger.identity.id,
    runs,
    perRun,
    batches,
    perBatch,
    states,
    traces,
    listed,
    events: await read.events({}),
    emitted: await read.emitted('log'),
    positions: await read.positions('members'),
  };
}

/** `same`, or how the damage was noticed. Fails when the answers differ and nobody says a word. */
async function judge(path: string, where: string): Promise<'same' | 'refused' | 'reported'> {
  let ledger: Ledger | undefined;
  try {
    ledger = await open(path);
    const problems = await ledger.read.verify();
    if (problems.length > 0) return 'reported';
    const found = await everything(ledger);
    // Compared as bytes, which is a hundred times faster; where they differ, the difference is shown.
    if (!serialize(found).equals(serialize(answers))) expect(found, where).toEqual(answers);
    return 'same';
  } catch (error) {
    if (!(error instanceof WaybillError)) throw error;
    expect(error.code, `${where}: ${error.message}`).toBe('LEDGER_CORRUPT');
    return 'refused';
  } finally {
    await ledger?.close();
  }
}

const copyWith = (name: string, change: (bytes: Buffer) => Buffer): string => {
  const path = join(folder, name);
  for (const side of ['-wal', '-shm']) rmSync(path + side, { force: true });
  writeFileSync(path, change(readFileSync(whole)));
  return path;
};

/** A linear congruential generator: the same places on every machine. */
function* numbers(): Generator<number> {
  for (let state = 20261119; ; ) {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
    yield state;
  }
}

describe('a ledger that was changed behind its back', () => {
  it('is noticed wherever a byte was changed, or gives the very same answers', async () => {
    const bytes = readFileSync(whole);
    // What was never written to is mostly zeros, and tells nothing when it changes.
    const written = [...bytes.keys()].filter((at) => at >= 100 && bytes[at] !== 0);
    const chance = numbers();
    const next = (below: number): number => Math.floor((chance.next().value / 2 ** 32) * below);
    const header = Array.from({ length: 100 }, (_, at) => at);
    const places = [...header, ...Array.from({ length: 400 }, () => written[next(written.length)] as number)];
    const found = { same: 0, refused: 0, reported: 0 };
    for (const place of places) {
      const mask = 1 << next(8);
      const path = copyWith('flipped.db', (bytes) => {
        bytes[place] = bytes[place]! ^ mask;
        return bytes;
      });
      found[await judge(path, `byte ${place} ^ ${mask}`)]++;
    }
    console.info(`${places.length} flipped bits:`, found);
    expect(found.refused + found.reported).toBeGreaterThan(300);
    expect(found.same).toBeGreaterThan(10);
  }, 120_000);

  it('is noticed when pages are swapped, zeroed, or missing at its end', async () => {
    const page = 4_096;
    const pages = readFileSync(whole).length / page;
    for (let nth = 1; nth < pages; nth++) {
      const zeroed = copyWith('zeroed.db', (bytes) => bytes.fill(0, nth * page, (nth + 1) * page));
      expect(await judge(zeroed, `page ${nth + 1} zeroed`)).not.toBe('same');
    }
    for (const cut of [1, page, page * 3 + 17]) {
      const path = copyWith('cut.db', (bytes) => bytes.subarray(0, bytes.length - cut));
      expect(await judge(path, `${cut} bytes cut off`)).not.toBe('same');
    }
  });

  it.each([
    ['a batch delivered that was not', 'UPDATE batch SET state = 4, delivered = records, in_doubt = 0 WHERE state = 7'],
    ['an attempt gone', 'DELETE FROM attempt WHERE id = 1'],
    ['a batch gone', 'DELETE FROM batch WHERE id = (SELECT max(id) FROM batch)'],
    ['an exception gone', 'DELETE FROM exception WHERE idx = 1'],
    ['the last event gone', 'DELETE FROM event WHERE seq = (SELECT max(seq) FROM event)'],
    ['an event changed', 'UPDATE event SET at = at + 1 WHERE seq = 5'],
    ['another person who has set a position', "UPDATE event SET detail = replace(detail, 'ann', 'bob') WHERE run = 0"],
    ['what a person did first gone', 'DELETE FROM event WHERE seq = (SELECT min(seq) FROM event WHERE run = 0)'],
    ['what a person did last gone', 'DELETE FROM event WHERE seq = (SELECT max(seq) FROM event WHERE run = 0)'],
    ['the chain of what persons did gone', 'DELETE FROM chain WHERE run = 0'],
    ['a position moved', "UPDATE position SET value = '499'"],
    ['keys of another record', 'UPDATE members SET keys = (SELECT keys FROM members WHERE id = 2) WHERE id = 3'],
    ['an unbatched record gone', 'DELETE FROM unbatched WHERE id = 1'],
    ['a lease handed to another', "UPDATE lease SET owner = 'nobody'"],
    ['a lease gone', 'DELETE FROM lease WHERE lane <> 0'],
    ['an index page gone', 'DELETE FROM key_page WHERE id = (SELECT max(id) FROM key_page)'],
    ['a row of the totals changed', 'UPDATE tally SET delivered = delivered + 1, pending = pending - 1 WHERE lane = 2'],
    ['the whole of a run gone', 'DELETE FROM run WHERE id = 1'],
    ['a table changed', 'ALTER TABLE batch ADD COLUMN more'],
    [
      'rows put back from elsewhere',
      'UPDATE batch SET (bytes, chk) = (SELECT bytes, chk FROM batch WHERE id = 2) WHERE id = 3',
    ],
  ])('is noticed with %s', async (_, sql) => {
    const path = copyWith('edited.db', (bytes) => bytes);
    const db = new Database(path);
    expect(db.prepare(sql).run()).toBeDefined();
    db.close();
    expect(await judge(path, sql)).not.toBe('same');
  });

  it('decides nothing on the strength of it: the verb that meets it is refused', async () => {
    const path = copyWith('decided.db', (bytes) => bytes);
    const db = new Database(path);
    db.prepare("UPDATE event SET detail = '[9]' WHERE seq = 6").run();
    db.prepare('UPDATE attempt SET fence = fence + 1').run();
    db.close();
    const ledger = await open(path);
    const [doubt] = await ledger.read.batches({ states: ['in-doubt'] });
    const settle = { batch: doubt!.id, who: 'ann', evidence: 'looked' };
    // Refused or not: what counts is that nothing is decided below.
    await ledger.breakLeases({ owner: 'first', evidence: 'gone' }).catch(() => undefined);
    expect(await refusedWith(ledger.settle({ ...settle, decision: { kind: 'skip' } }))).toBe('LEDGER_CORRUPT');
    expect(await refusedWith(Book.open(ledger, { owner: 'second' }))).toBe('LEDGER_CORRUPT');
    expect(await refusedWith(ledger.read.attempts(doubt!.id))).toBe('LEDGER_CORRUPT');
    expect(await refusedWith(ledger.read.doubts({}))).toBe('LEDGER_CORRUPT');
    await ledger.close();
  });
});

describe('opening', () => {
  const refused = (path: string, create = false): Promise<string> => refusedWith(open(path, create));

  it('makes a ledger only when it is asked to', async () => {
    expect(await refused(join(folder, 'none', 'ledger.db'))).toBe('LEDGER_MISSING');
    writeFileSync(join(folder, 'empty.db'), '');
    expect(await refused(join(folder, 'empty.db'))).toBe('LEDGER_MISSING');
    await (await open(join(folder, 'empty.db'), true)).close();
    await (await open(join(folder, 'empty.db'))).close();
  });

  it('tells a ledger of a newer Waybill, another database and a file of any kind apart', async () => {
    writeFileSync(
      join(folder, 'text.db'),
      'not a database, by far not, and longer than a header would be: '.repeat(20),
    );
    expect(await refused(join(folder, 'text.db'), true)).toBe('LEDGER_CORRUPT');
    const other = new Database(join(folder, 'other.db'));
    other.exec('CREATE TABLE run (id INTEGER PRIMARY KEY)');
    other.close();
    expect(await refused(join(folder, 'other.db'), true)).toBe('LEDGER_CORRUPT');
    expect(await refused(join(folder, 'other.db'))).toBe('LEDGER_CORRUPT');
  });

  it('refuses a schema that is newer than its own', async () => {
    const path = join(folder, 'newer.db');
    copyFileSync(whole, path);
    const db = new Database(path);
    new SqliteStore(db, path, UNSEEDED).update(META, ['version', SCHEMA_VERSION + 1]);
    db.close();
    expect(await refused(path)).toBe('LEDGER_NEWER');
  });
});
