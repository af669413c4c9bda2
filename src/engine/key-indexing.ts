import type { Ledger } from '../ledger/ledger.ts';
import type { RunId } from '../model/ids.ts';

/** Sealing this many records more is worth a step: fewer would make parts that are too small. */
const WORTH_A_STEP = 262_144;

/**
 * Builds the ledger's key index beside the work, a bounded step at a time. Nothing depends on how far it has come;
 * an extraction only asks faster, and so does whoever looks for a record.
 */
export class KeyIndexing {
  readonly #ledger: Ledger;
  readonly #run: RunId;
  #waiting = 0;
  #working: Promise<void> = Promise.resolve();
  #busy = false;
  #stopped = false;

  constructor(ledger: Ledger, run: RunId) {
    this.#ledger = ledger;
    this.#run = run;
  }

  sealed(records: number): void {
    this.#waiting += records;
    if (this.#waiting >= WORTH_A_STEP) this.#begin(true);
  }

  /** Brings in what is left, unless `complete` is false: then only the step under way is waited for. */
  async close(complete: boolean): Promise<void> {
    this.#stopped = true;
    await this.#working;
    if (!complete) return;
    this.#stopped = false;
    this.#begin(false);
    await this.#working;
  }

  #begin(whole: boolean): void {
    this.#waiting = 0;
    if (this.#busy) return;
    this.#busy = true;
    this.#working = this.#work(whole);
    // Heard by `close`, which everybody calls: until then nobody waits for it.
    this.#working.catch(() => undefined);
  }

  /** `whole`: what is left over would make a part that is too small, and many of them would have to be merged. */
  async #work(whole: boolean): Promise<void> {
    const ask = { run: this.#run, ...(whole ? { whole } : {}) };
    try {
      for (let done = false; !done && !this.#stopped; ) done = (await this.#ledger.indexKeys(ask)).done;
    } finally {
      this.#busy = false;
    }
  }
}
