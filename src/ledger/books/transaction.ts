import { assert } from '../../model/assert.ts';
import { type BatchId, type RunId, showBatch } from '../../model/ids.ts';
import { balances } from '../../model/states.ts';
import type { BatchRow, EventKind } from '../ledger.ts';
import { EVENT_KIND, toCode } from './codes.ts';
import type { Kept } from './kept.ts';
import type { Asking, Store, Table } from './store.ts';
import { BATCH, type BatchRecord, encodeBatch, type LaneFacts, toBatchRow } from './tables/batches.ts';
import {
  CHAIN,
  type Chain,
  checkChain,
  EVENT,
  type EventCells,
  encodeChain,
  findChain,
  NO_EVENTS,
  nextHash,
  packDetail,
} from './tables/events.ts';
import { encodeTally, readLane, readTally, requireLane, TALLY, type Tally } from './tables/lanes.ts';
import { segmentName } from './tables/members.ts';
import { readRun } from './tables/runs.ts';

/** An event by its number and its hash in the chain of its run. */
export interface EventMark {
  readonly seq: number;
  /** 32 digits of hex. */
  readonly hash: string;
}

/**
 * What the verbs of one group write through. Rows that every verb touches (the head of a run's chain, the totals of a
 * lane) are changed in memory and written once, by `flush`, before the commit.
 *
 * What can wait for `flush` or is remembered asks no question: even setting out to ask costs something, and a batch on
 * its way does so twice as it is.
 */
export class Transaction {
  readonly store: Store;
  readonly ledgerId: string;
  readonly kept: Kept;
  /** The ledger's clock at the time of the present verb. */
  nowMs = 0;
  /** The last event that this transaction has numbered. */
  last: EventMark | undefined;
  #events: (EventCells & { seq: number; readonly run: RunId })[] = [];
  readonly #chains = new Set<Chain>();
  readonly #tallies = new Set<Tally>();
  /** What happened to the totals of lanes that nobody has asked for yet. */
  readonly #moves = new Map<number, Change[]>();

  constructor(store: Store, ledgerId: string, kept: Kept) {
    this.store = store;
    this.ledgerId = ledgerId;
    this.kept = kept;
  }

  /** The number after the largest that a table has; asked once, counted on from there. */
  *next(of: Table): Asking<number> {
    const known = this.nextKnown(of);
    if (known !== undefined) return known;
    const next = (yield* this.store.largest(of)) + 1;
    this.kept.largest.set(of, next);
    return next;
  }

  /** The same, if the one before it is remembered. */
  nextKnown(of: Table): number | undefined {
    const last = this.kept.largest.get(of);
    if (last === undefined) return undefined;
    this.kept.largest.set(of, last + 1);
    return last + 1;
  }

  /** Numbered and chained when the transaction is flushed, so that telling of something never has to wait. */
  event(run: RunId, kind: EventKind, detail: Readonly<Record<string, unknown>>, batch: BatchId | null = null): void {
    const code = toCode(EVENT_KIND, kind);
    this.#events.push({ seq: 0, run, batch, atMs: this.nowMs, kind: code, detail: packDetail(kind, detail) });
  }

  /** Checks the events of a run from where this process last did. Throws LEDGER_CORRUPT. */
  *checkChain(run: RunId): Asking<void> {
    yield* this.flush();
    const { marks } = this.kept;
    marks.set(run, yield* checkChain(this.store, run, marks.get(run)));
  }

  /** The totals of a lane, to be changed in place. */
  *tally(lane: number): Asking<Tally> {
    let tally = this.kept.tallies.get(lane);
    if (tally === undefined) {
      tally = yield* readTally(this.store, lane);
      this.kept.tallies.set(lane, tally);
      for (const change of this.#moves.get(lane) ?? []) move(tally, change);
      this.#moves.delete(lane);
    }
    this.#tallies.add(tally);
    return tally;
  }

  /** Writes a batch that is there already, and moves its records in the totals of its lane. */
  saveBatch(before: BatchRecord, after: BatchRecord): void {
    assertBatch(after);
    this.#move({ before, after });
    this.kept.keep(after);
    this.kept.attempts.delete(after.id);
    this.store.update(BATCH, encodeBatch(after));
  }

  addBatch(batch: BatchRecord): void {
    assertBatch(batch);
    this.#move({ after: batch });
    this.store.insert(BATCH, encodeBatch(batch));
  }

  /** At once where the totals are known; or else when somebody asks for them. */
  #move(change: Change): void {
    const { lane } = change.after;
    const tally = this.kept.tallies.get(lane);
    if (tally === undefined) {
      this.#moves.set(lane, [...(this.#moves.get(lane) ?? []), change]);
      return;
    }
    this.#tallies.add(tally);
    move(tally, change);
  }

