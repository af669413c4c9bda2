import type { WaybillError } from '../../../model/errors.ts';
import { COLUMNS_EVENTS, type ColumnsEvent } from '../../../model/event.ts';
import type { RunId } from '../../../model/ids.ts';
import type { LoadRow } from '../../../model/load.ts';
import { type LeftOutRow, leftOutInEvent } from '../../../model/schema.ts';
import { type Balance, balances, type RunState } from '../../../model/states.ts';
import type { EventRow, GenerationRow, LaneRow, Page, RunRow } from '../../ledger.ts';
import type { Cell } from '../../row-digest.ts';
import { EVENT_KIND, RUN_STATE, toCode } from '../codes.ts';
import { corrupt } from '../corrupt.ts';
import { expectSound } from '../sight.ts';
import { type Asking, inTurn, query, UP_TO } from '../store.ts';
import { decodeEvent, EVENT, type EventCells, NO_EVENTS, nextHash, toEventRow } from '../tables/events.ts';
import { countsOf, generationsOf, toGenerationRow } from '../tables/generations.ts';
import { balanceOf, lanesOf, readTally, toLaneRow } from '../tables/lanes.ts';
import { loadsOfFlow, toLoadRow } from '../tables/loads.ts';
import { positionsOf } from '../tables/positions.ts';
import { decodeRun, RUN, readRun, toRunRow } from '../tables/runs.ts';
import { EMITTED, EMITTER } from '../verbs/set-position.ts';
import { limitOf, type Reading } from './reading.ts';

const MATCHING = 'flow = coalesce(?, flow) AND "window" = coalesce(?, "window") AND state = coalesce(?, state)';
const RUNS = query(RUN, `WHERE ${MATCHING} AND id > ? ORDER BY id ${UP_TO}`);
const RUNS_NEWEST = query(RUN, `WHERE ${MATCHING} AND id < ? ORDER BY id DESC ${UP_TO}`);

export function* runs(
  r: Reading,
  filter: { flow?: string; window?: string; state?: RunState; newestFirst?: boolean } & Page,
): Asking<RunRow[]> {
  const state = filter.state === undefined ? null : toCode(RUN_STATE, filter.state);
  const wanted = [filter.flow ?? null, filter.window ?? null, state];
  const newestFirst = filter.newestFirst === true;
  const after = filter.after ?? (newestFirst ? Number.MAX_SAFE_INTEGER : 0);
  const rows = yield* r.store.many(newestFirst ? RUNS_NEWEST : RUNS, ...wanted, after, limitOf(filter.limit));
  return yield* inTurn(rows, (cells) => toRunRow(r.store, decodeRun(r.store, cells)));
}

export function* run(r: Reading, id: RunId): Asking<RunRow> {
  return yield* toRunRow(r.store, yield* readRun(r.store, id));
}

export function* lanes(r: Reading, id: RunId): Asking<LaneRow[]> {
  yield* readRun(r.store, id);
  return (yield* lanesOf(r.store, id)).map(toLaneRow);
}

export function* generations(r: Reading, id: RunId): Asking<GenerationRow[]> {
  yield* readRun(r.store, id);
  const found = yield* generationsOf(r.store, id);
  if (found.length === 0) return [];
  const counts = yield* countsOf(r.store, id);
  const names = new Map((yield* lanesOf(r.store, id)).map((lane) => [lane.id, lane.name]));
  return found.map((one) => toGenerationRow(r.store, one, counts.get(one.generation) ?? [], names));
}

export function* loads(r: Reading, filter: { flow: string; lane?: string }): Asking<LoadRow[]> {
  return yield* inTurn(yield* loadsOfFlow(r.store, filter.flow, filter.lane), function* (load) {
    const lane = yield* r.lane(load.lane);
    return toLoadRow(load, lane, yield* r.run(lane.run));
  });
}

export function* balance(r: Reading, id: RunId): Asking<Map<string, Balance>> {
  yield* readRun(r.store, id);
  const found = new Map<string, Balance>();
  for (const lane of yield* lanesOf(r.store, id)) {
    const tally = yield* readTally(r.store, lane.id);
    if (!balances(tally))
      throw corrupt(r.store.place, `lane ${lane.name} of run r${id} does not balance`, {
        table: 'tally',
        row: lane.id,
      });
    found.set(lane.name, balanceOf(tally));
  }
  return found;
}

