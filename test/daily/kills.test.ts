import { afterEach, describe, expect, it } from 'vitest';
import { balances } from '../../src/model/states.ts';
import { start } from '../hard/processes.ts';
import { counts, DAY, DailyJob, type DailyJobOptions, everyByteBelow, members } from './daily-job.ts';

let job: DailyJob;
afterEach(() => job.close());
const open = async (options: DailyJobOptions = {}): Promise<DailyJob> => {
  job = await DailyJob.open(options);
  return job;
};

const KILLS = 12;

describe('a process that is killed with SIGKILL', () => {
  it(`U09, U22: ${KILLS} times at any moment loses nothing, sends nothing twice, and keeps true books`, async () => {
    await open({ members: members(4_000), behaviour: { delayMs: 15 } });
    let killed = 0;
    for (let start = 0; start < KILLS; start++) {
      const target = job.peer.received.length + 1 + ((start * 7) % 5);
      const child = job.spawnRun();
      const ended = new Promise((resolve) => child.once('exit', (_, signal) => resolve(signal)));
      await Promise.race([job.until(() => job.peer.received.length >= target), ended]);
      child.kill('SIGKILL');
      if ((await ended) === 'SIGKILL') killed++;
    }
    expect(killed).toBeGreaterThanOrEqual(6);
    await job.until(() => job.peer.received.every((request) => request.status !== undefined));
    const last = await job.run();
    const held = counts(job.held());
    expect(
      [...held.values()].filter((count) => count > 1),
      'sent twice',
    ).toEqual([]);
    const { balance } = last.lanes[0]!;
    expect(balances(balance)).toBe(true);
    expect(balance).toMatchObject({ read: 4_000, pending: 0 });
    expect(balance.inDoubt).toBeLessThanOrEqual(killed * 4 * 100);
    const { read } = await (await job.waybill()).ledger();
    let [delivered, doubtful] = [0, 0];
    for (let after: string | undefined; ; ) {
      const page = await read.records({ run: last.run.id, limit: 1_000, ...(after === undefined ? {} : { after }) });
      for (const record of page.records) {
        const id = Number((await job.waybill()).showKey(record));
        const times = held.get(id) ?? 0;
        if (record.state === 'delivered') {
          delivered++;
          expect(times, `delivered ${id}`).toBe(1);
        } else {
          doubtful++;
          expect([record.state, times <= 1]).toEqual(['in-doubt', true]);
        }
      }
      after = page.cursor;
      if (after === undefined) break;
    }
    expect(delivered + doubtful).toBe(4_000);
    expect(await read.verify()).toEqual([]);
  });

  it('U22: states add up to the records read at every moment, as another process sees them', async () => {
    await open({
      members: members(2_000),
      behaviour: { delayMs: 20, faults: [{ when: { every: 7 }, answer: 'close', apply: 'half' }] },
    });
    const child = job.spawnRun();
    let ended = false;
    const exit = new Promise((resolve) => child.once('exit', resolve)).then(() => {
      ended = true;
    });
    await job.until(() => job.peer.received.length > 0);
    const { read } = await (await job.waybill()).ledger();
    const [run] = await read.runs({});
    let looks = 0;
    while (!ended) {
      for (const [, balance] of await read.balance(run!.id)) {
        expect(balances(balance), JSON.stringify(balance)).toBe(true);
        expect(balance.read).toBe(2_000);
      }
      looks++;
      await new Promise((resolve) => setImmediate(resolve));
    }
    await exit;
    expect(looks).toBeGreaterThan(20);
  });

  it('a first SIGTERM finishes what is in flight and says how to go on; nothing is in doubt', async () => {
    await open({ members: members(3_000), behaviour: { delayMs: 50 } });
    const child = job.spawnRun();
    await job.until(() => job.peer.received.length >= 5);
    child.kill('SIGTERM');
    const code = await new Promise((resolve) => child.once('exit', resolve));
    expect(code).toBe(143);
    const { read } = await (await job.waybill()).ledger();
    const balance = [...(await read.balance((await read.runs({}))[0]!.id)).values()][0]!;
    expect(balance.inDoubt).toBe(0);
    expect(balance.pending).toBeGreaterThan(0);
    expect(balance.delivered).toBe(job.held().length);
    const summary = await job.run();
    expect(summary.run.state).toBe('complete');
    expect(job.held()).toHaveLength(3_000);
  });
});

