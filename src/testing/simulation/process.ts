import type { Ports } from '../../model/ports.ts';
import type { World } from './world.ts';

/** What a dead process waits for; one of its own each time, since a promise keeps alive whatever waits for it. */
export const never = (): Promise<never> => new Promise<never>(() => undefined);

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
  /** Ends what it listens to. */
  readonly #listening = new Set<() => void>();
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
    this.#goDeaf();
    this.world.tell(this.name, `dies: ${how}`);
    this.#onDeath?.(how);
  }

  /** It has come to its end by itself. */
  end(): void {
    this.ended = true;
    this.alive = false;
    this.#goDeaf();
  }

  /** Calls `listener` once when the signal is aborted, unless what is returned was called, or the process has died. */
  listen(signal: AbortSignal | undefined, listener: () => void): () => void {
    if (signal === undefined) return () => undefined;
    const end = (): void => {
      signal.removeEventListener('abort', listener);
      this.#listening.delete(end);
    };
    signal.addEventListener('abort', listener, { once: true });
    this.#listening.add(end);
    return end;
  }

  /** Node keeps a signal that somebody listens to, and with it all that the listener knows. */
  #goDeaf(): void {
    for (const end of this.#listening) end();
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
    if (!this.passes(`before ${name}`)) return never();
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
    return this.alive ? work() : never();
  }

  #sleep(ms: number, signal: AbortSignal | undefined): Promise<void> {
    if (!this.alive) return never();
    if (signal?.aborted) return Promise.reject(signal.reason);
    this.open.timers++;
    return new Promise((resolve, reject) => {
      const deaf = this.listen(signal, () => {
        deaf();
        timer.cancelled = true;
        this.open.timers--;
        reject(signal?.reason);
      });
      const timer = this.world.at(Math.max(0, ms), this, 'timer', () => {
        deaf();
        this.open.timers--;
        resolve();
      });
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
