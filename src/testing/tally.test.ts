import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, it } from 'vitest';
import { addKills } from './tally.ts';

it('adds an entry to those that are there, one a line, and changes none of them', () => {
  const folder = mkdtempSync(join(tmpdir(), 'waybill-tally-'));
  const file = join(folder, 'tally.json');
  const one = { date: '2026-11-19', commit: 'abc', machine: '2 cores', kills: 3, rounds: 2, records: 9, seconds: 1 };
  try {
    addKills(file, { ...one, seed: 7, violations: 0 });
    const first = readFileSync(file, 'utf8').split('\n')[1]!;
    addKills(file, { ...one, seed: 8, violations: 1 });
    const text = readFileSync(file, 'utf8');
    expect(text.split('\n')[1]).toBe(`${first},`);
    expect(JSON.parse(text)).toMatchObject([
      { kind: 'kills', seeds: [7, 7], kills: 3, violations: 0 },
      { kind: 'kills', seeds: [8, 8], violations: 1 },
    ]);
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
});
