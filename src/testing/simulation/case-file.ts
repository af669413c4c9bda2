import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { dirname } from 'node:path';
import type { Case } from './schedule.ts';

/**
 * A case as it is kept: not the seed, which means nothing once the generator has changed, but the scenario and the
 * tape. `hash` is that of the trace when the case was stored; engine and simulator may change it by changing what
 * happens, so a replay compares two runs with each other and not with this.
 */
export interface StoredCase extends Case {
  /** What was broken when it was stored, and what of. */
  readonly broke: string;
  readonly what: string;
  readonly hash: string;
}

export function writeCase(path: string, stored: StoredCase): void {
  mkdirSync(dirname(path), { recursive: true });
  const { scenario, tape, ...rest } = stored;
  const lines = [
    ...Object.entries(rest).map(([name, value]) => `  ${JSON.stringify(name)}: ${JSON.stringify(value)}`),
    `  "scenario": ${JSON.stringify(scenario)}`,
    `  "tape": ${JSON.stringify(tape)}`,
  ];
  writeFileSync(path, `{\n${lines.join(',\n')}\n}\n`);
}

export const readCase = (path: string): StoredCase => JSON.parse(readFileSync(path, 'utf8')) as StoredCase;
