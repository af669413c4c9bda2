import { afterEach, describe, expect, it } from 'vitest';
import type { Cut } from '../../src/testing/faults/cut.ts';
import { type CutProxy, openCutProxy } from '../../src/testing/faults/cut-proxy.ts';
import { DAY, DailyJob, type DailyJobOptions, members } from '../daily/daily-job.ts';
import { type Ended, expectError, isIn, type Started, start } from '../hard/processes.ts';
import { expectExact, heldBy } from './account.ts';

const RECORDS = 800;
const BATCH = 50;
const LEASE_MS = 2_500;
const ids = members(RECORDS).map((one) => one.member_id);
const RUN = ['run', 'roket-daily', '--for', DAY];

let job: DailyJob;
let proxy: CutProxy;
afterEach(async () => {
  await job.close();
  await proxy.close();
});

async function open(options: DailyJobOptions): Promise<void> {
  job = await DailyJob.open({ members: members(RECORDS), behaviour: { delayMs: 5 }, ...options });
  proxy = await openCutProxy({ target: { port: Number(new URL(job.peer.url).port) }, framing: 'http' });
  job.configure({
    connections: { roket: `{ type: http, url: "http://127.0.0.1:${proxy.port}" }` },
    sink: { batch: `{ maxRecords: ${BATCH}, maxBytes: 1MB }`, requestTimeout: '1s', ...options.sink },
    flow: { lease: `${LEASE_MS}ms` },
  });
}

const past = (ms: number): Promise<void> => {
  const end = performance.now() + ms;
  return job.until(() => performance.now() > end);
};

/** Every batch and attempt of the ledger, as text. */
async function books(): Promise<string> {
  const { read } = await (await job.reopen()).ledger();
  const rows: unknown[] = [];
  for (const batch of await read.batches({ limit: 1_000 })) rows.push(batch, await read.attempts(batch.id));
  return JSON.stringify([rows, await read.runs({})], (_, value) => (typeof value === 'bigint' ? `${value}` : value));
}

/** Stops a process where a message of it stands at the proxy, and lets its lease run out. */
async function stopAt(cut: Pick<Cut, 'side' | 'at' | 'act'>, nth: number) {
  const holds = 'POST /v1/events';
  proxy.set([
    { ...cut, times: 1, when: { holds, every: nth } },
    // What it wants to send beside that gets no further than here, so that it comes to rest.
    { side: 'request', at: 0, act: 'hold', when: { holds, every: 1, first: nth + 1 } },
  ]);
  const sleeper = start(job, RUN);
  // Only where it waits for something: a process that is stopped while it computes may hold the ledger's lock, or have
  // a request in its hands that is checked already. Both can happen, and neither is what is looked at here.
  await job.until(() => proxy.made.length >= 2 && isIn(sleeper.pid, 'S'));
  sleeper.kill('SIGSTOP');
  proxy.set([]);
  await past(LEASE_MS + 200);
  return sleeper;
}

async function expectFinished(doubtsMax: number): Promise<void> {
  const { read } = await (await job.waybill()).ledger();
  const [run] = await read.runs({});
  const account = await expectExact(job, run!.id, ids);
  expect(account.pending).toBe(0);
  expect(account.inDoubt).toBeLessThanOrEqual(doubtsMax);
}

/**
 * A process that is stopped in the middle of a transaction keeps the lock of the SQLite file, and no lease can take
 * that from it. Then nobody else can work: the other has to say so and change nothing, and the first one goes on.
 */
async function lockedOut(sleeper: Started, other: Ended, doubtsMax: number): Promise<void> {
  expectError(other, 'LEDGER_BUSY', 5);
  proxy.release();
  sleeper.kill('SIGCONT');
  await sleeper.ended;
  const last = await start(job, RUN).ended;
  expect([0, 4], last.stderr).toContain(last.status);
  await job.until(() => job.peer.received.every((request) => request.status !== undefined));
  await job.reopen();
  await expectFinished(doubtsMax);
}

const PLACES: readonly (readonly [string, Pick<Cut, 'side' | 'at' | 'act'>, number])[] = [
  ['with a request that has not left', { side: 'request', at: 0, act: 'hold' }, 3],
  ['with a request on its way that arrives after the other has ended', { side: 'request', at: 0, act: 'late' }, 5],
  ['with an answer on its way to it', { side: 'answer', at: 0, act: 'hold' }, 2],
  ['with an answer in its hands', { side: 'answer', at: 'end', act: 'hold' }, 7],
];

const KINDS: readonly (readonly [string, DailyJobOptions, number, number])[] = [
  ['offers nothing', { sink: { inFlight: '2' } }, 3 * BATCH, PLACES.length],
  [
    'recognises a key',
    {
      sink: { inFlight: '2', idempotencyKey: '{ horizon: 24h }' },
      behaviour: { idempotency: { header: 'idempotency-key', horizonMs: 86_400_000, storesErrors: false } },
    },
    0,
    2,
  ],
];

describe.each(KINDS)(
  'of two processes, where the sink %s, the one that was stopped past its lease',
  (_, options, doubts, places) => {
    it.each(PLACES.slice(0, places))(
      '%s wakes when the other is done, and changes nothing',
      async (_place, cut, nth) => {
        await open(options);
        const sleeper = await stopAt(cut, nth);
        const other = await start(job, RUN).ended;
        if (other.status === 5) return await lockedOut(sleeper, other, doubts);
        expect([0, 4], other.stderr).toContain(other.status);
        const before = await books();
        const requests = proxy.requests;
        proxy.release();
        sleeper.kill('SIGCONT');
        const woken = await sleeper.ended;
        expectError(woken, 'FENCED', 6);
        expect(proxy.requests, 'a request of the one that woke').toBe(requests);
        await job.until(() => job.peer.received.every((request) => request.status !== undefined));
        expect(await books(), 'the books of the other').toBe(before);
        await expectFinished(doubts);
      },
    );

    it('wakes while the other is at work: each batch is sent by one of the two, to the end', async () => {
      await open({ ...options, behaviour: { ...options.behaviour, delayMs: 60 } });
      const sleeper = await stopAt({ side: 'answer', at: 0, act: 'hold' }, 2);
      const other = start(job, RUN);
      const requests = job.peer.received.length;
      await job.until(() => job.peer.received.length >= requests + 2);
      proxy.release();
      sleeper.kill('SIGCONT');
      expectError(await sleeper.ended, 'FENCED', 6);
      const ended = await other.ended;
      expect([0, 4], ended.stderr).toContain(ended.status);
      await expectFinished(doubts);
      expect([...heldBy(job).values()].every((times) => times === 1)).toBe(true);
    });
  },
);
