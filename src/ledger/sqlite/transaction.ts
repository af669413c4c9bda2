import { assert } from '../../model/assert.ts';
import { type BatchId, type RunId, showBatch } from '../../model/ids.ts';
import { balances, type RecordState } from '../../model/states.ts';
import type { BatchRow, EventKind } from '../ledger.ts';
import { EVENT_KIND, toCode } from './codes.ts';
import type { Store } from './store.ts';
import { BATCH, type BatchRecord, encodeBatch, type LaneFacts, toBatchRow } from './tables/batches.ts';
import {
  CHAIN,
  type Chain,
  type ChainMark,
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
const LAST_EVENT = 'SELECT max(seq) FROM event';

/**
 * What the verbs of one group write through. Rows that every verb touches (the head of a run's chain, the totals of a
 * lane, the last event's number) are kept here and written once, by `flush`, before the commit. Thrown away with a
 * rollback, as is everything that was learnt inside the transaction.
 */
export class Transaction {
  readonly store: Store;
  readonly ledgerId: string;
  /** The caller's clock at the time of the present verb. */
  nowMs = 0;
  readonly #marks: Map<RunId, ChainMark>;
  readonly #chains = new Map<RunId, Chain>();
  readonly #tallies = new Map<number, Tally>();
  readonly #lanes = new Map<string, number>();
  readonly #facts = new Map<number, LaneFacts>();
  readonly #segments = new Map<number, string>();
  readonly #next = new Map<string, number>();

  /** `marks`: how far the chain of each run was checked by this process; survives the transaction. */
  constructor(store: Store, ledgerId: string, marks: Map<RunId, ChainMark>) {
    this.store = store;
    this.ledgerId = ledgerId;
    this.#marks = marks;
  }

  /** The number after the largest that `largest` finds; asked once, counted on from there. */
  next(largest: string): number {
    const next = (this.#next.get(largest) ?? (this.store.scalar(largest) as number | null) ?? 0) + 1;
    this.#next.set(largest, next);
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
    this.store.execute(
      INSERT_EVENT,
      event.seq,
      run,
      batch,
      event.atMs,
      event.kind,
      event.detail,
      Buffer.from(chain.head, 'hex'),
    );
  }

  /** Checks the events of a run from where this process last did. Throws LEDGER_CORRUPT. */
  checkChain(run: RunId): void {
    this.flush();
    this.#marks.set(run, checkChain(this.store, run, this.#marks.get(run)));
  }

  /** The totals of a lane, to be changed in place. */
  tally(lane: number): Tally {
    let tally = this.#tallies.get(lane);
    if (tally === undefined) {
      tally = readTally(this.store, lane);
      this.#tallies.set(lane, tally);
    }
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
    const key = `${run}/${name}`;
    const id = this.#lanes.get(key) ?? requireLane(this.store, run, name).id;
    this.#lanes.set(key, id);
    return id;
  }

  /** The run, lane, flow and window that a lane's number stands for; they never change. */
  facts(lane: number): LaneFacts {
    let facts = this.#facts.get(lane);
    if (facts === undefined) {
      const { run, name } = readLane(this.store, lane);
      const { flow, window } = readRun(this.store, run);
      facts = { run, flow, window, lane: name };
      this.#facts.set(lane, facts);
    }
    return facts;
  }

  row(batch: BatchRecord): BatchRow {
    let segment = this.#segments.get(batch.segment);
    if (segment === undefined) {
      segment = segmentName(this.store, batch.segment);
      this.#segments.set(batch.segment, segment);
    }
    return toBatchRow(batch, this.facts(batch.lane), segment, this.ledgerId);
  }

  /** Writes what was kept back. Everything in the transaction is in the database after this. */
  flush(): void {
    for (const chain of this.#chains.values()) this.#saveChain(chain);
    for (const tally of this.#tallies.values()) {
      assert(balances(tally), 'lane.balances', { ...tally });
      this.store.update(TALLY, encodeTally(tally));
    }
    this.#chains.clear();
    this.#tallies.clear();
  }

  #chain(run: RunId): Chain {
    let chain = this.#chains.get(run);
    if (chain === undefined) {
      chain = findChain(this.store, run) ?? { run, events: 0, last: 0, head: NO_EVENTS };
      this.#chains.set(run, chain);
    }
    return chain;
  }

  #saveChain(chain: Chain): void {
    if (findChain(this.store, chain.run) === undefined) this.store.insert(CHAIN, encodeChain(chain));
    else this.store.update(CHAIN, encodeChain(chain));
  }
}

/** Counts of a batch, by the state of its records. */
export const COUNT_OF = {
  pending: 'pending',
  delivered: 'delivered',
  refused: 'refused',
  'in-doubt': 'inDoubt',
  skipped: 'skipped',
} as const satisfies Record<RecordState, keyof BatchRecord>;

function assertBatch(b: BatchRecord): void {
  const sum = b.delivered + b.refused + b.skipped + b.inDoubt + b.pending + b.moved;
  const signed = Math.min(b.delivered, b.refused, b.skipped, b.inDoubt, b.pending, b.moved);
  assert(sum === b.records && signed >= 0, 'batch.balances', { batch: showBatch(b.id), records: b.records, sum });
}
