import type { VirtualPorts } from './virtual-ports.ts';

const STEP_MS = 50;
const STEPS_MAX = 100_000;

/**
 * Lets virtual time pass until something is settled: a little at each turn of the real event loop, so that real disks
 * keep up. Rejects when the virtual time that this may take is over.
 */
export async function drive<T>(ports: VirtualPorts, promise: Promise<T>): Promise<T> {
  let settled = false;
  const done = promise.finally(() => {
    settled = true;
  });
  // Heard below, when it has settled; until then nobody waits for it.
  done.catch(() => undefined);
  for (let step = 0; !settled; step++) {
    if (step >= STEPS_MAX) throw new RangeError(`not settled within ${STEPS_MAX * STEP_MS} ms of virtual time`);
    await new Promise<void>((resolve) => setImmediate(resolve));
    await ports.advance(STEP_MS);
  }
  return await done;
}
