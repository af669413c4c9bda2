import type {
  AttemptRow,
  BatchRow,
  DoubtRow,
  EventRow,
  GenerationRow,
  LaneRow,
  LedgerReader,
  RecordRow,
  RunRow,
} from '../../ledger/ledger.ts';
import type { LoadRow } from '../../model/load.ts';
import type { Position } from '../../model/position.ts';
import type { SliceRow } from '../../model/slice.ts';
import type { Balance } from '../../model/states.ts';
import type { Disk } from './disk.ts';
import { FLOW } from './job.ts';
import { hexKeys, textsOf } from './sink-client.ts';

/** One record as the ledger has it at the end, found by the batch that it was sealed in and its place there. */
export interface FinalRecord {
  readonly row: RecordRow;
  readonly batch: BatchRow;
  /** `root batch/place`: the same for as long as the record lives, whatever children it goes through. */
  readonly identity: string;
  readonly key: string;
  readonly text: string;
}

export interface FinalBatch {
  readonly row: BatchRow;
  readonly texts: readonly string[];
  readonly keys: readonly string[];
  /** Identity of the record at each place. */
  readonly identities: readonly string[];
}

/** What the ledger says when all is over, read once. */
export interface FinalView {
  readonly runs: readonly RunRow[];
  readonly lanes: readonly LaneRow[];
  readonly generations: readonly GenerationRow[];
  readonly batches: ReadonlyMap<number, FinalBatch>;
  readonly records: readonly FinalRecord[];
  /** Records that got into no batch. */
  readonly unbatched: readonly RecordRow[];
  readonly doubts: readonly DoubtRow[];
  /** In the order in which they began. */
  readonly loads: readonly LoadRow[];
  readonly slices: readonly SliceRow[];
  readonly positions: readonly Position[];
  readonly attempts: readonly AttemptRow[];
  readonly events: readonly EventRow[];
  readonly balances: ReadonlyMap<string, Balance>;
  readonly problems: readonly string[];
}

const ALL = { limit: 100_000 };

export async function finalView(reader: LedgerReader, disk: Disk): Promise<FinalView> {
  const runs = await reader.runs({ flow: FLOW, ...ALL });
  const lanes: LaneRow[] = [];
  const generations: GenerationRow[] = [];
  const rows: RecordRow[] = [];
  const batches = new Map<number, FinalBatch>();
  const balances = new Map<string, Balance>();
  const attempts: AttemptRow[] = [];
  for (const run of runs) {
    lanes.push(...(await reader.lanes(run.id)));
    generations.push(...(await reader.generations(run.id)));
    for (const row of await reader.batches({ run: run.id, ...ALL })) batches.set(row.id, batchOf(row, disk));
    for (const [lane, balance] of await reader.balance(run.id)) balances.set(`${run.id}/${lane}`, balance);
    rows.push(...(await recordsOf(reader, run)));
  }
  for (const { row } of batches.values()) {
    if (row.attempts > 0) attempts.push(...(await reader.attempts(row.id)));
  }
  return {
    runs,
    lanes,
    generations,
    batches,
    attempts,
    balances,
    records: rows.filter((row) => row.batch !== undefined).map((row) => recordOf(row, batches)),
    unbatched: rows.filter((row) => row.batch === undefined),
    loads: await reader.loads({ flow: FLOW }),
    slices: await reader.slices({ flow: FLOW, limit: 100_000 }),
    positions: (await reader.positions(FLOW)).map(({ position }) => position),
    doubts: await reader.doubts({ flow: FLOW, ...ALL }),
    events: await reader.events(ALL),
    problems: await reader.verify(),
  };
}

async function recordsOf(reader: LedgerReader, run: RunRow): Promise<readonly RecordRow[]> {
  const rows: RecordRow[] = [];
  let after: string | undefined;
  do {
    const page = await reader.records({ run: run.id, limit: 1_000, ...(after === undefined ? {} : { after }) });
    rows.push(...page.records);
    after = page.cursor;
  } while (after !== undefined);
  return rows;
}

function batchOf(row: BatchRow, disk: Disk): FinalBatch {
  const staged = disk.find(row.staged);
  const [texts, keys] = [textsOf(staged), hexKeys(staged)];
  const places = row.picks ?? texts.map((_, at) => at);
  return {
    row,
    texts: places.map((at) => texts[at]!),
    keys: places.map((at) => keys[at]!),
    identities: places.map((at) => `${row.root ?? row.id}/${at}`),
  };
}

function recordOf(row: RecordRow, batches: ReadonlyMap<number, FinalBatch>): FinalRecord {
  const batch = batches.get(row.batch!)!;
  const at = row.index!;
  return { row, batch: batch.row, identity: batch.identities[at]!, key: batch.keys[at]!, text: batch.texts[at]! };
}