const EVENTS = query(EVENT, `WHERE seq > ? ORDER BY seq ${UP_TO}`);
const EVENTS_OF = query(EVENT, `WHERE run = ? AND seq > ? ORDER BY seq ${UP_TO}`);
const HASH_BEFORE = 'SELECT hash FROM event WHERE run = ? AND seq < ? ORDER BY seq DESC LIMIT 1';

/** Each event is held against the one before it in its run, so that none is passed on that was changed. */
export function* events(r: Reading, filter: { run?: RunId; after?: number; limit?: number }): Asking<EventRow[]> {
  const [after, limit] = [filter.after ?? 0, limitOf(filter.limit)];
  const cells =
    filter.run === undefined
      ? yield* r.store.many(EVENTS, after, limit)
      : yield* r.store.many(EVENTS_OF, filter.run, after, limit);
  const heads = new Map<number, string>();
  return yield* inTurn(cells, function* (row) {
    const event = decodeEvent(row);
    const before =
      heads.get(event.run) ??
      ((yield* r.store.scalar(HASH_BEFORE, event.run, event.seq)) as Buffer | null)?.toString('hex') ??
      NO_EVENTS;
    if (nextHash(before, event) !== event.hash) throw brokenChain(r, event);
    heads.set(event.run, event.hash);
    return toEventRow(r.store, event);
  });
}

// The number stands in the text, since only then the database sees that its index of these events will do.
const ofKind = (kind: ColumnsEvent): string => `SELECT ${[...EVENT.columns].map((name) => `event.${name}`).join(', ')},
  (SELECT before.hash FROM event before WHERE before.run = event.run AND before.seq < event.seq
    ORDER BY before.seq DESC LIMIT 1)
  FROM event WHERE event.run = ? AND event.kind = ${toCode(EVENT_KIND, kind)}`;
const EVENTS_OF_KIND = new Map(
  COLUMNS_EVENTS.map((kind) => [kind, `${ofKind(kind)} AND event.seq > ? ORDER BY event.seq ${UP_TO}`]),
);
// Batches of an abandoned reading are gone, and their numbers are never given out again.
const LEFT_OUT = `${ofKind('columns-left-out')}
  AND EXISTS (SELECT 1 FROM batch WHERE batch.id = event.batch) ORDER BY event.seq`;

export function* eventsOf(r: Reading, filter: { run: RunId; kind: ColumnsEvent } & Page): Asking<EventRow[]> {
  const { run, kind, after = 0, limit } = filter;
  const rows = yield* r.store.plain(EVENTS_OF_KIND.get(kind) as string, run, after, limitOf(limit));
  return rows.map((cells) => apart(r, cells));
}

export function* leftOut(r: Reading, run: RunId): Asking<LeftOutRow[]> {
  const sums = new Map<string, LeftOutRow>();
  for (const cells of yield* r.store.plain(LEFT_OUT, run)) {
    const { detail } = apart(r, cells);
    const lane = String(detail.lane);
    for (const [column, records] of leftOutInEvent(detail.columns)) {
      const name = JSON.stringify([lane, column]);
      sums.set(name, { lane, column, records: records + (sums.get(name)?.records ?? 0) });
    }
  }
  return [...sums.values()];
}

/** An event without those around it, its last cell the hash of the one before it. */
function apart(r: Reading, cells: readonly Cell[]): EventRow {
  const event = decodeEvent(cells);
  const before = (cells.at(-1) as Buffer | null)?.toString('hex') ?? NO_EVENTS;
  if (nextHash(before, event) !== event.hash) throw brokenChain(r, event);
  return toEventRow(r.store, event);
}

function brokenChain(r: Reading, { seq, run }: EventCells): WaybillError {
  return corrupt(r.store.place, `event ${seq} breaks the chain of run r${run}`, { table: 'event', row: seq });
}

export function* emittedUpTo(r: Reading, emitter: string): Asking<number> {
  const cells = yield* r.store.one(EMITTED, emitter);
  // It would say everything again.
  if (cells === undefined) yield* expectSound(r.store, EMITTER);
  return (cells?.[1] as number | undefined) ?? 0;
}

export function* positions(r: Reading, flow: string) {
  return (yield* positionsOf(r.store, flow)).map(({ position, atMs, run: by }) => ({
    position,
    atMs,
    ...(by === null ? {} : { run: by }),
  }));
}
