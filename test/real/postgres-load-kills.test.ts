import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import type { LoadAbilities } from '../../src/connectors/connector.ts';
import { NotAppliedError, WaybillError } from '../../src/model/errors.ts';
import type { LoadStep, MergeBy, StepReceipt } from '../../src/model/load.ts';
import { type CutProxy, openCutProxy } from '../../src/testing/faults/cut-proxy.ts';
import { LoadBench } from '../postgres-load-bench.ts';
import { Places } from '../postgres-place.ts';

let places: Places;
let proxy: CutProxy;
beforeAll(async () => {
  places = await Places.start();
  proxy = await openCutProxy({ target: places.server });
});
afterAll(async () => {
  await proxy?.close();
  await places?.stop();
});
afterEach(() => places.closeSinks());

const BY: MergeBy = { key: ['id'], deleted: { column: 'name', values: ['gone'], how: 'remove' } };
const PERIOD = { name: '2026_11', firstDay: '2026-11-01', lastDay: '2026-11-30' };

interface Story {
  readonly id: string;
  readonly title: string;
  /** Settings that make the name a view; a table is made beforehand without them. */
  readonly create?: Record<string, string>;
  publish(can: LoadAbilities, step: LoadStep): Promise<StepReceipt>;
  /** What readers see when the load is published that meets the faults. */
  readonly after: readonly (readonly [number, string])[];
}

/** The first two days, which are published before anything goes wrong. */
const BEFORE = [
  [1, 'first'],
  [2, 'first'],
] as const;
const ROWS = [
  { id: 2, name: 'gone' },
  { id: 3, name: 'new' },
] as const;

const STORIES: readonly Story[] = [
  {
    id: 'P02',
    title: 'appendLoad',
    publish: (can, step) => can.appendLoad(step),
    after: [
      [1, 'first'],
      [2, 'first'],
      [2, 'gone'],
      [3, 'new'],
    ],
  },
  {
    id: 'P02',
    title: 'replace',
    publish: (can, step) => can.replace(step, { kind: 'all' }),
    after: [
      [2, 'gone'],
      [3, 'new'],
    ],
  },
  {
    id: 'P02',
    title: 'merge',
    publish: (can, step) => can.merge(step, BY),
    after: [
      [1, 'first'],
      [3, 'new'],
    ],
  },
  {
    id: 'P26',
    title: 'mergeAt, of a time that was merged already',
    publish: (can, step) => can.mergeAt(step, BY, '2026-11-18T00:00:00Z'),
    after: [[3, 'new']],
  },
  {
    id: 'P06',
    title: 'addToPeriod, which begins again',
    create: { id: 'int', name: 'text' },
    publish: (can, step) => can.addToPeriod(step, PERIOD, true),
    after: [
      [2, 'gone'],
      [3, 'new'],
    ],
  },
  {
    id: 'P38',
    title: 'publish, which removes an earlier one',
    create: { id: 'int', name: 'text' },
    publish: (can, step) => can.publish(step, 0),
    after: [
      [2, 'gone'],
      [3, 'new'],
    ],
  },
];

/** More requests than this in one load, and something goes round in circles. */
const REQUESTS_MAX = 150;

async function open({ create, publish }: Story): Promise<{ readonly bench: LoadBench; readonly direct: LoadBench }> {
  const settings = { requestTimeoutSeconds: 20, markerSchema: 'books', ...(create === undefined ? {} : { create }) };
  const direct =
    create === undefined
      ? await LoadBench.make(places, 'id int, name text', settings)
      : new LoadBench(places, settings);
  const rows = BEFORE.map(([id, name]) => ({ id, name }));
  await publish(direct.can, await direct.collect(rows, { day: 18 }));
  return { direct, bench: direct.another(settings, { port: proxy.port }) };
}

const held = async (bench: LoadBench): Promise<unknown[][]> => await bench.rows('id, name collate "C"');

interface Told {
  readonly cut: boolean;
  /** Number of the first request of publishing. */
  readonly publishing: number;
}

