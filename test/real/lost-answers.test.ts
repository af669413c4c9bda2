import { afterEach, describe, expect, it } from 'vitest';
import type { Cut } from '../../src/testing/faults/cut.ts';
import { type CutProxy, openCutProxy } from '../../src/testing/faults/cut-proxy.ts';
import { DailyJob, type DailyJobOptions, members } from '../daily/daily-job.ts';
import { expectExact } from './account.ts';
import { tellFigure } from './figures.ts';

/** Lost answers for each class of sink; each class sends twice as many batches of two records. */
const LOST = 400;
const source = members(LOST * 4);
const ids = source.map((one) => one.member_id);

let job: DailyJob;
let proxy: CutProxy;
afterEach(async () => {
  await job.close();
  await proxy.close();
});

const PLACES: readonly Pick<Cut, 'side' | 'at'>[] = [
  { side: 'request', at: 0 },
  { side: 'request', at: { after: '"member_id"' } },
  { side: 'request', at: 'end' },
  { side: 'answer', at: 0 },
  { side: 'answer', at: 20 },
];
/** Every second request that carries records loses its answer, in one of the five places after the other. */
const cutsOf = (holds: string): readonly Cut[] =>
  PLACES.map((place, nth) => ({
    ...place,
    act: nth % 2 === 0 ? ('close' as const) : ('reset' as const),
    when: { holds, every: PLACES.length * 2, first: nth * 2 + 1 },
    times: LOST / PLACES.length,
  }));

const JOB =
  '{ create: { path: /jobs, handle: data.id }, upload: { path: "/jobs/{{ handle }}/data" }, state: { path: ' +
  '"/jobs/{{ handle }}", status: data.attributes.status, empty: [open], running: [processing], done: [complete], ' +
  'receipt: { shape: counts, applied: data.attributes.completed_count, refused: data.attributes.failed_count } } }';

/** The rung of the ladder that the sink's settings come to, with an API that is so. */
const EVENTS = '/v1/events HTTP/1.1';
const CLASSES: readonly (readonly [string, DailyJobOptions, string])[] = [
  ['none', {}, EVENTS],
  [
    'look',
    {
      sink: {
        requestTimeout: '600ms',
        lookup: '{ path: "/lookup", method: POST, recordId: member_id, results: results, visibilityLag: 10ms }',
      },
      behaviour: { idAt: 'member_id' },
    },
    EVENTS,
  ],
  [
    'key',
    {
      sink: { idempotencyKey: '{ horizon: 24h }' },
      behaviour: { idempotency: { header: 'idempotency-key', horizonMs: 86_400_000, storesErrors: false } },
    },
    EVENTS,
  ],
  ['put', { sink: { upsert: 'true' }, flow: { strategy: 'keyed' }, behaviour: { upsertKey: 'member_id' } }, EVENTS],
  ['job', { sink: { receipt: undefined, job: JOB } }, '/data HTTP/1.1'],
];

describe(`${LOST} lost answers`, () => {
  it.each(CLASSES)(
    'of an API of class "%s": every record is applied once, or in doubt',
    async (rung, options, path) => {
      job = await DailyJob.open({ members: source, ...options });
      proxy = await openCutProxy({
        target: { port: Number(new URL(job.peer.url).port) },
        framing: 'http',
        cuts: cutsOf(path),
      });
      job.configure({
        connections: { roket: `{ type: http, url: "http://127.0.0.1:${proxy.port}" }` },
        sink: {
          batch: '{ maxRecords: 2, maxBytes: 1MB }',
          requestTimeout: '10s',
          inFlight: '8',
          ...options.sink,
        },
      });
      const summary = await job.run();
      const account = await expectExact(job, summary.run.id, ids);
      expect(summary.lanes[0]?.guarantee.rung).toBe(rung);
      expect(proxy.made).toHaveLength(LOST);
      const lost = rung === 'none' ? LOST * 2 : 0;
      expect(account).toMatchObject({ delivered: ids.length - lost, inDoubt: lost, pending: 0, refused: 0 });
      // Three places in five lie behind the request, so three doubts in five were in truth applied.
      if (rung === 'none') expect(account.inDoubtHeld).toBe((LOST * 2 * 3) / 5);
      tellFigure('G11', `answers lost: an API over HTTP, ${rung}`, proxy.made.length, JSON.stringify(account));
    },
    180_000,
  );
});
