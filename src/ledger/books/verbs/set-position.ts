import { WaybillError } from '../../../model/errors.ts';
import { asRunId, showRun } from '../../../model/ids.ts';
import type { Position } from '../../../model/position.ts';
import { type Asking, query, table } from '../store.ts';
import { RUN_LEASE, readLease } from '../tables/leases.ts';
import { putPosition } from '../tables/positions.ts';
import { decodeRun, RUN } from '../tables/runs.ts';
import type { Transaction } from '../transaction.ts';

const RUNS_OF = query(RUN, 'WHERE flow = ? ORDER BY id');

export function* setPosition(
  tx: Transaction,
  ask: { flow: string; sourceName: string; position: Position | null; who: string },
): Asking<void> {
  const runs = (yield* tx.store.many(RUNS_OF, ask.flow)).map((cells) => decodeRun(tx.store, cells));
  for (const run of runs) {
    const lease = yield* readLease(tx.store, run.id, RUN_LEASE.lane, RUN_LEASE.shard);
    if (lease === undefined || lease.untilMs <= tx.nowMs) continue;
    throw new WaybillError(
      'LEASE_HELD',
      `run ${showRun(run.id)} of ${ask.flow} is held by ${lease.owner}; its position cannot be set meanwhile`,
      {
        ids: { run: showRun(run.id), flow: ask.flow, owner: lease.owner, leaseUntilMs: lease.untilMs },
      },
    );
  }
  const latest = runs[runs.length - 1];
  yield* putPosition(tx.store, {
    flow: ask.flow,
    sourceName: ask.sourceName,
    position: ask.position,
    atMs: tx.nowMs,
    run: null,
  });
  // Events belong to runs; a flow that never ran has none to tell it in.
  if (latest !== undefined)
    tx.event(asRunId(latest.id), 'position-set', {
      source: ask.sourceName,
      position: ask.position?.value,
      who: ask.who,
    });
}

export const EMITTER = table('emitter', 15, { keys: ['name'], rest: ['seq'] });
export const EMITTED = query(EMITTER, 'WHERE name = ?');

/** Never goes back: a slow call that comes late must not make an emitter say everything again. */
export function* emitted(tx: Transaction, ask: { emitter: string; seq: number }): Asking<void> {
  const cells = yield* tx.store.one(EMITTED, ask.emitter);
  if (cells === undefined) tx.store.insert(EMITTER, [ask.emitter, ask.seq]);
  else if ((cells[1] as number) < ask.seq) tx.store.update(EMITTER, [ask.emitter, ask.seq]);
}
