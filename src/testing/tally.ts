import { existsSync, readFileSync, writeFileSync } from 'node:fs';

/** One campaign of kills: what it tried, on what, and how often the books were wrong afterwards. */
export interface KillsTally {
  /** `2026-11-19` */
  readonly date: string;
  readonly commit: string;
  /** Cores, architecture and version of Node; no name of a machine. */
  readonly machine: string;
  readonly kills: number;
  /** Windows that were killed in and then run to their end. */
  readonly rounds: number;
  readonly records: number;
  readonly seed: number;
  readonly seconds: number;
  readonly violations: number;
}

/**
 * Adds an entry to the tally: a JSON array, one entry a line, each with its `kind`. An entry is never changed: totals
 * are sums over all of them, so what went wrong once stays to be seen.
 */
export function addKills(file: string, { seed, date, commit, machine, ...figures }: KillsTally): void {
  const before = existsSync(file) ? (JSON.parse(readFileSync(file, 'utf8')) as readonly unknown[]) : [];
  const entry = { date, kind: 'kills', commit, seeds: [seed, seed], machine, ...figures };
  const lines = [...before, entry].map((one) => `  ${JSON.stringify(one)}`);
  writeFileSync(file, `[\n${lines.join(',\n')}\n]\n`);
}
