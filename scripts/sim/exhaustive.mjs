// Strikes at every effect boundary of a small schedule, for every strategy and class of sink, and at every pair for two
// of them. `node scripts/sim/exhaustive.mjs [--workers 2] [--only WORDS]`; ends with a code that is not 0 when anything
// was broken.
import { fork } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { readArguments } from './arguments.mjs';
import { bundleSimulator } from './bundle.mjs';
import { WORKER_FLAGS } from './campaign.mjs';
import { memoryFolder } from './memory-folder.mjs';

const SELF = fileURLToPath(import.meta.url);

if (process.send === undefined) await lead();
else process.once('message', work);

async function lead() {
  const options = readArguments(process.argv.slice(2));
  const dir = await bundleSimulator();
  const { PAIRED, SUBJECTS } = await import(join(dir, 'exhaustive.mjs'));
  const names = SUBJECTS.map(({ name }) => name).filter((name) => name.includes(options.only ?? ''));
  // Pairs take longest, so those come first.
  const queue = names.sort((a, b) => Number(PAIRED.includes(b)) - Number(PAIRED.includes(a)));
  const began = performance.now();
  const results = [];
  const drain = async () => {
    for (let name = queue.shift(); name !== undefined; name = queue.shift())
      results.push(...(await inWorker(dir, name)));
  };
  await Promise.all(Array.from({ length: Number(options.workers ?? 2) }, drain));
  tell(results, Math.round((performance.now() - began) / 1000));
}

function tell(results, seconds) {
  const broken = results.flatMap((one) => one.violations.map((violation) => ({ ...one, ...violation })));
  for (const { name, deliver, blow, depth, runs: count, violations } of results) {
    const what = `${count} ${depth === 2 ? 'pairs' : 'boundaries'}`;
    console.log(`${name}; ${deliver}: ${what}, ${blow}: ${violations.length} broken`);
  }
  for (const { name, deliver, blow, at, invariant, what } of broken.slice(0, 20)) {
    console.log(`BROKEN ${invariant} (${name}; ${deliver}, ${blow} at ${at.join(' and ')}): ${what}`);
  }
  console.log('');
  const strategies = [...new Set(results.map(({ strategy }) => strategy))].sort();
  for (const strategy of strategies) {
    const mine = results.filter((one) => one.strategy === strategy);
    console.log(`${strategy}: ${sum(mine.filter((one) => one.depth === 1))} boundaries struck at`);
  }
  const pairs = sum(results.filter((one) => one.depth === 2));
  const of = `${strategies.length} strategies, ${sum(results)} runs, ${pairs} of them pairs`;
  console.log(`${of}, in ${seconds} s; ${broken.length} broken`);
  process.exitCode = broken.length > 0 || results.length === 0 ? 1 : 0;
}

function sum(results) {
  return results.reduce((total, one) => total + one.runs, 0);
}

function inWorker(dir, name) {
  return new Promise((resolve, reject) => {
    const child = fork(SELF, { execArgv: WORKER_FLAGS, stdio: ['ignore', 'inherit', 'inherit', 'ipc'] });
    child.send({ dir, name });
    child.on('message', resolve);
    child.on('error', reject);
    child.on('exit', (code) => code === 0 || reject(new Error(`a worker ended with code ${code}`)));
  });
}

async function work({ dir, name }) {
  const { runExhaustive } = await import(join(dir, 'exhaustive.mjs'));
  const folder = mkdtempSync(join(memoryFolder(), 'waybill-sim-'));
  try {
    process.send(await runExhaustive({ folder, subjects: [name], pairs: true, tell: () => undefined }), () =>
      process.disconnect(),
    );
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}
