import { WaybillError } from '../../model/errors.ts';
import type { Command } from './verbs/all.ts';

/** What became of a command. Written and durable when `ok`, and not written at all otherwise. */
export type Outcome = { readonly ok: true; readonly value: unknown } | { readonly ok: false; readonly error: unknown };

/** A commit holds up everyone who comes after it, so no more than this share one. */
export const COMMANDS_PER_COMMIT = 512;

export interface Waiting {
  readonly command: Command;
  readonly resolve: (value: unknown) => void;
  readonly reject: (error: unknown) => void;
}

export function settleWaiting(waiting: readonly Waiting[], outcomes: readonly Outcome[]): void {
  waiting.forEach(({ resolve, reject }, nth) => {
    const outcome = outcomes[nth] as Outcome;
    if (outcome.ok) resolve(outcome.value);
    else reject(outcome.error);
  });
}

export const closedError = (place: string): WaybillError =>
  new WaybillError('LEDGER_WRITE', `the ledger ${place} has been closed`, { hint: 'Open it again.' });
