// The file that keeps what all campaigns have come to, one line each, so that the sums grow over time.
import { execFileSync } from 'node:child_process';
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { cpus } from 'node:os';
import { join } from 'node:path';
import { root } from './bundle.mjs';

export const TALLY = join(root, 'docs', 'tally.json');

export const readTally = () => (existsSync(TALLY) ? JSON.parse(readFileSync(TALLY, 'utf8')) : []);

export function addToTally({ totals, seed, seconds, workers, kind }) {
  const entry = {
    date: new Date().toISOString().slice(0, 10),
    kind,
    commit: git('rev-parse', '--short', 'HEAD') + (git('status', '--porcelain', 'src') === '' ? '' : '+'),
    seeds: [seed, seed + totals.schedules - 1],
    machine: `${cpus().length} cores, ${process.arch}, Node ${process.versions.node}, ${workers} workers`,
    schedules: totals.schedules,
    kills: totals.kills,
    hours: Math.round((totals.virtualMs / 3_600_000) * 10) / 10,
    faults: Object.values(totals.faults).reduce((sum, count) => sum + count, 0),
    checks: Object.values(totals.checks).reduce((sum, count) => sum + count, 0),
    seconds: Math.round(seconds),
    violations: totals.violations,
  };
  addEntry(entry);
}

/** Entries are never changed: totals are sums over all of them. */
export function addEntry(entry) {
  const lines = [...readTally(), entry].map((one) => `  ${JSON.stringify(one)}`);
  writeFileSync(TALLY, `[\n${lines.join(',\n')}\n]\n`);
}

const git = (...words) => execFileSync('git', words, { cwd: root, encoding: 'utf8' }).trim();
