import type { LedgerReader } from '../ledger.ts';
import { ledgerError } from './failure.ts';
import { attempts, batch, batches, children, doubts } from './queries/batches.ts';
import { findKeys, laneKeys, trace } from './queries/keys.ts';
import { Reading } from './queries/reading.ts';
import { records } from './queries/records.ts';
import { balance, emittedUpTo, events, generations, lanes, positions, run, runs } from './queries/runs.ts';
import { verify } from './queries/verify.ts';
import type { Store } from './store.ts';

type Asked<K extends keyof LedgerReader> = LedgerReader[K];

/** Questions, on a connection of their own that cannot write. Each sees the ledger as of one moment. */
export class SqliteReader implements LedgerReader {
  readonly #store: Store;
  readonly #ledgerId: string;

  constructor(store: Store, ledgerId: string) {
    this.#store = store;
    this.#ledgerId = ledgerId;
  }

  readonly runs: Asked<'runs'> = (filter) => this.#ask('runs', (r) => runs(r, filter));
  readonly run: Asked<'run'> = (id) => this.#ask('run', (r) => run(r, id));
  readonly lanes: Asked<'lanes'> = (id) => this.#ask('lanes', (r) => lanes(r, id));
  readonly generations: Asked<'generations'> = (id) => this.#ask('generations', (r) => generations(r, id));
  readonly balance: Asked<'balance'> = (id) => this.#ask('balance', (r) => balance(r, id));
  readonly batches: Asked<'batches'> = (filter) => this.#ask('batches', (r) => batches(r, filter));
  readonly batch: Asked<'batch'> = (id) => this.#ask('batch', (r) => batch(r, id));
  readonly attempts: Asked<'attempts'> = (id) => this.#ask('attempts', (r) => attempts(r, id));
  readonly children: Asked<'children'> = (id) => this.#ask('children', (r) => children(r, id));
  readonly doubts: Asked<'doubts'> = (filter) => this.#ask('doubts', (r) => doubts(r, filter));
  readonly records: Asked<'records'> = (filter) => this.#ask('records', (r) => records(r, filter));
  readonly trace: Asked<'trace'> = (filter) => this.#ask('trace', (r) => trace(r, filter));
  readonly findKeys: Asked<'findKeys'> = (ask) => this.#ask('findKeys', (r) => findKeys(r, ask));
  readonly laneKeys: Asked<'laneKeys'> = (ask) => this.#ask('laneKeys', (r) => laneKeys(r, ask));
  readonly events: Asked<'events'> = (filter) => this.#ask('events', (r) => events(r, filter));
  readonly emitted: Asked<'emitted'> = (emitter) => this.#ask('emitted', (r) => emittedUpTo(r, emitter));
  readonly positions: Asked<'positions'> = (flow) => this.#ask('positions', (r) => positions(r, flow));
  readonly verify: Asked<'verify'> = (id) => this.#ask('verify', (r) => verify(r, id));

  close(): void {
    this.#store.db.close();
  }

  async #ask<T>(what: string, answer: (reading: Reading) => T): Promise<T> {
    try {
      return this.#atOneMoment(answer);
    } catch (error) {
      throw ledgerError(error, this.#store.place, `reading ${what}`);
    }
  }

  /** Ending the transaction can fail too, on a damaged file; there is nothing in it that could be lost. */
  #atOneMoment<T>(answer: (reading: Reading) => T): T {
    this.#store.execute('BEGIN');
    try {
      return answer(new Reading(this.#store, this.#ledgerId));
    } finally {
      if (this.#store.db.open && this.#store.db.inTransaction) this.#store.execute('COMMIT');
    }
  }
}
