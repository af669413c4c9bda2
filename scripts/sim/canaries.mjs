// Plants known bugs, one at a time, and lets the simulator look for each: `node scripts/sim/canaries.mjs`, with
// `--workers 2` and `--only WORDS`. With `--cases FOLDER` each is made small and kept there: what once was a bug stays
// a test. Ends with a code that is not 0 when one was not found within its limit.
import { rmSync } from 'node:fs';
import { join } from 'node:path';
import { readArguments } from './arguments.mjs';
import { bundleSimulator } from './bundle.mjs';
import { runWorkers } from './campaign.mjs';
import { PLANTS } from './plants/all.mjs';
import { plantPlugin } from './plants/plant.mjs';

const SEED = 20_261_119;
const options = readArguments(process.argv.slice(2));
const wanted = PLANTS.map((plant, nth) => ({ ...plant, nth })).filter((plant) =>
  plant.name.includes(options.only ?? ''),
);
const queue = [...wanted];
const missed = [];
const clean = await bundleSimulator();
const shrinkEvents = options.cases === undefined ? 0 : 800_000;
const began = performance.now();
await Promise.all(Array.from({ length: Number(options.workers ?? 2) }, drain));
const seconds = Math.round((performance.now() - began) / 1000);
for (const name of missed) console.log(`NOT FOUND: ${name}`);
console.log(`${wanted.length - missed.length} of ${wanted.length} planted bugs were found, in ${seconds} s`);
process.exitCode = missed.length > 0 || wanted.length === 0 ? 1 : 0;

async function drain() {
  for (let plant = queue.shift(); plant !== undefined; plant = queue.shift()) await hunt(plant);
}

async function hunt(plant) {
  const { plugin, checkApplied } = plantPlugin(plant);
  const dir = await bundleSimulator(`plant-${plant.nth}`, [plugin]);
  checkApplied();
  const { totals, failed } = await search(dir, plant.limit, plant.focus);
  rmSync(dir, { recursive: true, force: true });
  // The same schedules without the bug: whatever is found there is no proof of anything here.
  const control = await search(clean, totals.schedules, plant.focus);
  if (failed === undefined) missed.push(plant.name);
  else if (options.cases !== undefined) await keep(plant, failed);
  if (control.failed !== undefined) missed.push(`${plant.name} (found without it as well: ${control.failed.what})`);
  const how = failed === undefined ? 'NOT FOUND' : `${failed.broke} after ${totals.schedules}`;
  console.log(`${how.padEnd(24)} of ${String(plant.limit).padStart(5)}  ${plant.name}`);
}

async function keep(plant, { seed, ...stored }) {
  const { writeCase } = await import(join(clean, 'campaign.mjs'));
  writeCase(join(options.cases, `${plant.name.replaceAll(/[^a-z]+/g, '-')}.json`), stored);
}

// Without a focus of its own, a plant is looked for where no loads and no pulls are.
function search(dir, schedules, focus = {}) {
  return runWorkers({ dir, seed: SEED, schedules, minutes: 10, workers: 1, shrinkEvents, focus });
}
