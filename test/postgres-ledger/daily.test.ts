import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { balances } from '../../src/model/states.ts';
import { counts, DAY, DailyJob, type DailyJobOptions, members } from '../daily/daily-job.ts';
import { expectError, start } from '../hard/processes.ts';
import { startPostgres, type TestPostgres } from '../postgres.ts';
import { addressOf } from './bench.ts';
import { CutProxy } from './cut-proxy.ts';

const RUN = ['run', 'roket-daily', '--for', DAY];

let server: TestPostgres;
beforeAll(async () => {
  server = await startPostgres();
});
afterAll(async () => server.stop());

let job: DailyJob;
afterEach(() => job.close());
async function open(options: DailyJobOptions = {}): Promise<DailyJob> {
  job = await DailyJob.open(options);
  Object.assign(job.env, { WAYBILL_LEDGER: addressOf(server) });
  return job;
}
const twice = (): number[] => [...counts(job.held()).values()].filter((count) => count > 1);

describe('the daily job with its ledger on PostgreSQL', () => {
  it('killed with SIGKILL again and again loses nothing, sends nothing twice, and keeps true books', async () => {
    await open({ members: members(2_500), behaviour: { delayMs: 20 } });
    let killed = 0;
    for (let begun = 0; begun < 5; begun++) {
      const target = job.peer.received.length + 2 + begun;
      const child = job.spawnRun();
      const ended = new Promise((resolve) => child.once('exit', (_, signal) => resolve(signal)));
      await Promise.race([job.until(() => job.peer.received.length >= target), ended]);
      child.kill('SIGKILL');
      if ((await ended) === 'SIGKILL') killed++;
    }
    expect(killed).toBeGreaterThanOrEqual(3);
    await job.until(() => job.peer.received.every((request) => request.status !== undefined));
    const last = await job.run();
    const { balance } = last.lanes[0]!;
    expect(balances(balance)).toBe(true);
    expect(balance).toMatchObject({ read: 2_500, pending: 0 });
    expect(balance.inDoubt, 'what was in flight').toBeLessThanOrEqual(killed * 4 * 100);
    expect(twice(), 'sent twice').toEqual([]);
    const held = counts(job.held());
    const { read } = await (await job.waybill()).ledger();
    const { records } = await read.records({ run: last.run.id, limit: 5_000 });
    expect(records).toHaveLength(2_500);
    for (const record of records) {
      const times = held.get(Number((await job.waybill()).showKey(record))) ?? 0;
      if (record.state === 'delivered') expect(times).toBe(1);
      else expect([record.state, times <= 1]).toEqual(['in-doubt', true]);
    }
    expect(await read.verify()).toEqual([]);
  });

  it('answers every command that looks at it or decides about it, and shows the password to nobody', async () => {
    await open({
      members: members(500),
      behaviour: { faults: [{ when: { every: 3 }, answer: 'close', apply: 'all' }] },
      sink: { inFlight: '1' },
    });
    const said: string[] = [];
    const waybill = async (...args: string[]) => {
      const ended = await job.cli(args);
      said.push(ended.stdout, ended.stderr);
      return ended;
    };
    expect((await waybill(...RUN)).status, said.join('\n')).toBe(4);
    const doubtful = await job.json<{ doubts: readonly { batch: string; records: number }[] }>(['doubts']);
    expect(doubtful.doubts.map((doubt) => doubt.records)).toEqual([100]);
    for (const args of [['status'], ['runs'], ['batches', 'r1'], ['records', 'r1'], ['trace', '17'], ['verify']])
      expect((await waybill(...args)).status, `${args.join(' ')}\n${said.slice(-2).join('\n')}`).toBe(0);
    const trace = await job.json<{ records: readonly { state: string }[] }>(['trace', '17']);
    expect(JSON.stringify(trace)).toContain('delivered');
    const settled = await waybill(
      'settle',
      '--run',
      'r1',
      '--as',
      'delivered',
      '--evidence',
      'seen in their log',
      '--yes',
    );
    expect(settled.status, settled.stderr).toBe(0);
    expect((await waybill(...RUN)).status, said.slice(-2).join('\n')).toBe(0);
    expect(counts(job.held()).size).toBe(500);
    expect(twice()).toEqual([]);
    const doctor = await waybill('doctor');
    expect(doctor.stdout).toMatch(/PostgreSQL \d+\S* answers at postgres:\/\/waybill@127\.0\.0\.1/);
    expect(doctor.stdout, 'the test server does not sync').toMatch(/fsync = off/);
    expect(said.join('\n')).not.toContain(server.password);
  });

  it('begun at the same moment by five processes is done by one, and sent once', async () => {
    await open({ members: members(800), behaviour: { delayMs: 100 }, sink: { inFlight: '1' } });
    const all = await Promise.all(Array.from({ length: 5 }, () => start(job, RUN).ended));
    const late = all.filter((one) => one.status !== 6);
    expect(late.map((one) => one.status)).toEqual(late.map(() => 0));
    for (const one of all) if (one.status === 6) expectError(one, 'LEASE_HELD', 6);
    expect(job.peer.received).toHaveLength(8);
    expect(counts(job.held()).size).toBe(800);
    expect(twice()).toEqual([]);
  });

  it('is worked on by two processes at different windows, each window delivered once', async () => {
    const days = [...members(900), ...members(900, { first: 10_000, day: '2026-11-18' })];
    await open({ members: days, behaviour: { delayMs: 20 } });
    const both = [start(job, RUN), start(job, ['run', 'roket-daily', '--for', '2026-11-18'])];
    const ended = await Promise.all(both.map((one) => one.ended));
    expect(
      ended.map((one) => one.status),
      ended.map((one) => one.stderr).join('\n'),
    ).toEqual([0, 0]);
    expect(counts(job.held()).size).toBe(1_800);
    expect(twice()).toEqual([]);
    expect((await job.cli(['verify'])).status).toBe(0);
  });

  it('goes on by itself when its server was away for a while, and the journal has kept the answers', async () => {
    const proxy = await CutProxy.before(server);
    try {
      await open({ members: members(1_500), behaviour: { delayMs: 40 } });
      Object.assign(job.env, { WAYBILL_LEDGER: addressOf(server, { port: proxy.port }) });
      const running = start(job, RUN);
      await job.until(() => job.peer.received.length >= 4);
      proxy.away(true);
      const untilMs = performance.now() + 2_500;
      await job.until(() => performance.now() > untilMs);
      proxy.away(false);
      const ended = await running.ended;
      expect(ended.status, ended.stderr).toBe(0);
      expect(counts(job.held()).size).toBe(1_500);
      expect(twice()).toEqual([]);
      expect((await job.cli(['verify'])).status).toBe(0);
    } finally {
      await proxy.close();
    }
  });

  it('ends with a clear error when its server stays away, and the next start has every answer', async () => {
    const proxy = await CutProxy.before(server);
    try {
      await open({ members: members(1_500), behaviour: { delayMs: 40 } });
      Object.assign(job.env, { WAYBILL_LEDGER: addressOf(server, { port: proxy.port }) });
      const running = start(job, RUN);
      await job.until(() => job.peer.received.length >= 4);
      proxy.away(true);
      const ended = await running.ended;
      expectError(ended, 'LEDGER_AWAY', 5);
      await job.until(() => job.peer.received.every((request) => request.status !== undefined));
      expect(job.peer.received.length, 'it stopped sending').toBeLessThan(15);
      proxy.away(false);
      const again = await start(job, RUN).ended;
      expect(again.status, again.stderr).toBe(0);
      expect(counts(job.held()).size, 'what was answered was in the journal').toBe(1_500);
      expect(twice()).toEqual([]);
      expect((await job.cli(['verify'])).status).toBe(0);
    } finally {
      await proxy.close();
    }
  }, 120_000);

  it('ends with a clear error when its server is not there, and nothing is sent', async () => {
    await open({ members: members(100) });
    Object.assign(job.env, { WAYBILL_LEDGER: addressOf(server, { port: 1 }) });
    const ended = await start(job, RUN).ended;
    const text = expectError(ended, 'LEDGER_AWAY', 5);
    expect(text).not.toContain(server.password);
    expect(job.peer.received).toEqual([]);
  });
});
