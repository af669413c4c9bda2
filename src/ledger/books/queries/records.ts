import { KEY_BYTES } from '../../../model/chunk.ts';
import { WaybillError } from '../../../model/errors.ts';
import type { BatchId, RunId } from '../../../model/ids.ts';
import { type BatchState, RECORD_STATES, type RecordState } from '../../../model/states.ts';
import type { RecordRow } from '../../ledger.ts';
import { type Asking, inTurn, query } from '../store.ts';
import { type AttemptRecord, attemptsOf } from '../tables/attempts.ts';
import { type BatchRecord, readBatch } from '../tables/batches.ts';
import { notesOf, type RecordNote } from '../tables/exceptions.ts';
import {
  decodeUnbatched,
  keysOf,
  type MembersRecord,
  readMembers,
  UNBATCHED,
  type UnbatchedRecord,
} from '../tables/members.ts';
import { lanesFor, pageOfBatches } from './batches.ts';
import { limitOf, type Reading } from './reading.ts';

export interface RecordsFilter {
  run?: RunId;
  lane?: string;
  batch?: BatchId;
  states?: readonly RecordState[];
  batched?: true;
  after?: string;
  limit?: number;
}
type RecordsPage = { readonly records: readonly RecordRow[]; readonly cursor?: string };

/** Where a page ended: in which part, at which batch or row, after which record of it. */
interface Cursor {
  readonly part: 'batch' | 'unbatched';
  readonly id: number;
  readonly index: number;
}

/** Batches in the order of their ids, and after them what got into none. A cursor is `b<batch>.<index>` or `u<row>`. */
export function* records(r: Reading, filter: RecordsFilter): Asking<RecordsPage> {
  const limit = limitOf(filter.limit);
  const from = parseCursor(filter.after);
  const lanes = yield* lanesFor(r, filter);
  const wanted = new Set(filter.states ?? RECORD_STATES);
  const found: RecordRow[] = [];
  const full = (): boolean => found.length >= limit;
  if (from.part === 'batch') {
    yield* addBatches(r, filter, { lanes, wanted, from, limit }, found);
    if (full()) return page(found, cursorOf(found));
  }
  if (filter.batch !== undefined || filter.batched === true) return page(found);
  const last = yield* addUnbatched(r, lanes, wanted, from.part === 'unbatched' ? from.id : 0, limit, found);
  return full() ? page(found, last === 0 ? cursorOf(found) : `u${last}`) : page(found);
}

/** What one page of records is made of. */
interface Wanted {
  readonly lanes: readonly number[] | undefined;
  readonly wanted: ReadonlySet<RecordState>;
  readonly from: Cursor;
  readonly limit: number;
}

/** Until the page is full: page by page of batches, whose rows are read one batch at a time. */
function* addBatches(r: Reading, filter: RecordsFilter, ask: Wanted, found: RecordRow[]): Asking<void> {
  const { lanes, wanted, from, limit } = ask;
  for (let next: Next = { after: from.id - 1, states: statesFor(filter) }; next !== undefined; ) {
    const batches: readonly BatchRecord[] = yield* batchesFrom(r, filter, lanes, next);
    for (const batch of batches) {
      yield* addRecords(r, batch, wanted, batch.id === from.id ? from.index : -1, limit, found);
      if (found.length >= limit) return;
    }
    const last = batches[batches.length - 1];
    const more = last !== undefined && filter.batch === undefined && batches.length === PAGE;
    next = more ? { ...next, after: last.id } : undefined;
  }
}

const page = (found: RecordRow[], cursor?: string): RecordsPage => ({
  records: found,
  ...(cursor === undefined ? {} : { cursor }),
});

function cursorOf(found: readonly RecordRow[]): string {
  const last = found[found.length - 1];
  return `b${last?.batch ?? 0}.${last?.index ?? -1}`;
}

function parseCursor(text: string | undefined): Cursor {
  if (text === undefined) return { part: 'batch', id: 0, index: -1 };
  const [, part, id, index] = /^([bu])(\d{1,15})(?:\.(\d{1,9}))?$/.exec(text) ?? [];
  if (part === undefined)
    throw new WaybillError('USAGE', `${JSON.stringify(text)} is no place in a list of records`, {
      hint: 'Give the cursor that came with the page before.',
    });
  return { part: part === 'u' ? 'unbatched' : 'batch', id: Number(id), index: Number(index ?? -1) };
}

/** The states of batches that may hold records in a state. Those of a batch that has moved are in its children. */
const HOLDING: Record<RecordState, readonly BatchState[]> = {
  pending: ['sealed', 'sending'],
  delivered: ['delivered', 'partial', 'in-doubt'],
  refused: ['refused', 'partial', 'in-doubt'],
  'in-doubt': ['in-doubt'],
  skipped: ['skipped', 'partial', 'refused', 'in-doubt'],
  superseded: ['moved', 'skipped', 'partial', 'refused', 'in-doubt'],
};
const PAGE = 256;

/** Where the next page of batches begins, and which it may hold. */
type Next = { readonly after: number; readonly states: readonly BatchState[] } | undefined;

function* batchesFrom(
  r: Reading,
  filter: RecordsFilter,
  lanes: readonly number[] | undefined,
  next: NonNullable<Next>,
): Asking<readonly BatchRecord[]> {
  if (filter.batch !== undefined) return [yield* readBatch(r.store, filter.batch)];
  return yield* pageOfBatches(r, { lanes, ...next, limit: PAGE });
}

