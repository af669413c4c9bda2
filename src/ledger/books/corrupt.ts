import { WaybillError } from '../../model/errors.ts';

export function corrupt(place: string, what: string, ids: Readonly<Record<string, unknown>> = {}): WaybillError {
  return new WaybillError('LEDGER_CORRUPT', `the ledger ${place} does not agree with itself: ${what}`, {
    ids: { path: place, ...ids },
  });
}
