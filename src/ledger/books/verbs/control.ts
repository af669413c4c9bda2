import type { RunId } from '../../../model/ids.ts';
import { moveRun } from '../../../model/states.ts';
import { setRunState, skipSealed } from '../outcome.ts';
import type { Asking } from '../store.ts';
import { encodeLane, LANE, lanesOf, requireLane } from '../tables/lanes.ts';
import { encodeRun, RUN, readRun } from '../tables/runs.ts';
import type { Transaction } from '../transaction.ts';

export function* pause(tx: Transaction, ask: { run: RunId; lane?: string; who: string; reason: string }): Asking<void> {
  if (yield* setPaused(tx, ask, true))
    tx.event(ask.run, 'paused', { lane: ask.lane, who: ask.who, reason: ask.reason });
}

export function* resume(tx: Transaction, ask: { run: RunId; lane?: string; who: string }): Asking<void> {
  if (yield* setPaused(tx, ask, false)) tx.event(ask.run, 'resumed', { lane: ask.lane, who: ask.who });
}

/** False when it was so already. */
function* setPaused(tx: Transaction, ask: { run: RunId; lane?: string }, paused: boolean): Asking<boolean> {
  const run = yield* readRun(tx.store, ask.run);
  if (ask.lane === undefined) {
    if (run.paused === paused) return false;
    tx.store.update(RUN, encodeRun({ ...run, paused }));
    return true;
  }
  const lane = yield* requireLane(tx.store, ask.run, ask.lane);
  if (lane.paused === paused) return false;
  tx.store.update(LANE, encodeLane({ ...lane, paused }));
  return true;
}

/** What is on its way is not called back: its answers are still taken, and what they leave sealed is skipped then. */
export function* cancel(tx: Transaction, ask: { run: RunId; who: string; reason: string }): Asking<void> {
  const run = yield* readRun(tx.store, ask.run);
  if (run.state === 'cancelled') return;
  moveRun(run.state, 'cancelled');
  setRunState(tx, run, 'cancelled', ask.reason);
  let skipped = 0;
  for (const lane of yield* lanesOf(tx.store, ask.run))
    skipped += yield* skipSealed(tx, lane.id, `cancelled by ${ask.who}: ${ask.reason}`);
  tx.event(ask.run, 'cancelled', { who: ask.who, reason: ask.reason, skipped });
}
