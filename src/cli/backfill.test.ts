import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import Database from 'better-sqlite3';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { openWaybill } from '../app/open.ts';
import { type ApiPeer, openApiPeer } from '../testing/peer/api-peer.ts';
import { run } from './cli.ts';
import { OUTPUTS, type OutputOf } from './output-schemas.ts';
import { RecordedProcess } from './recorded-process.ts';

const DAYS = ['01', '02', '03', '04', '05', '06'].map((day) => `2026-03-${day}`);
const RANGE = ['--from', '2026-03-01', '--to', '2026-03-07'] as const;
let folder: string;
let peer: ApiPeer;

beforeEach(async () => {
  folder = mkdtempSync(join(tmpdir(), 'waybill-backfill-'));
  peer = await openApiPeer({ shape: 'rokt' });
  const source = new Database(join(folder, 'in.db'));
  source.exec('create table orders (id integer, day text, amount integer)');
  const insert = source.prepare('insert into orders values (?, ?, ?)');
  DAYS.forEach((day, nth) => {
    for (let id = 1; id <= 4; id++) insert.run(nth * 10 + id, day, 1);
  });
  // One order is corrected every day: which day was written last can be seen.
  for (const [nth, day] of DAYS.entries()) insert.run(999, day, nth);
  source.close();
  const sink = new Database(join(folder, 'out.db'));
  sink.exec('create table orders (id integer primary key, day text, amount integer)');
  sink.close();
  writeFileSync(join(folder, 'waybill.yaml'), flowFile());
});
afterEach(async () => {
  await peer.close();
  rmSync(folder, { recursive: true, force: true });
});

const flowFile = (): string => `version: 1
connections:
  shop: { type: sqlite, file: in.db }
  store: { type: sqlite, file: out.db }
  api: { type: http, url: "${peer.url}" }
flows:
  events:
    source: { connection: shop, query: "select * from orders where day = :date order by id", key: [id, day] }
    sink:
      connection: api
      path: /v1/orders
      receipt: { shape: echoed-record, path: data.unprocessedRecords, error: error.message, code: error.code }
    retry: { attempts: 1, firstDelay: 10ms, maxDelay: 20ms, maxAge: 1s }
    window: day
  doubtful:
    source: { connection: shop, query: "select 1 as id" }
    sink: { connection: api, path: /v1/one, receipt: { shape: none }, requestTimeout: 1s }
    retry: { attempts: 1, firstDelay: 10ms, maxDelay: 20ms, maxAge: 1s }
    window: day
    schedule: "0 0 * * *"
  copy:
    source: { connection: shop, query: "select * from orders where day = :date order by id", key: [id] }
    sink: { connection: store, table: orders, key: [id] }
    strategy: keyed
    retry: { attempts: 1, firstDelay: 10ms, maxDelay: 20ms, maxAge: 1s }
    window: day
`;

async function waybill(...words: readonly string[]) {
  const io = new RecordedProcess({ cwd: folder });
  const code = await run(words, io);
  return { code, out: io.stdout.text, err: io.stderr.text, io };
}

async function backfill(...words: readonly string[]): Promise<OutputOf<'backfill'> & { readonly code: number }> {
  const result = await waybill('backfill', ...words, '--output', 'json');
  expect(result.out, result.err).not.toBe('');
  return { ...OUTPUTS.backfill.parse(JSON.parse(result.out)), code: result.code };
}

const states = (document: OutputOf<'backfill'>) => document.windows.map(({ state }) => state);
const ran = (document: OutputOf<'backfill'>) => document.results.map(({ window }) => window);
const lastAmount = (): unknown => {
  const sink = new Database(join(folder, 'out.db'));
  try {
    return sink.prepare('select amount from orders where id = 999').pluck().get();
  } finally {
    sink.close();
  }
};