  /** The number that a lane has in this ledger. RUN_UNKNOWN when the run has no such lane. */
  *laneId(run: RunId, name: string): Asking<number> {
    const known = this.knownLane(run, name);
    if (known !== undefined) return known;
    const { id } = yield* requireLane(this.store, run, name);
    this.kept.lanes.set(`${run}/${name}`, id);
    return id;
  }

  /** The same, if it is remembered. */
  knownLane(run: RunId, name: string): number | undefined {
    return this.kept.lanes.get(`${run}/${name}`);
  }

  /** The run, lane, flow and window that a lane's number stands for; they never change. */
  *facts(lane: number): Asking<LaneFacts> {
    const known = this.kept.facts.get(lane);
    if (known !== undefined) return known;
    const { run, name } = yield* readLane(this.store, lane);
    const { flow, window } = yield* readRun(this.store, run);
    const facts = { run, flow, window, lane: name };
    this.kept.facts.set(lane, facts);
    return facts;
  }

  *row(batch: BatchRecord): Asking<BatchRow> {
    let segment = this.kept.segments.get(batch.segment);
    if (segment === undefined) {
      segment = yield* segmentName(this.store, batch.segment);
      this.kept.segments.set(batch.segment, segment);
    }
    return toBatchRow(batch, yield* this.facts(batch.lane), segment, this.ledgerId);
  }

  /** Writes what was kept back. Everything in the transaction has been handed to the store after this. */
  *flush(): Asking<void> {
    for (const event of this.#events) {
      const chain = this.kept.chains.get(event.run) ?? (yield* this.#chain(event.run));
      const seq = (this.kept.largest.get(EVENT) ?? (yield* this.store.largest(EVENT))) + 1;
      this.kept.largest.set(EVENT, seq);
      event.seq = seq;
      this.#saveEvent(chain, event);
    }
    this.#events = [];
    for (const chain of this.#chains) this.#saveChain(chain);
    for (const lane of [...this.#moves.keys()]) yield* this.tally(lane);
    for (const tally of this.#tallies) {
      assert(balances(tally), 'lane.balances', { ...tally });
      this.store.update(TALLY, encodeTally(tally));
    }
    this.#chains.clear();
    this.#tallies.clear();
  }

  #saveEvent(chain: Chain, event: EventCells): void {
    chain.head = nextHash(chain.head, event);
    chain.events++;
    chain.last = event.seq;
    this.last = { seq: event.seq, hash: chain.head };
    this.#chains.add(chain);
    const { seq, run, batch, atMs, kind, detail } = event;
    this.store.insert(EVENT, [seq, run, batch, atMs, kind, detail, Buffer.from(chain.head, 'hex')]);
  }

  *#chain(run: RunId): Asking<Chain> {
    const found = yield* findChain(this.store, run);
    const chain = found ?? { run, events: 0, last: 0, head: NO_EVENTS, stored: false };
    this.kept.chains.set(run, chain);
    return chain;
  }

  #saveChain(chain: Chain): void {
    if (chain.stored) this.store.update(CHAIN, encodeChain(chain));
    else this.store.insert(CHAIN, encodeChain(chain));
    chain.stored = true;
  }
}

/** A batch that is new, or as it was before. */
interface Change {
  readonly before?: BatchRecord;
  readonly after: BatchRecord;
}

function move(tally: Tally, { before, after }: Change): void {
  if (before === undefined) {
    tally.batches++;
    tally.seq = after.seq;
    tally.read += after.records;
    tally.pending += after.pending;
    return;
  }
  tally.delivered += after.delivered - before.delivered;
  tally.refused += after.refused - before.refused;
  tally.skipped += after.skipped - before.skipped;
  tally.inDoubt += after.inDoubt - before.inDoubt;
  tally.pending += after.pending - before.pending;
  // What left this batch for a child is counted there again.
  tally.read -= after.moved - before.moved;
}

function assertBatch(b: BatchRecord): void {
  const sum = b.delivered + b.refused + b.skipped + b.inDoubt + b.pending + b.moved;
  const signed = Math.min(b.delivered, b.refused, b.skipped, b.inDoubt, b.pending, b.moved);
  assert(sum === b.records && signed >= 0, 'batch.balances', { batch: showBatch(b.id), records: b.records, sum });
}
