import type { Ports } from '../../model/ports.ts';
import type { World } from './world.ts';

/** What a dead process waits for. */
export const NEVER: Promise<never> = new Promise<never>(() => undefined);

export interface OpenCounts {
  timers: number;
  effects: number;
  writers: number;
}

/**
 * A process of the simulated machine. Its state is whatever the engine keeps in memory; killing it means that no
 * promise that it waits for ever settles, and that every call it still makes comes to nothing. What it did stays.
 */
export class SimProcess {
  readonly name: string;
  readonly world: World;
  readonly ports: Ports;
  alive = true;
  ended = false;
  pausedUntilMs = 0;
  /** When its last stall began, if it was ever stalled. */
  stalledAtMs: number | undefined;
  /** What it has not given back yet; zero when it has ended. */
  readonly open: OpenCounts = { timers: 0, effects: 0, writers: 0 };
  #onDeath: ((how: string) => void) | undefined;
  #ids = 0;

  constructor(name: string, world: World, onDeath: (process: SimProcess, how: string) => void) {
    this.name = name;
    this.world = world;
    this.#onDeath = (how) => onDeath(this, how);
    this.ports = {
      wallMs: () => world.wallMs,
      monotonicMs: () => world.nowMs,
      sleep: (ms, signal) => this.#sleep(ms, signal),
      random: () => world.tape.draw(1 << 16) / (1 << 16),
      id: () => `00000000-0000-4000-8000-${name.padStart(8, '0')}${String(++this.#ids).padStart(4, '0')}`,
    };
  }

  die(how: string): void {
    if (!this.alive) return;
    this.alive = false;
    this.world.tell(this.name, `dies: ${how}`);
    this.#onDeath?.(how);
  }

  /** True when the process lives on past this point. */
  passes(where: string): boolean {
    if (!this.alive) return false;
    this.world.boundaries++;
    const blow = this.world.watcher?.(this, where, this.world.nowMs);
    if (blow !== undefined && blow !== 'pause') this.die(`${blow} ${where}`);
    return this.alive;
  }

  /**
   * Something that changes the world outside the process and takes time. Dying before it, it never happens; dying at
   * its end, it has happened and the process never hears of it.
   */
  effect<T>(name: string, ms: number, work: () => T): Promise<T> {
    if (!this.passes(`before ${name}`)) return NEVER;
    this.open.effects++;
    return new Promise<T>((resolve, reject) => {
      this.world.at(ms, this, name, () => {
        this.open.effects--;
        const heard = outcomeOf(work);
        if (!this.passes(`after ${name}`)) return;
        if (heard.ok) resolve(heard.value);
        else reject(heard.error);
      });
    });
  }

  /** A call that has no effect outside: a dead process makes none. */
  ask<T>(work: () => Promise<T>): Promise<T> {
    return this.alive ? work() : NEVER;
  }

  #sleep(ms: number, signal: AbortSignal | undefined): Promise<void> {
    if (!this.alive) return NEVER;
    if (signal?.aborted) return Promise.reject(signal.reason);
    this.open.timers++;
    return new Promise((resolve, reject) => {
      const giveUp = (): void => {
        timer.cancelled = true;
        this.open.timers--;
        reject(signal?.reason);
      };
      const timer = this.world.at(Math.max(0, ms), this, 'timer', () => {
        signal?.removeEventListener('abort', giveUp);
        this.open.timers--;
        resolve();
      });
      signal?.addEventListener('abort', giveUp, { once: true });
    });
  }
}

type Heard<T> = { readonly ok: true; readonly value: T } | { readonly ok: false; readonly error: unknown };

export function outcomeOf<T>(work: () => T): Heard<T> {
  try {
    return { ok: true, value: work() };
  } catch (error) {
    return { ok: false, error };
  }
}
