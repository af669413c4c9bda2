import { mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, it } from 'vitest';
import { readCase } from '../src/testing/simulation/case-file.ts';
import { everyBoundary, SUBJECTS } from '../src/testing/simulation/exhaustive.ts';
import { INVARIANTS } from '../src/testing/simulation/invariants/all.ts';
import { LedgerBench } from '../src/testing/simulation/ledger-bench.ts';
import { REQUIRED_MARKS } from '../src/testing/simulation/marks.ts';
import { drawScenario } from '../src/testing/simulation/scenario.ts';
import { replay, runSchedule } from '../src/testing/simulation/schedule.ts';
import { Tape } from '../src/testing/simulation/tape.ts';

interface Plant {
  readonly name: string;
  readonly edits: readonly { readonly file: string; readonly find: string; readonly replace: string }[];
}

const folder = mkdtempSync(join(tmpdir(), 'waybill-sim-'));
const bench = new LedgerBench(folder);
afterAll(() => {
  bench.close();
  rmSync(folder, { recursive: true, force: true });
});

const cases = readdirSync('test/cases').filter((name) => name.endsWith('.json'));
const tapeOf = (seed: number) => Tape.ofSeed(seed);

describe('the simulator', () => {
  it.each(cases)('A01: what once was found stays mended: %s', async (name) => {
    const stored = readCase(join('test/cases', name));
    const [first, second] = [await replay(stored, bench), await replay(stored, bench)];
    expect(first.violations).toEqual([]);
    expect(second.hash, 'the same case makes the same trace').toBe(first.hash);
  });

  it('A01: makes the same schedule of the same tape, and another one of another', async () => {
    const hashes = new Set<string>();
    for (let seed = 1; seed <= 20; seed++) {
      const scenario = drawScenario(seed);
      const fresh = await runSchedule(scenario, tapeOf(seed), bench);
      const again = await replay({ scenario, tape: fresh.tape }, bench);
      expect(again.hash, `seed ${seed}`).toBe(fresh.hash);
      expect([...again.checks], `seed ${seed}`).toEqual([...fresh.checks]);
      hashes.add(fresh.hash);
    }
    expect(hashes.size).toBe(20);
  });

  it('A01: checks every invariant, and finds none broken, in some schedules', async () => {
    const checked = new Set<string>();
    for (let seed = 500; seed < 580; seed++) {
      const { violations, checks } = await runSchedule(drawScenario(seed), tapeOf(seed), bench);
      expect(violations, `seed ${seed}`).toEqual([]);
      for (const name of checks.keys()) checked.add(name);
    }
    expect([...checked].sort()).toEqual(Object.keys(INVARIANTS).sort());
  }, 120_000);

  it('has a place that makes each mark that a campaign has to see', () => {
    const folder = 'src/testing/simulation';
    const made = readdirSync(folder, { recursive: true, encoding: 'utf8' })
      .filter((name) => name.endsWith('.ts') && name !== 'marks.ts')
      .flatMap((name) => [...readFileSync(join(folder, name), 'utf8').matchAll(/['`](\w[^'`\n]+)['`]/g)])
      .map(([, text]) => new RegExp(`^${text!.replaceAll(/\$\{.*\}/g, '.+').replaceAll(/[()?[\]{}]/g, '\\$&')}$`));
    expect(REQUIRED_MARKS.filter((mark) => !made.some((text) => text.test(mark)))).toEqual([]);
  });

  it('A01: strikes a small schedule at each of its effect boundaries', async () => {
    const { runs, violations } = await everyBoundary(
      SUBJECTS.find(({ name }) => name === 'none')!,
      'after-read',
      'kill',
      bench,
    );
    expect(violations).toEqual([]);
    expect(runs).toBeGreaterThan(30);
  }, 120_000);
});

describe('planted bugs', async () => {
  const { PLANTS } = (await import(`${process.cwd()}/scripts/sim/plants/all.mjs`)) as { PLANTS: readonly Plant[] };

  it('are thirty or more, each with a name of its own', () => {
    expect(new Set(PLANTS.map((plant) => plant.name)).size).toBe(PLANTS.length);
    expect(PLANTS.length).toBeGreaterThanOrEqual(30);
  });

  it.each(PLANTS)('change what is in the sources exactly once: $name', ({ edits }) => {
    const texts = new Map<string, string>();
    for (const { file, find, replace } of edits) {
      const text = texts.get(file) ?? readFileSync(join('src', file), 'utf8');
      expect(text.split(find).length - 1, `${file}: ${find}`).toBe(1);
      texts.set(
        file,
        text.replace(find, () => replace),
      );
    }
  });
});
