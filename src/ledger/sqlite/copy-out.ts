import { WaybillError } from '../../model/errors.ts';
import { showRun } from '../../model/ids.ts';
import { query, type Table } from '../books/store.ts';
import { decodeLease, LEASE } from '../books/tables/leases.ts';
import type { LedgerIdentity } from '../ledger.ts';
import type { Cell } from '../row-digest.ts';
import { ledgerError } from './failure.ts';
import { openFile } from './ledger-file.ts';
import { now, type SqliteStore } from './sqlite-store.ts';

/** A ledger in a file, held still for as long as it is copied: nobody can write it meanwhile. */
export interface CopySource {
  readonly identity: LedgerIdentity;
  /** Whole rows as they are stored, digest last. */
  rows(of: Table): Iterable<Cell[]>;
  /** The largest id that the table has ever given out. */
  largest(of: Table): number;
  close(): void;
}

/** Throws LEASE_HELD while anybody works with it, and what opening throws. `nowMs`: for leases. */
export function openSource(path: string, nowMs: number): CopySource {
  const { store, identity } = openFile(path);
  try {
    store.execute('BEGIN IMMEDIATE');
    refuseWhileHeld(store, nowMs);
  } catch (error) {
    store.db.close();
    throw ledgerError(error, path, 'holding the ledger still');
  }
  return {
    identity,
    rows: (of) => store.db.prepare<[], Cell[]>(query(of, '').sql).raw(true).iterate(),
    largest: (of) => now(store.largest(of)),
    close: () => {
      if (!store.db.open) return;
      store.execute('ROLLBACK');
      store.db.close();
    },
  };
}

const HELD = query(LEASE, 'WHERE until > ? ORDER BY until DESC LIMIT 1');

function refuseWhileHeld(store: SqliteStore, nowMs: number): void {
  const cells = store.oneNow(HELD, nowMs);
  if (cells === undefined) return;
  const { run, owner, untilMs } = decodeLease(cells);
  throw new WaybillError(
    'LEASE_HELD',
    `run ${showRun(run)} is held by ${owner}; a ledger is copied while nobody works`,
    {
      hint: 'Wait for the run to end, or pause it; then copy again.',
      ids: { run: showRun(run), owner, leaseUntilMs: untilMs },
    },
  );
}
