// `npm run sim`: schedules of the simulator, until so many are done, or so many minutes have passed, or one of them
// breaks something. `npm run sim -- 30000 --seed 7 --workers 2 --minutes 5`, or `npm run sim -- --replay FILE`.
// `--shrink EVENTS` is what making a failing schedule small may cost; 0 leaves it as it is.
// `--focus '{"rungs":["position"],"change":{"windows":2}}'` puts what it says on top of every schedule that is drawn;
// `--focus splits` does what stands under that name in focuses.mjs.
import { execFileSync } from 'node:child_process';
import { join } from 'node:path';
import { readArguments } from './arguments.mjs';
import { bundleSimulator, root } from './bundle.mjs';
import { runWorkers } from './campaign.mjs';
import { focusOf } from './focuses.mjs';
import { replayFile } from './replay-file.mjs';
import { printReport, unexercised } from './report.mjs';
import { addToTally } from './tally.mjs';

/** Below so many schedules the rarer states may be missed by chance. */
const ENOUGH_FOR_MARKS = 5_000;

const options = readArguments(process.argv.slice(2));
const dir = await bundleSimulator();
process.exitCode = options.replay === undefined ? await campaign() : await replayFile(dir, options.replay);

async function campaign() {
  const minutes = Number(options.minutes ?? 60);
  const schedules = options.schedules ?? (options.minutes === undefined ? 3_000 : 1_000_000_000);
  const workers = Number(options.workers ?? 2);
  const seed = options.seed === undefined ? freshSeed() : Number(options.seed);
  console.log(`schedules from seed ${seed}, ${workers} workers`);
  const began = performance.now();
  let told = began;
  const tell = (totals) => {
    if (options.quiet || performance.now() - told < 10_000) return;
    told = performance.now();
    console.log(`${totals.schedules} schedules, ${totals.kills} kills`);
  };
  const focus = focusOf(options.focus);
  const shrinking = options.shrink === undefined ? {} : { shrinkEvents: Number(options.shrink) };
  const asked = { dir, seed, schedules, minutes, workers, ...shrinking, focus, tell };
  const { totals, cpuMs, failed } = await runWorkers(asked);
  const seconds = (performance.now() - began) / 1000;
  const perMinute = printReport(totals, { seconds, cpuMs, workers, focused: focus !== undefined });
  if (!options['no-tally']) addToTally({ totals, seed, seconds, workers, kind: options.kind ?? 'sim' });
  if (failed !== undefined) return await tellFailure(failed);
  const { INVARIANTS, missingMarks } = await import(join(dir, 'campaign.mjs'));
  const gaps =
    totals.schedules < ENOUGH_FOR_MARKS || focus !== undefined
      ? []
      : unexercised(totals, { invariants: Object.keys(INVARIANTS), missingMarks });
  for (const gap of gaps) console.log(`NOT EXERCISED: ${gap}`);
  const slow = options['rate-min'] !== undefined && perMinute < Number(options['rate-min']);
  if (slow)
    console.log(`TOO SLOW: ${Math.round(perMinute)} schedules a minute, at least ${options['rate-min']} are wanted`);
  return gaps.length > 0 || slow ? 1 : 0;
}

async function tellFailure(failed) {
  const { writeCase } = await import(join(dir, 'campaign.mjs'));
  const path = join(root, 'test', 'cases', `${failed.broke.toLowerCase()}-${failed.hash}.json`);
  const { seed, ...stored } = failed;
  writeCase(path, stored);
  console.log(`\nseed ${seed} breaks ${failed.broke}: ${failed.what}`);
  console.log(`made small and written to ${path}; npm run sim -- --replay ${path}`);
  return 1;
}

/** Other schedules for every commit, and for every start of a soak. */
function freshSeed() {
  if (options.kind === 'soak') return Math.floor(Date.now() / 1000) * 7919;
  const commit = execFileSync('git', ['rev-parse', 'HEAD'], { cwd: root, encoding: 'utf8' });
  return Number.parseInt(commit.slice(0, 8), 16);
}
