import { execFile } from 'node:child_process';
import { cpSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { expect, it } from 'vitest';
import { describeLance, LanceBench, withBench } from './bench.ts';
import { loadOf } from './steps.ts';
import { items, KEYED, Story } from './story.ts';

const CHILD = fileURLToPath(new URL('dying-child.mjs', import.meta.url));
/** Processes at the same time. */
const TOGETHER = 3;
const TIMEOUT_MS = 180_000;

interface End {
  readonly signal: string | null;
  readonly effects: number;
}

/** Loads the second day again, in a process that dies at an effect; or counts them. */
function child(bench: LanceBench, story: Story, at: number, moment: 'before' | 'after'): Promise<End> {
  const env = { ...process.env, LOADS: JSON.stringify(story.loads) };
  return new Promise((resolve, reject) => {
    execFile(process.execPath, [CHILD, bench.folder, '2', `${at}`, moment], { env, timeout: 60_000 }, (error, stdout) => {
      const signal = error?.signal ?? null;
      if (error !== null && signal !== 'SIGKILL') reject(error);
      else resolve({ signal, effects: Number(stdout.trim() || 0) });
    });
  });
}

async function copyOf(bench: LanceBench): Promise<LanceBench> {
  const copy = new LanceBench();
  cpSync(`${bench.folder}/db`, `${copy.folder}/db`, { recursive: true });
  return copy;
}

describeLance('a process that is killed while it loads into LanceDB', () => {
  it(
    'P26: leaves at each of its effects what the next one brings to the right end',
    () =>
      withBench(async (bench) => {
        const sink = bench.sink(KEYED);
        const story = new Story();
        await story.run(sink, 1, items('1a', '2a'));
        await story.run(sink, 2, items('2b', '3b'));
        await story.run(sink, 3, items('3c', '4c'));
        const whole = await copyOf(bench);
        const { effects } = await child(whole, story, 0, 'before');
        await whole.close();
        expect(effects).toBeGreaterThan(8);
        const points = Array.from({ length: effects }, (_, nth) =>
          (['before', 'after'] as const).map((moment) => ({ at: nth + 1, moment })),
        ).flat();
        const killed = async ({ at, moment }: (typeof points)[number]): Promise<void> => {
          const copy = await copyOf(bench);
          const { signal } = await child(copy, story, at, moment);
          expect(signal, `${moment} effect ${at}`).toBe('SIGKILL');
          const next = new Story(story.loads);
          const again = copy.sink(KEYED);
          const load = loadOf(2, 2);
          const receipt = await next.collect(again, load, items('2B', '5B'), 2);
          expect(receipt.summary).not.toBe('');
          await next.publish(again, load, 2);
          expect((await copy.rows()).map(({ name }) => name), `${moment} effect ${at}`).toEqual(['1a', '2B', '5B']);
          await next.run(again, 3, items('3c', '4c'), 2);
          expect((await copy.rows()).map(({ name }) => name)).toEqual(['1a', '2B', '3c', '4c', '5B']);
          await copy.close();
        };
        for (let from = 0; from < points.length; from += TOGETHER) {
          await Promise.all(points.slice(from, from + TOGETHER).map(killed));
        }
      }),
    TIMEOUT_MS,
  );
});
