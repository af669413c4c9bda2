import type { BatchId } from '../../../model/ids.ts';
import type { BatchState, RecordState } from '../../../model/states.ts';
import type { Cell } from '../../row-digest.ts';
import { RECORD_STATE, toCode, toWord } from '../codes.ts';
import { corrupt } from '../corrupt.ts';
import { type Asking, query, type Store, table } from '../store.ts';
import type { BatchRecord } from './batches.ts';

export const EXCEPTION = table('exception', 13, {
  keys: ['batch', 'idx'],
  rest: ['state', 'code', 'message', 'child'],
});

/** One record of a batch. With a child it has moved there, and `state` says what it was before. */
export interface RecordNote {
  state: RecordState;
  code: string | null;
  message: string | null;
  child: BatchId | null;
}

const OF_BATCH = query(EXCEPTION, 'WHERE batch = ? ORDER BY idx');

/** What a record is when nothing else is said of it. One that went to a child says so itself. */
const DEFAULT: Record<BatchState, RecordState> = {
  sealed: 'pending',
  sending: 'pending',
  delivered: 'delivered',
  partial: 'delivered',
  refused: 'refused',
  'in-doubt': 'in-doubt',
  skipped: 'skipped',
  moved: 'superseded',
};
export const defaultState = (state: BatchState): RecordState => DEFAULT[state];

/** Every record of a batch by its place. Throws LEDGER_CORRUPT when they do not add up to what the batch says. */
export function* notesOf(store: Store, batch: BatchRecord): Asking<RecordNote[]> {
  const exceptions = yield* exceptionsOf(store, batch);
  return Array.from({ length: batch.records }, (_, index) => exceptions.get(index) ?? usualNote(batch));
}

/** What a record is of which nothing else is said. */
export const usualNote = (batch: BatchRecord): RecordNote => ({
  state: defaultState(batch.state),
  code: null,
  message: null,
  child: null,
});

/** Those records of a batch that are not what its state says, by place. Throws as `notesOf` does. */
export function* exceptionsOf(store: Store, batch: BatchRecord): Asking<ReadonlyMap<number, RecordNote>> {
  const exceptions = new Map<number, RecordNote>();
  if (batch.state !== 'sealed' && batch.state !== 'sending') {
    for (const cells of yield* store.many(OF_BATCH, batch.id)) {
      exceptions.set(cells[1] as number, {
        state: toWord(RECORD_STATE, cells[2] as Cell, store.place),
        code: cells[3] as string | null,
        message: cells[4] as string | null,
        child: cells[5] as BatchId | null,
      });
    }
  }
  const counts = countNotes(exceptions.values());
  counts[whereCounted(usualNote(batch))] += batch.records - exceptions.size;
  let last = -1;
  for (const index of exceptions.keys()) last = Math.max(last, index);
  const fits =
    last < batch.records &&
    counts.pending === batch.pending &&
    counts.delivered === batch.delivered &&
    counts.refused === batch.refused &&
    counts['in-doubt'] === batch.inDoubt &&
    counts.skipped === batch.skipped &&
    counts.moved === batch.moved;
  if (fits) return exceptions;
  throw corrupt(store.place, `the exceptions of batch b${batch.id} do not add up to its counts`, {
    table: 'exception',
    row: batch.id,
  });
}

/** `moved`: to a child, or superseded: counted elsewhere. */
export type NoteCounts = Record<Exclude<RecordState, 'superseded'> | 'moved', number>;

export function countNotes(notes: Iterable<RecordNote>): NoteCounts {
  const counts: NoteCounts = { pending: 0, delivered: 0, refused: 0, 'in-doubt': 0, skipped: 0, moved: 0 };
  for (const note of notes) counts[whereCounted(note)]++;
  return counts;
}

const whereCounted = ({ child, state }: RecordNote): keyof NoteCounts =>
  child === null && state !== 'superseded' ? state : 'moved';

/** Stores what is not said by the state of the batch alone. */
export function saveNotes(
  store: Store,
  batch: BatchId,
  state: BatchState,
  notes: readonly RecordNote[],
  had: boolean,
): void {
  if (had) store.removeAll(EXCEPTION, batch);
  const usual = defaultState(state);
  notes.forEach((note, idx) => {
    if (note.state === usual && note.code === null && note.message === null && note.child === null) return;
    store.insert(EXCEPTION, [batch, idx, toCode(RECORD_STATE, note.state), note.code, note.message, note.child]);
  });
}
