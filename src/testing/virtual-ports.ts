import type { Ports } from '../model/ports.ts';

interface Sleeper {
  readonly atMs: number;
  readonly wake: () => void;
}

/**
 * Time that stands still until it is told to move, and chance that repeats. `advance` wakes sleepers in the order of
 * their moments and lets each run as far as it can before the next.
 */
export class VirtualPorts implements Ports {
  #nowMs = 0;
  readonly #startWallMs: number;
  #sleepers: Sleeper[] = [];
  #seed: number;
  #ids = 0;

  constructor(options: { wallMs?: number; seed?: number } = {}) {
    this.#startWallMs = options.wallMs ?? Date.UTC(2026, 10, 19, 6);
    this.#seed = options.seed ?? 1;
  }

  wallMs(): number {
    return this.#startWallMs + this.#nowMs;
  }

  monotonicMs(): number {
    return this.#nowMs;
  }

  /** A linear congruential generator: good enough for jitter, and the same on every machine. */
  random(): number {
    this.#seed = (Math.imul(this.#seed, 1_664_525) + 1_013_904_223) >>> 0;
    return this.#seed / 2 ** 32;
  }

  id(): string {
    return `00000000-0000-4000-8000-${String(++this.#ids).padStart(12, '0')}`;
  }

  sleep(ms: number, signal?: AbortSignal): Promise<void> {
    return new Promise((resolve, reject) => {
      if (signal?.aborted) return reject(signal.reason);
      const giveUp = (): void => {
        this.#sleepers = this.#sleepers.filter((one) => one !== sleeper);
        reject(signal?.reason);
      };
      const wake = (): void => {
        signal?.removeEventListener('abort', giveUp);
        resolve();
      };
      const sleeper: Sleeper = { atMs: this.#nowMs + Math.max(0, ms), wake };
      this.#sleepers.push(sleeper);
      signal?.addEventListener('abort', giveUp, { once: true });
    });
  }

  /** How many wait for time to pass. */
  get sleeping(): number {
    return this.#sleepers.length;
  }

  /** Moves the clocks and wakes nobody: a process that was paused, or code that does not sleep. */
  advanceClock(ms: number): void {
    this.#nowMs += ms;
  }

  async advance(ms: number): Promise<void> {
    const untilMs = this.#nowMs + ms;
    for (;;) {
      await settled();
      const next = this.#sleepers.reduce<Sleeper | undefined>(
        (first, one) => (one.atMs <= untilMs && (first === undefined || one.atMs < first.atMs) ? one : first),
        undefined,
      );
      if (next === undefined) break;
      this.#nowMs = Math.max(this.#nowMs, next.atMs);
      this.#sleepers = this.#sleepers.filter((one) => one !== next);
      next.wake();
    }
    this.#nowMs = untilMs;
    await settled();
  }
}

/** One turn of the event loop: everything that could run without time passing has run. */
const settled = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));
