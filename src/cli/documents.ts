import type { AttemptRow, BatchRow, DoubtRow, LaneRow, LedgerReader, RecordRow, RunRow } from '../app/waybill.ts';
import { type RunId, showBatch, showRun } from '../model/ids.ts';
import type { Receipt } from '../model/receipt.ts';
import { type Balance, EMPTY_BALANCE } from '../model/states.ts';
import type { Context } from './context.ts';
import { isoTime } from './format-values.ts';
import type {
  AttemptDocument,
  BatchDocument,
  DoubtDocument,
  LaneDocument,
  RecordDocument,
  RunDocument,
} from './output-shapes.ts';

/** From rows of the ledger to the parts of the JSON outputs. Text is made from the same parts. */

export function runDocument(run: RunRow, nowMs: number): RunDocument {
  return {
    id: showRun(run.id),
    flow: run.flow,
    window: { ...run.window },
    state: run.state,
    paused: run.paused,
    correlationId: run.correlationId,
    generation: run.generation,
    openedAt: isoTime(run.openedAtMs),
    endedAt: run.endedAtMs === undefined ? undefined : isoTime(run.endedAtMs),
    reason: run.reason,
    lease: leaseOf(run, nowMs),
  };
}

function leaseOf(run: RunRow, nowMs: number): RunDocument['lease'] {
  if (run.owner === undefined || run.leaseUntilMs === undefined) return undefined;
  return { owner: run.owner, until: isoTime(run.leaseUntilMs), valid: run.leaseUntilMs > nowMs };
}

export function laneDocument(lane: LaneRow, balance: Balance): LaneDocument {
  const { connector, strategy, rung, onDoubt, paused, position } = lane;
  return { lane: lane.lane, connector, strategy, rung, onDoubt, paused, position, balance: { ...balance } };
}

/** The lanes of a run with what became of their records. */
export async function lanesOf(reader: LedgerReader, run: RunId): Promise<LaneDocument[]> {
  const [lanes, balances] = await Promise.all([reader.lanes(run), reader.balance(run)]);
  return lanes.map((lane) => laneDocument(lane, balances.get(lane.lane) ?? EMPTY_BALANCE));
}

export function batchDocument(batch: BatchRow): BatchDocument {
  return {
    id: showBatch(batch.id),
    run: showRun(batch.run),
    flow: batch.flow,
    window: batch.window,
    lane: batch.lane,
    seq: batch.seq,
    generation: batch.generation,
    state: batch.state,
    records: batch.records,
    bytes: batch.bytes,
    digest: batch.digest,
    idempotencyKey: batch.idempotencyKey,
    parent: batch.parent === undefined ? undefined : showBatch(batch.parent),
    attempts: batch.attempts,
    balance: { ...batch.balance },
    movedRecords: batch.movedRecords,
    reason: batch.reason,
    possibly: batch.possibly,
  };
}

/** `withExcerpt`: also how the sink's answer begins, which may quote records; for a batch that was asked for. */
export function attemptDocument(attempt: AttemptRow, withExcerpt = false): AttemptDocument {
  const notes = Object.entries(attempt.notes).filter((entry): entry is [string, string] => entry[1] !== undefined);
  const { answeredAtMs, intendedAtMs } = attempt;
  return {
    attempt: attempt.attempt,
    fence: attempt.fence,
    intendedAt: isoTime(intendedAtMs),
    deadlineAt: isoTime(attempt.deadlineAtMs),
    answeredAt: answeredAtMs === undefined ? undefined : isoTime(answeredAtMs),
    durationMs: answeredAtMs === undefined ? undefined : answeredAtMs - intendedAtMs,
    answer: attempt.answer,
    applied: attempt.applied,
    refused: attempt.refused,
    unknown: attempt.unknown,
    receipt: attempt.receipt === undefined ? undefined : receiptDocument(attempt.receipt, withExcerpt),
    reason: attempt.reason,
    notes: Object.fromEntries(notes),
  };
}

function receiptDocument(receipt: Receipt, withExcerpt: boolean): AttemptDocument['receipt'] {
  const { summary, reference, position, excerpt } = receipt;
  return { summary, reference, position, excerpt: withExcerpt ? excerpt : undefined };
}

export function doubtDocument(doubt: DoubtRow, context: Context): DoubtDocument {
  const batch = showBatch(doubt.id);
  return {
    ...batchDocument(doubt),
    lastAttempt: attemptDocument(doubt.attempt),
    firstIntendedAt: isoTime(doubt.firstIntendedAtMs),
    ageMs: Math.max(0, context.io.wallMs() - doubt.firstIntendedAtMs),
    doubtful: [...doubt.doubtful],
    next: [context.command('batches', 'show', batch), context.command('settle', batch)],
  };
}

export function recordDocument(record: RecordRow, keyText: string | undefined): RecordDocument {
  return {
    run: showRun(record.run),
    flow: record.flow,
    window: record.window,
    lane: record.lane,
    key: keyText,
    batch: record.batch === undefined ? undefined : showBatch(record.batch),
    position: record.index,
    row: record.row,
    generation: record.generation,
    state: record.state,
    at: isoTime(record.atMs),
    code: record.code,
    reason: record.reason,
  };
}
