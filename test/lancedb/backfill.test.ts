import { cpSync, writeFileSync } from 'node:fs';
import { resolve } from 'node:path';
import { describe, expect, it } from 'vitest';
import { start } from '../hard/processes.ts';
import { type LanceBench, onLance } from './bench.ts';

const EXAMPLE = resolve(import.meta.dirname, '../../examples/member-versions');

/** Runs a command of the example in the bench's folder, and gives what it has said. */
async function waybill(bench: LanceBench, ...args: readonly string[]): Promise<string> {
  const { status, stdout, stderr } = await start({ folder: bench.folder, env: process.env }, args).ended;
  expect(status, `${args.join(' ')}\n${stderr}`).toBe(0);
  return `${stdout}${stderr}`;
}

const members = async (bench: LanceBench): Promise<readonly string[]> =>
  (await bench.rows('members', undefined, 'store')).map(({ id, name, level }) => `${id} ${name} ${level}`);

describe('the example of members whose table keeps its versions', () => {
  it(
    'P21: loads the first of three days again: the table is emptied, and the later days follow as normal runs',
    onLance(async (bench) => {
      cpSync(EXAMPLE, bench.folder, { recursive: true });
      const run = (date: number, ...more: string[]) =>
        waybill(bench, 'run', 'members', '--for', `2026-11-${date}`, ...more);
      for (const date of [16, 17, 18]) await run(date);
      const asRun = ['1 Ada gold', '2 Bo gold', '4 Di silver'];
      expect(await members(bench)).toEqual(asRun);
      // Nothing has changed: starting days again does nothing.
      for (const date of [18, 16]) await run(date);
      expect(await members(bench)).toEqual(asRun);
      const corrected = [
        { id: 1, name: 'Ada', level: 'platinum', op: 'I' },
        { id: 5, name: 'Ed', level: 'gold', op: 'I' },
      ];
      const file = `${bench.folder}/changes/2026-11-16.ndjson`;
      writeFileSync(file, `${corrected.map((row) => JSON.stringify(row)).join('\n')}\n`);
      expect(await waybill(bench, 'plan', 'members', '--for', '2026-11-16', '--refresh')).toMatch(
        /goes back to where it stood before 2026-11-16/,
      );
      await run(16, '--refresh');
      expect(await members(bench)).toEqual(['1 Ada platinum', '5 Ed gold']);
      expect(await waybill(bench, 'loads', 'members')).toMatch(/2026-11-17 +store +1 +replaced/);
      for (const date of [17, 18]) await run(date);
      expect(await members(bench)).toEqual(['1 Ada platinum', '2 Bo gold', '4 Di silver', '5 Ed gold']);
      // Only the first day was done again from nothing; no later one had to go back.
      const loads = await waybill(bench, '--quiet', '-o', 'json', 'loads', 'members');
      expect(loads).toContain('the table is empty; 3 rows were taken out');
      expect(loads).not.toContain('back to v');
    }),
    60_000,
  );
});