/** Cuts the connection in the given way at request number `nth` of the load, if it has so many; 0 cuts nothing. */
async function tellStory(story: Story, nth: number, kill: 'answer' | 'session'): Promise<Told> {
  const { bench, direct } = await open(story);
  const made = proxy.made.length;
  const begin = proxy.requests;
  const cut =
    kill === 'answer' ? ({ side: 'answer', act: 'reset' } as const) : ({ side: 'request', act: 'hold' } as const);
  proxy.set([{ ...cut, at: 0, when: { request: [begin + nth] }, times: 1 }]);
  const over = { done: false };
  const killer = kill === 'session' ? killHeld(made, over) : Promise.resolve();
  const where = `${story.title}, request ${nth} (${kill})`;
  const ask = async <T>(act: () => Promise<T>, last: boolean): Promise<T> => {
    for (let attempt = 1; ; attempt++) {
      try {
        return await act();
      } catch (error) {
        expect(error, where).toBeInstanceOf(WaybillError);
        const seen = await held(direct);
        if (error instanceof NotAppliedError || !last) expect(seen, where).toEqual(BEFORE);
        else {
          expect(error, where).toMatchObject({ code: 'SINK_FAILED' });
          // What the server has in its hands is decided there; readers see one or the other.
          expect([BEFORE, story.after], where).toContainEqual(seen);
        }
        expect(attempt, `${where}: ${String(error)}`).toBeLessThan(4);
      }
    }
  };
  const step = bench.step({ day: 19 });
  await ask(() => bench.can.load.open(step), false);
  for (const [at, row] of ROWS.entries()) {
    await ask(() => bench.can.load.add(bench.permit([row], at + 1, { day: 19 })), false);
  }
  const publishing = proxy.requests - begin + 1;
  const receipt = await ask(() => story.publish(bench.can, step), true);
  over.done = true;
  await killer;
  proxy.set([]);
  expect(await held(direct), where).toEqual(story.after);
  // The session of the other process may have been ended with the rest.
  const fresh = direct.another();
  expect(await story.publish(fresh.can, step), where).toEqual(receipt);
  expect(await direct.lying(), where).toEqual([]);
  await places.closeSinks();
  return { cut: proxy.made.length > made, publishing };
}

/** Lets an administrator end the session whose request is held up. */
async function killHeld(made: number, over: { readonly done: boolean }): Promise<void> {
  await expect.poll(() => over.done || proxy.made.length > made, { interval: 2, timeout: 30_000 }).toBe(true);
  await places.client.query(`select pg_terminate_backend(pid) from pg_stat_activity
    where application_name like 'waybill%'`);
  proxy.release();
}

describe.each(STORIES)('$id: a load whose connection breaks, $title', (story) => {
  it.each(['answer', 'session'] as const)(
    `${story.id}: at any of its requests (%s) is published once, and readers see nothing between`,
    async (kill) => {
      const { publishing } = await tellStory(story, 0, 'answer');
      // Collecting is the same for all: it is told once.
      const first = kill === 'session' || story !== STORIES[0] ? publishing : 1;
      let nth = first;
      while ((await tellStory(story, nth, kill)).cut) nth++;
      expect(nth - first).toBeGreaterThan(10);
      expect(nth).toBeLessThan(REQUESTS_MAX);
    },
    120_000,
  );
});

describe('a session of the PostgreSQL sink that breaks between two transactions', () => {
  it('P02: has lost nothing: what was to come is proved not applied', async () => {
    const { bench } = await open(STORIES[0]!);
    await bench.collect([{ id: 7, name: 'a' }], { day: 19 });
    proxy.set([{ side: 'answer', at: 0, act: 'reset', when: { request: [proxy.requests + 1] }, times: 1 }]);
    // Its fence is raised before the transaction begins.
    await expect(bench.can.load.open(bench.step({ day: 20 }))).rejects.toBeInstanceOf(NotAppliedError);
    proxy.set([]);
    await bench.can.load.open(bench.step({ day: 20 }));
  });
});
