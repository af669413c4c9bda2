import { KEY_BYTES } from '../../model/chunk.ts';
import type { RunId } from '../../model/ids.ts';
import { EVENT_KIND, toCode } from './codes.ts';
import { corrupt } from './corrupt.ts';
import { indexedUpTo, KEY_PART, partsOf } from './queries/key-pages.ts';
import { type Asking, past, query, type Store, type Table, through } from './store.ts';
import { findBatch } from './tables/batches.ts';
import { decodeEvent, EVENT, toEventRow } from './tables/events.ts';
import { findGeneration, GENERATION_LANE, generationLanes, generationsOf } from './tables/generations.ts';
import { findLane, LANE, type LaneRecord, lanesOf } from './tables/lanes.ts';
import { RUN_LEASE, readLease } from './tables/leases.ts';
import { findLoad } from './tables/loads.ts';
import { POSITION } from './tables/positions.ts';
import { RUN, type RunRecord } from './tables/runs.ts';
import { HISTORY_ROW, LOOK, SLICE } from './tables/slices.ts';

/*
 * Rows carry digests. What leads to them, inner pages and indexes, carries none: where that is damaged, a look-up finds
 * nothing although the row is there, and what is not found is begun anew: a run, a lane, a reading, a load; and with it
 * everything that was sent is sent again. So before a run is gone on with, what its signed rows say must be there is
 * looked for; and where no signed row speaks of it, the look-up is held against one that no index answers.
 */

type Compared = readonly [through: string, past: string];
const compared = (of: Table, ...columns: string[]): Compared => [through(of, ...columns), past(of, ...columns)];

const RUN_OF = past(RUN, 'flow', 'window');
const RUNS = compared(RUN, 'flow');
const LANES = compared(LANE, 'run');
const KEY_PARTS = compared(KEY_PART, 'lane');
const SLICES = compared(SLICE, 'flow');

/** Before a run is made. LEDGER_CORRUPT when it is there, and its index has lost sight of it. */
export function* expectNoRun(store: Store, flow: string, window: string): Asking<void> {
  const [[there] = []] = yield* store.plain(RUN_OF, flow, window);
  if (there !== 0)
    throw corrupt(store.place, `the run of ${flow} for ${window} is there, and is not found by its name`);
}

/** All runs of a flow are found by its name. Throws LEDGER_CORRUPT. */
export function* expectRuns(store: Store, flow: string): Asking<void> {
  yield* expectSame(store, RUNS, flow, `runs of ${flow}`);
}

/** All lanes of a run are found by its number; those as well that were only just made. Throws LEDGER_CORRUPT. */
export function* expectLanes(store: Store, run: RunId): Asking<void> {
  yield* expectSame(store, LANES, run, `lanes of run r${run}`);
  // By its name as well: an entry of an index that is damaged may come up in one way of asking and not in another.
  for (const { id, name } of yield* lanesOf(store, run))
    if ((yield* findLane(store, run, name))?.id !== id) throw lost(store, `lane ${name} of run r${run}`);
}

/** Throws LEDGER_CORRUPT when something that belongs to a run is there and would not be found, or is not there. */
export function* expectInSight(store: Store, run: RunRecord): Asking<void> {
  const { id } = run;
  if ((yield* readLease(store, id, RUN_LEASE.lane, RUN_LEASE.shard)) === undefined)
    throw lost(store, `the lease of run r${id}`);
  yield* expectLanes(store, id);
  const lanes = yield* lanesOf(store, id);
  const sealed = yield* expectGenerations(store, run, lanes);
  for (const lane of lanes) {
    yield* expectMembers(store, lane, sealed.get(lane.id) ?? 0);
    yield* expectKeys(store, lane);
  }
  yield* expectTold(store, id, lanes);
}

/** Readings count from 1, and none is ever removed. How many batches they sealed in each lane, those that stand. */
function* expectGenerations(store: Store, run: RunRecord, lanes: readonly LaneRecord[]): Asking<Map<number, number>> {
  const generations = yield* generationsOf(store, run.id);
  if (generations.length !== run.generation || generations.some((one, nth) => one.generation !== nth + 1))
    throw lost(store, `a reading of run r${run.id}, which has had ${run.generation},`);
  const sealed = new Map<number, number>();
  for (const { generation, state } of generations) {
    if ((yield* findGeneration(store, run.id, generation)) === undefined)
      throw lost(store, `reading ${generation} of run r${run.id}`);
    const counts = yield* generationLanes(store, run.id, generation);
    // A lane that came later has no counts in the readings before it; but then it has to be looked for.
    if (counts.length < lanes.length) yield* expectSound(store, GENERATION_LANE);
    if (state === 'abandoned') continue;
    for (const { lane, batches } of counts) sealed.set(lane, (sealed.get(lane) ?? 0) + batches);
  }
  return sealed;
}

// One by one, as they are walked through when keys are looked for.
const MEMBERS_AFTER = 'SELECT id, batches, first_batch FROM members WHERE lane = ? AND id > ? ORDER BY id LIMIT 1';

