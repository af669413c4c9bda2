import { assert } from '../../model/assert.ts';
import { WaybillError } from '../../model/errors.ts';
import { asBatchId, type BatchId, showBatch } from '../../model/ids.ts';
import { addBalances, type Balance, type BatchState, moveBatch, moveRun, runStateOf } from '../../model/states.ts';
import type { BatchRow, Child, Moved } from '../ledger.ts';
import { BATCH_STATE, toCode } from './codes.ts';
import { type Asking, inTurn, query } from './store.ts';
import { BATCH, type BatchRecord, decodeBatch, packPicks, placesInRoot, readBatch } from './tables/batches.ts';
import { countNotes, type NoteCounts, type RecordNote, saveNotes } from './tables/exceptions.ts';
import { balanceOf, lanesOf } from './tables/lanes.ts';
import { encodeRun, RUN, type RunRecord, readRun } from './tables/runs.ts';
import type { Transaction } from './transaction.ts';

export function* nextBatchId(tx: Transaction): Asking<BatchId> {
  return asBatchId(yield* tx.next(BATCH));
}

/** What a batch has come to, by its records alone. */
export function stateOf(counts: NoteCounts, records: number): BatchState {
  if (counts['in-doubt'] > 0) return 'in-doubt';
  if (counts.pending > 0) return 'sealed';
  if (counts.delivered === records) return 'delivered';
  if (counts.moved === records) return 'moved';
  if (counts.delivered > 0) return 'partial';
  return counts.refused > 0 ? 'refused' : 'skipped';
}

/**
 * Writes where the records of a batch are now, with the batch's state, counts and totals. `notes`: all of them.
 * `extra`: what else changes about the batch.
 */
export function saveOutcome(
  tx: Transaction,
  batch: BatchRecord,
  notes: readonly RecordNote[],
  extra: Partial<BatchRecord> = {},
): BatchRecord {
  const counts = countNotes(notes);
  const state = stateOf(counts, batch.records);
  const after: BatchRecord = {
    ...batch,
    possibly: answered(batch.possibly),
    ...extra,
    state: state === batch.state ? state : moveBatch(batch.state, state),
    delivered: counts.delivered,
    refused: counts.refused,
    skipped: counts.skipped,
    inDoubt: counts['in-doubt'],
    pending: counts.pending,
    moved: counts.moved,
  };
  const had = batch.state !== 'sealed' && batch.state !== 'sending';
  saveNotes(tx.store, batch.id, state, notes, had);
  tx.saveBatch(batch, after);
  return after;
}

/** A batch that may have been there before is there, or not, once its repeat was answered or its doubt settled. */
export const answered = (possibly: BatchRecord['possibly']): BatchRecord['possibly'] =>
  possibly === 'there' ? null : possibly;

/**
 * Makes child batches of some records of a batch and marks those records as moved. `from`: the state that a record
 * must be in to go; anything else would send a record again that may have been applied.
 */
export function* addChildren(
  tx: Transaction,
  batch: BatchRecord,
  notes: RecordNote[],
  children: readonly Child[],
  from: 'refused' | 'in-doubt',
  possibly: 'twice' | 'there' | null = null,
): Asking<BatchRow[]> {
  return yield* inTurn(children, function* (child) {
    checkPicks(batch, notes, child, from);
    const id = yield* nextBatchId(tx);
    for (const index of child.picks) (notes[index] as RecordNote).child = id;
    const made: BatchRecord = {
      ...batch,
      id,
      seq: (yield* tx.tally(batch.lane)).seq + 1,
      records: child.picks.length,
      bytes: child.bytes,
      digest: child.digest,
      stagedBytes: batch.stagedBytes ?? batch.bytes,
      parent: batch.id,
      root: batch.root ?? batch.id,
      picks: packPicks(placesInRoot(batch, child.picks)),
      state: 'sealed',
      attempts: 0,
      latest: id,
      delivered: 0,
      refused: 0,
      skipped: 0,
      inDoubt: 0,
      pending: child.picks.length,
      moved: 0,
      reason: child.reason,
      possibly,
    };
    tx.addBatch(made);
    return yield* tx.row(made);
  });
}

