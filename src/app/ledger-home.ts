import { existsSync, readdirSync, statSync } from 'node:fs';
import { dirname, join } from 'node:path';
import type { Journal } from '../ledger/journal.ts';
import { fileJournal } from '../ledger/journal-file.ts';
import type { Ledger } from '../ledger/ledger.ts';
import type { Staging } from '../ledger/staging.ts';
import { folderStaging } from '../ledger/staging-folder.ts';
import { WaybillError } from '../model/errors.ts';
import type { Ports } from '../model/ports.ts';

/** From this many batches in flight on, the ledger's commits are worth a thread of their own. */
const THREAD_FROM_IN_FLIGHT = 8;

export interface LedgerPlaces {
  readonly path: string;
  /** Beside the ledger when absent. */
  readonly stagingFolder: string | undefined;
}

/** The ledger of one instance with what lies around it; each opened at its first use and once. */
export class LedgerHome {
  readonly path: string;
  readonly stagingFolder: string;
  readonly journalPath: string;
  readonly #ports: Ports;
  #ledger: Promise<Ledger> | undefined;
  #staging: Staging | undefined;
  #journal: Journal | undefined;

  constructor(places: LedgerPlaces, ports: Ports) {
    this.path = places.path;
    this.stagingFolder = places.stagingFolder ?? join(dirname(places.path), 'staging');
    this.journalPath = `${places.path}.journal`;
    this.#ports = ports;
  }

  get exists(): boolean {
    return existsSync(this.path);
  }

  /** `create`: make one when there is none; otherwise throws LEDGER_MISSING. */
  async open(options: { create: boolean; inFlight?: number }): Promise<Ledger> {
    if (this.#ledger === undefined && !options.create && !this.exists) {
      throw new WaybillError('LEDGER_MISSING', `there is no ledger ${this.path} yet`, { ids: { path: this.path } });
    }
    this.#ledger ??= this.#start(options.create, (options.inFlight ?? 1) >= THREAD_FROM_IN_FLIGHT ? 'worker' : 'main');
    try {
      return await this.#ledger;
    } catch (error) {
      // A ledger that was busy or missing may be there when it is asked for again.
      this.#ledger = undefined;
      throw error;
    }
  }

  async #start(create: boolean, thread: 'main' | 'worker'): Promise<Ledger> {
    if (create) this.#expectNotLost();
    const { openSqliteLedger } = await import('../ledger/sqlite/open.ts');
    const mark = join(this.stagingFolder, 'ledger.mark');
    const ledger = await openSqliteLedger({ path: this.path, ports: this.#ports, thread, create, mark });
    if (create) await this.#expectToKnow(ledger);
    return ledger;
  }

  /**
   * A ledger that is made anew knows nothing, and would send everything again. Where bytes of runs are staged there
   * was a ledger: it has been lost, and only a person can say that it is to be forgotten.
   */
  #expectNotLost(): void {
    const size = statSync(this.path, { throwIfNoEntry: false })?.size;
    if (size !== undefined && size > 0) return;
    if (this.#stagedRuns().length === 0) return;
    const [code, what] =
      size === undefined ? (['LEDGER_MISSING', 'is missing'] as const) : (['LEDGER_CORRUPT', 'is empty'] as const);
    throw new WaybillError(
      code,
      `the ledger ${this.path} ${what}, but runs of it are staged in ${this.stagingFolder}`,
      {
        hint: 'Restore the ledger from a backup. Only to send all of it again: move that folder away.',
        ids: { path: this.path },
      },
    );
  }

  /**
   * The folder of a run is made after the ledger has it for good. One that it does not know was staged for a newer
   * state of this ledger, and for a run whose number this one would give out again.
   */
  async #expectToKnow(ledger: Ledger): Promise<void> {
    const staged = Math.max(0, ...this.#stagedRuns());
    const [newest] = await ledger.read.runs({ newestFirst: true, limit: 1 });
    if (staged <= (newest?.id ?? 0)) return;
    await ledger.close();
    throw new WaybillError(
      'LEDGER_OLDER',
      `the ledger ${this.path} does not know run r${staged}, which is staged in ${this.stagingFolder}`,
      { ids: { path: this.path, run: `r${staged}` } },
    );
  }

  #stagedRuns(): readonly number[] {
    const names = existsSync(this.stagingFolder) ? readdirSync(this.stagingFolder) : [];
    return names.flatMap((name) => (/^r\d+$/.test(name) ? [Number(name.slice(1))] : []));
  }

  get staging(): Staging {
    this.#staging ??= folderStaging(this.stagingFolder);
    return this.#staging;
  }

  get journal(): Journal {
    this.#journal ??= fileJournal(this.journalPath);
    return this.#journal;
  }

  async close(): Promise<void> {
    const [ledger, journal] = [this.#ledger, this.#journal];
    this.#ledger = undefined;
    this.#journal = undefined;
    await this.#staging?.close?.();
    await journal?.close();
    await (await ledger)?.close();
  }
}