/** Keys can be megabytes and are not read here; that they are this lane's is what their first batch says. */
function* expectMembers(store: Store, { id, name, run }: LaneRecord, sealed: number): Asking<void> {
  let batches = 0;
  for (let last = 0; ; ) {
    const [next] = (yield* store.plain(MEMBERS_AFTER, id, last)) as [number, number, number][];
    if (next === undefined) break;
    const [row, count, first] = next;
    const batch = yield* findBatch(store, first);
    if (row <= last || batch?.members !== row || batch.lane !== id) break;
    last = row;
    batches += count;
  }
  if (batches !== sealed) throw lost(store, `keys of lane ${name} of run r${run}`);
}

const KEYS_UP_TO = 'SELECT CAST(coalesce(sum(length(keys)), 0) AS BIGINT) FROM members WHERE lane = ? AND id <= ?';

/** The index of keys holds at least what it says that it covers; keys of readings that were given up stay in it. */
function* expectKeys(store: Store, { id, name, run }: LaneRecord): Asking<void> {
  yield* expectSame(store, KEY_PARTS, id, `the key index of lane ${name} of run r${run}`);
  const upTo = yield* indexedUpTo(store, id);
  const entries = (yield* partsOf(store, id)).reduce((sum, part) => sum + part.entries, 0);
  const covered = ((yield* store.scalar(KEYS_UP_TO, id, upTo)) as number) / KEY_BYTES;
  if (entries < covered || (upTo === 0 && entries > 0))
    throw lost(store, `entries of the key index of lane ${name} of run r${run}`);
}

const KINDS_OF = 'SELECT kind, count(*) FROM event WHERE run = ? GROUP BY kind';
const [KEPT, LEFT_OUT] = [toCode(EVENT_KIND, 'schema-kept'), toCode(EVENT_KIND, 'columns-left-out')];
/** With the number in the text, so that the index of this very kind answers. */
const ofKind = (kind: number): string => `SELECT count(*) FROM event WHERE run = ? AND kind = ${kind}`;
const WITH_INDEX: readonly (readonly [kind: number, sql: string])[] = [
  [KEPT, ofKind(KEPT)],
  [LEFT_OUT, ofKind(LEFT_OUT)],
];
const MOVED = toCode(EVENT_KIND, 'load-moved');
const LOADS_TOLD = query(EVENT, 'WHERE run = ? AND kind = ? ORDER BY seq');

/** What the events of a run tell of, which are a chain that was found whole. */
function* expectTold(store: Store, run: RunId, lanes: readonly LaneRecord[]): Asking<void> {
  const kinds = new Map((yield* store.plain(KINDS_OF, run)) as [number, number][]);
  for (const [kind, sql] of WITH_INDEX)
    if ((yield* store.scalar(sql, run)) !== (kinds.get(kind) ?? 0))
      throw lost(store, `events of run r${run} about columns`);
  if (!kinds.has(MOVED)) return;
  const told = (yield* store.many(LOADS_TOLD, run, MOVED)).map((cells) => toEventRow(store, decodeEvent(cells)).detail);
  for (const lane of lanes) {
    const generations = new Set(told.filter((one) => one.lane === lane.name).map((one) => one.generation as number));
    for (const generation of generations)
      if ((yield* findLoad(store, lane.id, generation)) === undefined)
        throw lost(store, `the load of generation ${generation} of lane ${lane.name} of run r${run}`);
  }
}

/** Beyond so many, looking through all that new rows are compared with would cost more than most pulls. */
const HISTORY_ROWS_MAX = 50_000;
const HISTORY_ROWS = `SELECT count(*) FROM (SELECT 1 FROM history LIMIT ${HISTORY_ROWS_MAX + 1}) AS first_rows`;

/** Where the sources of a flow stand, and what is compared with what comes from there. Throws LEDGER_CORRUPT. */
export function* expectPulls(store: Store, flow: string): Asking<void> {
  yield* expectSound(store, POSITION);
  yield* expectSound(store, LOOK);
  yield* expectSame(store, SLICES, flow, `slices of ${flow}`);
  if (((yield* store.scalar(HISTORY_ROWS)) as number) <= HISTORY_ROWS_MAX) yield* expectSound(store, HISTORY_ROW);
}

const WHOLE = new Map<Table, ReturnType<typeof query>>();

/**
 * Looks through a whole table, its trees and every row. Where its rows lie in one tree alone and nothing else speaks of
 * them, this is what tells a row that is not there from one that is not found.
 */
export function* expectSound(store: Store, of: Table): Asking<void> {
  const [line] = yield* store.damage(of);
  if (line !== undefined) throw corrupt(store.place, line, { table: of.name });
  let whole = WHOLE.get(of);
  if (whole === undefined) {
    whole = query(of, '');
    WHOLE.set(of, whole);
  }
  yield* store.each(whole, [], () => undefined);
}

function* expectSame(store: Store, [by, beside]: Compared, of: number | string, what: string): Asking<void> {
  const [found] = yield* store.plain(by, of);
  const [there] = yield* store.plain(beside, of);
  if (found?.join() !== there?.join()) throw lost(store, what);
}

const lost = (store: Store, what: string): Error =>
  corrupt(store.place, `${what} cannot be found where a look-up goes; its tables are damaged`);
