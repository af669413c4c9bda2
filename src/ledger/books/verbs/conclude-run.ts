import { runStateOf } from '../../../model/states.ts';
import type { RunClaim, RunRow } from '../../ledger.ts';
import { balanceProblems } from '../balance.ts';
import { corrupt } from '../corrupt.ts';
import { runBalance, setRunState } from '../outcome.ts';
import type { Asking } from '../store.ts';
import { RUN_LEASE, requireLease } from '../tables/leases.ts';
import { readRun, toRunRow } from '../tables/runs.ts';
import type { Transaction } from '../transaction.ts';
import { loadsArePublished } from './load.ts';

export function* concludeRun(tx: Transaction, ask: RunClaim): Asking<RunRow> {
  yield* requireLease(tx.store, { run: ask.run, ...RUN_LEASE, fence: ask.fence });
  yield* tx.flush();
  const [problem] = yield* balanceProblems(tx.store, ask.run);
  if (problem !== undefined) throw corrupt(tx.store.place, problem, { run: ask.run });
  const run = yield* readRun(tx.store, ask.run);
  const balance = yield* runBalance(tx, run);
  // What nobody can see yet is not complete, however many records have arrived.
  const published = yield* loadsArePublished(tx, ask.run);
  const reached = published ? runStateOf(balance) : 'open';
  const state = run.state === 'cancelled' ? run.state : reached;
  const after = state === run.state ? run : setRunState(tx, run, state);
  if (state !== 'open') tx.event(ask.run, 'concluded', { state, balance });
  return yield* toRunRow(tx.store, after);
}

/** A run that somebody cancelled meanwhile stays cancelled. */
export function* failRun(tx: Transaction, ask: RunClaim & { code: string; message: string }): Asking<RunRow> {
  yield* requireLease(tx.store, { run: ask.run, ...RUN_LEASE, fence: ask.fence });
  const run = yield* readRun(tx.store, ask.run);
  const after =
    run.state === 'cancelled' || run.state === 'failed'
      ? run
      : setRunState(tx, run, 'failed', `${ask.code}: ${ask.message}`);
  tx.event(ask.run, 'failed', { code: ask.code, message: ask.message });
  return yield* toRunRow(tx.store, after);
}
