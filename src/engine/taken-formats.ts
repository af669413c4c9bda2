import type { LedgerReader } from '../ledger/ledger.ts';
import type { Staging } from '../ledger/staging.ts';
import type { Format } from '../model/chunk.ts';
import { WaybillError } from '../model/errors.ts';
import type { RunId } from '../model/ids.ts';
import type { LaneJob } from './engine.ts';

interface Stores {
  readonly read: Pick<LedgerReader, 'batches'>;
  readonly staging: Pick<Staging, 'digests'>;
}

/**
 * Formats that every lane takes as they are. A lane that has batches of this run takes only the format of the first of
 * them: digests are of bytes, and a row in another format would count as changed. `run`: undefined before the first.
 */
export async function takenByAll(
  lanes: readonly LaneJob[],
  run: RunId | undefined,
  stores: Partial<Stores>,
): Promise<readonly Format[]> {
  let taken: readonly Format[] | undefined;
  for (const lane of lanes) {
    const formats = takenBy(lane);
    const before = run === undefined ? undefined : await formatBefore(lane, run, stores as Stores);
    const own = before === undefined ? formats : formats.filter((format) => format === before);
    taken = taken === undefined ? own : taken.filter((format) => own.includes(format));
  }
  return taken ?? [];
}

/** A mapping looks into the records; every source can give them so that it can. */
const takenBy = ({ sink, mapping }: LaneJob): readonly Format[] =>
  mapping === undefined ? sink.accepts.map(({ format }) => format) : [];

async function formatBefore({ name, sink }: LaneJob, run: RunId, stores: Stores): Promise<Format | undefined> {
  const [first] = await stores.read.batches({ run, lane: name, limit: 1 });
  if (first === undefined) return undefined;
  try {
    return (await stores.staging.digests(first.staged)).format ?? sink.accepts[0]!.format;
  } catch (error) {
    // With its bytes gone the digests are gone as well, and nothing can be compared.
    if (error instanceof WaybillError && error.code === 'STAGING_CORRUPT') return undefined;
    throw error;
  }
}
