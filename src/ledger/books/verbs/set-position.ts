import { WaybillError } from '../../../model/errors.ts';
import { NO_RUN, showRun } from '../../../model/ids.ts';
import type { Position } from '../../../model/position.ts';
import { isPull } from '../../../model/window.ts';
import { expectSound } from '../sight.ts';
import { type Asking, query, table } from '../store.ts';
import { findGeneration } from '../tables/generations.ts';
import { RUN_LEASE, readLease } from '../tables/leases.ts';
import { findPosition, putPosition } from '../tables/positions.ts';
import { decodeRun, RUN, type RunRecord } from '../tables/runs.ts';
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
  if (latest !== undefined) yield* refuseWhileReading(tx, latest);
  const before = (yield* findPosition(tx.store, ask.flow, ask.sourceName))?.position;
  yield* putPosition(tx.store, {
    flow: ask.flow,
    sourceName: ask.sourceName,
    position: ask.position,
    atMs: tx.nowMs,
    run: null,
  });
  // A position is the flow's, which may never have run, and a run may have millions of events to find this one among.
  tx.event(NO_RUN, 'position-set', {
    flow: ask.flow,
    source: ask.sourceName,
    kind: ask.position?.kind,
    position: ask.position?.value,
    beforeKind: before?.kind,
    before: before?.value,
    who: ask.who,
  });
}

/**
 * A pull that was interrupted while it read goes on from the position, and would go on from another one unasked. One
 * that failed has said so, and a position of someone's choice is often the way out of what it failed of.
 */
function* refuseWhileReading(tx: Transaction, run: RunRecord): Asking<void> {
  if (!isPull(run.window) || run.state !== 'open') return;
  const generation = yield* findGeneration(tx.store, run.id, run.generation);
  if (generation?.state !== 'open') return;
  throw new WaybillError(
    'MOVE_FORBIDDEN',
    `${run.window} of ${run.flow} (${showRun(run.id)}) was interrupted while it read; it goes on from its position`,
    {
      ids: { run: showRun(run.id), flow: run.flow, window: run.window },
      hint: `Let \`waybill run ${run.flow}\` come to its end, then set the position.`,
    },
  );
}

export const EMITTER = table('emitter', 15, { keys: ['name'], rest: ['seq'] });
export const EMITTED = query(EMITTER, 'WHERE name = ?');

/** Never goes back: a slow call that comes late must not make an emitter say everything again. */
export function* emitted(tx: Transaction, ask: { emitter: string; seq: number }): Asking<void> {
  const cells = yield* tx.store.one(EMITTED, ask.emitter);
  if (cells === undefined) {
    yield* expectSound(tx.store, EMITTER);
    tx.store.insert(EMITTER, [ask.emitter, ask.seq]);
  } else if ((cells[1] as number) < ask.seq) tx.store.update(EMITTER, [ask.emitter, ask.seq]);
}
