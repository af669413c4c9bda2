import { afterEach, describe, expect, it } from 'vitest';
import { type CutProxy, openCutProxy } from '../../src/testing/faults/cut-proxy.ts';
import { counts, DAY, DailyJob, type DailyJobOptions, members } from '../daily/daily-job.ts';
import { start } from '../hard/processes.ts';
import { expectExact, heldBy } from './account.ts';

/** Each test is named after what went wrong elsewhere, and shows that it does not go wrong here. */

let job: DailyJob;
let proxy: CutProxy | undefined;
afterEach(async () => {
  await job.close();
  await proxy?.close();
  proxy = undefined;
});

const RUN = ['run', 'roket-daily', '--for', DAY];
const open = async (options: DailyJobOptions): Promise<void> => {
  job = await DailyJob.open(options);
};
const idsOf = (count: number, first = 1): number[] => members(count, { first }).map((one) => one.member_id);
const once = (): void => expect([...heldBy(job).values()].filter((times) => times !== 1)).toEqual([]);

/** The API of the daily job refuses some records of a batch, and says which. */
const SHAPE = {
  shape: 'rokt' as const,
  reject: [{ path: 'member_id', values: [105, 120], code: 'Throttled', message: 'later' }],
};
const RECEIPT =
  '{ shape: echoed-record, path: data.unprocessedRecords, key: record.member_id, recordKey: member_id, ' +
  'error: error.message, code: error.code, retryable: { codes: [Throttled] } }';
const ONE_TRY = { retry: '{ attempts: 1, firstDelay: 20ms, maxDelay: 50ms, maxAge: 2s }' };

