import type { ErrorCode } from '../../model/error-codes.ts';
import { WaybillError } from '../../model/errors.ts';

/** How a statement asks for the transaction to be given up because rows are not as they must be; see `must`. */
export const ROWS_MISSING = 'WB001';

interface Kind {
  readonly code: ErrorCode;
  readonly what: string;
  readonly hint?: string;
}

const AWAY: Kind = { code: 'LEDGER_AWAY', what: 'cannot be reached' };
const BUSY: Kind = { code: 'LEDGER_BUSY', what: 'is held by another process' };
const CORRUPT: Kind = { code: 'LEDGER_CORRUPT', what: 'is damaged, or is not a ledger' };
const FULL: Kind = {
  code: 'LEDGER_WRITE',
  what: 'cannot be written: the server has no room left',
  hint: 'Make room on the disk of the PostgreSQL server, then run the same command again.',
};
const REFUSED: Kind = {
  code: 'LEDGER_WRITE',
  what: 'refuses this user or password',
  hint: 'Check the user and the password, and that the user may connect and create a schema in that database.',
};
const UNKNOWN_DATABASE: Kind = {
  code: 'LEDGER_WRITE',
  what: 'is in a database that does not exist',
  hint: 'Create the database first; Waybill creates only its own schema in it.',
};
const READONLY: Kind = {
  code: 'LEDGER_WRITE',
  what: 'cannot be written: the server is a read-only standby',
  hint: 'Name the primary server in WAYBILL_LEDGER.',
};

/** By how the SQLSTATE begins; the first that fits. */
const KINDS: readonly (readonly [prefix: string, kind: Kind])[] = [
  ['55P03', BUSY],
  ['40P01', BUSY],
  ['40001', BUSY],
  ['57014', BUSY],
  ['25006', READONLY],
  ['3D000', UNKNOWN_DATABASE],
  ['28', REFUSED],
  ['42501', REFUSED],
  ['53100', FULL],
  ['08', AWAY],
  ['57P', AWAY],
  ['53', AWAY],
  ['25P', AWAY],
  ['XX001', CORRUPT],
  ['XX002', CORRUPT],
  // Our statements are right and every value is checked before it is written: what stands there does not fit.
  [ROWS_MISSING, CORRUPT],
  ['23', CORRUPT],
  ['42', CORRUPT],
  ['22', CORRUPT],
];

/** The five characters by which PostgreSQL names an error; undefined for errors of the connection. */
export function sqlState(error: unknown): string | undefined {
  const code = (error as { code?: unknown } | null)?.code;
  return typeof code === 'string' && /^[0-9A-Z]{5}$/.test(code) && !/^E[A-Z]{4}$/.test(code) ? code : undefined;
}

/** What the server or the driver said, in the words of the ledger. A `WaybillError` passes as it is. */
export function ledgerError(error: unknown, place: string, doing: string): WaybillError {
  if (error instanceof WaybillError) return error;
  const state = sqlState(error);
  const kind = state === undefined ? AWAY : KINDS.find(([prefix]) => state.startsWith(prefix))?.[1];
  if (kind === undefined)
    return new WaybillError('UNEXPECTED', `${doing} failed in the ledger ${place} (${state ?? 'no code'})`, {
      cause: error,
    });
  return new WaybillError(kind.code, `${doing}: the ledger ${place} ${kind.what}`, {
    cause: error,
    ids: { place, ...(state === undefined ? {} : { sqlstate: state }) },
    ...(kind.hint === undefined ? {} : { hint: kind.hint }),
  });
}

/** It may be there again in a moment: worth another try of what is known not to have happened. */
export const isAway = (error: WaybillError): boolean => error.code === 'LEDGER_AWAY';
export const isPassing = (error: WaybillError): boolean => isAway(error) || error.code === 'LEDGER_BUSY';
