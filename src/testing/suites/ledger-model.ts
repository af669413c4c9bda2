import type { BatchId } from '../../model/ids.ts';
import type { BatchState, RecordState } from '../../model/states.ts';

/** A record of the model: where it is, or the batch that it has moved to. */
export interface ModelRecord {
  state: RecordState;
  moved?: BatchId;
}
export interface ModelBatch {
  readonly id: BatchId;
  readonly lane: string;
  readonly records: ModelRecord[];
  /** An attempt that is not answered, under this fence. */
  open?: { readonly attempt: number; readonly fence: number };
  attempts: number;
  /** Sent again without proof: whoever gives it up cannot say that it was never sent. */
  possibly?: 'there' | 'twice';
}

/**
 * What a ledger should say, written as simply as can be: every record has a state of its own, and everything else is
 * counted from those whenever it is asked for. Shares no code with any ledger.
 */
export class LedgerModel {
  readonly batches = new Map<BatchId, ModelBatch>();

  add(id: BatchId, lane: string, count: number): ModelBatch {
    const records = Array.from({ length: count }, (): ModelRecord => ({ state: 'pending' }));
    const batch: ModelBatch = { id, lane, records, attempts: 0 };
    this.batches.set(id, batch);
    return batch;
  }

  stateOf(batch: ModelBatch): BatchState {
    if (batch.open !== undefined) return 'sending';
    const states = batch.records.map((record) => (record.moved === undefined ? record.state : 'moved'));
    const all = (state: string) => states.every((one) => one === state);
    if (states.includes('in-doubt')) return 'in-doubt';
    if (states.includes('pending')) return 'sealed';
    if (all('delivered')) return 'delivered';
    if (all('moved')) return 'moved';
    if (states.includes('delivered')) return 'partial';
    return states.includes('refused') ? 'refused' : 'skipped';
  }

  /** `delivered/refused/skipped/in doubt/pending of read` of a lane. */
  balance(lane: string): string {
    const here = [...this.batches.values()].filter((batch) => batch.lane === lane);
    const records = here.flatMap((batch) => batch.records).filter((record) => record.moved === undefined);
    const count = (state: RecordState) => records.filter((record) => record.state === state).length;
    const parts = [count('delivered'), count('refused'), count('skipped'), count('in-doubt'), count('pending')];
    return `${parts.join('/')} of ${records.length}`;
  }

  /** A worker took over: what it finds on its way is in doubt. */
  lose(lane: string): void {
    for (const batch of this.batches.values()) {
      if (batch.lane !== lane || batch.open === undefined) continue;
      delete batch.open;
      for (const record of batch.records) record.state = 'in-doubt';
    }
  }

  move(batch: ModelBatch, picks: readonly number[], child: BatchId): void {
    for (const pick of picks) batch.records[pick] = { state: 'refused', moved: child };
    this.add(child, batch.lane, picks.length);
  }

  picks(batch: ModelBatch, state: RecordState): number[] {
    return batch.records.flatMap((record, index) =>
      record.state === state && record.moved === undefined ? [index] : [],
    );
  }
}
