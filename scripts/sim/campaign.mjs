// Runs a campaign on several workers and adds up what they did.
import { fork } from 'node:child_process';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

const WORKER = fileURLToPath(new URL('worker.mjs', import.meta.url));

/**
 * Schedules that one process runs before another goes on. A process is slow until its code is compiled, so it should
 * last; it does not grow, but a campaign of days should not rest on that.
 */
const SLICE = 50_000;

/**
 * For processes that have a core each: what collects their garbage in threads beside them takes cores away from the
 * others, and little of what a schedule makes outlives the schedule.
 */
export const WORKER_FLAGS = ['--single-threaded-gc', '--max-semi-space-size=64'];

/** Resolves with the totals of all workers, their time of the processor, and the first case that failed, if one did. */
export async function runWorkers({ dir, seed, schedules, minutes, workers, shrinkEvents, focus, tell }) {
  const { addTotals, noTotals } = await import(join(dir, 'campaign.mjs'));
  const latest = new Map();
  const sum = () => {
    const totals = noTotals();
    for (const one of latest.values()) addTotals(totals, one);
    return totals;
  };
  const children = new Set();
  let cpuMs = 0;
  let failed;
  const stop = () => {
    // One that has just ended by itself cannot hear it, and need not.
    for (const child of children) if (child.connected) child.send('stop', () => undefined);
  };
  const endAt = performance.now() + minutes * 60_000;
  const slice = (nth, ask) =>
    new Promise((resolve, reject) => {
      const child = fork(WORKER, { execArgv: WORKER_FLAGS, stdio: ['ignore', 'inherit', 'inherit', 'ipc'] });
      children.add(child);
      const before = latest.get(nth) ?? noTotals();
      let result;
      child.send({ dir, ask, minutes: (endAt - performance.now()) / 60_000 });
      child.on('message', (message) => {
        const totals = noTotals();
        addTotals(totals, before);
        addTotals(totals, message.progress ?? message.result.totals);
        latest.set(nth, totals);
        tell?.(sum());
        cpuMs += message.cpuMs ?? 0;
        result = message.result ?? result;
        if (result?.failed === undefined) return;
        failed ??= result.failed;
        stop();
      });
      child.on('error', reject);
      child.on('exit', (code) => {
        children.delete(child);
        if (code === 0 && result !== undefined) resolve(result);
        else reject(new Error(`a worker ended with code ${code}`));
      });
    });
  const running = Array.from({ length: workers }, async (_, nth) => {
    let left = Math.ceil((schedules - nth) / workers);
    for (let from = seed + nth; left > 0 && failed === undefined && performance.now() < endAt; ) {
      const schedulesMax = Math.min(left, SLICE);
      const shrinking = shrinkEvents === undefined ? {} : { shrinkEvents };
      const { totals, next } = await slice(nth, { seed: from, step: workers, schedulesMax, ...shrinking, focus });
      left -= totals.schedules;
      from = next;
    }
  });
  await Promise.all(running);
  return { totals: sum(), cpuMs, failed };
}
