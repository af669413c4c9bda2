import { existsSync, readdirSync, statSync } from 'node:fs';
import { availableParallelism } from 'node:os';
import { dirname, join, resolve } from 'node:path';
import { freshStaging } from '../ledger/fresh-staging.ts';
import type { Journal } from '../ledger/journal.ts';
import { fileJournal } from '../ledger/journal-file.ts';
import type { Ledger } from '../ledger/ledger.ts';
import { isPostgresAddress, type PostgresAddress, parseAddress } from '../ledger/postgres/address.ts';
import type { Staging } from '../ledger/staging.ts';
import { folderStaging } from '../ledger/staging-folder.ts';
import { WaybillError } from '../model/errors.ts';
import type { Ports } from '../model/ports.ts';
import { Secret } from './secrets.ts';
import { holdsPassword } from './settings-reader.ts';

/**
 * From this many batches in flight on, the ledger's commits are worth a thread of their own; from this many records in
 * one as well, where more than two cores are there. Two are filled by whoever reads and writes and by V8's own threads:
 * another one of ours makes nothing faster then, and takes 30 MB.
 */
const THREAD_FROM_IN_FLIGHT = 8;
const THREAD_FROM_RECORDS = 5_000;
const FILLED_CORES = 2;
/** What a thread costs to come up. A run whose commits take no longer than that together ends without one. */
const THREAD_COSTS_MS = 100;

/** Where a ledger is kept: in a file, or in a schema of a PostgreSQL server. */
export type LedgerAt =
  | { readonly kind: 'file'; readonly path: string }
  | { readonly kind: 'postgres'; readonly address: PostgresAddress };

export interface LedgerPlaces {
  readonly at: LedgerAt;
  /** Of the flow file: what a ledger elsewhere leaves on this machine lies in `.waybill` below it. */
  readonly folder: string;
  /** Beside the ledger when absent. */
  readonly stagingFolder: string | undefined;
}

/** `text`: a path, or an address. `password`: for an address that holds none. Throws CONFIG_INVALID. */
export function ledgerAt(text: string, folder: string, password: string | undefined): LedgerAt {
  if (!isPostgresAddress(text)) return { kind: 'file', path: resolve(folder, text) };
  // Known from here on as something that no message may hold. One without a password is what messages are to name.
  const given = isOpen(text) ? text : new Secret(text).reveal();
  const address = parseAddress(given, password === undefined ? undefined : new Secret(password).reveal());
  return { kind: 'postgres', address };
}

/** Nothing but a user stands before the host, and no parameter may hold what is secret. */
const isOpen = (text: string): boolean =>
  URL.canParse(text) && new URL(text).password === '' && text.split('@').length === 2 && !holdsPassword(text);

/** The ledger of one instance with what lies around it; each opened at its first use and once. */
export class LedgerHome {
  readonly at: LedgerAt;
  /** For messages: the file, or the database without its password. */
  readonly place: string;
  readonly stagingFolder: string;
  readonly journalPath: string;
  /** What sources have downloaded and may use again; nothing is lost with it. */
  readonly downloadsFolder: string;
  readonly #ports: Ports;
  #ledger: Promise<Ledger> | undefined;
  #staging: Staging | undefined;
  #journal: Journal | undefined;

  constructor({ at, folder, stagingFolder }: LedgerPlaces, ports: Ports) {
    this.at = at;
    this.place = at.kind === 'file' ? at.path : at.address.place;
    const beside = at.kind === 'file' ? at.path : join(folder, '.waybill', 'ledger');
    this.stagingFolder = stagingFolder ?? join(dirname(beside), 'staging');
    this.journalPath = `${beside}.journal`;
    this.downloadsFolder = join(dirname(beside), 'downloads');
    this.#ports = ports;
  }

  /** The ledger, if there is one. */
  async find(): Promise<Ledger | undefined> {
    try {
      return await this.open({ create: false });
    } catch (error) {
      if (error instanceof WaybillError && error.code === 'LEDGER_MISSING') return undefined;
      throw error;
    }
  }

