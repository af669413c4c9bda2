import { afterEach, describe, expect, it } from 'vitest';
import { counts, DAY, DailyJob, type DailyJobOptions, members } from './daily-job.ts';

let job: DailyJob;
afterEach(() => job.close());
const open = async (options: DailyJobOptions = {}): Promise<DailyJob> => {
  job = await DailyJob.open(options);
  return job;
};
const range = (from: number, to: number): number[] => Array.from({ length: to - from + 1 }, (_, n) => from + n);

describe('a day that is sent', () => {
  it('U01: holds exactly the rows of its date; the rows of another date are never touched', async () => {
    const day = members(150);
    const other = members(70, { first: 1_000, day: '2026-11-18' });
    await open({ members: [...other, ...day] });
    const summary = await job.run(DAY);
    expect(summary.run.state).toBe('complete');
    expect(job.held().sort((a, b) => a - b)).toEqual(range(1, 150));
    await job.run('2026-11-18');
    expect(
      job
        .held()
        .filter((id) => id >= 1_000)
        .sort((a, b) => a - b),
    ).toEqual(range(1_000, 1_069));
    expect(job.held().length).toBe(220);
  });

  it.each([
    [0, 0],
    [1, 1],
    [99, 1],
    [100, 1],
    [101, 2],
    [1037, 11],
  ])('U02: sends %i records in exactly %i requests, none above the cap of 100', async (records, requests) => {
    await open({ members: members(records) });
    const summary = await job.run();
    expect(summary.run.state).toBe('complete');
    expect(job.peer.received.length).toBe(requests);
    expect(Math.max(0, ...job.peer.received.map((request) => request.records.length))).toBeLessThanOrEqual(100);
    expect(counts(job.held()).size).toBe(records);
  });

  it('U03: splits by encoded bytes too, and a record above the cap fails alone, with a reason', async () => {
    const all = members(60).map((one) => (one.member_id === 30 ? { ...one, name: 'x'.repeat(3_000) } : one));
    await open({ members: all, sink: { batch: '{ maxRecords: 100, maxBytes: 1000 }' } });
    const summary = await job.run();
    expect(summary.run.state).toBe('complete-with-refusals');
    expect(summary.lanes[0]?.balance).toMatchObject({ read: 60, delivered: 59, refused: 1, pending: 0 });
    for (const request of job.peer.received) expect(Buffer.byteLength(request.body)).toBeLessThanOrEqual(1_000);
    expect(job.held()).not.toContain(30);
    const { records } = await (await job.waybill())
      .ledger()
      .then((ledger) => ledger.read.records({ states: ['refused'] }));
    expect(records).toMatchObject([{ code: 'RECORD_TOO_LARGE', row: 30 }]);
    expect(records[0]?.reason).toMatch(/takes 1000/);
  });

  it('U04: one query tells of any record its run, batch, place in the batch, state, time and reason', async () => {
    await open();
    await job.run();
    const { traces } = await job.json<{ traces: { record: Record<string, unknown>; steps: unknown[] }[] }>([
      'trace',
      '142',
    ]);
    expect(traces).toHaveLength(1);
    expect(traces[0]?.record).toMatchObject({ run: 'r1', batch: 'b2', position: 41, state: 'delivered' });
    expect(Date.parse(String(traces[0]?.record.at))).toBeGreaterThan(0);
    const sent = job.peer.received.find((request) => JSON.stringify(request.records).includes('"member_id":142,'));
    expect(sent?.records[41]).toMatchObject({ member_id: 142 });
  });

  it('U05: one query tells of a batch its records, state, attempts and reason; batches by state', async () => {
    const behaviour = { faults: [{ when: { nth: [2] }, answer: 'close' as const, apply: 'all' as const }] };
    await open({ behaviour, sink: { inFlight: '1' } });
    await job.run();
    const waybill = await job.waybill();
    const { read } = await waybill.ledger();
    expect((await read.batches({ states: ['delivered'] })).map((batch) => batch.records)).toEqual([100, 50]);
    const [lost] = await read.batches({ states: ['in-doubt'] });
    const attempts = await read.attempts(lost!.id);
    expect(attempts).toMatchObject([{ attempt: 1, answer: 'lost', unknown: 100 }]);
    expect(attempts[0]?.reason).toMatch(/\w/);
    expect((await read.records({ batch: lost!.id })).records).toHaveLength(100);
    const done = (await read.batches({ states: ['delivered'] }))[0]!;
    expect((await read.attempts(done.id))[0]?.receipt?.summary).toMatch(/all 100 applied/);
  });

  it('U06: a rerun of a date sends only the failed and unsent batches; succeeded ones get no request', async () => {
    const tooMany = { status: 429 };
    await open({
      members: members(500),
      behaviour: { faults: [{ when: { nth: [2] }, answer: tooMany }] },
      sink: { inFlight: '1' },
      flow: { retry: '{ attempts: 1, firstDelay: 20ms, maxDelay: 200ms, maxAge: 2s }' },
    });
    const first = await job.run();
    expect(first.run.state).toBe('open');
    expect(first.stalled).toHaveLength(1);
    const succeeded = new Set(job.held());
    expect(succeeded.size).toBe(100);
    const before = job.peer.received.length;
    const second = await job.run();
    expect(second.run.state).toBe('complete');
    const again = job.peer.received.slice(before).flatMap((request) => request.records as { member_id: number }[]);
    expect(again.filter((record) => succeeded.has(record.member_id))).toEqual([]);
    expect([...counts(job.held()).values()].every((count) => count === 1)).toBe(true);
    expect(counts(job.held()).size).toBe(500);
  });

  it('U07: a rerun does not cut batches anew: bytes, membership and order are those of the first run', async () => {
    await open({
      members: members(300),
      behaviour: { faults: [{ when: { nth: [2] }, times: 1, answer: { status: 429 } }] },
      sink: { inFlight: '1' },
      flow: { retry: '{ attempts: 1, firstDelay: 20ms, maxDelay: 200ms, maxAge: 2s }' },
    });
    await job.run();
    const refused = job.peer.received[1]!;
    expect(refused.status).toBe(429);
    job.change("delete from members where member_id = 150; update members set name = 'other' where member_id > 100");
    await job.run();
    const again = job.peer.received[2]!;
    expect(again.body).toBe(refused.body);
    expect(again.headers['x-waybill-batch']).toBe(refused.headers['x-waybill-batch']);
    expect(again.headers['x-waybill-attempt']).toBe('2');
    expect(job.held().sort((a, b) => a - b)).toEqual(range(1, 300));
  });

  it('U08: after success a rerun sends nothing and says so; a full resend needs a flag and is recorded', async () => {
    await open();
    await job.run();
    expect(job.peer.received).toHaveLength(3);
    const again = await job.cli(['run', 'roket-daily', '--for', DAY]);
    expect(again.status).toBe(0);
    expect(again.stdout + again.stderr).toMatch(/nothing to send/i);
    expect(job.peer.received).toHaveLength(3);
    const refused = await job.cli(['run', 'roket-daily', '--for', DAY, '--resend-all', '--yes']);
    expect(refused.status).toBe(2);
    expect(job.peer.received).toHaveLength(3);
    const forced = await job.cli([
      'run',
      'roket-daily',
      '--for',
      DAY,
      '--resend-all',
      '--reason',
      'they lost it',
      '--yes',
    ]);
    expect(forced.status, forced.stderr).toBe(0);
    expect(job.peer.received).toHaveLength(6);
    const { read } = await (await job.waybill()).ledger();
    const generations = await read.generations((await read.runs({}))[0]!.id);
    expect(generations.at(-1)).toMatchObject({ kind: 'resend', reason: expect.stringContaining('they lost it') });
  });

  it('U14, A03: any flow is traced without code of its own; a new flow is a few lines in the file', async () => {
    await open({ members: members(20) });
    job.configure({
      source: {
        query: '"select member_id, name from members where updated_on = :date and member_id > :least"',
        params: '{ least: 10 }',
      },
    });
    const summary = await job.run();
    expect(summary.lanes[0]?.balance.delivered).toBe(10);
    job.configure({
      source: { query: '"select * from members"', key: '[member_id, updated_on]' },
      flow: { window: 'all' },
    });
    await job.run('all');
    const { traces } = await job.json<{ traces: unknown[] }>(['trace', '7', DAY]);
    expect(traces).toHaveLength(1);
  });

  it('U15: batches are staged before they are sent, can be looked at and downloaded, and are sent so', async () => {
    await open();
    await job.run();
    const shown = await job.cli(['batches', 'show', 'b2', '--payload']);
    expect(shown.status, shown.stderr).toBe(0);
    expect(shown.stdout.trim()).toBe(
      job.peer.received.find((one) => one.body.includes('"member_id":101,'))?.body.trim(),
    );
    const file = await job.cli(['batches', 'show', 'b3', '--payload-to', 'b3.json']);
    expect(file.status, file.stderr).toBe(0);
    expect(JSON.parse(job.read('b3.json'))).toHaveLength(50);
  });

  it('U16: staged files live in any folder, and a run can be told "these batches only"', async () => {
    await open({ members: members(500), top: 'staging: { folder: elsewhere/frozen }' });
    job.peer.set({ faults: [{ times: 1, answer: { status: 429 } }] });
    job.configure({
      sink: { inFlight: '1' },
      flow: { retry: '{ attempts: 1, firstDelay: 20ms, maxDelay: 200ms, maxAge: 2s }' },
    });
    await job.run();
    expect(job.held()).toEqual([]);
    const some = await job.cli(['run', 'roket-daily', '--for', DAY, '--batches', 'b2,b4']);
    expect(some.status, some.stderr).toBe(5);
    expect(job.held().sort((a, b) => a - b)).toEqual([...range(101, 200), ...range(301, 400)]);
    expect(job.read('elsewhere/frozen/r1/roket/1.seg')).toMatch(/^\{"waybill":1,/);
  });

  it('U17: one command goes on after a failure, without work by hand', async () => {
    await open({ members: members(500) });
    job.peer.set({ faults: [{ when: { from: 3 }, answer: { status: 429 } }] });
    job.configure({ flow: { retry: '{ attempts: 1, firstDelay: 20ms, maxDelay: 200ms, maxAge: 2s }' } });
    const failed = await job.cli(['run', 'roket-daily', '--for', DAY]);
    expect(failed.status).toBe(5);
    expect(failed.stdout + failed.stderr).toMatch(/waybill run roket-daily --for 2026-11-19/);
    job.peer.set({ faults: [] });
    const resumed = await job.cli(['run', 'roket-daily', '--for', DAY]);
    expect(resumed.status, resumed.stderr).toBe(0);
    expect([...counts(job.held()).values()].every((count) => count === 1)).toBe(true);
    expect(counts(job.held()).size).toBe(500);
  });
});
