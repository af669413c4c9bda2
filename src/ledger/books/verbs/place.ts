import { WaybillError } from '../../../model/errors.ts';
import { showBatch, showRun } from '../../../model/ids.ts';
import type { ClaimShard } from '../../ledger.ts';
import { BATCH_STATE, toCode } from '../codes.ts';
import { type Asking, query } from '../store.ts';
import { BATCH, type BatchRecord, decodeBatch } from '../tables/batches.ts';
import type { LaneRecord } from '../tables/lanes.ts';
import { decodeLease, LEASE, type LeaseRecord, showOwner, voidLease } from '../tables/leases.ts';
import { readRun } from '../tables/runs.ts';
import type { Transaction } from '../transaction.ts';

/** Lanes of every window of a flow that write to one place: they have one name, and write by position. */
const SHARING = `lane IN (SELECT lane.id FROM run JOIN lane ON lane.run = run.id
  WHERE run.flow = ? AND lane.name = ? AND lane.rung = 'position')`;

const LEASES = {
  lane: query(LEASE, `WHERE run IN (SELECT id FROM run WHERE flow = ?) AND ${SHARING} AND until > 0`),
  window: query(LEASE, 'WHERE run = ? AND lane = ? AND until > 0'),
} as const;

/** What was sent before keeps its place, also when it is sealed again: a copy of the request may still arrive there. */
const openIn = (where: string) => ({
  any: query(BATCH, `WHERE state = ? AND ${where} AND state <> 4`),
  tried: query(BATCH, `WHERE state = ? AND ${where} AND state <> 4 AND attempts > 0`),
});
const OPEN = { lane: openIn(SHARING), window: openIn('lane = ?') } as const;

/**
 * Sees to it that whoever claims this shard is alone at the place that its lane writes to, and that nothing that was
 * sent there by others is open. A place tells what is there and not whose it is: were another batch written where one
 * of these may stand, the same content would pass for both of them. Throws LEASE_HELD and PLACE_IN_DOUBT.
 */
export function* takePlace(tx: Transaction, lane: LaneRecord, shard: Shard, ask: ClaimShard): Asking<void> {
  const place = ask.place;
  if (place === undefined) return;
  const { flow } = yield* readRun(tx.store, lane.run);
  const leases = (yield* tx.store.many(
    LEASES[place],
    ...(place === 'lane' ? [flow, flow, lane.name] : [lane.run, lane.id]),
  )).map(decodeLease);
  const others = leases.filter((lease) => lease.lane !== lane.id || lease.shard !== shard.nth);
  for (const lease of others) if (lease.untilMs > tx.nowMs) yield* refuseHeld(tx, lease);
  yield* refuseOpen(tx, { lane, shard, place, params: place === 'lane' ? [flow, lane.name] : [lane.id] });
  // Their leases are over, but nobody has said so to their owners: under these fences nothing may be sent any more.
  for (const lease of others) yield* voidLease(tx.store, lease);
}

interface Shard {
  readonly nth: number;
  readonly first: number;
  readonly last: number;
}

interface At {
  readonly lane: LaneRecord;
  readonly shard: Shard;
  readonly place: NonNullable<ClaimShard['place']>;
  readonly params: readonly (string | number)[];
}

/** Of several open ones the oldest goes first: whoever claims the shard that holds it is let through. */
function* refuseOpen(tx: Transaction, at: At): Asking<void> {
  const { any, tried } = OPEN[at.place];
  const open: BatchRecord[] = [];
  for (const state of ['sending', 'in-doubt', 'sealed'] as const) {
    const rows = yield* tx.store.many(state === 'sealed' ? tried : any, toCode(BATCH_STATE, state), ...at.params);
    open.push(...rows.map((cells) => decodeBatch(tx.store, cells)));
  }
  open.sort((a, b) => a.latest - b.latest);
  const [oldest] = open;
  if (oldest === undefined || isIn(oldest, at)) return;
  const { run, window } = yield* tx.facts(oldest.lane);
  const name = showBatch(oldest.id);
  throw new WaybillError(
    'PLACE_IN_DOUBT',
    `${name} of ${showRun(run)}, window ${window}, may stand where lane ${at.lane.name} would write next`,
    { ids: { batch: oldest.id, run, window, lane: at.lane.name, state: oldest.state } },
  );
}

const isIn = (batch: BatchRecord, { lane, shard }: At): boolean =>
  batch.lane === lane.id && batch.seq >= shard.first && batch.seq <= shard.last;

function* refuseHeld(tx: Transaction, lease: LeaseRecord): Asking<never> {
  const { window, lane } = yield* tx.facts(lease.lane);
  const left = lease.untilMs - tx.nowMs;
  throw new WaybillError(
    'LEASE_HELD',
    `lane ${lane} is written by ${showOwner(lease.owner)} for window ${window}, for another ${left} ms`,
    { ids: { run: lease.run, window, lane, owner: lease.owner, leaseUntilMs: lease.untilMs } },
  );
}
