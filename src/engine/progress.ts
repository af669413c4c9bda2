import type { Ports } from '../model/ports.ts';
import type { Progress } from './engine.ts';
import type { LaneTally } from './lane.ts';
import { OVER } from './over.ts';

const EVERY_MS = 250;

/** Tells how far a start has come, a few times a second, from figures that the engine has in hand anyway. */
export class ProgressTeller {
  readonly #ports: Ports;
  readonly #tallies: ReadonlyMap<string, LaneTally>;
  readonly #tell: ((progress: Progress) => void) | undefined;
  readonly #startMs: number;
  readonly #ended = new AbortController();
  #telling: Promise<void> = Promise.resolve();
  stage: Progress['stage'] = 'EXTRACT';
  read = 0;
  expected: number | undefined;
  /** Why the source brings nothing for now. */
  waits: string | undefined;

  constructor(ports: Ports, tallies: ReadonlyMap<string, LaneTally>, tell: ((progress: Progress) => void) | undefined) {
    this.#ports = ports;
    this.#tallies = tallies;
    this.#tell = tell;
    this.#startMs = ports.monotonicMs();
    if (tell !== undefined) this.#telling = this.#keepTelling(tell);
  }

  get elapsedMs(): number {
    return this.#ports.monotonicMs() - this.#startMs;
  }

  /** Tells the end, once. */
  async close(): Promise<void> {
    if (this.#ended.signal.aborted) return;
    this.stage = 'DONE';
    this.#ended.abort(OVER);
    await this.#telling;
    this.#tell?.(this.#now());
  }

  #now(): Progress {
    return {
      stage: this.stage,
      read: this.read,
      lanes: [...this.#tallies].map(([lane, { balance, waits }]) => ({
        lane,
        balance: { ...balance },
        ...(waits === undefined ? {} : { waits }),
      })),
      elapsedMs: this.elapsedMs,
      ...(this.expected === undefined ? {} : { expected: this.expected }),
      ...(this.waits === undefined ? {} : { waits: this.waits }),
    };
  }

  async #keepTelling(tell: (progress: Progress) => void): Promise<void> {
    while (!this.#ended.signal.aborted) {
      tell(this.#now());
      try {
        await this.#ports.sleep(EVERY_MS, this.#ended.signal);
      } catch (error) {
        if (!this.#ended.signal.aborted) throw error;
      }
    }
  }
}
