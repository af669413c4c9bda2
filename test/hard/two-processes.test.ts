import { afterEach, describe, expect, it } from 'vitest';
import { counts, DAY, DailyJob, type DailyJobOptions, members } from '../daily/daily-job.ts';
import { expectError, type Started, standStill, start } from './processes.ts';

let job: DailyJob;
afterEach(() => job.close());
const open = async (options: DailyJobOptions = {}): Promise<DailyJob> => {
  job = await DailyJob.open(options);
  return job;
};
const RUN = ['run', 'roket-daily', '--for', DAY];
const once = (): void => {
  expect([...counts(job.held()).values()].filter((count) => count > 1)).toEqual([]);
};
const wait = (ms: number): Promise<void> => {
  const end = performance.now() + ms;
  return job.until(() => performance.now() > end);
};
interface Doubts {
  readonly doubts: readonly { readonly records: number }[];
}
const inDoubt = async (): Promise<number> =>
  (await job.json<Doubts>(['doubts'])).doubts.reduce((sum, doubt) => sum + doubt.records, 0);

describe('two processes at one window', () => {
  it('do not both work: the second ends with 6, says who works there, and sends nothing', async () => {
    // Slow enough that the first is still at work when the second has begun, on a busy machine as well.
    await open({ members: members(1_500), behaviour: { delayMs: 1_500 }, sink: { inFlight: '1' } });
    const first = start(job, RUN);
    await job.until(() => job.peer.received.length >= 2);
    const said = expectError(await start(job, RUN).ended, 'LEASE_HELD', 6);
    job.peer.set({ delayMs: 0 });
    expect(said).toMatch(new RegExp(`process ${first.pid} on `));
    expect(said).toMatch(/until 20\d\d-/);
    const ended = await first.ended;
    expect(ended.status, ended.stderr).toBe(0);
    expect(counts(job.held()).size).toBe(1_500);
    once();
  });

  it('begun at the same moment, by five: one does the work, and the window is sent once', async () => {
    await open({ members: members(800), behaviour: { delayMs: 100 }, sink: { inFlight: '1' } });
    const all = await Promise.all(Array.from({ length: 5 }, () => start(job, RUN).ended));
    const late = all.filter((one) => one.status !== 6);
    expect(late.map((one) => one.status)).toEqual(late.map(() => 0));
    // Where the machine is so busy that one begins after the work is done, it has to find that out.
    const worked = late.filter((one) => !one.stdout.includes('nothing to send'));
    expect(worked, all.map((one) => one.stdout + one.stderr).join('\n')).toHaveLength(1);
    for (const one of all) if (one.status === 6) expectError(one, 'LEASE_HELD', 6);
    expect(job.peer.received).toHaveLength(8);
    once();
  });

  it('at different windows of one flow both work', async () => {
    const days = [...members(600), ...members(600, { first: 10_000, day: '2026-11-18' })];
    await open({ members: days, behaviour: { delayMs: 30 } });
    const both = [start(job, RUN), start(job, ['run', 'roket-daily', '--for', '2026-11-18'])];
    const ended = await Promise.all(both.map((one) => one.ended));
    expect(ended.map((one) => one.status)).toEqual([0, 0]);
    expect(counts(job.held()).size).toBe(1_200);
    once();
  });
});

