import { afterEach, describe, expect, it } from 'vitest';
import { openApiPeer } from '../../src/testing/peer/api-peer.ts';
import type { Answer, Behaviour } from '../../src/testing/peer/behaviour.ts';
import { counts, DAY, DailyJob, type DailyJobOptions, members } from '../daily/daily-job.ts';
import { start } from './processes.ts';

let job: DailyJob;
afterEach(() => job.close());
const open = async (options: DailyJobOptions = {}): Promise<DailyJob> => {
  job = await DailyJob.open(options);
  return job;
};
const run = () => job.cli(['run', 'roket-daily', '--for', DAY]);
const COUNTS = '{ shape: counts, applied: data.accepted, refused: data.rejected }';
const badAt = (nth: number, answer: Answer): Partial<Behaviour> => ({
  shape: 'counts',
  faults: [{ when: { nth: [nth] }, apply: 'all', answer }],
});

interface Doubts {
  readonly doubts: readonly { readonly id: string; readonly records: number }[];
}

describe('an answer that proves nothing', () => {
  it.each<[string, Answer, RegExp]>([
    ['is not JSON', 'not-json', /JSON/i],
    ['is JSON that is cut', 'cut-json', /JSON|cut|ended/i],
    ['is shorter than it said', 'truncated', /length|closed|ended|cut|lost|aborted/i],
    ['counts more records than were sent', 'lie', /101|account|more/i],
    ['is no HTTP', 'garbage', /HTTP|parse|answer/i],
    ['is a reset', 'reset', /reset|closed|ECONNRESET/i],
    ['never comes', 'hang', /time|answer|aborted/i],
    ['is larger than any receipt', 'huge', /large|MiB|bytes/i],
    ['is an error of a server that may have done it', { status: 500 }, /500/],
    ['is an error of a gateway that gave up', { status: 504 }, /504/],
    ['leaves out the counts', { status: 200, body: { data: {} } }, /accepted|count/i],
    ['counts in words', { status: 200, body: { data: { accepted: 'all', rejected: 0 } } }, /accepted|count|number/i],
    ['counts below nothing', { status: 200, body: { data: { accepted: 101, rejected: -1 } } }, /-1|count|account/i],
  ])(
    'because it %s leaves its batch in doubt, never delivered, and never sent again by itself',
    async (_, bad, why) => {
      await open({ behaviour: badAt(2, bad), sink: { receipt: COUNTS, inFlight: '1', requestTimeout: '3s' } });
      const ended = await run();
      expect(ended.status, ended.stderr).toBe(4);
      expect(ended.stdout, 'says what comes next').toMatch(/waybill doubts/);
      const shown = await job.cli(['doubts']);
      expect(shown.stdout).toMatch(/^1 batch in doubt, 100 records$/m);
      expect(shown.stdout).toMatch(/evidence: /);
      expect(shown.stdout).toMatch(why);
      expect(shown.stdout).toMatch(/waybill settle b2 --as/);
      const again = await run();
      expect(again.status).toBe(4);
      expect(job.peer.received).toHaveLength(3);
      expect(counts(job.held()).get(150)).toBe(1);
    },
  );

  it('that is right about the sum of a batch but refuses some names no record as delivered', async () => {
    const answer = { status: 200, body: { data: { accepted: 99, rejected: 1 } } };
    await open({ behaviour: badAt(2, answer), sink: { receipt: COUNTS, inFlight: '1' } });
    const ended = await run();
    expect(ended.status, ended.stderr).toBe(4);
    const { doubts } = await job.json<Doubts>(['doubts']);
    expect(doubts, 'nobody knows which of the hundred was refused').toMatchObject([{ id: 'b2', records: 100 }]);
  });
});

describe('a sink that goes away in the middle', () => {
  const url = () => new URL(job.peer.url);

  it('and comes back is waited for: what was in flight is in doubt, all others arrive once, in one start', async () => {
    await open({
      members: members(2_000),
      behaviour: { delayMs: 30 },
      flow: { retry: '{ attempts: 4, firstDelay: 50ms, maxDelay: 300ms, maxAge: 20s }' },
    });
    const port = Number(url().port);
    const running = start(job, ['run', 'roket-daily', '--for', DAY]);
    await job.until(() => job.peer.received.length >= 6);
    await job.peer.close();
    const before = counts(job.held());
    const away = performance.now() + 1_000;
    await job.until(() => performance.now() > away);
    const back = await openApiPeer({}, { port });
    try {
      const ended = await running.ended;
      expect([0, 4], ended.stderr).toContain(ended.status);
      const { doubts } = await job.json<Doubts>(['doubts']);
      const inDoubt = doubts.reduce((sum, doubt) => sum + doubt.records, 0);
      expect(inDoubt).toBeLessThanOrEqual(400);
      const held = counts([...job.held(), ...back.records().map((one) => (one as { member_id: number }).member_id)]);
      expect([...held.values()].filter((count) => count > 1)).toEqual([]);
      expect(held.size).toBeGreaterThanOrEqual(2_000 - inDoubt);
      expect(held.size).toBeGreaterThan(before.size);
    } finally {
      await back.close();
    }
  });

  it('and stays away ends with 5 and says when to try again; the next start sends what is left', async () => {
    await open({
      members: members(600),
      behaviour: { faults: [{ when: { from: 3 }, apply: 'none', answer: { status: 503 } }] },
      sink: { inFlight: '1', statuses: '{ retry: [503, 429] }' },
      flow: { retry: '{ attempts: 3, firstDelay: 20ms, maxDelay: 100ms, maxAge: 1s }' },
    });
    const ended = await run();
    expect(ended.status, ended.stderr).toBe(5);
    expect(ended.stdout + ended.stderr).toMatch(/503/);
    expect(ended.stdout, 'the command to go on with').toMatch(/waybill run roket-daily --for 2026-11-19/);
    expect(job.held()).toHaveLength(200);
    job.peer.set({ faults: [] });
    const next = await run();
    expect(next.status, next.stderr).toBe(0);
    expect([...counts(job.held()).values()].every((count) => count === 1)).toBe(true);
    expect(counts(job.held()).size).toBe(600);
  });

  it('and was never there leaves everything sealed, with the address in the error', async () => {
    await open({ flow: { retry: '{ attempts: 2, firstDelay: 20ms, maxDelay: 50ms, maxAge: 300ms }' } });
    const { host, port } = url();
    await job.peer.close();
    const ended = await run();
    expect(ended.status, ended.stderr).toBe(5);
    expect(ended.stdout + ended.stderr).toContain(host);
    const { doubts } = await job.json<Doubts>(['doubts']);
    expect(doubts, 'a refused connection carried nothing').toEqual([]);
    const back = await openApiPeer({}, { port: Number(port) });
    try {
      const next = await run();
      expect(next.status, next.stderr).toBe(0);
      expect(back.records()).toHaveLength(250);
    } finally {
      await back.close();
    }
  });
});
