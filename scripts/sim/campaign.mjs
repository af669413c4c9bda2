// Runs a campaign on several workers and adds up what they did.
import { fork } from 'node:child_process';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

const WORKER = fileURLToPath(new URL('worker.mjs', import.meta.url));

/** Resolves with the totals of all workers and the first case that failed, if one did. */
export async function runWorkers({ dir, seed, schedules, minutes, workers, shrinkEvents, focus, tell }) {
  const { addTotals, noTotals } = await import(join(dir, 'campaign.mjs'));
  const latest = new Map();
  const sum = () => {
    const totals = noTotals();
    for (const one of latest.values()) addTotals(totals, one);
    return totals;
  };
  const children = [];
  let failed;
  const running = Array.from({ length: workers }, (_, nth) => {
    const schedulesMax = Math.ceil((schedules - nth) / workers);
    const ask = {
      seed: seed + nth,
      step: workers,
      schedulesMax,
      ...(shrinkEvents === undefined ? {} : { shrinkEvents }),
      focus,
    };
    return new Promise((resolve, reject) => {
      const child = fork(WORKER, { stdio: ['ignore', 'inherit', 'inherit', 'ipc'] });
      children.push(child);
      child.send({ dir, ask, minutes });
      child.on('message', (message) => {
        const totals = message.progress ?? message.result.totals;
        latest.set(nth, totals);
        tell?.(sum());
        if (message.result?.failed === undefined) return;
        failed ??= message.result.failed;
        // One that has just ended by itself cannot hear it, and need not.
        for (const other of children) if (other.connected) other.send('stop', () => undefined);
      });
      child.on('error', reject);
      child.on('exit', (code) => (code === 0 ? resolve() : reject(new Error(`a worker ended with code ${code}`))));
    });
  });
  await Promise.all(running);
  return { totals: sum(), failed };
}
