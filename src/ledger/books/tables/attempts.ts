import type { BatchId } from '../../../model/ids.ts';
import type { Receipt } from '../../../model/receipt.ts';
import type { Answer, AttemptRow, Notes } from '../../ledger.ts';
import type { Cell } from '../../row-digest.ts';
import { ANSWER_KIND, toCode, toWord } from '../codes.ts';
import { corrupt } from '../corrupt.ts';
import { type Asking, query, type Store, table } from '../store.ts';
import type { BatchRecord } from './batches.ts';

export const ATTEMPT = table('attempt', 6, {
  keys: ['id'],
  fixed: ['batch', 'attempt', 'previous', 'fence', 'intended_at', 'deadline'],
  rest: ['notes', 'answered_after', 'answer', 'applied', 'refused', 'unknown', 'summary', 'receipt', 'reason', 'print'],
});

export interface AttemptRecord {
  readonly id: number;
  readonly batch: BatchId;
  readonly attempt: number;
  /** Row of the attempt before this one of the same batch: a chain in place of an index. */
  readonly previous: number | null;
  readonly fence: number;
  readonly intendedAtMs: number;
  /** From the intent on. */
  readonly deadlineMs: number;
  notes: Notes;
  answeredAtMs: number | null;
  answer: Answer['kind'] | null;
  applied: number;
  refused: number;
  unknown: number;
  receipt: Receipt | null;
  reason: string | null;
  /** A digest of the whole answer, by which the same answer is known when it comes again. */
  print: number | null;
}

const BY_ID = query(ATTEMPT, 'WHERE id = ?');

export function* readAttempt(store: Store, id: number): Asking<AttemptRecord> {
  const cells = yield* store.one(BY_ID, id);
  if (cells === undefined)
    throw corrupt(store.place, `there is no row for attempt ${id}`, { table: 'attempt', row: id });
  return decodeAttempt(store, cells);
}

/** All attempts of a batch, oldest first. */
export function* attemptsOf(store: Store, batch: BatchRecord): Asking<AttemptRecord[]> {
  const attempts: AttemptRecord[] = [];
  for (let id = batch.attempts === 0 ? null : batch.latest; id !== null; ) {
    const attempt = yield* readAttempt(store, id);
    if (attempt.batch !== batch.id || attempt.attempt !== batch.attempts - attempts.length) {
      throw corrupt(store.place, `attempt ${id} does not belong where it is`, { table: 'attempt', row: id });
    }
    attempts.push(attempt);
    id = attempt.previous;
  }
  if (attempts.length !== batch.attempts)
    throw corrupt(store.place, `attempts of batch ${batch.id} are missing`, { table: 'attempt' });
  return attempts.reverse();
}

export const encodeAttempt = (a: AttemptRecord): Cell[] => {
  const { summary, ...rest } = a.receipt ?? { summary: null };
  return [
    a.id,
    a.batch,
    a.attempt,
    a.previous,
    a.fence,
    a.intendedAtMs,
    a.deadlineMs,
    jsonOrNull(a.notes),
    a.answeredAtMs === null ? null : a.answeredAtMs - a.intendedAtMs,
    a.answer === null ? null : toCode(ANSWER_KIND, a.answer),
    a.applied,
    a.refused,
    a.unknown,
    summary,
    jsonOrNull(rest),
    a.reason,
    a.print,
  ];
};

function jsonOrNull(value: object): string | null {
  const json = JSON.stringify(value);
  return json === '{}' ? null : json;
}

export function decodeAttempt(store: Store, c: readonly Cell[]): AttemptRecord {
  const [summary, receipt] = [c[13] as string | null, c[14] as string | null];
  return {
    id: c[0] as number,
    batch: c[1] as BatchId,
    attempt: c[2] as number,
    previous: c[3] as number | null,
    fence: c[4] as number,
    intendedAtMs: c[5] as number,
    deadlineMs: c[6] as number,
    notes: c[7] === null ? {} : (JSON.parse(c[7] as string) as Notes),
    answeredAtMs: c[8] === null ? null : (c[5] as number) + (c[8] as number),
    answer: c[9] === null ? null : toWord(ANSWER_KIND, c[9] as Cell, store.place),
    applied: c[10] as number,
    refused: c[11] as number,
    unknown: c[12] as number,
    receipt:
      summary === null
        ? null
        : { summary, ...(receipt === null ? {} : (JSON.parse(receipt) as Omit<Receipt, 'summary'>)) },
    reason: c[15] as string | null,
    print: c[16] as number | null,
  };
}

export const toAttemptRow = (a: AttemptRecord): AttemptRow => ({
  batch: a.batch,
  attempt: a.attempt,
  fence: a.fence,
  intendedAtMs: a.intendedAtMs,
  deadlineAtMs: a.intendedAtMs + a.deadlineMs,
  notes: a.notes,
  applied: a.applied,
  refused: a.refused,
  unknown: a.unknown,
  ...(a.answeredAtMs === null ? {} : { answeredAtMs: a.answeredAtMs }),
  ...(a.answer === null ? {} : { answer: a.answer }),
  ...(a.receipt === null ? {} : { receipt: a.receipt }),
  ...(a.reason === null ? {} : { reason: a.reason }),
});