describe('backfill', () => {
  it('lists every window with its state and what it would do, and runs nothing with --dry-run', async () => {
    await waybill('run', 'events', '--for', DAYS[1]!);
    const received = peer.received.length;
    const planned = await backfill('events', ...RANGE, '--dry-run');
    expect(planned.code).toBe(0);
    expect(states(planned)).toEqual(['missing', 'complete', 'missing', 'missing', 'missing', 'missing']);
    expect(planned.steps).toEqual(DAYS.filter((day) => day !== DAYS[1]));
    expect(planned).toMatchObject({ dryRun: true, order: 'any', results: [] });
    expect(planned.next).toEqual(['waybill backfill events --from 2026-03-01 --to 2026-03-07']);
    expect(peer.received).toHaveLength(received);
    const { out } = await waybill('backfill', 'events', ...RANGE, '--dry-run');
    expect(out).toMatch(/2026-03-01 +2026-03-01 +1 +missing +run/);
    expect(out).toMatch(/2026-03-03 +2026-03-06 +4 +missing +run/);
    expect((await waybill('runs', '--output', 'json')).out).not.toContain('"name":"2026-03-03"');
  });

  it('runs what is missing or failed and leaves alone what is complete', async () => {
    await waybill('run', 'events', '--for', DAYS[1]!);
    const done = await backfill('events', ...RANGE);
    expect(done.code).toBe(0);
    expect(ran(done)).toEqual(done.steps);
    expect(states(done)).toEqual(DAYS.map(() => 'complete'));
    expect(peer.records()).toHaveLength(30);
    const again = await backfill('events', ...RANGE);
    expect(again).toMatchObject({ code: 0, steps: [], results: [] });
    expect((await waybill('backfill', 'events', ...RANGE)).out).toContain('nothing to run');
    expect(peer.records()).toHaveLength(30);
  });

  it('goes side by side where the lanes allow it, and says why not where they do not', async () => {
    const side = await backfill('events', ...RANGE, '--parallel', '3');
    expect(side).toMatchObject({ code: 0, parallel: 3 });
    expect([...ran(side)].sort()).toEqual(DAYS);
    expect(new Set(peer.records().map((record) => JSON.stringify(record))).size).toBe(30);

    const row = await backfill('copy', ...RANGE, '--parallel', '3');
    expect(row).toMatchObject({ code: 0, parallel: 1, order: 'in-order', orderBecause: 'store: keyed' });
    expect(row.warnings.join()).toContain('--parallel has no effect');
    expect(ran(row)).toEqual(DAYS);
    expect(lastAmount()).toBe(5);
  });

  it('says that a window comes after later ones which are there already', async () => {
    await waybill('run', 'copy', '--from', '2026-03-03', '--to', '2026-03-07');
    const late = await backfill('copy', ...RANGE, '--dry-run');
    expect(late.warnings).toEqual([
      'store: 4 later windows have been written already, up to 2026-03-06; ' +
        'what 2026-03-01 brings is written after them',
    ]);
  });

  it('stops at a window that is not finished where the order matters, and the same command goes on', async () => {
    const sink = new Database(join(folder, 'out.db'));
    sink.exec('alter table orders rename to orders_away');
    sink.close();
    const stopped = await backfill('copy', ...RANGE);
    expect(stopped.code).not.toBe(0);
    expect(stopped.notBegun).toEqual(DAYS.slice(1));
    expect(stopped.stopped).toContain('2026-03-01');
    expect(stopped.next[0]).toBe('waybill backfill copy --from 2026-03-01 --to 2026-03-07');
    const { out } = await waybill('run', 'copy', ...RANGE);
    expect(out).toContain('copy: 5 windows not begun, 2026-03-02 to 2026-03-06\n  next: the same command again');
    const mended = new Database(join(folder, 'out.db'));
    mended.exec('alter table orders_away rename to orders');
    mended.close();
    const gone = await backfill('copy', ...RANGE);
    expect(gone.code).toBe(0);
    expect(states(gone)).toEqual(DAYS.map(() => 'complete'));
    expect(lastAmount()).toBe(5);
  });

  it('loads complete windows again with --refresh, once, and again only when that is asked anew', async () => {
    await backfill('copy', ...RANGE);
    const source = new Database(join(folder, 'in.db'));
    source.exec("update orders set amount = 70 where id = 999 and day = '2026-03-06'");
    source.close();
    const planned = await backfill('copy', ...RANGE, '--refresh', '--dry-run');
    expect(planned.windows.map(({ act }) => act)).toEqual(DAYS.map(() => 'load-again'));
    const first = await backfill('copy', ...RANGE, '--refresh');
    expect(first).toMatchObject({ code: 0 });
    expect(ran(first)).toEqual(DAYS);
    const second = await backfill('copy', ...RANGE, '--refresh');
    expect(second.goesOn).toBeUndefined();
    expect(ran(second)).toEqual(DAYS);
  });

  it('Ctrl-C finishes the window that is under way and says how to go on', async () => {
    const io = new RecordedProcess({ cwd: folder });
    const running = run(['backfill', 'events', ...RANGE], io);
    await vi.waitFor(() => expect(io.stdout.text).toContain('2026-03-01'), { interval: 5, timeout: 10_000 });
    io.interrupt('SIGINT');
    expect(await running).toBe(130);
    expect(io.stderr.text).toContain('Go on with: waybill backfill events --from 2026-03-01 --to 2026-03-07');
    expect(io.stdout.text).toContain('not begun: ');
    const rest = await backfill('events', ...RANGE);
    expect(rest.code).toBe(0);
    expect(rest.steps.length).toBeLessThan(DAYS.length);
    expect(new Set(peer.records().map((record) => JSON.stringify(record))).size).toBe(30);
    expect(peer.records()).toHaveLength(30);
  });

  it('goes on with a refresh that was interrupted, and begins it anew only when asked', async () => {
    await backfill('copy', ...RANGE);
    const io = new RecordedProcess({ cwd: folder });
    const running = run(['backfill', 'copy', ...RANGE, '--refresh'], io);
    await vi.waitFor(() => expect(io.stdout.text).toContain('2026-03-02'), { interval: 5, timeout: 10_000 });
    io.interrupt('SIGINT');
    expect(await running).toBe(130);
    const anew = await backfill('copy', ...RANGE, '--refresh', '--anew', '--dry-run');
    expect(anew.steps).toEqual(DAYS);
    const rest = await backfill('copy', ...RANGE, '--refresh');
    expect(rest.code).toBe(0);
    const { done } = rest.goesOn!;
    expect(done).toBeGreaterThanOrEqual(2);
    expect(ran(rest)).toEqual(DAYS.slice(done));
    expect((await backfill('copy', ...RANGE, '--refresh', '--dry-run')).goesOn).toBeUndefined();
  });

  it('does not overtake a window that another process is at work on', async () => {
    const other = await openWaybill({ cwd: folder, env: {} });
    const ledger = await other.ledger();
    const [window] = other.windows('copy', '2026-03-02', '2026-03-03');
    const claim = { flow: 'copy', window: window!, lanes: [], owner: 'somebody', leaseMs: 60_000, configDigest: '' };
    const { run: claimed, fence } = await ledger.openRun(claim);
    const held = await backfill('copy', ...RANGE);
    expect(held.code).toBe(6);
    expect(ran(held)).toEqual(['2026-03-01']);
    expect(states(held).slice(0, 3)).toEqual(['complete', 'open', 'missing']);
    expect(held.stopped).toContain('2026-03-03 must not overtake it');
    await ledger.releaseRun({ run: claimed.id, fence });
    await other.close();
    const rest = await backfill('copy', ...RANGE);
    expect(rest.code).toBe(0);
    expect(ran(rest)).toEqual(DAYS.slice(1));
    expect(lastAmount()).toBe(5);
  });

  it('leaves a window in doubt alone unless it is asked for; for the schedule it stays due', async () => {
    peer.set({ shape: 'rokt', reject: [], faults: [{ when: {}, answer: 'close', apply: 'none' }], delayMs: 0 });
    expect((await waybill('run', 'doubtful')).code).toBe(4);
    const other = await openWaybill({ cwd: folder, env: {} });
    const due = await other.due('doubtful');
    await other.close();
    expect(due.map(({ run: owed }) => owed?.state)).toEqual(['in-doubt']);
    const { name } = due[0]!.window;
    const next = new Date(Date.parse(name) + 86_400_000).toISOString().slice(0, 10);
    const left = await backfill('doubtful', '--from', name, '--to', next, '--dry-run');
    expect(left).toMatchObject({ steps: [] });
    expect(states(left)).toEqual(['in-doubt']);
    const asked = await backfill('doubtful', '--from', name, '--to', next, '--only', 'in-doubt');
    expect(asked.code).toBe(4);
    expect(asked.next.join()).toContain('waybill doubts r1');
  });

  it('refuses what makes no stretch of time, and states that there are not', async () => {
    expect((await waybill('backfill', 'events')).code).toBe(2);
    expect((await waybill('backfill', 'events', '--from', '2026-03-07', '--to', '2026-03-01')).code).toBe(2);
    expect((await waybill('backfill', 'events', ...RANGE, '--only', 'gone')).code).toBe(2);
    expect((await waybill('backfill', 'events', ...RANGE, '--anew')).code).toBe(2);
    expect((await waybill('backfill', 'events', '--from', 'x', '--to', '2026-03-01')).code).toBe(2);
  });
});
