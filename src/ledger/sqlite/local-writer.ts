import type { Clock } from '../../model/ports.ts';
import type { Submit } from '../books/books-ledger.ts';
import type { Command } from '../books/verbs/all.ts';
import { closedError, settleWaiting, type Waiting } from '../books/waiting.ts';
import type { Writer } from './writer.ts';

/**
 * Writes on the thread it is called from. Whatever is asked before the event loop has come round shares a commit;
 * there is no timer, so one command alone waits for nobody.
 */
export class LocalWriter implements Submit {
  readonly #writer: Writer;
  readonly #place: string;
  readonly #clock: Clock;
  #spentMs = 0;
  #queue: Waiting[] = [];
  #scheduled = false;
  #closed = false;

  constructor(writer: Writer, place: string, clock: Clock) {
    this.#writer = writer;
    this.#place = place;
    this.#clock = clock;
  }

  /** How long writing has held up the thread that it is called from. */
  get spentMs(): number {
    return this.#spentMs;
  }

  submit(command: Command): Promise<unknown> {
    if (this.#closed) return Promise.reject(closedError(this.#place));
    return new Promise((resolve, reject) => {
      this.#queue.push({ command, resolve, reject });
      if (this.#scheduled) return;
      this.#scheduled = true;
      setImmediate(() => this.#flush());
    });
  }

  async close(): Promise<void> {
    if (this.#closed) return;
    this.#closed = true;
    this.#flush();
    this.#writer.close();
  }

  /** Carries out what is waiting, and leaves the rest to another writer of this process. */
  handOver(): void {
    this.#closed = true;
    this.#flush();
    this.#writer.leave();
  }

  #flush(): void {
    const waiting = this.#queue;
    this.#queue = [];
    this.#scheduled = false;
    if (waiting.length === 0) return;
    const begunMs = this.#clock.monotonicMs();
    const outcomes = this.#writer.carryOut(waiting.map(({ command }) => command));
    this.#spentMs += this.#clock.monotonicMs() - begunMs;
    settleWaiting(waiting, outcomes);
  }
}
