import { WaybillError } from '../../../model/errors.ts';
import { asBatchId, type BatchId, type RunId, showBatch } from '../../../model/ids.ts';
import type { BatchState } from '../../../model/states.ts';
import type { BatchRow, Possibly } from '../../ledger.ts';
import type { Cell } from '../../row-digest.ts';
import { BATCH_STATE, POSSIBLY, toCode, toWord } from '../codes.ts';
import { type Asking, query, type Store, table } from '../store.ts';

export const BATCH = table(
  'batch',
  5,
  {
    keys: ['id'],
    fixed: [
      'lane',
      'generation',
      'seq',
      'records',
      'bytes',
      'digest',
      'members',
      'member_at',
      'segment',
      'staged_at',
      'staged_bytes',
      'trailer',
      'parent',
      'root',
      'picks',
    ],
    rest: [
      'state',
      'attempts',
      'latest',
      'delivered',
      'refused',
      'skipped',
      'in_doubt',
      'pending',
      'moved',
      'reason',
      'possibly',
    ],
  },
  { once: true },
);

export interface BatchRecord {
  readonly id: BatchId;
  readonly lane: number;
  readonly generation: number;
  readonly seq: number;
  readonly records: number;
  readonly bytes: number;
  readonly digest: Uint8Array;
  /** Where the keys of the root's records stand: row of `members`, and after how many records in it. */
  readonly members: number;
  readonly memberAt: number;
  readonly segment: number;
  readonly stagedAt: number;
  /** Null: the same as the bytes of the batch. */
  readonly stagedBytes: number | null;
  readonly trailerBytes: number;
  readonly parent: BatchId | null;
  readonly root: BatchId | null;
  /** Places in the root, as packed 32-bit numbers. */
  readonly picks: Uint8Array | null;
  state: BatchState;
  attempts: number;
  /** Row of the latest attempt. The batch's own id while there is none, so that the row does not grow later. */
  latest: number;
  delivered: number;
  refused: number;
  skipped: number;
  inDoubt: number;
  pending: number;
  /** Records that went to children. */
  moved: number;
  reason: string | null;
  possibly: Possibly | null;
}

/** What never changes about a batch's surroundings. */
export interface LaneFacts {
  readonly run: RunId;
  readonly flow: string;
  readonly window: string;
  readonly lane: string;
}

const BY_ID = query(BATCH, 'WHERE id = ?');

export function* findBatch(store: Store, id: number): Asking<BatchRecord | undefined> {
  const cells = yield* store.one(BY_ID, id);
  return cells === undefined ? undefined : decodeBatch(store, cells);
}

export function* readBatch(store: Store, id: number): Asking<BatchRecord> {
  const batch = yield* findBatch(store, id);
  if (batch !== undefined) return batch;
  const name = showBatch(asBatchId(id));
  throw new WaybillError('BATCH_UNKNOWN', `the ledger knows no batch ${name}`, { ids: { batch: name } });
}

export const encodeBatch = (b: BatchRecord): Cell[] => [
  b.id,
  b.lane,
  b.generation,
  b.seq,
  b.records,
  b.bytes,
  b.digest,
  b.members,
  b.memberAt,
  b.segment,
  b.stagedAt,
  b.stagedBytes,
  b.trailerBytes,
  b.parent,
  b.root,
  b.picks,
  toCode(BATCH_STATE, b.state),
  b.attempts,
  b.latest,
  b.delivered,
  b.refused,
  b.skipped,
  b.inDoubt,
  b.pending,
  b.moved,
  b.reason,
  b.possibly === null ? null : toCode(POSSIBLY, b.possibly),
];

export function decodeBatch(store: Store, c: readonly Cell[]): BatchRecord {
  return {
    id: asBatchId(c[0] as number),
    lane: c[1] as number,
    generation: c[2] as number,
    seq: c[3] as number,
    records: c[4] as number,
    bytes: c[5] as number,
    digest: c[6] as Uint8Array,
    members: c[7] as number,
    memberAt: c[8] as number,
    segment: c[9] as number,
    stagedAt: c[10] as number,
    stagedBytes: c[11] as number | null,
    trailerBytes: c[12] as number,
    parent: c[13] as BatchId | null,
    root: c[14] as BatchId | null,
    picks: c[15] as Uint8Array | null,
    state: toWord(BATCH_STATE, c[16] as Cell, store.place),
    attempts: c[17] as number,
    latest: c[18] as number,
    delivered: c[19] as number,
    refused: c[20] as number,
    skipped: c[21] as number,
    inDoubt: c[22] as number,
    pending: c[23] as number,
    moved: c[24] as number,
    reason: c[25] as string | null,
    possibly: c[26] === null ? null : toWord(POSSIBLY, c[26] as Cell, store.place),
  };
}

/** `segment`: the name that the number in the row stands for. */
export function toBatchRow(b: BatchRecord, facts: LaneFacts, segment: string, ledgerId: string): BatchRow {
  const digest = hex(b.digest);
  return {
    id: b.id,
    ledger: ledgerId,
    ...facts,
    seq: b.seq,
    records: b.records,
    bytes: b.bytes,
    digest,
    idempotencyKey: `wb-${ledgerId.slice(0, 8)}-${b.id}-${digest.slice(0, 16)}`,
    state: b.state,
    generation: b.generation,
    staged: { segment, offset: b.stagedAt, bytes: b.stagedBytes ?? b.bytes, trailerBytes: b.trailerBytes },
    attempts: b.attempts,
    balance: {
      read: b.records - b.moved,
      delivered: b.delivered,
      refused: b.refused,
      skipped: b.skipped,
      inDoubt: b.inDoubt,
      pending: b.pending,
    },
    movedRecords: b.moved,
    ...(b.parent === null ? {} : { parent: b.parent }),
    ...(b.root === null ? {} : { root: b.root }),
    ...(b.picks === null ? {} : { picks: unpackPicks(b.picks) }),
    ...(b.reason === null ? {} : { reason: b.reason }),
    ...(b.possibly === null ? {} : { possibly: b.possibly }),
  };
}

const hex = (bytes: Uint8Array): string =>
  Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString('hex');

export function packPicks(picks: readonly number[]): Uint8Array {
  const bytes = new Uint8Array(picks.length * 4);
  const view = new DataView(bytes.buffer);
  picks.forEach((pick, nth) => {
    view.setUint32(nth * 4, pick, true);
  });
  return bytes;
}

export function unpackPicks(bytes: Uint8Array): number[] {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  return Array.from({ length: bytes.byteLength / 4 }, (_, nth) => view.getUint32(nth * 4, true));
}

/** The places, in the root's staged records, of the records at these places in the batch. */
export function placesInRoot(batch: BatchRecord, indexes: readonly number[]): number[] {
  if (batch.picks === null) return [...indexes];
  const picks = unpackPicks(batch.picks);
  return indexes.map((index) => picks[index] as number);
}
