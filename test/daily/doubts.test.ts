import { afterEach, describe, expect, it } from 'vitest';
import { asRunId } from '../../src/model/ids.ts';
import { counts, DAY, DailyJob, type DailyJobOptions, members } from './daily-job.ts';

let job: DailyJob;
afterEach(() => job.close());
const open = async (options: DailyJobOptions = {}): Promise<DailyJob> => {
  job = await DailyJob.open(options);
  return job;
};

/** The second request is applied, and its answer is lost. */
const lostAnswer = { faults: [{ when: { nth: [2] }, apply: 'all' as const, answer: 'close' as const }] };
/** The second request never reaches the API's books, and nobody can tell. */
const lostRequest = { faults: [{ when: { nth: [2] }, apply: 'none' as const, answer: 'close' as const }] };
const one = { inFlight: '1' };

describe('a batch whose answer was lost', () => {
  it('U10: is in doubt, is not sent again by itself, and blocks no other batch', async () => {
    await open({ members: members(400), behaviour: lostAnswer, sink: one });
    const summary = await job.run();
    expect(summary.run.state).toBe('in-doubt');
    expect(summary.lanes[0]?.balance).toMatchObject({ read: 400, delivered: 300, inDoubt: 100, pending: 0 });
    for (let start = 0; start < 3; start++) await job.run();
    expect(job.peer.received).toHaveLength(4);
    const { doubts } = await job.json<{ doubts: Record<string, unknown>[] }>(['doubts']);
    expect(doubts).toMatchObject([{ id: 'b2', state: 'in-doubt', records: 100 }]);
    const exit = await job.cli(['run', 'roket-daily', '--for', DAY]);
    expect(exit.status).toBe(4);
  });

  it('U10: is settled by a person, with who, when and evidence in the books', async () => {
    await open({ behaviour: lostAnswer, sink: one });
    await job.run();
    const settled = await job.cli(['settle', 'b2', '--as', 'delivered', '--evidence', 'seen in their log', '--yes']);
    expect(settled.status, settled.stderr).toBe(0);
    const waybill = await job.reopen();
    const { read } = await waybill.ledger();
    const events = await read.events({ run: asRunId(1) });
    const audit = events.find((event) => event.kind === 'settled');
    expect(audit?.detail).toMatchObject({ evidence: 'seen in their log', decision: 'delivered' });
    expect(String(audit?.detail.who)).toMatch(/\w/);
    expect((await read.run(asRunId(1))).state).toBe('complete');
    expect(job.peer.received).toHaveLength(3);
  });

  it('U10: a person who proves that it never arrived has it sent by the next start, byte for byte', async () => {
    await open({ behaviour: lostRequest, sink: one });
    await job.run();
    const settled = await job.cli(['settle', 'b2', '--as', 'absent', '--evidence', 'not in their log', '--yes']);
    expect(settled.status, settled.stderr).toBe(0);
    const summary = await job.run();
    expect(summary.run.state).toBe('complete');
    expect(job.peer.received).toHaveLength(4);
    expect(job.peer.received[3]?.body).toBe(job.peer.received[1]?.body);
    expect([...counts(job.held()).values()].every((count) => count === 1)).toBe(true);
  });

  it('U10: the policy resend sends it again and counts it as possibly twice', async () => {
    await open({ behaviour: lostAnswer, sink: one, flow: { onDoubt: 'resend' } });
    const summary = await job.run();
    expect(summary.run.state).toBe('complete');
    expect(counts(job.held()).get(150)).toBe(2);
    const { read } = await (await job.waybill()).ledger();
    const batches = await read.batches({ run: asRunId(1) });
    expect(batches.map((batch) => batch.possibly)).toEqual([undefined, 'twice', undefined]);
  });

  it('U10: the policy skip never sends it again and counts it as possibly lost', async () => {
    await open({ behaviour: lostRequest, sink: one, flow: { onDoubt: 'skip' } });
    const summary = await job.run();
    expect(summary.lanes[0]?.balance).toMatchObject({ delivered: 150, skipped: 100, inDoubt: 0 });
    const { read } = await (await job.waybill()).ledger();
    expect((await read.batches({ states: ['skipped'] })).map((batch) => batch.possibly)).toEqual(['lost']);
    await job.run();
    expect(job.peer.received).toHaveLength(3);
  });

  it.each([
    ['finds it and sends nothing', lostAnswer, 3],
    ['misses it and sends it again', lostRequest, 4],
  ])('U10: a sink that can be asked %s', async (_, behaviour, requests) => {
    await open({
      behaviour: { ...behaviour, idAt: 'member_id' },
      sink: {
        ...one,
        requestTimeout: '300ms',
        lookup: '{ path: "/lookup", method: POST, recordId: member_id, results: results, visibilityLag: 50ms }',
      },
    });
    const summary = await job.run();
    expect(summary.run.state).toBe('complete');
    expect(job.peer.received).toHaveLength(requests);
    expect([...counts(job.held()).values()].every((count) => count === 1)).toBe(true);
    expect(counts(job.held()).size).toBe(250);
  });

  it('U10: a look that finds what an earlier day had sent proves nothing: the batch stays in doubt', async () => {
    await open({
      behaviour: { faults: [{ when: { nth: [4] }, apply: 'none', answer: 'close' }], idAt: 'member_id' },
      sink: {
        ...one,
        requestTimeout: '300ms',
        lookup: '{ path: "/lookup", method: POST, recordId: member_id, results: results }',
      },
    });
    await job.run();
    job.change("update members set updated_on = '2026-11-20', name = 'renamed' where member_id <= 100");
    const next = await job.run('2026-11-20');
    expect(next.lanes[0]?.balance).toMatchObject({ delivered: 0, inDoubt: 100 });
    const { read } = await (await job.waybill()).ledger();
    const [doubt] = await read.doubts({});
    expect(doubt!.records).toBe(100);
    const settled = await job.cli([
      'settle',
      '--run',
      'r2',
      '--as',
      'absent',
      '--evidence',
      'the API was asked',
      '--yes',
    ]);
    expect(settled.status, settled.stderr).toBe(0);
    expect((await job.run('2026-11-20')).run.state).toBe('complete');
    expect(job.held().filter((id) => id === 7)).toHaveLength(2);
  });

  it('U10: whoever has a sink asked once more hears why that decides nothing', async () => {
    const ask = ['settle', 'b2', '--as', 'ask', '--evidence', 'the API is back'];
    await open({ behaviour: lostAnswer, sink: one });
    await job.run();
    const asked = await job.cli(ask);
    expect(asked.status).toBe(4);
    expect(asked.stderr).toContain('b2 stays in doubt: the sink offers no way to ask');
    expect(job.peer.received).toHaveLength(3);
  });

  it('U10: a sink that was only half-way through is asked of each record; only the missing ones are sent', async () => {
    await open({
      behaviour: { faults: [{ when: { nth: [2] }, apply: 'half', answer: 'close' }], idAt: 'member_id' },
      sink: {
        ...one,
        requestTimeout: '300ms',
        lookup: '{ path: "/lookup", method: POST, recordId: member_id, results: results, visibilityLag: 50ms }',
      },
    });
    const summary = await job.run();
    expect(summary.run.state).toBe('complete');
    expect(job.peer.received.map((request) => request.records.length)).toEqual([100, 100, 50, 50]);
    expect([...counts(job.held()).values()].every((count) => count === 1)).toBe(true);
    expect(counts(job.held()).size).toBe(250);
  });

  it('U10: a sink that knows idempotency keys gets the same bytes under one key, and keeps them once', async () => {
    await open({
      behaviour: { ...lostAnswer, idempotency: { header: 'idempotency-key', horizonMs: 86_400_000 } as never },
      sink: { ...one, idempotencyKey: '{ horizon: 24h }' },
    });
    const summary = await job.run();
    expect(summary.run.state).toBe('complete');
    const [first, second] = [
      job.peer.received[1]!,
      job.peer.received.find((request, nth) => nth > 1 && request.headers['x-waybill-attempt'] === '2')!,
    ];
    expect(second.headers['idempotency-key']).toBe(first.headers['idempotency-key']);
    expect(second.body).toBe(first.body);
    expect([...counts(job.held()).values()].every((count) => count === 1)).toBe(true);
  });
});

