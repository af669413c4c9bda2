// Runs a stored case again, prints what happened, and compares two traces.
import { mkdtempSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { memoryFolder } from './memory-folder.mjs';

export async function replayFile(dir, path) {
  const { LedgerBench, readCase, replay } = await import(join(dir, 'replay.mjs'));
  const folder = mkdtempSync(join(memoryFolder(), 'waybill-sim-'));
  const bench = new LedgerBench(folder);
  try {
    const stored = readCase(path);
    const first = await replay(stored, bench, { keepTimeline: true });
    const second = await replay(stored, bench);
    console.log(JSON.stringify(stored.scenario, null, 1));
    console.log(first.timeline.join('\n'));
    console.log(`\ntrace ${first.hash}, again ${second.hash}, when stored ${stored.hash}`);
    for (const { invariant, what } of first.violations) console.log(`${invariant}: ${what}`);
    if (first.violations.length === 0) console.log(`nothing is broken; it once broke ${stored.broke}: ${stored.what}`);
    return first.violations.length > 0 || first.hash !== second.hash ? 1 : 0;
  } finally {
    bench.close();
    rmSync(folder, { recursive: true, force: true });
  }
}