describe('what others got wrong', () => {
  it('a batch of which some records arrived is not delivered: the next start sends the rest', async () => {
    await open({ behaviour: SHAPE, sink: { inFlight: '1', receipt: RECEIPT }, flow: ONE_TRY });
    const first = await job.run();
    const account = await expectExact(job, first.run.id, idsOf(250));
    expect(account.delivered + account.pending).toBe(250);
    expect(account.pending).toBeGreaterThanOrEqual(2);
    expect((await start(job, RUN).ended).status, 'it is not called done').not.toBe(0);
    job.peer.set({ reject: [] });
    const second = await job.run();
    expect(second.run.state).toBe('complete');
    expect(await expectExact(job, second.run.id, idsOf(250))).toMatchObject({ delivered: 250 });
  });

  it('a record that was read and failed, and has not changed since, is sent all the same', async () => {
    await open({ behaviour: SHAPE, sink: { inFlight: '1', receipt: RECEIPT }, flow: ONE_TRY });
    await job.run();
    job.peer.set({ reject: [] });
    // Read anew: the rows compare equal to what was extracted, and not to what was delivered.
    const again = await job.run(DAY, { refresh: true });
    expect(again.run.state).toBe('complete');
    expect(await expectExact(job, again.run.id, idsOf(250))).toMatchObject({ delivered: 250, pending: 0 });
  });

  it('a query without any order, read again in another one, skips no row and repeats none', async () => {
    await open({
      members: members(1_000),
      source: { query: '"select * from members where updated_on = :date"' },
      flow: { deliver: 'while-reading' },
      behaviour: { delayMs: 20 },
    });
    const running = start(job, RUN);
    await job.until(() => job.peer.received.length >= 2);
    running.kill('SIGKILL');
    await running.ended;
    // The same rows in the opposite order, and one more.
    job.change(`create table turned as select * from members order by member_id desc;
      insert into turned values (5000, 'late', '${DAY}'); drop table members; alter table turned rename to members;`);
    await job.until(() => job.peer.received.every((request) => request.status !== undefined));
    const last = await job.run(DAY, { refresh: true });
    const account = await expectExact(job, last.run.id, [...idsOf(1_000), 5_000]);
    expect(account.pending).toBe(0);
    expect(account.inDoubt).toBeLessThanOrEqual(400);
  });

  it('a transaction that is rolled back does not forget that a request was sent', async () => {
    await open({ members: members(400), sink: { inFlight: '1' } });
    proxy = await openCutProxy({ target: { port: Number(new URL(job.peer.url).port) }, framing: 'http' });
    job.configure({ connections: { roket: `{ type: http, url: "http://127.0.0.1:${proxy.port}" }` } });
    proxy.set([{ side: 'answer', at: 0, act: 'hold', times: 1, when: { holds: 'POST /v1/events', every: 2 } }]);
    const running = start(job, RUN);
    await job.until(() => proxy!.made.length === 1);
    running.kill('SIGKILL');
    await running.ended;
    proxy.set([]);
    const last = await job.run();
    expect(await expectExact(job, last.run.id, idsOf(400))).toMatchObject({ inDoubt: 100, inDoubtHeld: 100 });
    once();
  });

  it('what was being sent when a process died is not taken for failed at the next start, nor sent again', async () => {
    await open({ members: members(600), behaviour: { delayMs: 100 }, sink: { inFlight: '2' } });
    for (let times = 0; times < 3; times++) {
      const before = job.peer.received.length;
      const running = start(job, RUN);
      await job.until(() => job.peer.received.length > before);
      running.kill('SIGKILL');
      await running.ended;
    }
    await job.until(() => job.peer.received.every((request) => request.status !== undefined));
    const last = await job.run();
    const account = await expectExact(job, last.run.id, idsOf(600));
    expect(account.inDoubt).toBeGreaterThan(0);
    expect(account.pending).toBe(0);
  });

  it.each(['50', '33', '7'])(
    'a batch size that changes to %s in the middle moves no record to another batch',
    async (size) => {
      await open({ members: members(1_000), behaviour: { delayMs: 30 }, sink: { inFlight: '1' } });
      const running = start(job, RUN);
      await job.until(() => job.peer.received.length >= 3);
      running.kill('SIGTERM');
      expect((await running.ended).status).toBe(143);
      const sent = job.peer.received.length;
      job.peer.set({ delayMs: 0 });
      job.configure({ sink: { batch: `{ maxRecords: ${size}, maxBytes: 1MB }`, inFlight: '4' } });
      const last = await job.run();
      expect(last.run.state).toBe('complete');
      expect(await expectExact(job, last.run.id, idsOf(1_000))).toMatchObject({ delivered: 1_000 });
      expect(job.peer.received.slice(sent).map((request) => request.records.length)).toEqual(
        Array.from({ length: 10 - sent }, () => 100),
      );
    },
  );

  it('a number of records that the size of a batch does not divide loses none and repeats none', async () => {
    await open({ members: members(12_345), sink: { batch: '{ maxRecords: 997, maxBytes: 1MB }' } });
    const summary = await job.run();
    expect(await expectExact(job, summary.run.id, idsOf(12_345))).toMatchObject({ delivered: 12_345 });
  });

  it('a batch that failed is not passed over by the next window', async () => {
    const next = members(100, { first: 1_000, day: '2026-11-20' });
    const faults = [{ when: { record: { path: 'member_id', values: [150] } }, answer: { status: 429 } }];
    await open({ members: [...members(250), ...next], behaviour: { faults }, sink: { inFlight: '1' }, flow: ONE_TRY });
    expect((await job.run()).lanes[0]!.balance.pending).toBeGreaterThanOrEqual(100);
    expect((await job.run('2026-11-20')).run.state).toBe('complete');
    job.peer.set({ faults: [] });
    const mended = await job.run();
    expect(mended.run.state, 'the first window was not forgotten').toBe('complete');
    expect([...counts(job.held()).keys()].sort((a, b) => a - b)).toEqual([...idsOf(250), ...idsOf(100, 1_000)]);
    once();
  });

  it('records that were refused and are sent again go through the same books, so that none arrives twice', async () => {
    const reject = [{ path: 'member_id', values: [105, 106], code: 'ValidationError', message: 'bad name' }];
    await open({ behaviour: { ...SHAPE, reject }, sink: { inFlight: '1', receipt: RECEIPT } });
    expect((await job.run()).lanes[0]!.balance).toMatchObject({ delivered: 248, refused: 2 });
    job.peer.set({ reject: [] });
    for (let times = 0; times < 2; times++) await job.cli(['retry', 'r1', '--reason', 'mended']);
    const last = await job.run();
    expect(await expectExact(job, last.run.id, idsOf(250))).toMatchObject({ delivered: 250, refused: 0 });
    await job.cli(['retry', 'r1', '--reason', 'once more']);
    await job.run();
    once();
  });

  it.each([404, 500, 503, 418])('an answer of %s is never only a line in a log', async (status) => {
    await open({ behaviour: { faults: [{ when: { nth: [2] }, answer: { status } }] }, sink: { inFlight: '1' } });
    const ended = await start(job, RUN).ended;
    expect(ended.status, 'it does not end as if all were well').toBe(4);
    const { read } = await (await job.reopen()).ledger();
    const [run] = await read.runs({});
    expect(await expectExact(job, run!.id, idsOf(250))).toMatchObject({ delivered: 150, inDoubt: 100 });
  });

  it('a source that breaks off gives no window that looks finished', async () => {
    // SQLite refuses to take the absolute value of the smallest whole number.
    const id = 'case when member_id < 200 then member_id else abs(-9223372036854775808) end as member_id';
    const faulty = `"select ${id}, name, updated_on from members where updated_on = :date"`;
    await open({ source: { query: faulty } });
    const failed = await start(job, RUN).ended;
    expect([0, 4]).not.toContain(failed.status);
    expect(job.peer.received).toEqual([]);
    const { read } = await (await job.reopen()).ledger();
    const [run] = await read.runs({});
    expect(run!.state).not.toMatch(/complete/);
    job.configure({ source: { query: '"select * from members where updated_on = :date"' } });
    const mended = await job.run();
    expect(mended.run.state).toBe('complete');
    expect(await expectExact(job, mended.run.id, idsOf(250))).toMatchObject({ delivered: 250 });
  });

  it('the state of a window is never ahead of what has arrived: with the API away nothing counts as done', async () => {
    await open({ members: members(300), flow: { ...ONE_TRY, deliver: 'while-reading' } });
    const { port } = new URL(job.peer.url);
    job.configure({ connections: { roket: '{ type: http, url: "http://127.0.0.1:9" }' } });
    const away = await start(job, RUN).ended;
    expect(away.status).toBe(5);
    job.configure({ connections: { roket: `{ type: http, url: "http://127.0.0.1:${port}" }` } });
    const summary = await job.run();
    expect(await expectExact(job, summary.run.id, idsOf(300))).toMatchObject({ delivered: 300, inDoubt: 0 });
  });
});
