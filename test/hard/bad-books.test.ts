import { mkdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import Database from 'better-sqlite3';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { table } from '../../src/ledger/books/store.ts';
import { SqliteStore } from '../../src/ledger/sqlite/sqlite-store.ts';
import { counts, DAY, DailyJob, members } from '../daily/daily-job.ts';
import { copyFolder, type Ended, expectError, filesBelow } from './processes.ts';

let job: DailyJob;
const books = (): string => join(job.folder, '.waybill');
const ledger = (): string => join(books(), 'ledger.db');
const run = () => job.cli(['run', 'roket-daily', '--for', DAY]);

/** Of six batches the first and third are delivered, the second is in doubt, the others wait to be sent. */
beforeEach(async () => {
  job = await DailyJob.open({
    members: members(600),
    behaviour: {
      faults: [
        { when: { nth: [2] }, apply: 'all', answer: 'close' },
        { when: { from: 4 }, apply: 'none', answer: { status: 429 } },
      ],
    },
    sink: { inFlight: '1' },
    flow: { retry: '{ attempts: 1, firstDelay: 20ms, maxDelay: 50ms, maxAge: 1s }' },
  });
  await run();
  copyFolder(books(), join(job.folder, 'kept'));
  job.peer.set({ faults: [] });
});
afterEach(() => job.close());

function restore(): void {
  rmSync(books(), { recursive: true, force: true });
  copyFolder(join(job.folder, 'kept'), books());
}

/** What the API was sent since it held `before` requests must be the batches that wait, whole, each at most once. */
function expectOnlyWaiting(before: number, payloads: ReadonlyMap<string, string>): void {
  const sent = job.peer.received.slice(before).map((request) => request.body);
  const waiting = ['b4', 'b5', 'b6'].map((id) => payloads.get(id)!);
  expect(sent.filter((body) => !waiting.includes(body))).toEqual([]);
  expect(new Set(sent).size).toBe(sent.length);
}

async function payloadsOf(): Promise<Map<string, string>> {
  const payloads = new Map<string, string>();
  for (const id of ['b4', 'b5', 'b6'])
    payloads.set(id, (await job.cli(['batches', 'show', id, '--payload'])).stdout.trimEnd());
  return payloads;
}

const READINGS = [['runs'], ['batches', 'r1'], ['trace', '150']];
/** Ages grow; all else must stay as it was. */
const timeless = (ended: Ended): string => ended.stdout.replace(/"(\w*[aA]geMs|durationMs)":\d+/g, '"$1":0');
const readAll = (): Promise<Ended[]> => Promise.all(READINGS.map((args) => job.cli([...args, '--output', 'json'])));

/** A corrupt ledger is said to be one, with what to do; or the answer is the one from before. */
function expectSameOrCorrupt(ended: Ended, before: string, where: string): 'same' | 'corrupt' {
  if (ended.status === 0) {
    expect(timeless(ended), where).toBe(before);
    return 'same';
  }
  const error = JSON.parse(ended.stderr.trim().split('\n').at(-1)!) as Record<string, unknown>;
  expect(error, where).toMatchObject({ code: 'LEDGER_CORRUPT', exitCode: 1, command: 'waybill verify' });
  expect(String(error.hint), where).toMatch(/backup/);
  expect(String(error.message), where).toMatch(/ledger\.db/);
  return 'corrupt';
}

/** The same numbers each time: a failure can be looked at again. */
function* numbers(seed: number): Generator<number> {
  for (let at = seed; ; ) {
    at = (Math.imul(at, 1_103_515_245) + 12_345) >>> 0;
    yield at >>> 8;
  }
}

/** Inverts one bit of a byte that holds something: most of what is nought belongs to nobody. */
function flip(path: string, random: Generator<number>): string {
  const bytes = readFileSync(path);
  const filled = [...bytes.keys()].filter((at) => bytes[at] !== 0);
  const at = filled[random.next().value % filled.length]!;
  const bit = random.next().value % 8;
  bytes[at] = bytes[at]! ^ (1 << bit);
  writeFileSync(path, bytes);
  return `bit ${bit} of byte ${at}`;
}

describe('a ledger that was changed behind its back', () => {
  it('is found out or answers as before, and makes nobody send what is not waiting to be sent', async () => {
    const payloads = await payloadsOf();
    const before = (await readAll()).map(timeless);
    const random = numbers(4711);
    const seen = { same: 0, corrupt: 0 };
    for (let round = 0; round < 9; round++) {
      restore();
      const where = flip(ledger(), random);
      for (const [nth, ended] of (await readAll()).entries()) seen[expectSameOrCorrupt(ended, before[nth]!, where)]++;
      const requests = job.peer.received.length;
      const ended = await run();
      const said = `${where}: ended with ${ended.status}: ${ended.stdout} ${ended.stderr}`;
      expect([1, 4], said).toContain(ended.status);
      if (ended.status === 1) expectError(ended, 'LEDGER_CORRUPT', 1);
      expectOnlyWaiting(requests, payloads);
    }
    // Where a flip lands depends on the ledger's own secret; that some are found out does not.
    expect(seen.corrupt, 'flips that were found out').toBeGreaterThan(0);
  });

  it.each([
    ['a state', 'update batch set state = 0 where id = 2'],
    ['a row that is gone', 'delete from batch where id = 2'],
    ['the attempts', 'delete from attempt'],
  ])('by somebody who changed %s is found out, and b2 is never sent again', async (_, sql) => {
    const payloads = await payloadsOf();
    const db = new Database(ledger());
    db.exec(sql);
    db.close();
    const requests = job.peer.received.length;
    expectError(await run(), 'LEDGER_CORRUPT', 1);
    expectOnlyWaiting(requests, payloads);
    const verified = await job.cli(['verify']);
    expect([1, 7], verified.stdout + verified.stderr).toContain(verified.status);
  });

  it('by somebody who deleted it is said to be gone: a new one would send everything again', async () => {
    rmSync(ledger());
    const requests = job.peer.received.length;
    const said = expectError(await run(), 'LEDGER_MISSING', 2);
    expect(said).toMatch(/backup/);
    expect(said).toMatch(/staging/);
    expect(job.peer.received).toHaveLength(requests);
    rmSync(join(books(), 'staging'), { recursive: true });
    const anew = await run();
    expect(anew.status, anew.stderr).toBe(0);
    expect(job.peer.received).toHaveLength(requests + 6);
  });

  it('by an old backup in its place is found out: it would send again what it has forgotten', async () => {
    const backup = readFileSync(ledger());
    await run();
    const requests = job.peer.received.length;
    for (const side of ['-wal', '-shm']) rmSync(ledger() + side, { force: true });
    const newest = readFileSync(ledger());
    writeFileSync(ledger(), backup);
    const said = expectError(await run(), 'LEDGER_OLDER', 1);
    expect(said).toMatch(/ledger\.mark/);
    // Without the mark, what is staged for a run that the ledger does not know tells, too.
    rmSync(join(books(), 'staging', 'ledger.mark'));
    mkdirSync(join(books(), 'staging', 'r2'));
    expect(expectError(await run(), 'LEDGER_OLDER', 1)).toMatch(/\br2\b/);
    expect(job.peer.received).toHaveLength(requests);
    rmSync(join(books(), 'staging', 'r2'), { recursive: true });
    writeFileSync(ledger(), newest);
    const again = await run();
    expect(again.status, again.stderr).toBe(4);
    expect(job.peer.received).toHaveLength(requests);
  });

  it.each([
    ['cut short', (bytes: Buffer) => bytes.subarray(0, bytes.length >> 1)],
    ['empty', () => Buffer.alloc(0)],
    ['no database', () => Buffer.from('these are not the bytes of a ledger, nor of any other database\n')],
  ])('to a file that is %s is refused, and never made anew over what is there', async (_, change) => {
    writeFileSync(ledger(), change(readFileSync(ledger())));
    const requests = job.peer.received.length;
    const ended = await run();
    expect(ended.status, ended.stderr).not.toBe(0);
    expect(ended.stderr).toMatch(/^error: .*ledger\.db/m);
    expect(ended.stderr).toMatch(/^ {2}do {4}.{10,}/m);
    expect(job.peer.received).toHaveLength(requests);
  });
});

describe('a ledger of a newer version', () => {
  it.each([[['run', 'roket-daily', '--for', DAY]], [['runs']], [['trace', '7']], [['verify']]])(
    'is left alone by %j, which says what to use',
    async (args) => {
      const db = new Database(ledger());
      const store = new SqliteStore(db, ledger(), new Uint8Array(16));
      store.update(table('meta', 100, { keys: ['name'], rest: ['value'] }), ['version', 99]);
      db.close();
      const bytes = readFileSync(ledger());
      const requests = job.peer.received.length;
      const said = expectError(await job.cli(args), 'LEDGER_NEWER', 2);
      expect(said).toMatch(/schema 99; this Waybill knows \d+/);
      expect(said).toMatch(/Use that version, or a newer one/);
      expect(job.peer.received).toHaveLength(requests);
      expect(readFileSync(ledger()).equals(bytes)).toBe(true);
    },
  );
});

describe('staged bytes', () => {
  const segments = (): string[] => filesBelow(join(books(), 'staging'));
  /** The file and the place where the bytes of a member lie. */
  function find(text: string): { path: string; at: number } {
    for (const path of segments()) {
      const at = readFileSync(path).indexOf(text);
      if (at !== -1) return { path, at };
    }
    throw new RangeError(`${text} is not staged`);
  }

  it('that were altered are not sent, the batch is named, and it goes once they are back', async () => {
    const payloads = await payloadsOf();
    const { path, at } = find('"member_id":450,');
    const bytes = readFileSync(path);
    bytes[at + 12] = '9'.charCodeAt(0);
    writeFileSync(path, bytes);
    const requests = job.peer.received.length;
    const said = expectError(await run(), 'STAGING_CORRUPT', 1);
    expect(said).toMatch(/\bb5\b/);
    expectOnlyWaiting(requests, payloads);
    expect(job.peer.received.slice(requests).map((one) => one.body)).not.toContain(payloads.get('b5'));
    expect(counts(job.held()).has(950), 'the altered record').toBe(false);
    const verified = await job.cli(['verify']);
    expect(verified.status, verified.stdout).toBe(7);
    expect(verified.stdout).toMatch(/\bb5\b/);
    bytes[at + 12] = '4'.charCodeAt(0);
    writeFileSync(path, bytes);
    const mended = await run();
    expect(mended.status, mended.stderr).toBe(4);
    expect(counts(job.held()).size).toBe(600);
    expect([...counts(job.held()).values()].every((count) => count === 1)).toBe(true);
  });

  it('that are gone stop the run, and it goes on when they are restored', async () => {
    const away = join(job.folder, 'away');
    renameSync(join(books(), 'staging'), away);
    const requests = job.peer.received.length;
    const said = expectError(await run(), 'STAGING_CORRUPT', 1);
    expect(said).toMatch(/\bb4\b/);
    expect(job.peer.received).toHaveLength(requests);
    rmSync(join(books(), 'staging'), { recursive: true, force: true });
    renameSync(away, join(books(), 'staging'));
    const mended = await run();
    expect(mended.status, mended.stderr).toBe(4);
    expect(counts(job.held()).size).toBe(600);
  });

  /** What the API holds now: everything but what is in doubt, once. */
  async function expectAllOnce(): Promise<void> {
    expect([...counts(job.held()).values()].filter((count) => count > 1)).toEqual([]);
    expect(counts(job.held()).size).toBe(600);
    const { runs } = await job.json<{ runs: { balance?: object }[] }>(['runs']);
    expect(runs).toHaveLength(1);
    const { read } = await (await job.waybill()).ledger();
    const [balance] = [...(await read.balance((await read.runs({}))[0]!.id)).values()];
    expect(balance).toEqual({ read: 600, delivered: 500, refused: 0, skipped: 0, inDoubt: 100, pending: 0 });
    expect(await read.verify()).toEqual([]);
  }

  it('that are altered for good are sealed anew from the source by the remedy that the error names', async () => {
    const { path, at } = find('"member_id":450,');
    const bytes = readFileSync(path);
    bytes[at + 12] = '9'.charCodeAt(0);
    writeFileSync(path, bytes);
    expect(expectError(await run(), 'STAGING_CORRUPT', 1)).toMatch(/--refresh/);
    const mended = await job.cli(['run', 'roket-daily', '--for', DAY, '--refresh']);
    expect(mended.status, mended.stderr).toBe(4);
    expect(mended.stderr).toMatch(/the bytes of b5 are lost/);
    await expectAllOnce();
    expect(counts(job.held()).has(950), 'the altered record').toBe(false);
  });

  it('that are all lost cost what was not sent a new reading, and what was sent is not sent again', async () => {
    rmSync(join(books(), 'staging'), { recursive: true });
    expect(expectError(await run(), 'STAGING_CORRUPT', 1)).toMatch(/--refresh/);
    const requests = job.peer.received.length;
    job.change("update members set name = 'renamed' where member_id in (1, 350)");
    const mended = await job.cli(['run', 'roket-daily', '--for', DAY, '--refresh']);
    expect(mended.status, mended.stderr).toBe(4);
    expect(mended.stderr).toMatch(/the bytes of b4, b5, b6 are lost/);
    expect(mended.stderr).toMatch(/300 records of lane roket count as unchanged/);
    expect(job.peer.received.length - requests).toBe(3);
    await expectAllOnce();
    const again = await run();
    expect(again.status, again.stderr).toBe(4);
    expect(job.peer.received.length - requests).toBe(3);
  });
});