const statesFor = (filter: RecordsFilter): readonly BatchState[] => [
  ...new Set((filter.states ?? RECORD_STATES).flatMap((state) => HOLDING[state])),
];

function* addRecords(
  r: Reading,
  batch: BatchRecord,
  wanted: ReadonlySet<RecordState>,
  after: number,
  limit: number,
  found: RecordRow[],
): Asking<void> {
  const has = RECORD_STATES.some((state) => wanted.has(state) && countOf(batch, state) > 0);
  if (!has) return;
  const notes = yield* notesOf(r.store, batch);
  const described = yield* describe(r, batch);
  for (let index = after + 1; index < notes.length && found.length < limit; index++) {
    const note = notes[index] as (typeof notes)[number];
    if (note.child === null && wanted.has(note.state)) found.push(described(index, note));
  }
}

const countOf = (batch: BatchRecord, state: RecordState): number =>
  ({
    pending: batch.pending,
    delivered: batch.delivered,
    refused: batch.refused,
    'in-doubt': batch.inDoubt,
    skipped: batch.skipped,
    // An upper bound: some of these may have gone to children.
    superseded: batch.moved,
  })[state];

/** Makes rows for the records of one batch; what they have in common is read once. */
export function* describe(
  r: Reading,
  batch: BatchRecord,
  members?: MembersRecord,
): Asking<(index: number, note: RecordNote) => RecordRow> {
  const { run, flow, window, lane } = yield* r.facts(batch.lane);
  const keys = keysOf(batch, members ?? (yield* readMembers(r.store, batch.members)));
  const attempts = yield* attemptsOf(r.store, batch);
  const atMs = yield* lastAt(r, batch, attempts[attempts.length - 1]);
  return (index, note) => ({
    run,
    flow,
    window,
    lane,
    key: new Uint8Array(keys.subarray(index * KEY_BYTES, (index + 1) * KEY_BYTES)),
    batch: batch.id,
    index,
    generation: batch.generation,
    state: note.state,
    atMs,
    ...(note.code === null ? {} : { code: note.code }),
    ...reasonOf(batch, note),
  });
}

function reasonOf(batch: BatchRecord, note: RecordNote): { reason?: string } {
  const reason = note.message ?? (note.state === 'delivered' ? null : batch.reason);
  if (note.state === 'superseded') return { reason: supersededReason(reason) };
  return reason === null ? {} : { reason };
}

const supersededReason = (before: string | null): string =>
  `a later reading of the window has taken its place${before === null ? '' : `; before: ${before}`}`;

const LAST_EVENT_OF = 'SELECT started_at FROM generation WHERE run = ? AND generation = ?';

/** When it came to be as it is: the answer, the intent, or else the extraction. */
function* lastAt(r: Reading, batch: BatchRecord, attempt: AttemptRecord | undefined): Asking<number> {
  if (attempt !== undefined) return attempt.answeredAtMs ?? attempt.intendedAtMs;
  return (
    ((yield* r.store.scalar(LAST_EVENT_OF, (yield* r.facts(batch.lane)).run, batch.generation)) as number | null) ?? 0
  );
}

const UNBATCHED_FROM = query(UNBATCHED, `WHERE id > ? ORDER BY id LIMIT ${PAGE}`);
const UNBATCHED_OF = query(UNBATCHED, `WHERE lane = ? AND id > ? ORDER BY id LIMIT ${PAGE}`);

/** The next ones, by their ids. Lanes of one run are few, and those of other runs may have millions. */
function* unbatchedFrom(r: Reading, lanes: readonly number[] | undefined, after: number): Asking<UnbatchedRecord[]> {
  const cells =
    lanes === undefined
      ? [yield* r.store.many(UNBATCHED_FROM, after)]
      : yield* inTurn(lanes, (lane) => r.store.many(UNBATCHED_OF, lane, after));
  const rows = cells.flat().map((row) => decodeUnbatched(r.store, row));
  return rows.sort((a, b) => a.id - b.id).slice(0, PAGE);
}

function* addUnbatched(
  r: Reading,
  lanes: readonly number[] | undefined,
  wanted: ReadonlySet<RecordState>,
  after: number,
  limit: number,
  found: RecordRow[],
): Asking<number> {
  for (let last = after; ; ) {
    const rows = yield* unbatchedFrom(r, lanes, last);
    for (const one of rows) {
      if (found.length >= limit) return last;
      last = one.id;
      const row = yield* unbatchedRow(r, one);
      if (wanted.has(row.state)) found.push(row);
    }
    if (rows.length < PAGE) return last;
  }
}

export function* unbatchedRow(r: Reading, one: UnbatchedRecord): Asking<RecordRow> {
  const facts = yield* r.facts(one.lane);
  const superseded = one.generation < (yield* r.complete(facts.run));
  return {
    ...facts,
    ...(one.key === null ? {} : { key: new Uint8Array(one.key) }),
    row: one.row,
    generation: one.generation,
    state: superseded ? 'superseded' : one.state,
    atMs: one.atMs,
    code: one.code,
    reason: superseded ? supersededReason(one.message) : one.message,
  };
}
