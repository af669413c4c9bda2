import { WaybillError } from '../../../model/errors.ts';
import { asRunId, type RunId, showRun } from '../../../model/ids.ts';
import type { Cell } from '../../row-digest.ts';
import { corrupt } from '../corrupt.ts';
import { type Asking, query, type Store, table } from '../store.ts';

export const LEASE = table('lease', 2, { keys: ['run', 'lane', 'shard'], rest: ['owner', 'fence', 'until'] });

/** The run itself is leased as shard 0 of a lane that no lane has. */
export const RUN_LEASE = { lane: 0, shard: 0 } as const;

export interface LeaseRecord {
  readonly run: RunId;
  readonly lane: number;
  readonly shard: number;
  owner: string;
  /** Grows with every claim and never goes back. */
  fence: number;
  /** 0: released. */
  untilMs: number;
}

const ONE = query(LEASE, 'WHERE run = ? AND lane = ? AND shard = ?');
const RUN_THERE = 'SELECT count(*) FROM run WHERE id = ?';
const OF_OWNER = query(LEASE, 'WHERE owner = ? AND until > ?');

export function* readLease(store: Store, run: RunId, lane: number, shard: number): Asking<LeaseRecord | undefined> {
  const cells = yield* store.one(ONE, run, lane, shard);
  return cells === undefined ? undefined : decodeLease(cells);
}

export function* leasesOf(store: Store, owner: string, nowMs: number): Asking<LeaseRecord[]> {
  return (yield* store.many(OF_OWNER, owner, nowMs)).map(decodeLease);
}

const encodeLease = (lease: LeaseRecord): Cell[] => [
  lease.run,
  lease.lane,
  lease.shard,
  lease.owner,
  lease.fence,
  lease.untilMs,
];

export const decodeLease = (cells: readonly Cell[]): LeaseRecord => ({
  run: asRunId(cells[0] as number),
  lane: cells[1] as number,
  shard: cells[2] as number,
  owner: cells[3] as string,
  fence: cells[4] as number,
  untilMs: cells[5] as number,
});

export const saveLease = (store: Store, lease: LeaseRecord): void => store.update(LEASE, encodeLease(lease));

/** The next fence of a shard, for `owner`. The caller has made sure that nobody else holds it. */
export function* claimLease(store: Store, ask: Omit<LeaseRecord, 'fence'>): Asking<LeaseRecord> {
  const held = yield* readLease(store, ask.run, ask.lane, ask.shard);
  const lease = { ...ask, fence: (held?.fence ?? 0) + 1 };
  if (held !== undefined) {
    saveLease(store, lease);
    return lease;
  }
  store.insert(LEASE, encodeLease(lease));
  // In a tree that is damaged it may lie where no look-up goes, and the next claim would begin with the same fence.
  if ((yield* readLease(store, ask.run, ask.lane, ask.shard)) === undefined)
    throw corrupt(store.place, `the lease of run r${ask.run} was written, and is not found`, { table: 'lease' });
  return lease;
}

/** Takes a lease away: whoever has it can write nothing under it any more. */
export function* voidLease(store: Store, at: Pick<LeaseRecord, 'run' | 'lane' | 'shard'>): Asking<void> {
  const lease = yield* readLease(store, at.run, at.lane, at.shard);
  if (lease !== undefined) saveLease(store, { ...lease, fence: lease.fence + 1, untilMs: 0 });
}

const OWNER_SHOWN_MAX = 40;
const [OWNER_HEAD, OWNER_TAIL] = [24, 12];

/** For sentences: an owner is opaque text of any length; what tells it from others stands at its ends. */
export function showOwner(owner: string): string {
  if (owner.length <= OWNER_SHOWN_MAX) return owner;
  return `${owner.slice(0, OWNER_HEAD)}…${owner.slice(-OWNER_TAIL)}`;
}

/** The lease that `fence` stands for, expired or not. FENCED when somebody has claimed the same since. */
export function* requireLease(
  store: Store,
  at: { run: RunId; lane: number; shard: number; fence: number },
): Asking<LeaseRecord> {
  const lease = yield* readLease(store, at.run, at.lane, at.shard);
  if (lease !== undefined && lease.fence === at.fence) return lease;
  // Every run has had a lease since it was opened, and none is ever removed.
  if (lease === undefined && at.lane === RUN_LEASE.lane && (yield* store.scalar(RUN_THERE, at.run)) !== 0)
    throw corrupt(store.place, `the lease of run ${showRun(at.run)} is not found`, { table: 'lease' });
  const what =
    at.lane === RUN_LEASE.lane
      ? `run ${showRun(at.run)}`
      : `shard ${at.shard} of lane ${at.lane} of run ${showRun(at.run)}`;
  const now = lease === undefined ? 'was never claimed' : `is at fence ${lease.fence} of ${showOwner(lease.owner)}`;
  throw new WaybillError('FENCED', `${what} ${now}; a write under fence ${at.fence} was refused`, {
    ids: { run: showRun(at.run), lane: at.lane, shard: at.shard, fence: at.fence, holder: lease?.owner ?? null },
  });
}