function checkPicks(batch: BatchRecord, notes: readonly RecordNote[], child: Child, from: RecordNote['state']): void {
  const ids = { batch: showBatch(batch.id) };
  assert(child.picks.length > 0 && child.digest.length === 32, 'child.has-records-and-a-digest', ids);
  let last = -1;
  for (const index of child.picks) {
    assert(Number.isInteger(index) && index > last && index < batch.records, 'child.picks-rise', { ...ids, index });
    last = index;
    const note = notes[index] as RecordNote;
    if (note.state === from && note.child === null) continue;
    const is = note.child === null ? note.state : `in ${showBatch(note.child)}`;
    throw new WaybillError(
      'MOVE_FORBIDDEN',
      `record ${index} of batch ${showBatch(batch.id)} is ${is}; only what is ${from} can go into a child`,
      { ids: { ...ids, index } },
    );
  }
}

/** Totals of a run, over its lanes. */
export function* runBalance(tx: Transaction, run: RunRecord): Asking<Balance> {
  const lanes = yield* lanesOf(tx.store, run.id);
  return addBalances((yield* inTurn(lanes, (lane) => tx.tally(lane.id))).map(balanceOf));
}

/**
 * Brings the state of a run that had ended into step with its records: new work opens it again, the last doubt that
 * is settled completes it. An open run ends by `concludeRun` alone.
 */
export function* restate(tx: Transaction, id: RunRecord['id']): Asking<void> {
  const run = yield* readRun(tx.store, id);
  if (run.state === 'open' || run.state === 'cancelled' || run.state === 'failed') return;
  const balance = yield* runBalance(tx, run);
  const state = runStateOf(balance);
  if (state === run.state) return;
  setRunState(tx, run, state);
  if (state !== 'open') tx.event(run.id, 'concluded', { state, balance });
}

/**
 * Brings the run into step with what became of a batch and of the children that it got, and says how they stand now:
 * new work opens a run that had ended, and is skipped at once in one that was cancelled.
 */
export function* settlePending(
  tx: Transaction,
  id: RunRecord['id'],
  batch: BatchRecord,
  children: readonly BatchRow[],
): Asking<Moved> {
  if ((yield* readRun(tx.store, id)).state !== 'cancelled') {
    yield* restate(tx, id);
    return { state: batch.state, children };
  }
  const skipped: BatchRecord[] = [];
  for (const one of [batch, ...children])
    skipped.push(skipBatch(tx, yield* readBatch(tx.store, one.id), 'the run was cancelled'));
  const [own, ...made] = skipped;
  return { state: (own as BatchRecord).state, children: yield* inTurn(made, (one) => tx.row(one)) };
}

const SEALED_OF = query(BATCH, 'WHERE state = ? AND lane = ? AND state <> 4');

/** No sealed batch of a lane will be sent; returns how many records were skipped. Those that may be there are not. */
export function* skipSealed(tx: Transaction, lane: number, reason: string): Asking<number> {
  const rows = yield* tx.store.many(SEALED_OF, toCode(BATCH_STATE, 'sealed'), lane);
  const sealed = rows.map((cells) => decodeBatch(tx.store, cells));
  return sealed.reduce((sum, batch) => sum + skipBatch(tx, batch, reason).skipped, 0);
}

/**
 * A batch that is not sealed is left as it is. One that waited for a harmless repeat is in doubt again, since nobody
 * has found out what became of its lost attempt; a child of such a batch has none of its own and stays possibly there.
 */
export function skipBatch(tx: Transaction, batch: BatchRecord, reason: string): BatchRecord {
  if (batch.state !== 'sealed') return batch;
  if (batch.possibly === 'there' && batch.attempts > 0) {
    const moved = { state: moveBatch(batch.state, 'in-doubt'), pending: 0, inDoubt: batch.pending, possibly: null };
    const doubt = { ...batch, ...moved, reason: `${reason}; a lost attempt may have been applied` };
    tx.saveBatch(batch, doubt);
    return doubt;
  }
  const after = { ...batch, state: moveBatch(batch.state, 'skipped'), pending: 0, skipped: batch.pending, reason };
  tx.saveBatch(batch, after);
  return after;
}

/** By way of `open` where the table has no direct move: what had ended begins again before it ends otherwise. */
export function setRunState(
  tx: Transaction,
  run: RunRecord,
  state: RunRecord['state'],
  reason: string | null = null,
): RunRecord {
  const direct =
    run.state === 'open' ||
    state === 'open' ||
    state === 'cancelled' ||
    (run.state === 'in-doubt' && state.startsWith('complete'));
  const after: RunRecord = {
    ...run,
    state: moveRun(direct ? run.state : moveRun(run.state, 'open'), state),
    endedAtMs: state === 'open' ? null : tx.nowMs,
    reason,
  };
  tx.store.update(RUN, encodeRun(after));
  return after;
}
