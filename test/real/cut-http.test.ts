import { afterEach, describe, expect, it } from 'vitest';
import type { Cut } from '../../src/testing/faults/cut.ts';
import { type CutProxy, openCutProxy } from '../../src/testing/faults/cut-proxy.ts';
import { DailyJob, type DailyJobOptions, members } from '../daily/daily-job.ts';
import { expectExact, heldBy } from './account.ts';

let job: DailyJob;
let proxy: CutProxy;
afterEach(async () => {
  await job.close();
  await proxy.close();
});

const RECORDS = 600;
const ids = members(RECORDS).map((one) => one.member_id);

/** A job whose API is reached through the proxy. */
async function open(cuts: readonly Cut[], options: DailyJobOptions = {}): Promise<void> {
  job = await DailyJob.open({ members: members(RECORDS), ...options });
  proxy = await openCutProxy({ target: { port: Number(new URL(job.peer.url).port) }, framing: 'http', cuts });
  job.configure({ connections: { roket: `{ type: http, url: "http://127.0.0.1:${proxy.port}" }` } });
}

/** Every second first attempt, so that the sink does not seem to be away. */
const first = { holds: 'x-waybill-attempt: 1\r\n', every: 2 };
const LOST = 3;
const sink = { batch: '{ maxRecords: 100, maxBytes: 1MB }', requestTimeout: '5s', inFlight: '1' };

/** Each kind of cut, and whether the API applies what it meets. */
const KINDS: readonly (readonly [string, Omit<Cut, 'when' | 'act'>, boolean])[] = [
  ['before the request is handed on', { side: 'request', at: 0 }, false],
  ['in the middle of its head', { side: 'request', at: 60 }, false],
  ['between its head and its body', { side: 'request', at: { after: '\r\n\r\n' } }, false],
  ['in the middle of its body', { side: 'request', at: { after: '"name":"member ' } }, false],
  ['behind the whole request', { side: 'request', at: 'end' }, true],
  ['before the answer is handed on', { side: 'answer', at: 0 }, true],
  ['in the middle of the status line of the answer', { side: 'answer', at: 9 }, true],
  ['before the last byte of the answer', { side: 'answer', at: { after: '\r\n\r' } }, true],
];

/** What the flow declares about the API, and what the API then really does. */
const SURE: readonly (readonly [string, DailyJobOptions])[] = [
  [
    'that recognises a key',
    {
      sink: { ...sink, idempotencyKey: '{ horizon: 24h }' },
      behaviour: { idempotency: { header: 'idempotency-key', horizonMs: 86_400_000, storesErrors: false } },
    },
  ],
  [
    'that can be asked',
    {
      sink: {
        ...sink,
        requestTimeout: '400ms',
        lookup: '{ path: "/lookup", method: POST, recordId: member_id, results: results, visibilityLag: 10ms }',
      },
      behaviour: { idAt: 'member_id' },
    },
  ],
];

describe.each(['close', 'reset'] as const)('a connection to an API that is cut (%s)', (act) => {
  it.each(KINDS)('%s leaves each batch in doubt, listed, and never sent again by itself', async (_, place, applied) => {
    await open([{ ...place, when: first, act }], { sink });
    const summary = await job.run();
    expect(summary.run.state).toBe('in-doubt');
    const lost = LOST * 100;
    expect(await expectExact(job, summary.run.id, ids)).toEqual({
      delivered: RECORDS - lost,
      inDoubt: lost,
      inDoubtHeld: applied ? lost : 0,
      pending: 0,
      refused: 0,
    });
    expect(proxy.made).toHaveLength(LOST);
    const requests = proxy.requests;
    const again = await job.run();
    expect(again.run.state).toBe('in-doubt');
    expect(proxy.requests, 'nothing is sent again').toBe(requests);
  });

  it('behind the whole answer loses nothing: the answer is believed', async () => {
    await open([{ side: 'answer', at: 'end', when: first, act: 'close' }], { sink });
    const summary = await job.run();
    expect(proxy.made).toHaveLength(LOST);
    expect(await expectExact(job, summary.run.id, ids)).toMatchObject({ delivered: RECORDS, inDoubt: 0 });
  });

  describe.each(SURE)('to one %s', (_, options) => {
    it.each(KINDS)('%s is settled: every record is there once', async (_name, place) => {
      await open([{ ...place, when: first, act }], options);
      const summary = await job.run();
      expect(summary.run.state).toBe('complete');
      expect(proxy.made).toHaveLength(LOST);
      expect(await expectExact(job, summary.run.id, ids)).toMatchObject({ delivered: RECORDS, inDoubt: 0 });
    });
  });
});

describe('a request that is held up on its way', () => {
  it('and arrives after it was given up stays in doubt, and is there once', async () => {
    await open([{ side: 'request', at: 0, when: first, act: 'late' }], { sink: { ...sink, requestTimeout: '1s' } });
    const summary = await job.run();
    expect(await expectExact(job, summary.run.id, ids)).toMatchObject({ inDoubt: 300, inDoubtHeld: 0 });
    expect(proxy.release()).toBe(LOST);
    await job.until(() => heldBy(job).size === RECORDS);
    expect(await expectExact(job, summary.run.id, ids)).toMatchObject({ inDoubt: 300, inDoubtHeld: 300 });
    expect((await job.run()).run.state).toBe('in-doubt');
    expect([...heldBy(job).values()].every((times) => times === 1)).toBe(true);
  });

  it('and arrives after its repeat is recognised by its key', async () => {
    await open([{ side: 'request', at: 0, when: first, act: 'late' }], SURE[0]![1]);
    const summary = await job.run();
    expect(summary.run.state).toBe('complete');
    const answered = job.peer.received.length;
    expect(proxy.release()).toBe(LOST);
    await job.until(() => job.peer.received.length === answered + LOST);
    expect(await expectExact(job, summary.run.id, ids)).toMatchObject({ delivered: RECORDS });
  });

  it('for ever is given up at its time-out, and the batches behind it go on', async () => {
    await open([{ side: 'answer', at: 3, when: first, act: 'hold' }], { sink: { ...sink, requestTimeout: '1s' } });
    const summary = await job.run();
    expect(await expectExact(job, summary.run.id, ids)).toMatchObject({ delivered: 300, inDoubtHeld: 300 });
  });
});
