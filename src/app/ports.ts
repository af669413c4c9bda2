import { randomUUID } from 'node:crypto';
import { setMaxListeners } from 'node:events';
import type { Ports } from '../model/ports.ts';

/** Timers of Node take no more than this; longer sleeps are made of several. */
const TIMER_MS_MAX = 2 ** 31 - 1;

/** The real world. Made once a process; everything else takes time, chance and names from what it is handed. */
export function realPorts(): Ports {
  return {
    wallMs: () => Date.now(),
    monotonicMs: () => performance.now(),
    sleep,
    random: () => Math.random(),
    id: () => randomUUID(),
  };
}

/** Signals on which many may sleep at once: one signal ends all the sends of a lane. */
const crowded = new WeakSet<AbortSignal>();

async function sleep(ms: number, signal?: AbortSignal): Promise<void> {
  if (signal !== undefined && !crowded.has(signal)) {
    crowded.add(signal);
    setMaxListeners(0, signal);
  }
  const end = performance.now() + Math.max(0, ms);
  do {
    signal?.throwIfAborted();
    await nap(Math.min(TIMER_MS_MAX, Math.max(0, end - performance.now())), signal);
  } while (performance.now() < end - 1);
}

function nap(ms: number, signal: AbortSignal | undefined): Promise<void> {
  return new Promise((resolve, reject) => {
    const wake = (): void => {
      clearTimeout(timer);
      reject(signal?.reason as Error);
    };
    const timer = setTimeout(() => {
      signal?.removeEventListener('abort', wake);
      resolve();
    }, ms);
    signal?.addEventListener('abort', wake, { once: true });
  });
}