describe('a batch that the API takes in part', () => {
  const shape = {
    shape: 'rokt' as const,
    reject: [{ path: 'member_id', values: [105, 120], code: 'Throttled', message: 'later' }],
  };
  const receipt =
    '{ shape: echoed-record, path: data.unprocessedRecords, key: record.member_id, recordKey: member_id, ' +
    'error: error.message, code: error.code, retryable: { codes: [Throttled] } }';

  it('U12: a rerun sends a batch of only the failed records, and its trace points to the first batch', async () => {
    await open({
      behaviour: shape,
      sink: { ...one, receipt },
      flow: { retry: '{ attempts: 1, firstDelay: 20ms, maxDelay: 50ms, maxAge: 2s }' },
    });
    const first = await job.run();
    // The lane gives up at the two that wait; the batch after them may have left by then, or waits as well.
    const { delivered = 0, pending } = first.lanes[0]?.balance ?? {};
    expect([
      [198, 52],
      [248, 2],
    ]).toContainEqual([delivered, pending]);
    job.peer.set({ reject: [] });
    const before = job.peer.received.length;
    const second = await job.run();
    expect(second.run.state).toBe('complete');
    const resent = job.peer.received.slice(before).flatMap((request) => request.records as { member_id: number }[]);
    expect(resent.map((record) => record.member_id).filter((id) => id > 100 && id <= 200)).toEqual([105, 120]);
    expect([...counts(job.held()).values()].every((count) => count === 1)).toBe(true);
    const { traces } = await job.json<{ traces: { steps: { batch: { id: string; parent?: string } }[] }[] }>([
      'trace',
      '105',
    ]);
    const steps = traces[0]?.steps ?? [];
    expect(steps).toHaveLength(2);
    expect(steps[1]?.batch.parent).toBe(steps[0]?.batch.id);
  });

  it('U11, U13: what it refuses for good is refused, the rest is delivered; a person has it sent again', async () => {
    await open({
      behaviour: {
        ...shape,
        reject: [{ path: 'member_id', values: [105], code: 'ValidationError', message: 'bad name' }],
      },
      sink: { ...one, receipt },
    });
    const summary = await job.run();
    expect(summary.run.state).toBe('complete-with-refusals');
    expect(summary.lanes[0]?.balance).toMatchObject({ delivered: 249, refused: 1 });
    await job.run();
    expect(job.peer.received).toHaveLength(3);
    job.peer.set({ reject: [] });
    const retried = await job.cli(['retry', 'r1', '--reason', 'the API was mended']);
    expect(retried.status, retried.stderr).toBe(0);
    await job.run();
    expect(counts(job.held()).get(105)).toBe(1);
    expect(job.held()).toHaveLength(250);
    const { read } = await (await job.waybill()).ledger();
    expect((await read.run(asRunId(1))).state).toBe('complete');
  });
});

