import { spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, it } from 'vitest';

/** What the script says of a text that checks have printed, and its exit code. */
function figures(text: string, only: string): { readonly said: string; readonly status: number | null } {
  const folder = mkdtempSync(join(tmpdir(), 'waybill-figures-'));
  try {
    const log = join(folder, 'log');
    writeFileSync(log, text);
    const words = ['scripts/proof/figures.mjs', '--from', log, '--only', only];
    const { stdout, stderr, status } = spawnSync(process.execPath, words, { encoding: 'utf8' });
    return { said: stdout + stderr, status };
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

it('a figure at its floor passes; one below it, or that nothing has shown, does not', () => {
  const kills = (count: number): string => `figure G12: deaths over a sink that can be asked nothing: ${count} (so)\n`;
  expect(figures(kills(100), 'G12')).toEqual({ said: expect.stringMatching(/G12 +100 {2}at its floor/), status: 0 });
  expect(figures(kills(99), 'G12')).toMatchObject({ said: expect.stringContaining('FAILED: below'), status: 1 });
  expect(figures('', 'G12')).toMatchObject({ said: expect.stringContaining('no figure'), status: 1 });
});

it('a figure that the machine does not allow is told, and is no failure', () => {
  const rate = '6,100 schedules for each minute that two cores have worked\n';
  const busy = `${rate}SKIPPED: G2 events: the workers had 21 % of their cores: no fair judgement\n`;
  expect(figures(busy, 'G2')).toMatchObject({ said: expect.stringContaining('not held against'), status: 0 });
  const slow = `${rate}599,999 events for each minute that two cores have worked\n`;
  expect(figures(slow, 'G2')).toMatchObject({ said: expect.stringContaining('FAILED: below'), status: 1 });
  expect(figures(slow.replace('599,999', '900,000'), 'G2').status).toBe(0);
});
