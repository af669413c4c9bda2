import { RefusedError } from './errors.ts';
import type { Load } from './load.ts';

/**
 * What a sink that remembers what it was sent can say for a ledger that remembers nothing, since the one before was
 * lost: this window of this flow has been delivered to this place.
 */
export interface Delivery {
  readonly flow: string;
  readonly window: string;
  readonly ledger: string;
}

export const deliveryOf = ({ flow, window, ledger }: Load): Delivery => ({ flow, window: window.name, ledger });

/** Of one by another ledger. `target`: for people. `at`: when it began, for people. `forget`: makes the sink forget. */
export function deliveredElsewhere(
  { flow, window }: Delivery,
  other: { readonly ledger: string; readonly target: string; readonly at: string; readonly forget: string },
): RefusedError {
  const { ledger, target, at, forget } = other;
  const what = `another ledger (${ledger}) has delivered ${window} of ${flow} to ${target} (${at})`;
  return new RefusedError(`${what}, and this one knows nothing of it: its records would be there twice`, {
    reason: 'other-ledger',
    about: 'request',
    ids: { ledger },
    hint:
      'Go on with that ledger (`--ledger`, or the folder `.waybill` that it lay in). If its records are gone from ' +
      `there, or are to be there twice, let the sink forget them: ${forget}`,
  });
}