describe('an answer that proves something', () => {
  it('U13: a 400 is final where the API refuses as a whole, and the one bad record is found by halving', async () => {
    await open({
      behaviour: { shape: 'meta', reject: [{ path: 'member_id', values: [142], code: 'Bad', message: 'no' }] },
      sink: { ...one, receipt: '{ shape: all-or-nothing }' },
    });
    const summary = await job.run();
    expect(summary.lanes[0]?.balance).toMatchObject({ delivered: 249, refused: 1, inDoubt: 0, pending: 0 });
    expect([...counts(job.held()).values()].every((count) => count === 1)).toBe(true);
    const sent = job.peer.received.length;
    await job.run();
    expect(job.peer.received).toHaveLength(sent);
  });

  it('U13: a 429 is tried again after the time that it names', async () => {
    await open({
      behaviour: { faults: [{ when: { nth: [2] }, answer: { status: 429, headers: { 'retry-after': '1' } } }] },
      sink: one,
    });
    const summary = await job.run();
    expect(summary.run.state).toBe('complete');
    const [, refused, next] = job.peer.received;
    expect(next!.atMs - refused!.atMs).toBeGreaterThanOrEqual(990);
    expect([...counts(job.held()).values()].every((count) => count === 1)).toBe(true);
  });

  it('U13: a refused connection is "not sent": the batch stays sealed, and nothing is in doubt', async () => {
    await open({
      members: members(250),
      flow: { retry: '{ attempts: 3, firstDelay: 10ms, maxDelay: 50ms, maxAge: 500ms }' },
    });
    const url = job.peer.url;
    await job.peer.close();
    const summary = await job.run();
    expect(summary.lanes[0]?.balance).toMatchObject({ pending: 250, inDoubt: 0, delivered: 0 });
    expect(summary.stalled[0]?.reason).toMatch(/away|connect|ECONNREFUSED/i);
    expect(url).toMatch(/127/);
    job = await reopenPeer(job);
  });

  it('U13: a time-out after sending is "in doubt"', async () => {
    await open({
      behaviour: { faults: [{ when: { nth: [2] }, apply: 'all', answer: 'hang' }] },
      sink: { ...one, requestTimeout: '300ms' },
    });
    const summary = await job.run();
    expect(summary.lanes[0]?.balance).toMatchObject({ delivered: 150, inDoubt: 100, pending: 0 });
  });

  it('a wrong token blames no record: the lane stops at once, and goes on when it is right', async () => {
    await open({ behaviour: { auth: { bearer: 'another' } }, sink: { ...one, statuses: '{ refused: [400, 401] }' } });
    const summary = await job.run();
    expect(job.peer.received).toHaveLength(1);
    expect(summary.lanes[0]?.balance).toMatchObject({ pending: 250, refused: 0, inDoubt: 0 });
    expect(summary.stalled[0]?.reason).toMatch(/refuses every request/);
    job.peer.set({ auth: { bearer: 'canary-token-4711' } });
    expect((await job.run()).run.state).toBe('complete');
  });
});

/** The peer of this job is closed already; closing the job once more needs one that is open. */
async function reopenPeer(closed: DailyJob): Promise<DailyJob> {
  await (await closed.waybill()).close();
  return await DailyJob.open({ members: [] });
}