  /** `create`: make one when there is none; otherwise throws LEDGER_MISSING. */
  async open(options: { create: boolean; inFlight?: number; recordsPerBatch?: number }): Promise<Ledger> {
    if (this.#ledger === undefined && !options.create && this.at.kind === 'file' && !existsSync(this.at.path)) {
      throw new WaybillError('LEDGER_MISSING', `there is no ledger ${this.place} yet`, { ids: { path: this.place } });
    }
    const { create, inFlight = 1, recordsPerBatch = 1 } = options;
    const large = recordsPerBatch >= THREAD_FROM_RECORDS && availableParallelism() > FILLED_CORES;
    const busy = inFlight >= THREAD_FROM_IN_FLIGHT || large;
    this.#ledger ??= this.#start(create, busy ? 'worker' : 'main');
    try {
      return await this.#ledger;
    } catch (error) {
      // A ledger that was busy or missing may be there when it is asked for again.
      this.#ledger = undefined;
      throw error;
    }
  }

  async #start(create: boolean, thread: 'main' | 'worker'): Promise<Ledger> {
    if (this.at.kind === 'postgres') return await this.#startPostgres(this.at.address, create);
    const { path } = this.at;
    if (create) {
      const size = statSync(path, { throwIfNoEntry: false })?.size;
      if (size === undefined || size === 0) this.#expectNotLost(size === 0);
    }
    const { openSqliteLedger } = await import('../ledger/sqlite/open.ts');
    const mark = join(this.stagingFolder, 'ledger.mark');
    const ports = this.#ports;
    const ledger = await openSqliteLedger({ path, ports, thread, threadAfterMs: THREAD_COSTS_MS, create, mark });
    if (create) await this.#expectToKnow(ledger);
    return ledger;
  }

  async #startPostgres(address: PostgresAddress, create: boolean): Promise<Ledger> {
    const { openPostgresLedger } = await import('../ledger/postgres/open.ts');
    let ledger: Ledger;
    try {
      ledger = await openPostgresLedger({ address, ports: this.#ports, create: false });
    } catch (error) {
      if (!create || !(error instanceof WaybillError && error.code === 'LEDGER_MISSING')) throw error;
      this.#expectNotLost(false);
      ledger = await openPostgresLedger({ address, ports: this.#ports, create });
    }
    if (create) await this.#expectToKnow(ledger);
    return ledger;
  }

  /**
   * A ledger that is made anew knows nothing, and would send everything again. Where bytes of runs are staged there
   * was a ledger: it has been lost, and only a person can say that it is to be forgotten.
   */
  #expectNotLost(isEmpty: boolean): void {
    if (this.#stagedRuns().length === 0) return;
    const [code, what] = isEmpty
      ? (['LEDGER_CORRUPT', 'is empty'] as const)
      : (['LEDGER_MISSING', 'is missing'] as const);
    const restore =
      this.at.kind === 'file'
        ? 'Restore the ledger from a backup.'
        : 'Bring the ledger of these runs there with `waybill ledger copy`, or restore it from a backup.';
    throw new WaybillError(
      code,
      `the ledger ${this.place} ${what}, but runs of it are staged in ${this.stagingFolder}`,
      {
        hint: `${restore} Only to send all of it again: move that folder away.`,
        ids: { path: this.place },
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
      `the ledger ${this.place} does not know run r${staged}, which is staged in ${this.stagingFolder}`,
      { ids: { path: this.place, run: `r${staged}` } },
    );
  }

  #stagedRuns(): readonly number[] {
    const names = existsSync(this.stagingFolder) ? readdirSync(this.stagingFolder) : [];
    return names.flatMap((name) => (/^r\d+$/.test(name) ? [Number(name.slice(1))] : []));
  }

  get staging(): Staging {
    this.#staging ??= freshStaging(folderStaging(this.stagingFolder));
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