describe('Ctrl-C in a terminal', () => {
  const begun = () => start(job, ['run', 'roket-daily', '--for', DAY]);
  const lane = async () => {
    const { read } = await (await job.waybill()).ledger();
    return [...(await read.balance((await read.runs({}))[0]!.id)).values()][0]!;
  };

  it('U17: once finishes what is in flight, says how to resume, ends with 130, and leaves no doubt', async () => {
    await open({ members: members(2_000), behaviour: { delayMs: 300 }, sink: { inFlight: '2' } });
    const running = begun();
    await job.until(() => job.peer.received.length >= 3);
    running.kill('SIGINT');
    const ended = await running.ended;
    expect(ended.status, ended.stderr).toBe(130);
    expect(ended.stderr).toMatch(/what is in flight is finished and recorded; Ctrl-C again leaves at once/);
    expect(ended.stderr).toContain(`Resume with: waybill run roket-daily --for ${DAY}`);
    expect(ended.stdout).toMatch(new RegExp(`next: waybill run roket-daily --for ${DAY}`));
    expect(job.peer.received.filter(({ status = 0 }) => status < 200 || status > 299)).toEqual([]);
    const balance = await lane();
    expect(balance).toMatchObject({ inDoubt: 0, delivered: job.held().length });
    expect(balance.pending).toBeGreaterThan(0);
    job.peer.set({ delayMs: 0 });
    const resumed = await job.cli(['run', 'roket-daily', '--for', DAY]);
    expect(resumed.status, resumed.stderr).toBe(0);
    expect([...counts(job.held()).values()].every((count) => count === 1)).toBe(true);
    expect(counts(job.held()).size).toBe(2_000);
  });

  it('U17: twice leaves at once though a request hangs, and that one is in doubt, not sent again', async () => {
    const hangs = { faults: [{ when: { from: 3 }, answer: 'hang', apply: 'all' }] } as const;
    await open({ members: members(2_000), behaviour: hangs, sink: { inFlight: '1', requestTimeout: '60s' } });
    const running = begun();
    await job.until(() => job.peer.received.length >= 3);
    running.kill('SIGINT');
    await expect.poll(() => running.said()).toMatch(/Ctrl-C again leaves at once/);
    const from = performance.now();
    running.kill('SIGINT');
    const ended = await running.ended;
    expect(performance.now() - from, 'far less than the 60 s of the request').toBeLessThan(10_000);
    expect(ended.status, ended.stderr).toBe(130);
    expect(ended.stderr).toMatch(/leaving at once: what was in flight may have arrived/);
    job.peer.set({ faults: [] });
    const resumed = await job.cli(['run', 'roket-daily', '--for', DAY]);
    expect(resumed.status, resumed.stderr).toBe(4);
    expect(await lane()).toMatchObject({ read: 2_000, delivered: 1_900, inDoubt: 100, pending: 0 });
    expect([...counts(job.held()).values()].every((count) => count === 1)).toBe(true);
  });
});

describe('what must not be seen', () => {
  it('U23: neither the token nor a record appears in output, log, status message or ledger', async () => {
    const secretive = members(50).map((one) => ({ ...one, name: `body-canary-${one.member_id}` }));
    await open({
      members: secretive,
      top: 'status: { log: status.log, store: status.db }',
      behaviour: { faults: [{ when: { nth: [1] }, answer: 'close', apply: 'none' }] },
    });
    const outputs = [
      await job.cli(['run', 'roket-daily', '--for', DAY, '--verbose']),
      await job.cli(['doubts']),
      await job.cli(['trace', '7', '--verbose']),
      await job.cli(['doctor']),
      await job.cli(['plan', 'roket-daily', '--for', DAY, '--refresh', '--verbose']),
    ];
    const said = outputs.map(({ stdout, stderr }) => stdout + stderr).join('\n');
    expect(said).toMatch(/doubt/);
    const status = job.read('status.log');
    expect(status).toMatch(/IN_PROGRESS|SUBMITTED/);
    const kept = everyByteBelow(`${job.folder}/.waybill`);
    const ledger = everyByteBelow(`${job.folder}/.waybill/ledger.db`);
    const token = 'canary-token-4711';
    const spellings = [token, Buffer.from(token).toString('base64'), encodeURIComponent(token)];
    for (const text of [said, status, kept])
      for (const spelling of spellings) expect(text.includes(spelling)).toBe(false);
    for (const text of [said, status, ledger]) expect(text.includes('body-canary')).toBe(false);
    // Asked for, the record is shown.
    const payload = await job.cli(['batches', 'show', 'b1', '--payload']);
    expect(payload.stdout).toMatch(/body-canary-7/);
  });
});
