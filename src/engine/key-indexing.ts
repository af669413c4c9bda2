import type { Ledger } from '../ledger/ledger.ts';
import type { RunId } from '../model/ids.ts';

/** Sealing this many records more is worth a step: fewer would make parts that are too small. */
const WORTH_A_STEP = 262_144;

/** With fewer records look-ups have all parts in memory, however many there are (KeyMemory). */
const WORTH_MERGING = 2 ** 21;

type Only = NonNullable<Parameters<Ledger['indexKeys']>[0]['only']>;

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

  /**
   * Before an extraction that will look up what earlier ones have read, which are so many records: what these left in
   * many parts is merged.
   */
  async prepare(records: number, stop: AbortSignal): Promise<void> {
    if (records < WORTH_MERGING) return;
    while (!stop.aborted && !(await this.#ledger.indexKeys({ run: this.#run })).done);
  }

  sealed(records: number): void {
    this.#waiting += records;
    if (this.#waiting >= WORTH_A_STEP) this.#begin('full-parts');
  }

  /** Brings in what is left, unless `complete` is false: then only the step under way is waited for. */
  async close(complete: boolean): Promise<void> {
    this.#stopped = true;
    await this.#working;
    if (!complete) return;
    this.#stopped = false;
    this.#begin('parts');
    await this.#working;
  }

  #begin(only: Only): void {
    this.#waiting = 0;
    if (this.#busy) return;
    this.#busy = true;
    this.#working = this.#work(only);
    // Heard by `close`, which everybody calls: until then nobody waits for it.
    this.#working.catch(() => undefined);
  }

  async #work(only: Only): Promise<void> {
    try {
      for (let done = false; !done && !this.#stopped; )
        done = (await this.#ledger.indexKeys({ run: this.#run, only })).done;
    } finally {
      this.#busy = false;
    }
  }
}
