import { asRunId } from '../../../model/ids.ts';
import type { RunClaim } from '../../ledger.ts';
import type { Asking } from '../store.ts';
import { leasesOf, RUN_LEASE, requireLease, saveLease } from '../tables/leases.ts';
import type { Transaction } from '../transaction.ts';

export function* renewRun(tx: Transaction, ask: RunClaim & { leaseMs: number }): Asking<{ leaseUntilMs: number }> {
  const lease = yield* requireLease(tx.store, { run: ask.run, ...RUN_LEASE, fence: ask.fence });
  lease.untilMs = tx.nowMs + ask.leaseMs;
  saveLease(tx.store, lease);
  return { leaseUntilMs: lease.untilMs };
}

export function* releaseRun(tx: Transaction, ask: RunClaim): Asking<void> {
  const lease = yield* requireLease(tx.store, { run: ask.run, ...RUN_LEASE, fence: ask.fence });
  saveLease(tx.store, { ...lease, untilMs: 0 });
}

/**
 * The fences stay as they are: what the owner had heard before it went may still be carried in from its journal, as
 * long as nobody has claimed the same since. An intent is refused all the same, since its lease has run out.
 */
export function* breakLeases(tx: Transaction, ask: { owner: string; evidence: string }): Asking<{ broken: number }> {
  const leases = yield* leasesOf(tx.store, ask.owner, tx.nowMs);
  for (const lease of leases) saveLease(tx.store, { ...lease, untilMs: 0 });
  for (const run of new Set(leases.map((lease) => lease.run))) {
    const count = leases.filter((lease) => lease.run === run).length;
    tx.event(asRunId(run), 'lease-broken', { owner: ask.owner, evidence: ask.evidence, leases: count });
  }
  return { broken: leases.length };
}
