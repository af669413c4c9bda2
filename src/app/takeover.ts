import type { Ledger } from '../ledger/ledger.ts';
import { WaybillError } from '../model/errors.ts';
import { isGone, showOwner } from './owner.ts';

/** A crowd of processes that all died on one window would be a wonder; more tries than this are a loop. */
const TRIES_MAX = 16;

/**
 * Does something for which a lease may be in the way. When its holder is proved gone the lease is broken at once,
 * with the proof in the ledger, and the act tried again; a holder that may still live keeps its lease.
 */
export async function withTakeover<T>(ledger: Ledger, act: () => Promise<T>): Promise<T> {
  for (let nth = 1; ; nth++) {
    try {
      return await act();
    } catch (error) {
      if (!(error instanceof WaybillError) || error.code !== 'LEASE_HELD') throw error;
      const { owner } = error.ids;
      if (typeof owner !== 'string') throw error;
      if (nth > TRIES_MAX || !(await breakIfGone(ledger, owner))) throw held(error, owner);
    }
  }
}

/** Voids the leases of an owner that is proved gone; false when there is no proof. */
export async function breakIfGone(ledger: Ledger, owner: string): Promise<boolean> {
  if (isGone(owner) !== true) return false;
  await ledger.breakLeases({ owner, evidence: `${showOwner(owner)} runs no more, says its own kernel` });
  return true;
}

/** The ledger knows an owner as opaque text; people want the process, the machine and how long. */
function held(error: WaybillError, owner: string): WaybillError {
  const { leaseUntilMs } = error.ids;
  const until =
    typeof leaseUntilMs === 'number' ? `, until ${new Date(leaseUntilMs).toISOString()} unless it renews it` : '';
  return new WaybillError('LEASE_HELD', `${whatIsHeld(error.ids)} is held by ${showOwner(owner)}${until}`, {
    ids: error.ids,
    cause: error,
  });
}

/** By the ids of the refusal alone: how a ledger words its messages is its own affair. */
function whatIsHeld({ batch, flow, window, run }: WaybillError['ids']): string {
  if (typeof batch === 'string') return `batch ${batch}`;
  const name = [flow, window].filter((one) => typeof one === 'string').join(' for ');
  const id = typeof run === 'string' ? run : undefined;
  if (name === '') return id === undefined ? 'what this needs' : `run ${id}`;
  return id === undefined ? name : `${name} (${id})`;
}
