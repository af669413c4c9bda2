import { WaybillError } from '../../../model/errors.ts';
import type { DoubtPolicy, Rung } from '../../../model/guarantee.ts';
import { asRunId, type RunId, showRun } from '../../../model/ids.ts';
import type { Balance } from '../../../model/states.ts';
import type { LaneRow, LaneSpec } from '../../ledger.ts';
import type { Cell } from '../../row-digest.ts';
import { corrupt } from '../corrupt.ts';
import { type Asking, query, type Store, table } from '../store.ts';

export const LANE = table('lane', 3, {
  keys: ['id'],
  fixed: ['run', 'name'],
  rest: ['connector', 'strategy', 'rung', 'on_doubt', 'mapping', 'paused', 'position'],
});
export const TALLY = table('tally', 4, {
  keys: ['lane'],
  rest: ['batches', 'seq', 'read', 'delivered', 'refused', 'skipped', 'in_doubt', 'pending'],
});

export interface LaneRecord {
  readonly id: number;
  readonly run: RunId;
  readonly name: string;
  spec: Omit<LaneSpec, 'lane'>;
  paused: boolean;
  position: string | null;
}

/** What a lane adds up to. `seq`: of its last batch; `batches`: how many there are, children included. */
export interface Tally extends Mutable<Balance> {
  readonly lane: number;
  batches: number;
  seq: number;
}
type Mutable<T> = { -readonly [K in keyof T]: T[K] };

const BY_ID = query(LANE, 'WHERE id = ?');
const BY_NAME = query(LANE, 'WHERE run = ? AND name = ?');
const OF_RUN = query(LANE, 'WHERE run = ? ORDER BY id');
const TALLY_OF = query(TALLY, 'WHERE lane = ?');

export function* readLane(store: Store, id: number): Asking<LaneRecord> {
  const cells = yield* store.one(BY_ID, id);
  if (cells === undefined) throw corrupt(store.place, `there is no row for lane ${id}`, { table: 'lane', row: id });
  return decodeLane(cells);
}

export function* findLane(store: Store, run: RunId, name: string): Asking<LaneRecord | undefined> {
  const cells = yield* store.one(BY_NAME, run, name);
  return cells === undefined ? undefined : decodeLane(cells);
}

export function* requireLane(store: Store, run: RunId, name: string): Asking<LaneRecord> {
  const lane = yield* findLane(store, run, name);
  if (lane !== undefined) return lane;
  throw new WaybillError('RUN_UNKNOWN', `run ${showRun(run)} has no lane ${name}`, {
    ids: { run: showRun(run), lane: name },
  });
}

export function* lanesOf(store: Store, run: RunId): Asking<LaneRecord[]> {
  return (yield* store.many(OF_RUN, run)).map(decodeLane);
}

export const encodeLane = (lane: LaneRecord): Cell[] => [
  lane.id,
  lane.run,
  lane.name,
  lane.spec.connector,
  lane.spec.strategy,
  lane.spec.rung,
  lane.spec.onDoubt,
  lane.spec.mappingDigest,
  lane.paused ? 1 : 0,
  lane.position,
];

export const decodeLane = (cells: readonly Cell[]): LaneRecord => ({
  id: cells[0] as number,
  run: asRunId(cells[1] as number),
  name: cells[2] as string,
  spec: {
    connector: cells[3] as string,
    strategy: cells[4] as string,
    rung: cells[5] as Rung,
    onDoubt: cells[6] as DoubtPolicy,
    mappingDigest: cells[7] as string,
  },
  paused: cells[8] === 1,
  position: cells[9] as string | null,
});

export const toLaneRow = (lane: LaneRecord): LaneRow => ({
  run: lane.run,
  lane: lane.name,
  ...lane.spec,
  paused: lane.paused,
  ...(lane.position === null ? {} : { position: lane.position }),
});

export function* readTally(store: Store, lane: number): Asking<Tally> {
  const cells = (yield* store.one(TALLY_OF, lane)) as number[] | undefined;
  if (cells === undefined)
    throw corrupt(store.place, `lane ${lane} has no row of totals`, { table: 'tally', row: lane });
  const [, batches, seq, read, delivered, refused, skipped, inDoubt, pending] = cells as [
    number,
    number,
    number,
    number,
    number,
    number,
    number,
    number,
    number,
  ];
  return { lane, batches, seq, read, delivered, refused, skipped, inDoubt, pending };
}

export const encodeTally = (t: Tally): Cell[] => [
  t.lane,
  t.batches,
  t.seq,
  t.read,
  t.delivered,
  t.refused,
  t.skipped,
  t.inDoubt,
  t.pending,
];

export const emptyTally = (lane: number): Tally => ({
  lane,
  batches: 0,
  seq: 0,
  read: 0,
  delivered: 0,
  refused: 0,
  skipped: 0,
  inDoubt: 0,
  pending: 0,
});

export const balanceOf = (t: Tally): Balance => ({
  read: t.read,
  delivered: t.delivered,
  refused: t.refused,
  skipped: t.skipped,
  inDoubt: t.inDoubt,
  pending: t.pending,
});
