import { WaybillError } from '../../model/errors.ts';
import type { Command } from './verbs/all.ts';
import type { Outcome, Writer } from './writer.ts';

/** Where commands go. Resolves when what the command wrote is durable. */
export interface Submit {
  submit(command: Command): Promise<unknown>;
  /** Carries out what is waiting, then closes. */
  close(): Promise<void>;
}

export interface Waiting {
  readonly command: Command;
  readonly resolve: (value: unknown) => void;
  readonly reject: (error: unknown) => void;
}

export function settleWaiting(waiting: readonly Waiting[], outcomes: readonly Outcome[]): void {
  waiting.forEach(({ resolve, reject }, nth) => {
    const outcome = outcomes[nth] as Outcome;
    if (outcome.ok) resolve(outcome.value);
    else reject(outcome.error);
  });
}

export const closedError = (place: string): WaybillError =>
  new WaybillError('LEDGER_WRITE', `the ledger ${place} has been closed`, { hint: 'Open it again.' });

/**
 * Writes on the thread it is called from. Whatever is asked before the event loop has come round shares a commit;
 * there is no timer, so one command alone waits for nobody.
 */
export class LocalWriter implements Submit {
  readonly #writer: Writer;
  readonly #place: string;
  #queue: Waiting[] = [];
  #scheduled = false;
  #closed = false;

  constructor(writer: Writer, place: string) {
    this.#writer = writer;
    this.#place = place;
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

  #flush(): void {
    const waiting = this.#queue;
    this.#queue = [];
    this.#scheduled = false;
    if (waiting.length === 0) return;
    settleWaiting(waiting, this.#writer.carryOut(waiting.map(({ command }) => command)));
  }
}
