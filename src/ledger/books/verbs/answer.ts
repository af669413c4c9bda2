import { assert } from '../../../model/assert.ts';
import { WaybillError } from '../../../model/errors.ts';
import { showBatch } from '../../../model/ids.ts';
import { moveBatch } from '../../../model/states.ts';
import { OUTCOME, type Refusal, type Tally, tally } from '../../../model/verdict.ts';
import type { Answer, AttemptRef, BatchRow, Moved, ShardClaim } from '../../ledger.ts';
import { addChildren, answered, saveOutcome, settlePending } from '../outcome.ts';
import { type Asking, inTurn, query } from '../store.ts';
import { ATTEMPT, type AttemptRecord, attemptsOf, encodeAttempt, readAttempt } from '../tables/attempts.ts';
import { BATCH, type BatchRecord, decodeBatch } from '../tables/batches.ts';
import { notesOf, type RecordNote } from '../tables/exceptions.ts';
import { encodeLane, LANE, readLane } from '../tables/lanes.ts';
import type { Transaction } from '../transaction.ts';
import { knownShard, requireShard } from './claim-shard.ts';
import { batchIn, knownIn } from './intend.ts';

export function* answer(tx: Transaction, ask: ShardClaim & AttemptRef & { answer: Answer }): Asking<Moved> {
  if (knownShard(tx, ask) === undefined) yield* requireShard(tx, ask);
  const batch = knownIn(tx, ask, ask.batch) ?? (yield* batchIn(tx, ask, ask.batch));
  const print = printOf(tx, ask.answer);
  const attempt = knownAttempt(tx, batch, ask.attempt) ?? (yield* latestAttempt(tx, batch, ask.attempt));
  if (batch.state !== 'sending' || attempt === undefined || attempt.answer !== null)
    return yield* again(tx, batch, ask, print);
  const { after, children, counts } = carryWhole(tx, batch, ask.answer) ?? (yield* carryParts(tx, batch, ask.answer));
  const answered = {
    ...attempt,
    ...counts,
    print,
    answer: ask.answer.kind,
    answeredAtMs: tx.nowMs,
    ...evidenceOf(ask.answer),
  };
  tx.store.update(ATTEMPT, encodeAttempt(answered));
  const position = after.delivered > 0 ? answered.receipt?.position : undefined;
  if (position !== undefined) yield* keepPosition(tx, after.lane, position);
  tx.event(
    ask.run,
    'answered',
    {
      attempt: ask.attempt,
      answer: ask.answer.kind,
      state: after.state,
      applied: counts.applied,
      refused: counts.refused || undefined,
      unknown: counts.unknown || undefined,
      children: children.length === 0 ? undefined : children.map((child) => child.id),
      reason: answered.reason ?? undefined,
    },
    batch.id,
  );
  // Only what is pending again concerns the run; on the way of a plain delivery its row need not even be read.
  if (after.state !== 'sealed' && children.length === 0) return { state: after.state, children };
  return yield* settlePending(tx, ask.run, after, children);
}

const knownAttempt = (tx: Transaction, batch: BatchRecord, attempt: number): AttemptRecord | undefined =>
  batch.attempts === attempt ? tx.kept.attempts.get(batch.id) : undefined;

function* latestAttempt(tx: Transaction, batch: BatchRecord, attempt: number): Asking<AttemptRecord | undefined> {
  if (batch.attempts !== attempt || attempt === 0) return undefined;
  return yield* readAttempt(tx.store, batch.latest);
}

interface Carried {
  readonly after: BatchRecord;
  readonly children: readonly BatchRow[];
  readonly counts: Tally;
}

/** An answer that says the same of every record, for which nothing has to be read. */
function carryWhole(tx: Transaction, batch: BatchRecord, given: Answer): Carried | undefined {
  const all = batch.records;
  const carried = (after: BatchRecord, counts: Tally): Carried => {
    tx.saveBatch(batch, after);
    return { after, children: [], counts };
  };
  switch (given.kind) {
    case 'refused':
      return undefined;
    case 'verdict': {
      const counts = tally(given, all);
      if (counts.applied < all) return undefined;
      const moved = { state: moveBatch(batch.state, 'delivered'), pending: 0, delivered: all };
      return carried({ ...batch, ...moved, possibly: answered(batch.possibly) }, counts);
    }
    case 'not-applied': {
      const after = { ...batch, state: moveBatch(batch.state, 'sealed'), reason: given.reason };
      return carried(after, { applied: 0, refused: 0, unknown: 0 });
    }
    case 'lost': {
      const moved = { state: moveBatch(batch.state, 'in-doubt'), pending: 0, inDoubt: all };
      const possibly = answered(batch.possibly);
      return carried(
        { ...batch, ...moved, possibly, reason: given.evidence },
        { applied: 0, refused: 0, unknown: all },
      );
    }
  }
}

