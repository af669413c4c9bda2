import { KEY_BYTES } from '../../../model/chunk.ts';
import type { RunId } from '../../../model/ids.ts';
import type { RecordState } from '../../../model/states.ts';
import type { Cell } from '../../row-digest.ts';
import { RECORD_STATE, toCode, toWord } from '../codes.ts';
import { corrupt } from '../corrupt.ts';
import { type Asking, query, type Store, table } from '../store.ts';
import { type BatchRecord, unpackPicks } from './batches.ts';

export const MEMBERS = table(
  'members',
  9,
  {
    keys: ['id'],
    fixed: ['lane', 'generation', 'first_batch', 'batches', 'keys'],
    rest: [],
  },
  { once: true },
);
export const UNBATCHED = table(
  'unbatched',
  10,
  {
    keys: ['id'],
    fixed: ['lane', 'generation', 'row', 'key', 'state', 'code', 'message', 'at'],
    rest: [],
  },
  { once: true },
);
export const SEGMENT = table('segment', 11, { keys: ['id'], fixed: ['run', 'name'], rest: [] });

export interface MembersRecord {
  readonly id: number;
  readonly lane: number;
  readonly generation: number;
  /** Its batches have ids from here on without a gap, their records in order. */
  readonly firstBatch: number;
  readonly batches: number;
  readonly keys: Uint8Array;
}
export interface UnbatchedRecord {
  readonly id: number;
  readonly lane: number;
  readonly generation: number;
  readonly row: number;
  readonly key: Uint8Array | null;
  /** As it was left; superseded when a later generation has read the window to its end. */
  readonly state: RecordState;
  readonly code: string;
  readonly message: string;
  readonly atMs: number;
}

const BY_ID = query(MEMBERS, 'WHERE id = ?');
const AFTER = query(MEMBERS, 'WHERE lane = ? AND id > ? ORDER BY id LIMIT 1');
const SEGMENT_NAME = query(SEGMENT, 'WHERE id = ?');
const SEGMENT_NAMED = query(SEGMENT, 'WHERE run = ? AND name = ?');

export function* readMembers(store: Store, id: number): Asking<MembersRecord> {
  const cells = yield* store.one(BY_ID, id);
  if (cells === undefined)
    throw corrupt(store.place, `there is no row ${id} of members`, { table: 'members', row: id });
  return decodeMembers(cells);
}

export const decodeMembers = (c: readonly Cell[]): MembersRecord => ({
  id: c[0] as number,
  lane: c[1] as number,
  generation: c[2] as number,
  firstBatch: c[3] as number,
  batches: c[4] as number,
  keys: c[5] as Uint8Array,
});

/** The next row of members of a lane, one at a time: each can be megabytes. */
export function* membersAfter(store: Store, lane: number, id: number): Asking<MembersRecord | undefined> {
  const cells = yield* store.one(AFTER, lane, id);
  return cells === undefined ? undefined : decodeMembers(cells);
}

/** The packed keys of a batch in its own order, out of the row of members that it shares. */
export function keysOf(batch: BatchRecord, members: MembersRecord): Uint8Array {
  const from = batch.memberAt * KEY_BYTES;
  if (batch.picks === null) return members.keys.subarray(from, from + batch.records * KEY_BYTES);
  const keys = new Uint8Array(batch.records * KEY_BYTES);
  unpackPicks(batch.picks).forEach((pick, nth) => {
    keys.set(members.keys.subarray(from + pick * KEY_BYTES, from + (pick + 1) * KEY_BYTES), nth * KEY_BYTES);
  });
  return keys;
}

export const encodeUnbatched = (u: UnbatchedRecord): Cell[] => [
  u.id,
  u.lane,
  u.generation,
  u.row,
  u.key,
  toCode(RECORD_STATE, u.state),
  u.code,
  u.message,
  u.atMs,
];

export const decodeUnbatched = (store: Store, c: readonly Cell[]): UnbatchedRecord => ({
  id: c[0] as number,
  lane: c[1] as number,
  generation: c[2] as number,
  row: c[3] as number,
  key: c[4] as Uint8Array | null,
  state: toWord(RECORD_STATE, c[5] as Cell, store.place),
  code: c[6] as string,
  message: c[7] as string,
  atMs: c[8] as number,
});

export function* segmentName(store: Store, id: number): Asking<string> {
  const cells = yield* store.one(SEGMENT_NAME, id);
  if (cells === undefined)
    throw corrupt(store.place, `there is no row for segment ${id}`, { table: 'segment', row: id });
  return cells[2] as string;
}

export function* segmentId(store: Store, run: RunId, name: string): Asking<number> {
  const cells = yield* store.one(SEGMENT_NAMED, run, name);
  if (cells !== undefined) return cells[0] as number;
  const id = (yield* store.largest(SEGMENT)) + 1;
  store.insert(SEGMENT, [id, run, name]);
  return id;
}
