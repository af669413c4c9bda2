import type { RunId } from '../../../model/ids.ts';
import { type Balance, balances, type RunState } from '../../../model/states.ts';
import type { EventRow, GenerationRow, LaneRow, Page, RunRow } from '../../ledger.ts';
import { RUN_STATE, toCode } from '../codes.ts';
import { corrupt } from '../failure.ts';
import { query } from '../store.ts';
import { decodeEvent, EVENT_COLUMNS, NO_EVENTS, nextHash, toEventRow } from '../tables/events.ts';
import { generationsOf, toGenerationRow } from '../tables/generations.ts';
import { balanceOf, lanesOf, readTally, toLaneRow } from '../tables/lanes.ts';
import { positionsOf } from '../tables/positions.ts';
import { decodeRun, RUN, readRun, toRunRow } from '../tables/runs.ts';
import { EMITTED } from '../verbs/set-position.ts';
import { limitOf, type Reading } from './reading.ts';

const MATCHING = '(? IS NULL OR flow = ?) AND (? IS NULL OR window = ?) AND (? IS NULL OR state = ?)';
const RUNS = query(RUN, `WHERE ${MATCHING} AND id > ? ORDER BY id LIMIT ?`);
const RUNS_NEWEST = query(RUN, `WHERE ${MATCHING} AND id < ? ORDER BY id DESC LIMIT ?`);

export function runs(
  r: Reading,
  filter: { flow?: string; window?: string; state?: RunState; newestFirst?: boolean } & Page,
): RunRow[] {
  const state = filter.state === undefined ? null : toCode(RUN_STATE, filter.state);
  const twice = [filter.flow ?? null, filter.window ?? null, state].flatMap((value) => [value, value]);
  const newestFirst = filter.newestFirst === true;
  const after = filter.after ?? (newestFirst ? Number.MAX_SAFE_INTEGER : 0);
  const rows = r.store.many(newestFirst ? RUNS_NEWEST : RUNS, ...twice, after, limitOf(filter.limit));
  return rows.map((cells) => toRunRow(r.store, decodeRun(r.store, cells)));
}

export const run = (r: Reading, id: RunId): RunRow => toRunRow(r.store, readRun(r.store, id));

export function lanes(r: Reading, id: RunId): LaneRow[] {
  readRun(r.store, id);
  return lanesOf(r.store, id).map(toLaneRow);
}

export function generations(r: Reading, id: RunId): GenerationRow[] {
  readRun(r.store, id);
  return generationsOf(r.store, id).map((generation) => toGenerationRow(r.store, generation));
}

export function balance(r: Reading, id: RunId): Map<string, Balance> {
  readRun(r.store, id);
  return new Map(
    lanesOf(r.store, id).map((lane) => {
      const tally = readTally(r.store, lane.id);
      if (!balances(tally))
        throw corrupt(r.store.place, `lane ${lane.name} of run r${id} does not balance`, {
          table: 'tally',
          row: lane.id,
        });
      return [lane.name, balanceOf(tally)];
    }),
  );
}

const EVENTS = `SELECT ${EVENT_COLUMNS} FROM event WHERE seq > ? ORDER BY seq LIMIT ?`;
const EVENTS_OF = `SELECT ${EVENT_COLUMNS} FROM event WHERE run = ? AND seq > ? ORDER BY seq LIMIT ?`;
const HASH_BEFORE = 'SELECT hash FROM event WHERE run = ? AND seq < ? ORDER BY seq DESC LIMIT 1';

/** Each event is held against the one before it in its run, so that none is passed on that was changed. */
export function events(r: Reading, filter: { run?: RunId; after?: number; limit?: number }): EventRow[] {
  const [after, limit] = [filter.after ?? 0, limitOf(filter.limit)];
  const cells =
    filter.run === undefined ? r.store.plain(EVENTS, after, limit) : r.store.plain(EVENTS_OF, filter.run, after, limit);
  const heads = new Map<number, string>();
  return cells.map((row) => {
    const event = decodeEvent(row);
    const before =
      heads.get(event.run) ??
      (r.store.scalar(HASH_BEFORE, event.run, event.seq) as Buffer | null)?.toString('hex') ??
      NO_EVENTS;
    if (nextHash(before, event) !== event.hash)
      throw corrupt(r.store.place, `event ${event.seq} breaks the chain of run r${event.run}`, {
        table: 'event',
        row: event.seq,
      });
    heads.set(event.run, event.hash);
    return toEventRow(r.store, event);
  });
}

export const emittedUpTo = (r: Reading, emitter: string): number =>
  (r.store.one(EMITTED, emitter)?.[1] as number | undefined) ?? 0;

export const positions = (r: Reading, flow: string) =>
  positionsOf(r.store, flow).map(({ position, atMs, run: by }) => ({
    position,
    atMs,
    ...(by === null ? {} : { run: by }),
  }));
