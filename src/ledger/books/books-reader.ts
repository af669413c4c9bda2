import type { LedgerReader } from '../ledger.ts';
import { attempts, batch, batches, children, doubts } from './queries/batches.ts';
import { KeyMemory } from './queries/key-memory.ts';
import { findKeys, laneKeys, trace } from './queries/keys.ts';
import type { Reading } from './queries/reading.ts';
import { records } from './queries/records.ts';
import {
  balance,
  emittedUpTo,
  events,
  eventsOf,
  generations,
  lanes,
  leftOut,
  loads,
  positions,
  run,
  runs,
} from './queries/runs.ts';
import { columns, findLastSlice, history, historyAfter, looks, parts, slices } from './queries/slices.ts';
import { verify } from './queries/verify.ts';
import type { Asking } from './store.ts';

/** Puts one question to a database, which answers as of one moment. `what`: for messages. */
export type Answer = <T>(what: string, question: (reading: Reading) => Asking<T>) => Promise<T>;

type Asked<K extends keyof LedgerReader> = LedgerReader[K];

/** All that can be asked of the books, wherever they are kept. */
export class BooksReader implements LedgerReader {
  readonly #answer: Answer;
  readonly #keys = new KeyMemory();

  constructor(answer: Answer) {
    this.#answer = answer;
  }

  readonly runs: Asked<'runs'> = (filter) => this.#answer('runs', (r) => runs(r, filter));
  readonly run: Asked<'run'> = (id) => this.#answer('run', (r) => run(r, id));
  readonly lanes: Asked<'lanes'> = (id) => this.#answer('lanes', (r) => lanes(r, id));
  readonly generations: Asked<'generations'> = (id) => this.#answer('generations', (r) => generations(r, id));
  readonly balance: Asked<'balance'> = (id) => this.#answer('balance', (r) => balance(r, id));
  readonly batches: Asked<'batches'> = (filter) => this.#answer('batches', (r) => batches(r, filter));
  readonly batch: Asked<'batch'> = (id) => this.#answer('batch', (r) => batch(r, id));
  readonly attempts: Asked<'attempts'> = (id) => this.#answer('attempts', (r) => attempts(r, id));
  readonly children: Asked<'children'> = (id) => this.#answer('children', (r) => children(r, id));
  readonly doubts: Asked<'doubts'> = (filter) => this.#answer('doubts', (r) => doubts(r, filter));
  readonly records: Asked<'records'> = (filter) => this.#answer('records', (r) => records(r, filter));
  readonly trace: Asked<'trace'> = (filter) => this.#answer('trace', (r) => trace(r, filter));
  readonly findKeys: Asked<'findKeys'> = (ask) => this.#answer('findKeys', (r) => findKeys(r, this.#keys, ask));
  readonly laneKeys: Asked<'laneKeys'> = (ask) => this.#answer('laneKeys', (r) => laneKeys(r, ask));
  readonly loads: Asked<'loads'> = (filter) => this.#answer('loads', (r) => loads(r, filter));
  readonly events: Asked<'events'> = (filter) => this.#answer('events', (r) => events(r, filter));
  readonly eventsOf: Asked<'eventsOf'> = (filter) => this.#answer('eventsOf', (r) => eventsOf(r, filter));
  readonly leftOut: Asked<'leftOut'> = (id) => this.#answer('leftOut', (r) => leftOut(r, id));
  readonly emitted: Asked<'emitted'> = (emitter) => this.#answer('emitted', (r) => emittedUpTo(r, emitter));
  readonly positions: Asked<'positions'> = (flow) => this.#answer('positions', (r) => positions(r, flow));
  readonly slices: Asked<'slices'> = (filter) => this.#answer('slices', (r) => slices(r, filter));
  readonly lastSlice: Asked<'lastSlice'> = (flow) => this.#answer('lastSlice', (r) => findLastSlice(r.store, flow));
  readonly columns: Asked<'columns'> = (flow) => this.#answer('columns', (r) => columns(r, flow));
  readonly parts: Asked<'parts'> = (filter) => this.#answer('parts', (r) => parts(r, filter));
  readonly history: Asked<'history'> = (ask) => this.#answer('history', (r) => history(r, ask));
  readonly historyAfter: Asked<'historyAfter'> = (ask) => this.#answer('historyAfter', (r) => historyAfter(r, ask));
  readonly looks: Asked<'looks'> = (flow) => this.#answer('looks', (r) => looks(r, flow));
  readonly verify: Asked<'verify'> = (id) => this.#answer('verify', (r) => verify(r, id));
}
