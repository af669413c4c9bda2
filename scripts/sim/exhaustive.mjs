// Strikes at every effect boundary of a small schedule, for every class of sink, and at every pair for two of them.
// `node scripts/sim/exhaustive.mjs [--workers 2]`; ends with a code that is not 0 when anything was broken.
import { fork } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { readArguments } from './arguments.mjs';
import { bundleSimulator } from './bundle.mjs';
import { memoryFolder } from './memory-folder.mjs';

const SELF = fileURLToPath(import.meta.url);
/** Pairs take longest, so each worker gets one class with them. */
const SHARES = [
  ['none', 'marker', 'key', 'put'],
  ['look', 'position', 'fence-then-look', 'job'],
];

if (process.send === undefined) await lead();
else process.once('message', work);

async function lead() {
  const options = readArguments(process.argv.slice(2));
  const dir = await bundleSimulator();
  const workers = Math.min(SHARES.length, Number(options.workers ?? 2));
  const shares = workers === 1 ? [SHARES.flat()] : SHARES;
  const began = performance.now();
  const results = (await Promise.all(shares.map((rungs) => oneWorker(dir, rungs)))).flat();
  const runs = results.reduce((sum, one) => sum + one.runs, 0);
  const broken = results.flatMap((one) => one.violations.map((violation) => ({ ...one, ...violation })));
  for (const { rung, deliver, blow, depth, runs: count, violations } of results) {
    console.log(
      `${rung}, ${deliver}: ${count} ${depth === 2 ? 'pairs' : 'boundaries'}, ${blow}: ${violations.length} broken`,
    );
  }
  for (const { rung, deliver, blow, at, invariant, what } of broken.slice(0, 20)) {
    console.log(`BROKEN ${invariant} (${rung}, ${deliver}, ${blow} at ${at.join(' and ')}): ${what}`);
  }
  const seconds = Math.round((performance.now() - began) / 1000);
  const pairs = results.filter((one) => one.depth === 2).reduce((sum, one) => sum + one.runs, 0);
  console.log(`${runs} runs, ${pairs} of them pairs, in ${seconds} s; ${broken.length} broken`);
  process.exitCode = broken.length > 0 || runs === 0 ? 1 : 0;
}

function oneWorker(dir, rungs) {
  return new Promise((resolve, reject) => {
    const child = fork(SELF, { stdio: ['ignore', 'inherit', 'inherit', 'ipc'] });
    child.send({ dir, rungs });
    child.on('message', resolve);
    child.on('error', reject);
    child.on('exit', (code) => code === 0 || reject(new Error(`a worker ended with code ${code}`)));
  });
}

async function work({ dir, rungs }) {
  const { runExhaustive } = await import(join(dir, 'exhaustive.mjs'));
  const folder = mkdtempSync(join(memoryFolder(), 'waybill-sim-'));
  try {
    process.send(await runExhaustive({ folder, rungs, pairs: true, tell: () => undefined }), () =>
      process.disconnect(),
    );
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}
