import { KEY_BYTES } from '../../../model/chunk.ts';
import type { BatchId, RunId } from '../../../model/ids.ts';
import { BATCH_STATES, type BatchState } from '../../../model/states.ts';
import type { AttemptRow, BatchRow, DoubtRow, Page } from '../../ledger.ts';
import { BATCH_STATE, toCode } from '../codes.ts';
import { corrupt } from '../corrupt.ts';
import { doubtRow } from '../doubt.ts';
import { type Asking, inTurn, type Param, query, UP_TO } from '../store.ts';
import { attemptsOf, toAttemptRow } from '../tables/attempts.ts';
import { BATCH, type BatchRecord, decodeBatch, readBatch } from '../tables/batches.ts';
import { lanesOf } from '../tables/lanes.ts';
import type { MembersRecord } from '../tables/members.ts';
import { readRun } from '../tables/runs.ts';
import { limitOf, type Reading } from './reading.ts';

const ALL = query(BATCH, `WHERE id > ? ORDER BY id ${UP_TO}`);
const OF_LANE = query(BATCH, `WHERE lane = ? AND id > ? ORDER BY id ${UP_TO}`);
const IN_STATE = query(BATCH, `WHERE state = ? AND state <> 4 AND id > ? ORDER BY id ${UP_TO}`);
const OF_LANE_IN_STATE = query(BATCH, `WHERE state = ? AND state <> 4 AND lane = ? AND id > ? ORDER BY seq ${UP_TO}`);
const DELIVERED = query(BATCH, `WHERE state = 4 AND id > ? ORDER BY id ${UP_TO}`);
const OF_LANE_DELIVERED = query(BATCH, `WHERE state = 4 AND lane = ? AND id > ? ORDER BY id ${UP_TO}`);
const BETWEEN = query(BATCH, 'WHERE id BETWEEN ? AND ? ORDER BY id');
const CHILDREN = query(BATCH, 'WHERE parent = ? ORDER BY id');

export function* batches(
  r: Reading,
  filter: { run?: RunId; lane?: string; states?: readonly BatchState[] } & Page,
): Asking<BatchRow[]> {
  const found = yield* pageOfBatches(r, {
    lanes: yield* lanesFor(r, filter),
    states: filter.states ?? BATCH_STATES,
    after: filter.after ?? 0,
    limit: limitOf(filter.limit),
  });
  return yield* inTurn(found, (batch) => r.row(batch));
}

/**
 * One question for each lane and state, each with an index of its own, and then the lowest ids of all. Lanes of one
 * run are few; without a run (undefined) there is nothing to choose by but the state.
 */
export function* pageOfBatches(
  r: Reading,
  ask: { lanes: readonly number[] | undefined; states: readonly BatchState[]; after: number; limit: number },
): Asking<BatchRecord[]> {
  const states: readonly (BatchState | undefined)[] =
    ask.states.length === BATCH_STATES.length ? [undefined] : ask.states;
  const lanes: readonly (number | undefined)[] = ask.lanes ?? [undefined];
  const found: BatchRecord[] = [];
  for (const lane of lanes)
    for (const state of states) found.push(...(yield* inOrder(r, lane, state, ask.after, ask.limit)));
  return found.sort((a, b) => a.id - b.id).slice(0, ask.limit);
}

/** The lanes that a filter means; undefined for all. */
export function* lanesFor(r: Reading, filter: { run?: RunId; lane?: string }): Asking<number[] | undefined> {
  if (filter.run === undefined && filter.lane === undefined) return undefined;
  if (filter.run !== undefined) {
    yield* readRun(r.store, filter.run);
    const lanes = yield* lanesOf(r.store, filter.run);
    return lanes.filter((lane) => filter.lane === undefined || lane.name === filter.lane).map((lane) => lane.id);
  }
  return (yield* r.store.plain('SELECT id FROM lane WHERE name = ?', filter.lane as string)).map(
    ([id]) => id as number,
  );
}

function* inOrder(
  r: Reading,
  lane: number | undefined,
  state: BatchState | undefined,
  after: number,
  limit: number,
): Asking<BatchRecord[]> {
  const page: Param[] = [after, limit];
  const which: Param[] = lane === undefined ? page : [lane, ...page];
  const rows =
    state === undefined
      ? yield* r.store.many(lane === undefined ? ALL : OF_LANE, ...which)
      : state === 'delivered'
        ? yield* r.store.many(lane === undefined ? DELIVERED : OF_LANE_DELIVERED, ...which)
        : yield* r.store.many(lane === undefined ? IN_STATE : OF_LANE_IN_STATE, toCode(BATCH_STATE, state), ...which);
  return rows.map((cells) => decodeBatch(r.store, cells));
}

export function* batch(r: Reading, id: BatchId): Asking<BatchRow> {
  return yield* r.row(yield* readBatch(r.store, id));
}

export function* attempts(r: Reading, id: BatchId): Asking<AttemptRow[]> {
  return (yield* attemptsOf(r.store, yield* readBatch(r.store, id))).map(toAttemptRow);
}

export function* children(r: Reading, id: BatchId): Asking<BatchRow[]> {
  yield* readBatch(r.store, id);
  const rows = yield* r.store.many(CHILDREN, id);
  return yield* inTurn(rows, (cells) => r.row(decodeBatch(r.store, cells)));
}

export function* doubts(r: Reading, filter: { run?: RunId; flow?: string } & Page): Asking<DoubtRow[]> {
  const lanes = filter.run === undefined && filter.flow === undefined ? undefined : yield* lanesOfFlow(r, filter);
  const found = yield* pageOfBatches(r, {
    lanes,
    states: ['in-doubt'],
    after: filter.after ?? 0,
    limit: limitOf(filter.limit),
  });
  return yield* inTurn(found, function* (one) {
    return yield* doubtRow(r.store, one, yield* r.row(one));
  });
}

const LANES_OF_FLOW = `SELECT lane.id FROM lane JOIN run ON run.id = lane.run
  WHERE run.id = coalesce(?, run.id) AND flow = coalesce(?, flow) ORDER BY lane.id`;

export function* lanesOfFlow(r: Reading, filter: { run?: RunId; flow?: string }): Asking<number[]> {
  const rows = yield* r.store.plain(LANES_OF_FLOW, filter.run ?? null, filter.flow ?? null);
  return rows.map(([id]) => id as number);
}

/** The batches whose keys stand in a row of members, in order. */
export function* batchesIn(r: Reading, members: MembersRecord): Asking<BatchRecord[]> {
  const rows = yield* r.store.many(BETWEEN, members.firstBatch, members.firstBatch + members.batches - 1);
  const batches = rows.map((cells) => decodeBatch(r.store, cells));
  const records = batches.reduce((sum, batch) => sum + batch.records, 0);
  if (records * KEY_BYTES === members.keys.length) return batches;
  throw corrupt(r.store.place, `row ${members.id} of members holds keys of other batches than it says`, {
    table: 'members',
    row: members.id,
  });
}
