import { showColumnType } from '../../../model/columns.ts';
import type { KeptSchema } from '../../../model/schema.ts';
import type { RunClaim } from '../../ledger.ts';
import type { Asking } from '../store.ts';
import { requireLane } from '../tables/lanes.ts';
import { RUN_LEASE, requireLease } from '../tables/leases.ts';
import type { Transaction } from '../transaction.ts';

/** An event and nothing else: what is decided about columns is decided anew at each start, from what is there then. */
export function* keepSchema(tx: Transaction, ask: RunClaim & KeptSchema): Asking<void> {
  yield* requireLease(tx.store, { run: ask.run, ...RUN_LEASE, fence: ask.fence });
  yield* requireLane(tx.store, ask.run, ask.lane);
  tx.event(ask.run, 'schema-kept', {
    lane: ask.lane,
    generation: ask.generation,
    columns: ask.columns.map(({ name, type, nullable }) => [name, showColumnType(type), nullable]),
    changes: ask.changes,
  });
}
