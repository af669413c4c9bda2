import { execFile } from 'node:child_process';
import { cpSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { describe, expect, it } from 'vitest';
import { LanceBench, onLance } from '../lancedb/bench.ts';
import { loadOf } from '../lancedb/steps.ts';
import { items, KEYED, Story } from '../lancedb/story.ts';

const CHILD = fileURLToPath(new URL('../lancedb/dying-child.mjs', import.meta.url));
/** Processes at the same time. */
const TOGETHER = 3;
const TIMEOUT_MS = 180_000;

interface End {
  readonly signal: string | null;
  readonly effects: number;
}

interface Task {
  readonly story: Story;
  readonly strategy?: string;
}

interface Point {
  readonly at: number;
  readonly moment: 'before' | 'after';
}

/** Loads the second day again, in a process that dies at an effect; or counts them. */
function child(bench: LanceBench, { story, strategy = 'stateful-merger' }: Task, { at, moment }: Point): Promise<End> {
  const env = { ...process.env, LOADS: JSON.stringify(story.loads) };
  return new Promise((resolve, reject) => {
    execFile(
      process.execPath,
      [CHILD, bench.folder, strategy, '2', `${at}`, moment],
      { env, timeout: 60_000 },
      (error, stdout) => {
        const signal = error?.signal ?? null;
        if (error !== null && signal !== 'SIGKILL') reject(error);
        else resolve({ signal, effects: Number(stdout.trim() || 0) });
      },
    );
  });
}

/** Each effect that the child would have, and both sides of it. */
async function pointsOf(bench: LanceBench, task: Task): Promise<readonly Point[]> {
  const whole = await copyOf(bench);
  const { effects } = await child(whole, task, { at: 0, moment: 'before' });
  await whole.close();
  expect(effects, 'effects of a load').toBeGreaterThan(5);
  return Array.from({ length: effects }, (_, nth) =>
    (['before', 'after'] as const).map((moment) => ({ at: nth + 1, moment })),
  ).flat();
}

/** A few processes at a time. */
async function each(points: readonly Point[], work: (point: Point) => Promise<void>): Promise<void> {
  for (let from = 0; from < points.length; from += TOGETHER) {
    await Promise.all(points.slice(from, from + TOGETHER).map(work));
  }
}

async function copyOf(bench: LanceBench): Promise<LanceBench> {
  const copy = new LanceBench();
  cpSync(`${bench.folder}/db`, `${copy.folder}/db`, { recursive: true });
  return copy;
}

describe('a process that is killed while it loads into LanceDB', () => {
  it(
    'P26: leaves at each of its effects what the next one brings to the right end',
    onLance(async (bench) => {
      const sink = bench.sink(KEYED);
      const story = new Story();
      await story.run(sink, 1, items('1a', '2a'));
      await story.run(sink, 2, items('2b', '3b'));
      await story.run(sink, 3, items('3c', '4c'));
      const points = await pointsOf(bench, { story });
      await each(points, async ({ at, moment }) => {
        const copy = await copyOf(bench);
        const { signal } = await child(copy, { story }, { at, moment });
        expect(signal, `${moment} effect ${at}`).toBe('SIGKILL');
        const next = new Story(story.loads);
        const again = copy.sink(KEYED);
        const load = loadOf(2, 2);
        const receipt = await next.collect(again, load, items('2B', '5B'), 2);
        expect(receipt.summary).not.toBe('');
        await next.publish(again, load, 2);
        expect(
          (await copy.rows()).map(({ name }) => name),
          `${moment} effect ${at}`,
        ).toEqual(['1a', '2B', '5B']);
        await next.run(again, 3, items('3c', '4c'), 2);
        expect((await copy.rows()).map(({ name }) => name)).toEqual(['1a', '2B', '3c', '4c', '5B']);
        await copy.close();
      });
    }),
    TIMEOUT_MS,
  );

  it(
    'P02: has merged once, so what others write after it died is not written over by the next one',
    onLance(async (bench) => {
      const sink = bench.sink(KEYED);
      const story = new Story([], 'merger');
      await story.run(sink, 1, items('1a', '2a'));
      const points = await pointsOf(bench, { story, strategy: 'merger' });
      const ends = new Set<string>();
      await each(points, async ({ at, moment }) => {
        const copy = await copyOf(bench);
        const { signal } = await child(copy, { story, strategy: 'merger' }, { at, moment });
        expect(signal, `${moment} effect ${at}`).toBe('SIGKILL');
        const merged = (await copy.rows()).some(({ id }) => id === '5');
        await (await copy.table()).update({ where: 'id = 2', values: { name: 'others' } });
        const next = new Story(story.loads, 'merger');
        const again = copy.sink(KEYED);
        await next.collect(again, loadOf(2, 2), items('2B', '5B'), 2);
        await next.publish(again, loadOf(2, 2), 2);
        const names = (await copy.rows()).map(({ name }) => name);
        // Merged before: what others wrote came later. Not merged: what others wrote came before.
        expect(names, `${moment} effect ${at}`).toEqual(['1a', merged ? 'others' : '2B', '5B']);
        ends.add(String(merged));
        await copy.close();
      });
      expect([...ends].sort()).toEqual(['false', 'true']);
    }),
    TIMEOUT_MS,
  );
});
