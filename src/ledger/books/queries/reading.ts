import type { RunId } from '../../../model/ids.ts';
import type { BatchRow } from '../../ledger.ts';
import type { Asking, Store } from '../store.ts';
import { type BatchRecord, type LaneFacts, toBatchRow } from '../tables/batches.ts';
import { completeGeneration } from '../tables/generations.ts';
import { type LaneRecord, readLane } from '../tables/lanes.ts';
import { segmentName } from '../tables/members.ts';
import { type RunRecord, readRun } from '../tables/runs.ts';

/** One question to the ledger: what several of its rows have in common is looked up once. */
export class Reading {
  readonly store: Store;
  readonly ledgerId: string;
  readonly #lanes = new Map<number, LaneRecord>();
  readonly #runs = new Map<RunId, RunRecord>();
  readonly #facts = new Map<number, LaneFacts>();
  readonly #segments = new Map<number, string>();
  readonly #complete = new Map<RunId, number>();

  constructor(store: Store, ledgerId: string) {
    this.store = store;
    this.ledgerId = ledgerId;
  }

  *lane(id: number): Asking<LaneRecord> {
    let lane = this.#lanes.get(id);
    if (lane === undefined) {
      lane = yield* readLane(this.store, id);
      this.#lanes.set(id, lane);
    }
    return lane;
  }

  *run(id: RunId): Asking<RunRecord> {
    let run = this.#runs.get(id);
    if (run === undefined) {
      run = yield* readRun(this.store, id);
      this.#runs.set(id, run);
    }
    return run;
  }

  *facts(lane: number): Asking<LaneFacts> {
    let facts = this.#facts.get(lane);
    if (facts === undefined) {
      const { run, name } = yield* this.lane(lane);
      const { flow, window } = yield* this.run(run);
      facts = { run, flow, window, lane: name };
      this.#facts.set(lane, facts);
    }
    return facts;
  }

  /** See `completeGeneration`. */
  *complete(run: RunId): Asking<number> {
    let complete = this.#complete.get(run);
    if (complete === undefined) {
      complete = yield* completeGeneration(this.store, run);
      this.#complete.set(run, complete);
    }
    return complete;
  }

  *row(batch: BatchRecord): Asking<BatchRow> {
    let segment = this.#segments.get(batch.segment);
    if (segment === undefined) {
      segment = yield* segmentName(this.store, batch.segment);
      this.#segments.set(batch.segment, segment);
    }
    return toBatchRow(batch, yield* this.facts(batch.lane), segment, this.ledgerId);
  }
}

export const PAGE_LIMIT = 1000;
/** The end of `id > ?` when a page has no beginning. */
export const limitOf = (limit: number | undefined): number => limit ?? PAGE_LIMIT;
