import { assert } from '../../model/assert.ts';
import { type BatchId, type RunId, showBatch } from '../../model/ids.ts';
import { balances } from '../../model/states.ts';
import type { BatchRow, EventKind } from '../ledger.ts';
import { EVENT_KIND, toCode } from './codes.ts';
import type { EventMark } from './high-mark.ts';
import type { Kept } from './kept.ts';
import type { Param, Store } from './store.ts';
import { BATCH, type BatchRecord, encodeBatch, type LaneFacts, toBatchRow } from './tables/batches.ts';
import {
  CHAIN,
  type Chain,
  checkChain,
  encodeChain,
  findChain,
  NO_EVENTS,
  nextHash,
  packDetail,
} from './tables/events.ts';
import { encodeTally, readLane, readTally, requireLane, TALLY, type Tally } from './tables/lanes.ts';
import { segmentName } from './tables/members.ts';
import { readRun } from './tables/runs.ts';

const INSERT_EVENT = 'INSERT INTO event (seq, run, batch, at, kind, detail, hash) VALUES (?, ?, ?, ?, ?, ?, ?)';
const EVENT_CELLS = 7;
const EVENTS_AT_ONCE = 16;
const INSERT_EVENTS = INSERT_EVENT + ', (?, ?, ?, ?, ?, ?, ?)'.repeat(EVENTS_AT_ONCE - 1);
const LAST_EVENT = 'SELECT max(seq) FROM event';

/**
 * What the verbs of one group write through. Rows that every verb touches (the head of a run's chain, the totals of a
 * lane) are changed in memory and written once, by `flush`, before the commit.
 */
export class Transaction {
  readonly store: Store;
  readonly ledgerId: string;
  readonly kept: Kept;
  /** The caller's clock at the time of the present verb. */
  nowMs = 0;
  /** The last event that this transaction wrote. */
  last: EventMark | undefined;
  /** The cells of events that are not written yet, one after the other. */
  #events: Param[] = [];
  readonly #chains = new Set<Chain>();
  readonly #tallies = new Set<Tally>();

  constructor(store: Store, ledgerId: string, kept: Kept) {
    this.store = store;
    this.ledgerId = ledgerId;
    this.kept = kept;
  }

  /** The number after the largest that `largest` finds; asked once, counted on from there. */
  next(largest: string): number {
    const next = (this.kept.largest.get(largest) ?? (this.store.scalar(largest) as number | null) ?? 0) + 1;
    this.kept.largest.set(largest, next);
    return next;
  }

  event(run: RunId, kind: EventKind, detail: Readonly<Record<string, unknown>>, batch: BatchId | null = null): void {
    const chain = this.#chain(run);
    const event = {
      seq: this.next(LAST_EVENT),
      run,
      batch,
      atMs: this.nowMs,
      kind: toCode(EVENT_KIND, kind),
      detail: packDetail(kind, detail),
    };
    chain.head = nextHash(chain.head, event);
    chain.events++;
    chain.last = event.seq;
    this.last = { seq: event.seq, hash: chain.head };
    this.#events.push(event.seq, run, batch, event.atMs, event.kind, event.detail, Buffer.from(chain.head, 'hex'));
  }

  /** Checks the events of a run from where this process last did. Throws LEDGER_CORRUPT. */
  checkChain(run: RunId): void {
    this.flush();
    const { marks } = this.kept;
    marks.set(run, checkChain(this.store, run, marks.get(run)));
  }

  /** The totals of a lane, to be changed in place. */
  tally(lane: number): Tally {
    const tally = kept(this.kept.tallies, lane, () => readTally(this.store, lane));
    this.#tallies.add(tally);
    return tally;
  }

  /** Writes a batch that is there already, and moves its records in the totals of its lane. */
  saveBatch(before: BatchRecord, after: BatchRecord): void {
    assertBatch(after);
    const tally = this.tally(after.lane);
    tally.delivered += after.delivered - before.delivered;
    tally.refused += after.refused - before.refused;
    tally.skipped += after.skipped - before.skipped;
    tally.inDoubt += after.inDoubt - before.inDoubt;
    tally.pending += after.pending - before.pending;
    // What left this batch for a child is counted there again.
    tally.read -= after.moved - before.moved;
    this.kept.keep(after);
    this.kept.attempts.delete(after.id);
    this.store.update(BATCH, encodeBatch(after));
  }

  addBatch(batch: BatchRecord): void {
    assertBatch(batch);
    const tally = this.tally(batch.lane);
    tally.batches++;
    tally.seq = batch.seq;
    tally.read += batch.records;
    tally.pending += batch.pending;
    this.store.insert(BATCH, encodeBatch(batch));
  }

  /** The number that a lane has in this ledger. RUN_UNKNOWN when the run has no such lane. */
  laneId(run: RunId, name: string): number {
    return kept(this.kept.lanes, `${run}/${name}`, () => requireLane(this.store, run, name).id);
  }

  /** The run, lane, flow and window that a lane's number stands for; they never change. */
  facts(lane: number): LaneFacts {
    return kept(this.kept.facts, lane, () => {
      const { run, name } = readLane(this.store, lane);
      const { flow, window } = readRun(this.store, run);
      return { run, flow, window, lane: name };
    });
  }

  row(batch: BatchRecord): BatchRow {
    const segment = kept(this.kept.segments, batch.segment, () => segmentName(this.store, batch.segment));
    return toBatchRow(batch, this.facts(batch.lane), segment, this.ledgerId);
  }

  /** Several rows to a statement: there are two events to every batch, and a call costs more than a row. */
  #saveEvents(): void {
    const row = EVENT_CELLS;
    let from = 0;
    for (; this.#events.length - from >= row * EVENTS_AT_ONCE; from += row * EVENTS_AT_ONCE) {
      this.store.execute(INSERT_EVENTS, ...this.#events.slice(from, from + row * EVENTS_AT_ONCE));
    }
    for (; from < this.#events.length; from += row) {
      this.store.execute(INSERT_EVENT, ...this.#events.slice(from, from + row));
    }
    this.#events = [];
  }

  /** Writes what was kept back. Everything in the transaction is in the database after this. */
  flush(): void {
    this.#saveEvents();
    for (const chain of this.#chains) this.#saveChain(chain);
    for (const tally of this.#tallies) {
      assert(balances(tally), 'lane.balances', { ...tally });
      this.store.update(TALLY, encodeTally(tally));
    }
    this.#chains.clear();
    this.#tallies.clear();
  }

  #chain(run: RunId): Chain {
    const fresh = (): Chain => ({ run, events: 0, last: 0, head: NO_EVENTS, stored: false });
    const chain = kept(this.kept.chains, run, () => findChain(this.store, run) ?? fresh());
    this.#chains.add(chain);
    return chain;
  }

  #saveChain(chain: Chain): void {
    if (chain.stored) this.store.update(CHAIN, encodeChain(chain));
    else this.store.insert(CHAIN, encodeChain(chain));
    chain.stored = true;
  }
}

/** What is remembered under a key, or else what `read` brings, remembered from now on. */
function kept<K, V>(map: Map<K, V>, key: K, read: () => V): V {
  const there = map.get(key);
  if (there !== undefined) return there;
  const value = read();
  map.set(key, value);
  return value;
}

function assertBatch(b: BatchRecord): void {
  const sum = b.delivered + b.refused + b.skipped + b.inDoubt + b.pending + b.moved;
  const signed = Math.min(b.delivered, b.refused, b.skipped, b.inDoubt, b.pending, b.moved);
  assert(sum === b.records && signed >= 0, 'batch.balances', { batch: showBatch(b.id), records: b.records, sum });
}