describe('a process that stands still past its lease', () => {
  it('is taken over once the lease has run out, and when it wakes it sends nothing and says so', async () => {
    await open({
      members: members(2_000),
      behaviour: { delayMs: 80 },
      sink: { inFlight: '2', requestTimeout: '1500ms' },
      flow: { lease: '6s' },
    });
    const first = start(job, RUN);
    await job.until(() => job.peer.received.length >= 4);
    await standStill(job, first);
    const requests = job.peer.received.length;
    expectError(await start(job, RUN).ended, 'LEASE_HELD', 6);
    const isAtWork = () => job.peer.received.length >= requests + 3;
    let second: Started;
    do {
      second = start(job, RUN);
      await job.until(() => isAtWork() || second.hasEnded());
      // 6: the sleeper's lease of the window still holds. 5: that of its batches does.
      if (!isAtWork()) expect([5, 6]).toContain((await second.ended).status);
    } while (!isAtWork());
    first.kill('SIGCONT');
    const woken = await first.ended;
    const said = expectError(woken, 'FENCED', 6);
    expect(said).toMatch(/another process/i);
    const ended = await second.ended;
    expect(ended.status, ended.stderr).toBe(4);
    once();
    const doubtful = await inDoubt();
    expect(doubtful, 'what was in flight when it stood still').toBeLessThanOrEqual(200);
    expect(doubtful).toBeGreaterThan(0);
    expect(counts(job.held()).size).toBe(2_000);
    expect((await job.cli(['verify'])).status).toBe(0);
  });

  it('that wakes within its lease goes on as if nothing had been', async () => {
    await open({ members: members(1_000), behaviour: { delayMs: 50 }, flow: { lease: '20s' } });
    const first = start(job, RUN);
    await job.until(() => job.peer.received.length >= 2);
    first.kill('SIGSTOP');
    await wait(700);
    first.kill('SIGCONT');
    const ended = await first.ended;
    expect(ended.status, ended.stderr).toBe(0);
    expect(counts(job.held()).size).toBe(1_000);
    once();
  });
});

describe('orders from another process', () => {
  it('pause stops the sending within seconds, over restarts, until resume', async () => {
    await open({ members: members(6_000), behaviour: { delayMs: 100 }, sink: { inFlight: '1' } });
    const running = start(job, RUN);
    await job.until(() => job.peer.received.length >= 3);
    const paused = await job.cli(['pause', 'r1', '--reason', 'the sink is being upgraded']);
    expect(paused.status, paused.stderr).toBe(0);
    const from = performance.now();
    const ended = await running.ended;
    expect(performance.now() - from).toBeLessThan(4_000);
    expect(ended.status, ended.stderr).toBe(5);
    expect(ended.stdout).toMatch(/paused/);
    expect(ended.stdout, 'how it goes on').toMatch(/waybill resume r1/);
    const sent = job.peer.received.length;
    expect(sent).toBeLessThan(60);
    expect(await inDoubt(), 'what was in flight was finished').toBe(0);
    const again = await job.cli(RUN);
    expect(again.status, again.stderr).toBe(5);
    expect(job.peer.received).toHaveLength(sent);
    const status = await job.cli(['status']);
    expect(status.stdout).toMatch(/paused/);
    job.peer.set({ delayMs: 0 });
    const resumed = await job.cli(['resume', 'r1']);
    expect(resumed.status, resumed.stderr).toBe(0);
    const last = await job.cli(RUN);
    expect(last.status, last.stderr).toBe(0);
    expect(counts(job.held()).size).toBe(6_000);
    once();
  });

  it('cancel gives up what was not sent, keeps what was, and a later start sends nothing', async () => {
    await open({ members: members(6_000), behaviour: { delayMs: 100 }, sink: { inFlight: '1' } });
    const running = start(job, RUN);
    await job.until(() => job.peer.received.length >= 3);
    const refused = await job.cli(['cancel', 'r1', '--reason', 'wrong day', '--yes']);
    const ended = await running.ended;
    const sent = job.peer.received.length;
    if (refused.status !== 0) {
      // A run that is being worked on may have to be paused first; then it says so.
      expect(refused.stderr).toMatch(/^ {2}do {4}.{10,}/m);
      expect(refused.stderr).toMatch(/pause/);
    } else expect(ended.status, ended.stderr + ended.stdout).not.toBe(1);
    expect(sent).toBeLessThan(60);
    const later = await job.cli(RUN);
    expect(job.peer.received, later.stdout + later.stderr).toHaveLength(sent);
    expect(later.stdout + later.stderr).toMatch(/cancelled/);
    const { runs } = await job.json<{ runs: { state: string }[] }>(['runs']);
    expect(runs).toMatchObject([{ state: 'cancelled' }]);
    const trace = await job.cli(['trace', '5999']);
    expect(trace.stdout).toMatch(/skipped/);
    expect(trace.stdout, 'why').toMatch(/wrong day/);
    once();
  });
});
