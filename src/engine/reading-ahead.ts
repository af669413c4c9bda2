import type { Staging } from '../ledger/staging.ts';
import type { Ports } from '../model/ports.ts';
import { OVER } from './over.ts';

/** A lane that lets go of nothing for so long does not keep up, or waits for its sink. */
const PATIENCE_MS = 1_000;

/**
 * Keeps reading from running ahead of the lanes: a batch that is sent while its bytes are still in memory need not be
 * read back. Waiting is for speed alone, so it ends when nothing moves, and begins again when something did; unless
 * what is read can be nowhere but in memory.
 */
export class ReadingAhead {
  readonly #staging: Pick<Staging, 'room'>;
  readonly #ports: Pick<Ports, 'sleep'>;
  readonly #mustWait: boolean;
  #patient = true;

  constructor(staging: Pick<Staging, 'room'>, ports: Pick<Ports, 'sleep'>, mustWait = false) {
    this.#staging = staging;
    this.#ports = ports;
    this.#mustWait = mustWait;
  }

  /** Resolves when memory has room for what is sealed next, or is not worth waiting for, or on `signal`. */
  async wait(signal: AbortSignal): Promise<void> {
    if (this.#mustWait) {
      while (!signal.aborted && this.#staging.room?.() !== undefined) await this.#once(signal);
      return;
    }
    const room = this.#staging.room?.();
    if (room === undefined) {
      this.#patient = true;
      return;
    }
    if (!this.#patient || signal.aborted) return;
    this.#patient = await this.#once(signal);
  }

  /** False: nothing has moved for a while. */
  async #once(signal: AbortSignal): Promise<boolean> {
    const over = new AbortController();
    let moved = true;
    const impatient = this.#ports.sleep(PATIENCE_MS, AbortSignal.any([signal, over.signal])).then(
      () => {
        moved = false;
      },
      // Rejects only when there is room, or when everything ends.
      () => undefined,
    );
    await Promise.race([this.#staging.room?.(), impatient]);
    over.abort(OVER);
    await impatient;
    return moved;
  }
}
