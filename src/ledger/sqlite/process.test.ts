import { execFileSync, spawn } from 'node:child_process';
import { existsSync, mkdirSync, mkdtempSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';
import Database from 'better-sqlite3';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { Book, delivered, refusedWith, shardClaim } from '../../testing/suites/ledger-fixture.ts';
import { type LedgerSubject, ledgerSuite } from '../../testing/suites/ledger-suite.ts';
import { register } from '../../testing/suites/suite.ts';
import type { Ledger } from '../ledger.ts';
import { betterSqlite, type Connection, type Driver } from './connection.ts';
import { createFile, openFile as openLedgerFile } from './ledger-file.ts';
import { openSqliteLedger, type SqliteLedgerOptions } from './open.ts';
import { Writer } from './writer.ts';

// Node 20 runs no TypeScript, and the thread that writes is a file that Node loads: so what is tested here is built
// first. Inside node_modules, where the build finds the driver.
const root = fileURLToPath(new URL('../../../', import.meta.url));
const cache = join(root, 'node_modules', '.cache');
let built = '';
let folder = '';

beforeAll(() => {
  mkdirSync(cache, { recursive: true });
  built = mkdtempSync(join(cache, 'waybill-ledger-'));
  folder = mkdtempSync(join(tmpdir(), 'waybill-process-'));
  const tsc = join(root, 'node_modules', 'typescript', 'bin', 'tsc');
  const args = [tsc, '-p', join(root, 'tsconfig.build.json'), '--outDir', built, '--declaration', 'false'];
  execFileSync(process.execPath, [...args, '--sourceMap', 'false'], { cwd: root, stdio: 'pipe' });
});

afterAll(() => {
  rmSync(built, { recursive: true });
  rmSync(folder, { recursive: true });
});

const openFile = (): string => join(built, 'ledger', 'sqlite', 'open.js');
const ports = () => {
  let [nowMs, ids] = [Date.UTC(2026, 10, 19, 6), 0];
  return {
    wallMs: () => nowMs,
    monotonicMs: () => nowMs,
    id: () => `00000000-0000-4000-8000-${++ids}`,
    advance: (ms: number) => {
      nowMs += ms;
    },
  };
};

const openBuilt = async (options: SqliteLedgerOptions): Promise<Ledger> => {
  const module = (await import(/* @vite-ignore */ pathToFileURL(openFile()).href)) as {
    openSqliteLedger: typeof openSqliteLedger;
  };
  return await module.openSqliteLedger(options);
};

/** When its thread is there: before that it is written by the caller's. */
async function openOnThread(options: Pick<SqliteLedgerOptions, 'path' | 'ports'>): Promise<Ledger> {
  let threadUp!: () => void;
  const up = new Promise<void>((resolve) => {
    threadUp = resolve;
  });
  const ledger = await openBuilt({ ...options, thread: 'worker', create: true, threadUp });
  await up;
  return ledger;
}

let ledgers = 0;
const fromThread: LedgerSubject = {
  name: 'on SQLite, written to from a thread of its own',
  walks: 8,
  async open() {
    const path = join(folder, `suite-${++ledgers}`, 'ledger.db');
    const clock = ports();
    const opened: Ledger[] = [];
    const open = async (): Promise<Ledger> => {
      const ledger = await openOnThread({ path, ports: clock });
      opened.push(ledger);
      return ledger;
    };
    return {
      ledger: await open(),
      reopen: open,
      advance: clock.advance,
      cleanup: async () => {
        for (const ledger of opened) await ledger.close();
      },
    };
  },
};
register({ describe, it }, ledgerSuite(fromThread));

describe('the thread that writes', () => {
  it('takes over the clock of the caller, and gives errors back as what they are', async () => {
    const path = join(folder, 'errors', 'ledger.db');
    const ledger = await openOnThread({ path, ports: ports() });
    const book = await Book.open(ledger);
    expect(book.opened.run.openedAtMs).toBe(Date.UTC(2026, 10, 19, 6));
    const held = await Book.open(ledger, { owner: 'second' }).catch((error: unknown) => error);
    expect(held).toMatchObject({
      name: 'WaybillError',
      code: 'LEASE_HELD',
      ids: { run: 'r1', owner: 'first' },
      exitCode: 6,
    });
    await ledger.close();
    await ledger.close();
    expect(await refusedWith(ledger.emitted({ emitter: 'log', seq: 1 }))).toBe('LEDGER_WRITE');
    expect(statSync(path).mode & 0o777).toBe(0o600);
  });

  it('leaves the keys of a seal to the caller, who may use the same bytes again', async () => {
    const ledger = await openOnThread({ path: join(folder, 'keys', 'ledger.db'), ports: ports() });
    const book = await Book.open(ledger);
    await book.start();
    const shared = new Uint8Array(64).map((_, at) => at);
    const batch = (from: number) => ({
      lane: 'api',
      records: 1,
      bytes: 20,
      digest: new Uint8Array(32),
      keys: shared.subarray(from, from + 16),
      staged: { segment: 's', offset: 0, bytes: 20, trailerBytes: 0 },
    });
    await ledger.seal({
      ...book.claim,
      generation: 1,
      batches: [batch(16), batch(32)],
      unbatched: [],
      counts: [],
      rows: 2,
    });
    expect([...shared.subarray(0, 4)]).toEqual([0, 1, 2, 3]);
    const keys = await ledger.read.laneKeys({ run: book.run, lane: 'api' });
    expect(keys.map((one) => one.keys[0])).toEqual([16, 32]);
    await ledger.close();
  });
});

describe('a ledger whose thread is still coming up', () => {
  it('is written from the first moment, and no order is lost when the thread takes over', async () => {
    const path = join(folder, 'meanwhile', 'ledger.db');
    let isUp = false;
    const up = (): void => {
      isUp = true;
    };
    const ledger = await openBuilt({ path, ports: ports(), thread: 'worker', create: true, threadUp: up });
    const { book, ids } = await Book.sealed(ledger, [1, 1, 1, 1]);
    expect([isUp, ids.length]).toEqual([false, 4]);
    const claim = { ...book.claim, leaseMs: 60_000 };
    // Each is answered after the one before, on both sides of the hand-over and beyond it.
    const order: number[] = [];
    const renewals: Promise<unknown>[] = [];
    for (let beyond = 0; beyond < 20; beyond += isUp ? 1 : 0) {
      const nth = renewals.length;
      renewals.push(ledger.renewRun(claim).then(() => order.push(nth)));
      await new Promise((resolve) => setImmediate(resolve));
    }
    await Promise.all(renewals);
    expect(order).toEqual([...order.keys()]);
    expect((await ledger.read.run(book.run)).state).toBe('open');
    expect(await ledger.read.verify()).toEqual([]);
    await ledger.close();
  });

  it('is closed without waiting for the thread, and leaves no log behind', async () => {
    const path = join(folder, 'short', 'ledger.db');
    let isUp = false;
    const up = (): void => {
      isUp = true;
    };
    const ledger = await openBuilt({ path, ports: ports(), thread: 'worker', create: true, threadUp: up });
    await Book.open(ledger);
    await ledger.close();
    expect([isUp, existsSync(`${path}-wal`)]).toEqual([false, false]);
    expect(await refusedWith(ledger.emitted({ emitter: 'log', seq: 1 }))).toBe('LEDGER_WRITE');
  });
});

describe('a thread that has to be worth it', () => {
  it('is begun when writing here has taken longer than that, and the ledger is whole without one', async () => {
    let [nowMs, stepMs, begun] = [0, 0, 0];
    const count = (): void => {
      begun++;
    };
    process.on('worker', count);
    const slow = { ...ports(), monotonicMs: () => (nowMs += stepMs) };
    const path = join(folder, 'worth', 'ledger.db');
    const open = () => openBuilt({ path, ports: slow, thread: 'worker', threadAfterMs: 100, create: true });
    const quick = await open();
    const book = await Book.open(quick);
    for (let nth = 0; nth < 20; nth++) await quick.renewRun({ ...book.claim, leaseMs: 60_000 });
    await quick.close();
    expect(begun).toBe(0);
    const ledger = await open();
    // The clock goes on by this from the beginning to the end of each commit.
    stepMs = 51;
    for (const already of [0, 0, 0, 1]) {
      expect(begun).toBe(already);
      await ledger.renewRun({ ...book.claim, leaseMs: 60_000 });
    }
    process.off('worker', count);
    expect(await ledger.read.verify()).toEqual([]);
    await ledger.close();
  });
});

/** Preloaded: in a thread, loading a driver of native code says when it begins and is done, and takes a while. */
const SLOW_DRIVER = `
const { isMainThread } = require('node:worker_threads');
const { writeFileSync } = require('node:fs');
const load = process.dlopen;
if (!isMainThread) process.dlopen = (...args) => {
  writeFileSync(process.env.DRIVER_LOADS + '-begun', '');
  Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 200);
  load.apply(process, args);
  writeFileSync(process.env.DRIVER_LOADS + '-done', '');
};
`;

const CLOSED_MEANWHILE = `
import { existsSync } from 'node:fs';
const [openFile, path] = process.argv.slice(2);
const { openSqliteLedger } = await import(openFile);
const ports = { wallMs: () => Date.now(), monotonicMs: () => performance.now(), id: () => crypto.randomUUID() };
const loads = (state) => existsSync(process.env.DRIVER_LOADS + '-' + state);
const ledger = await openSqliteLedger({ path, ports, thread: 'worker', create: true });
while (!loads('begun')) await new Promise((resolve) => setImmediate(resolve));
const before = loads('done');
await ledger.close();
process.stdout.write(JSON.stringify({ before, after: loads('done') }));
`;

describe('a thread that is loading its driver', () => {
  // Ended in the middle of it, one in some hundreds took the process with it: the driver for Node 24 calls `abort`.
  it('is waited for when the ledger is closed', () => {
    const [slow, script] = [join(built, 'slow-driver.cjs'), join(built, 'closed-meanwhile.mjs')];
    writeFileSync(slow, SLOW_DRIVER);
    writeFileSync(script, CLOSED_MEANWHILE);
    const args = ['--require', slow, script, openFile(), join(folder, 'loading', 'ledger.db')];
    const env = { ...process.env, DRIVER_LOADS: join(folder, 'driver') };
    const said = execFileSync(process.execPath, args, { encoding: 'utf8', env, timeout: 20_000 });
    expect(JSON.parse(said)).toEqual({ before: false, after: true });
  });
});

/** Seals and delivers without end, and says so after each: `sealed 3`, `intended 3`, `delivered 3`. */
const LOOP = `
const [openFile, path, thread] = process.argv.slice(2);
const { openSqliteLedger } = await import(openFile);
const ports = { wallMs: () => Date.now(), monotonicMs: () => performance.now(), id: () => crypto.randomUUID() };
let threadUp;
const up = new Promise((resolve) => { threadUp = resolve; });
const ledger = await openSqliteLedger({ path, ports, thread, create: true, threadUp });
// A ledger that has nothing to do keeps no process alive.
const alive = setInterval(() => undefined, 1000);
if (thread === 'worker') await up;
clearInterval(alive);
const lane = { lane: 'api', connector: 'c', strategy: 's', rung: 'none', onDoubt: 'hold', mappingDigest: 'm' };
const owner = 'loop ' + process.pid;
const asked = { flow: 'f', window: { name: 'all' }, lanes: [lane], leaseMs: 60000, configDigest: 'c' };
const opened = await ledger.openRun({ ...asked, owner });
const claim = { run: opened.run.id, fence: opened.fence };
let generation = opened.generation;
const start = { ...claim, kind: 'first', reason: 'loop' };
if (generation?.state !== 'open') generation = await ledger.startGeneration(start);
const say = (what, id) => process.stdout.write(what + ' ' + id + '\\n');
const one = async () => {
  const staged = { segment: 's', offset: 0, bytes: 9, trailerBytes: 0 };
  const [digest, keys] = [32, 32].map((size) => crypto.getRandomValues(new Uint8Array(size)));
  const batch = { lane: 'api', records: 2, bytes: 9, digest, keys, staged };
  const counts = [{ lane: 'api', read: 2, same: 0, changed: 0, duplicates: 0 }];
  const at0 = { ...claim, generation: generation.generation };
  const { batches: [id] } = await ledger.seal({ ...at0, batches: [batch], unbatched: [], counts, rows: 2 });
  say('sealed', id);
  const at = shards.get(Math.floor((await ledger.read.batch(id)).seq - 1 >> 10));
  if (at === undefined) return;
  const { attempt } = await ledger.intend({ ...at, batch: id, deadlineMs: 1000 });
  say('intended', id);
  const outcomes = new Uint8Array([1, 1]);
  const answer = { kind: 'verdict', outcomes, refusals: [], receipt: { summary: 'ok' }, children: [] };
  await ledger.answer({ ...at, batch: id, attempt, answer });
  say('delivered', id);
};
const shards = new Map();
await one();
const { run, shard, fence } = await ledger.claimShard({ run: opened.run.id, lane: 'api', owner, leaseMs: 60000 });
shards.set(shard, { run, lane: 'api', shard, fence });
while (true) await Promise.all([one(), one(), one(), one()]);
`;

describe('a process that is killed while it commits', () => {
  it.each(['main', 'worker'] as const)(
    'U22: loses nothing that was acknowledged (%s)',
    async (thread) => {
      const path = join(folder, `killed-${thread}`, 'ledger.db');
      const script = join(built, `loop-${thread}.mjs`);
      writeFileSync(script, LOOP);
      const said: string[] = [];
      for (let round = 0; round < 10; round++) {
        const more = await runAndKill([script, openFile(), path, thread], 40 + round * 17);
        said.push(...more);
        const ledger = await openSqliteLedger({ path, ports: ports(), thread: 'main', create: false });
        await check(ledger, said);
        await ledger.breakLeases({ owner: ownerOf(await ledger.read.runs({})), evidence: 'killed by the test' });
        await ledger.close();
      }
      expect(said.length).toBeGreaterThan(500);
    },
    60_000,
  );
});

const ownerOf = (runs: Awaited<ReturnType<Ledger['read']['runs']>>): string => runs[0]?.owner ?? '';

/** Kills the process with SIGKILL after so many lines; returns every whole line that it had written. */
async function runAndKill(args: readonly string[], lines: number): Promise<string[]> {
  const child = spawn(process.execPath, args, { stdio: ['ignore', 'pipe', 'inherit'] });
  let text = '';
  child.stdout.on('data', (chunk: Buffer) => {
    text += chunk.toString();
    if (text.split('\n').length > lines) child.kill('SIGKILL');
  });
  await new Promise((resolve) => child.once('close', resolve));
  return text.split('\n').slice(0, -1);
}

async function check(ledger: Ledger, said: readonly string[]): Promise<void> {
  expect(await ledger.read.verify()).toEqual([]);
  const states = new Map((await ledger.read.batches({ limit: 100_000 })).map((batch) => [batch.id as number, batch]));
  for (const line of said) {
    const [what, id] = line.split(' ');
    const batch = states.get(Number(id));
    expect(batch, line).toBeDefined();
    if (what === 'intended') expect(batch!.attempts, line).toBe(1);
    if (what === 'delivered') expect(batch!.state, line).toBe('delivered');
  }
}

describe('a ledger that cannot be had', () => {
  it('where no folder can be, says so with the path', async () => {
    writeFileSync(join(folder, 'file'), 'x');
    for (const path of [join(folder, 'file', 'ledger.db'), '/proc/nowhere/ledger.db', folder]) {
      const opening = openSqliteLedger({ path, ports: ports(), thread: 'main', create: true });
      const error = await opening.catch((thrown: unknown) => thrown);
      expect(error).toMatchObject({ code: 'LEDGER_WRITE', ids: { path } });
    }
  });

  it('while another holds the ledger for too long, refuses and writes nothing', async () => {
    const path = join(folder, 'busy', 'ledger.db');
    const ledger = await openSqliteLedger({ path, ports: ports(), thread: 'main', create: true });
    const holder = new Database(path);
    holder.exec('BEGIN IMMEDIATE');
    const { store, identity } = openLedgerFile(path);
    store.db.pragma('busy_timeout = 20');
    const command = { verb: 'emitted', ask: { emitter: 'log', seq: 1 }, nowMs: 0 } as const;
    const writer = new Writer(store, identity.id);
    const outcomes = writer.carryOut([command, command]);
    expect(outcomes).toMatchObject([
      { ok: false, error: { code: 'LEDGER_BUSY' } },
      { ok: false, error: { code: 'LEDGER_BUSY' } },
    ]);
    holder.exec('ROLLBACK');
    expect(writer.carryOut([command])).toEqual([{ ok: true, value: undefined }]);
    holder.close();
    writer.close();
    expect(await ledger.read.emitted('log')).toBe(1);
    await ledger.close();
  });
});

describe('two processes', () => {
  it('that make one ledger at the same moment wait for one another', async () => {
    const path = join(folder, 'made', 'ledger.db');
    const said: string[] = [];
    /** Another process is at the file whenever the log is to be switched, and goes when it is waited for. */
    const connect: Driver['connect'] = (...asked) => {
      const db = betterSqlite.connect(...asked);
      let other: Connection | undefined;
      const switching = (text: string): void => {
        if (text !== 'journal_mode = WAL' || said.length === 3) return;
        said.push(text);
        other = betterSqlite.connect(...asked);
        other.exec('BEGIN IMMEDIATE');
      };
      const waiting = (): void => {
        other?.close();
        other = undefined;
      };
      return {
        ...{ name: db.name, open: db.open, inTransaction: false, close: () => db.close() },
        prepare: (sql) => db.prepare(sql),
        pragma: (text, options) => {
          switching(text);
          return db.pragma(text, options);
        },
        exec: (sql) => {
          waiting();
          return db.exec(sql);
        },
      };
    };
    createFile(path, 'w1', { disk: betterSqlite.disk, connect });
    expect(said).toHaveLength(3);
    const ledger = await openSqliteLedger({ path, ports: ports(), thread: 'main', create: true });
    expect(await ledger.read.verify()).toEqual([]);
    expect(new Database(path).pragma('journal_mode', { simple: true })).toBe('wal');
    await ledger.close();
  });

  it('write one ledger in turn, and each sees what the other wrote', async () => {
    const path = join(folder, 'two', 'ledger.db');
    const clock = ports();
    const first = await openOnThread({ path, ports: clock });
    const second = await openSqliteLedger({ path, ports: clock, thread: 'main', create: false });
    const { book, ids } = await Book.sealed(
      first,
      Array.from({ length: 40 }, () => 1),
    );
    const claim = shardClaim((await book.claimShard())!);
    const ledgers = [first, second];
    await Promise.all(
      ids.map(async (batch, nth) => {
        const { attempt } = await ledgers[nth % 2]!.intend({ ...claim, batch, deadlineMs: 1 });
        await ledgers[(nth + 1) % 2]!.answer({ ...claim, batch, attempt, answer: delivered(1) });
      }),
    );
    expect(await book.balance()).toBe('40/0/0/0/0 of 40');
    expect(await second.read.verify()).toEqual([]);
    for (const ledger of ledgers) await ledger.close();
  });
});
