import type { LedgerReader } from '../ledger/ledger.ts';
import type { Columns } from '../model/columns.ts';
import type { RunId } from '../model/ids.ts';
import { everyRow } from '../model/pages.ts';
import { columnsInEvent } from '../model/schema.ts';

type Reader = Pick<LedgerReader, 'eventsOf' | 'runs'>;

/** What a lane of a run sent when it was read last; undefined when nobody has kept that. */
export async function keptOf(read: Reader, run: RunId, lane: string): Promise<Columns | undefined> {
  let kept: Columns | undefined;
  const events = everyRow(
    (page) => read.eventsOf({ run, kind: 'schema-kept', ...page }),
    (event) => event.seq,
  );
  for await (const { detail } of events) {
    if (detail.lane === lane) kept = columnsInEvent(detail.columns) ?? kept;
  }
  return kept;
}

/** Runs that are looked through; a lane whose columns are kept has them in its last one. */
const RUNS_MAX = 20;

/** What a lane of a flow sent in the last run that says so, the present one included. */
export async function keptLast(read: Reader, flow: string, lane: string): Promise<Columns | undefined> {
  for (const { id } of await read.runs({ flow, newestFirst: true, limit: RUNS_MAX })) {
    const kept = await keptOf(read, id, lane);
    if (kept !== undefined) return kept;
  }
  return undefined;
}
