import type { BatchId, RunId } from '../../model/ids.ts';
import type { Table } from './store.ts';
import type { AttemptRecord } from './tables/attempts.ts';
import type { BatchRecord, LaneFacts } from './tables/batches.ts';
import type { Chain, ChainMark } from './tables/events.ts';
import type { Tally } from './tables/lanes.ts';
import type { LeaseRecord } from './tables/leases.ts';

/** About 2 MB, and four shards: what more lanes than that have claimed is read again. */
const BATCHES_KEPT = 4096;

/**
 * What the writer remembers from one transaction to the next, so that a batch on its way is not read again for its
 * answer. True as long as only this connection has written: the database says so by a number that changes with every
 * commit of anybody else. Forgotten after a rollback, which may have undone what it was learnt from.
 */
export class Kept {
  /** Batches of claimed shards that are not decided, and the open attempts of those that are being sent. */
  readonly batches = new Map<BatchId, BatchRecord>();
  readonly attempts = new Map<BatchId, AttemptRecord>();
  /** Leases as sends and answers need them; forgotten before and after any verb that may change one. */
  readonly leases = new Map<string, LeaseRecord>();
  readonly chains = new Map<RunId, Chain>();
  readonly tallies = new Map<number, Tally>();
  readonly largest = new Map<Table, number>();
  /** These never change once they are there. */
  readonly lanes = new Map<string, number>();
  readonly facts = new Map<number, LaneFacts>();
  readonly segments = new Map<number, string>();
  /** How far the chain of each run was found whole; stays true whoever writes, since chains only grow. */
  readonly marks = new Map<RunId, ChainMark>();
  #version: number | undefined;

  /** To be called inside a transaction, before anything is looked up, with the number that tells who wrote last. */
  begin(version: number): void {
    if (version !== this.#version) this.forget();
    this.#version = version;
  }

  /** After a rollback: a chain may have been checked with events on it that never were. */
  undo(): void {
    this.forget();
    this.marks.clear();
  }

  /** A batch as it is now; one that is decided needs no remembering. */
  keep(batch: BatchRecord): void {
    const open = batch.state === 'sealed' || batch.state === 'sending';
    if (open && this.batches.size < BATCHES_KEPT) this.batches.set(batch.id, batch);
    else this.batches.delete(batch.id);
  }

  forget(): void {
    const all = [
      this.batches,
      this.attempts,
      this.leases,
      this.chains,
      this.tallies,
      this.largest,
      this.lanes,
      this.facts,
    ];
    for (const map of [...all, this.segments]) map.clear();
  }
}
