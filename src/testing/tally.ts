import { appendFileSync } from 'node:fs';

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
  readonly seed: number;
  readonly violations: number;
}

/**
 * Adds a line to the tally, a file of one JSON object a line. A line is never changed: totals are sums over all of
 * them, so what went wrong once stays to be seen.
 */
export function addKills(file: string, tally: KillsTally): void {
  appendFileSync(file, `${JSON.stringify({ kind: 'kills', ...tally })}\n`);
}
