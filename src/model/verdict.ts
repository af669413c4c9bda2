import { assert } from './assert.ts';
import type { Receipt } from './receipt.ts';

/** What is known of one record after an attempt. Zero is no outcome: a forgotten record cannot pass for applied. */
export const OUTCOME = { applied: 1, refused: 2, unknown: 3 } as const;
export type Outcome = (typeof OUTCOME)[keyof typeof OUTCOME];

/** Why a record was refused. */
export interface Refusal {
  /** Which record: 0-based place in the batch. */
  readonly index: number;
  /** The sink's own word for it: `ValidationError`, `400`. */
  readonly code: string;
  /** The sink's own message, trimmed; may quote the record, so it is shown only where records may be. */
  readonly message: string;
  /** The same record may pass later without being changed (throttled, locked). */
  readonly retryable: boolean;
}

/**
 * The answer to one attempt, record by record. Accepted only when applied + refused + unknown = sent; what a sink
 * does not account for is unknown, never applied.
 */
export interface Verdict {
  /** An `OUTCOME` for each record, in the order of the batch. */
  readonly outcomes: Uint8Array;
  /** Exactly one entry for each refused record, in rising order of `index`. */
  readonly refusals: readonly Refusal[];
  readonly receipt: Receipt;
  /** Under how many keys a sink that writes by key has what it applied, where it can tell. */
  readonly keyCount?: number;
  /** How long the sink asked to be left alone before the next request, if it did. */
  readonly retryAfterMs?: number;
}

export interface Tally {
  readonly applied: number;
  readonly refused: number;
  readonly unknown: number;
}

export const allOf = (outcome: Outcome, count: number): Uint8Array => new Uint8Array(count).fill(outcome);

export const applied = (count: number, receipt: Receipt): Verdict => ({
  outcomes: allOf(OUTCOME.applied, count),
  refusals: [],
  receipt,
});

export const unknown = (count: number, receipt: Receipt): Verdict => ({
  outcomes: allOf(OUTCOME.unknown, count),
  refusals: [],
  receipt,
});

/** How many records have each outcome; whatever is no outcome is in none of them. */
export function countOutcomes(outcomes: Uint8Array): Tally {
  let [applied, refused, unknown] = [0, 0, 0];
  // A loop by index over variables: an iterator, or counting in an array, takes ten times as long.
  for (let at = 0; at < outcomes.length; at++) {
    const outcome = outcomes[at];
    if (outcome === OUTCOME.applied) applied++;
    else if (outcome === OUTCOME.refused) refused++;
    else if (outcome === OUTCOME.unknown) unknown++;
  }
  return { applied, refused, unknown };
}

/** Counts a verdict and holds it to its shape. A verdict that does not fit what was sent is a fault of the sink. */
export function tally(verdict: Verdict, sent: number): Tally {
  assert(verdict.outcomes.length === sent, 'verdict.one-outcome-a-record', { sent, got: verdict.outcomes.length });
  const counted = countOutcomes(verdict.outcomes);
  assert(counted.applied + counted.refused + counted.unknown === sent, 'verdict.accounts-for-all', { sent });
  assert(verdict.refusals.length === counted.refused, 'verdict.one-reason-a-refusal', { refused: counted.refused });
  for (const refusal of verdict.refusals) {
    assert(verdict.outcomes[refusal.index] === OUTCOME.refused, 'verdict.reasons-match', { index: refusal.index });
  }
  return counted;
}