function* carryParts(tx: Transaction, batch: BatchRecord, given: Answer): Asking<Carried> {
  assert(given.kind === 'verdict' || given.kind === 'refused', 'answer.is-of-parts', { kind: given.kind });
  if (given.kind === 'refused') return yield* carryRefusal(tx, batch, given);
  const counts = tally(given, batch.records);
  const notes = yield* notesOf(tx.store, batch);
  applyOutcomes(notes, given.outcomes, given.refusals, () => true);
  const children = yield* addChildren(tx, batch, notes, given.children, 'refused');
  return { after: saveOutcome(tx, batch, notes, { reason: given.receipt.summary }), children, counts };
}

function* carryRefusal(tx: Transaction, batch: BatchRecord, given: Answer & { kind: 'refused' }): Asking<Carried> {
  const notes = yield* notesOf(tx.store, batch);
  for (const note of notes) note.state = 'refused';
  const children = yield* addChildren(tx, batch, notes, given.children, 'refused');
  // A refusal proves nothing of an attempt that was lost before.
  const reason = `${given.code}: ${given.message}`;
  const after = saveOutcome(tx, batch, notes, { reason, possibly: batch.possibly });
  return { after, children, counts: { applied: 0, refused: batch.records, unknown: 0 } };
}

/** Puts a verdict on the records that `where` admits. */
export function applyOutcomes(
  notes: RecordNote[],
  outcomes: Uint8Array,
  refusals: readonly Refusal[],
  where: (note: RecordNote) => boolean,
): void {
  const reasons = new Map(refusals.map((refusal) => [refusal.index, refusal]));
  notes.forEach((note, index) => {
    if (!where(note)) return;
    const reason = reasons.get(index);
    note.state =
      outcomes[index] === OUTCOME.applied ? 'delivered' : outcomes[index] === OUTCOME.refused ? 'refused' : 'in-doubt';
    note.code = reason?.code ?? null;
    note.message = reason?.message ?? null;
  });
}

function evidenceOf(given: Answer): Pick<AttemptRecord, 'receipt' | 'reason'> {
  switch (given.kind) {
    case 'verdict':
      return { receipt: given.receipt, reason: null };
    case 'refused':
      return { receipt: given.receipt, reason: `${given.code}: ${given.message}` };
    case 'not-applied':
      return { receipt: null, reason: given.reason };
    case 'lost':
      return { receipt: null, reason: given.evidence };
  }
}

function* keepPosition(tx: Transaction, id: number, position: string): Asking<void> {
  const lane = yield* readLane(tx.store, id);
  if (lane.position !== position) tx.store.update(LANE, encodeLane({ ...lane, position }));
}

const CHILDREN_OF = query(BATCH, 'WHERE parent = ? ORDER BY id');

/**
 * An answer to an attempt that is not open. The same one again changes nothing. One that differs from what took its
 * place (the attempt was given up as lost, or settled) came too late to be carried: whoever brings it must settle.
 */
function* again(tx: Transaction, batch: BatchRecord, ask: AttemptRef, print: number): Asking<Moved> {
  const attempt = (yield* attemptsOf(tx.store, batch))[ask.attempt - 1];
  const ids = { batch: showBatch(batch.id), attempt: ask.attempt, state: batch.state };
  if (attempt === undefined)
    throw new WaybillError('MOVE_FORBIDDEN', `batch ${showBatch(batch.id)} has had no attempt ${ask.attempt}`, { ids });
  if (attempt.print === print) {
    const rows = yield* tx.store.many(CHILDREN_OF, batch.id);
    const children = yield* inTurn(rows, (cells) => tx.row(decodeBatch(tx.store, cells)));
    return { state: batch.state, children };
  }
  const name = `attempt ${ask.attempt} of batch ${showBatch(batch.id)}`;
  if (attempt.answer === 'lost') {
    throw new WaybillError(
      'FENCED',
      `${name} was given up as lost before this answer came; the batch is ${batch.state}`,
      { ids },
    );
  }
  throw new WaybillError('MOVE_FORBIDDEN', `${name} was answered otherwise before: ${attempt.answer ?? 'not at all'}`, {
    ids,
  });
}

/** Tells one answer from another. */
function printOf(tx: Transaction, given: Answer): number {
  const { outcomes, ...rest } = given.kind === 'verdict' ? given : { ...given, outcomes: null };
  const children =
    'children' in given
      ? given.children.map((child) => [...child.picks, child.bytes, Buffer.from(child.digest).toString('hex')])
      : null;
  return tx.store.print([JSON.stringify({ ...rest, children }), outcomes]);
}
