import type { ErrorCode } from '../../model/error-codes.ts';
import { WaybillError } from '../../model/errors.ts';

interface Kind {
  readonly code: ErrorCode;
  readonly what: string;
  readonly hint?: string;
}

const CORRUPT: Kind = { code: 'LEDGER_CORRUPT', what: 'is damaged, or is not a ledger' };
const BUSY: Kind = { code: 'LEDGER_BUSY', what: 'is held by another process' };
const FULL: Kind = {
  code: 'LEDGER_WRITE',
  what: 'cannot be written: the disk is full',
  hint: 'Make room on that disk, then run the same command again.',
};
const READONLY: Kind = {
  code: 'LEDGER_WRITE',
  what: 'cannot be written: the file or its folder is read-only',
  hint: 'Make the file and its folder writable for this user, or name another ledger with --ledger PATH.',
};
const DEVICE: Kind = {
  code: 'LEDGER_WRITE',
  what: 'cannot be reached: the device reports an error',
  hint: 'Look at the disk and the system log before going on; nothing of this was written.',
};
const UNOPENED: Kind = {
  code: 'LEDGER_WRITE',
  what: 'cannot be opened',
  hint: 'Check that the folder exists, is a folder, and can be read and written by this user.',
};

const KINDS: readonly (readonly [prefix: string, kind: Kind])[] = [
  ['SQLITE_IOERR_CORRUPTFS', CORRUPT],
  ['SQLITE_IOERR_DATA', CORRUPT],
  // The file is shorter than its own header says.
  ['SQLITE_IOERR_SHORT_READ', CORRUPT],
  ['SQLITE_IOERR', DEVICE],
  ['SQLITE_CORRUPT', CORRUPT],
  ['SQLITE_NOTADB', CORRUPT],
  ['SQLITE_FORMAT', CORRUPT],
  // Our statements are right, so a schema that they do not fit is not ours.
  ['SQLITE_ERROR', CORRUPT],
  ['SQLITE_SCHEMA', CORRUPT],
  ['SQLITE_MISMATCH', CORRUPT],
  ['SQLITE_TOOBIG', CORRUPT],
  // Every value is checked before it is written, so it is what stands there already that does not fit.
  ['SQLITE_CONSTRAINT', CORRUPT],
  ['SQLITE_FULL', FULL],
  ['SQLITE_READONLY', READONLY],
  ['SQLITE_PERM', READONLY],
  ['SQLITE_AUTH', READONLY],
  ['SQLITE_CANTOPEN', UNOPENED],
  ['SQLITE_BUSY', BUSY],
  ['SQLITE_LOCKED', BUSY],
  ['SQLITE_PROTOCOL', BUSY],
  ['ENOSPC', FULL],
  ['EROFS', READONLY],
  ['EACCES', READONLY],
  ['EPERM', READONLY],
  ['EIO', DEVICE],
];

/** What SQLite or the file system said, in the words of the ledger. A `WaybillError` passes as it is. */
export function ledgerError(error: unknown, place: string, doing: string): WaybillError {
  if (error instanceof WaybillError) return error;
  const code = codeOf(error);
  if (code === undefined)
    return new WaybillError('UNEXPECTED', `${doing} failed in the ledger ${place}`, { cause: error });
  const kind = KINDS.find(([prefix]) => code.startsWith(prefix))?.[1] ?? UNOPENED;
  return new WaybillError(kind.code, `${doing}: the ledger ${place} ${kind.what}`, {
    cause: error,
    ids: { path: place, sqlite: code },
    ...(kind.hint === undefined ? {} : { hint: kind.hint }),
  });
}

function codeOf(error: unknown): string | undefined {
  const code = error instanceof Error && 'code' in error ? error.code : undefined;
  if (typeof code !== 'string') return undefined;
  // By its name: what opens the file is not always the same driver.
  return (error as Error).name === 'SqliteError' || /^E[A-Z]+$/.test(code) ? code : undefined;
}

/** Another connection holds what this one needs. */
export const isBusy = (error: unknown): boolean => codeOf(error)?.startsWith('SQLITE_BUSY') === true;

/** The device does not hand over a part of the file. */
export function unreadable(place: string, what: string): WaybillError {
  const hint = DEVICE.hint === undefined ? {} : { hint: DEVICE.hint };
  return new WaybillError(DEVICE.code, `the ledger ${place} ${DEVICE.what}: ${what}`, {
    ids: { path: place },
    ...hint,
  });
}
