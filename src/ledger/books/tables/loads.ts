import type { LoadRow, LoadState, StepReceipt } from '../../../model/load.ts';
import type { Cell } from '../../row-digest.ts';
import { LOAD_STATE, toCode, toWord } from '../codes.ts';
import { type Asking, query, type Store, table } from '../store.ts';
import type { LaneRecord } from './lanes.ts';
import { type RunRecord, windowOf } from './runs.ts';

export const LOAD = table('load', 19, {
  keys: ['lane', 'generation'],
  fixed: ['began_at'],
  rest: ['state', 'tries', 'published_at', 'opened', 'published', 'reason'],
});

export interface LoadRecord {
  readonly lane: number;
  readonly generation: number;
  readonly beganAtMs: number;
  readonly state: LoadState;
  readonly tries: number;
  readonly publishedAtMs: number | null;
  readonly opened: StepReceipt | null;
  readonly published: StepReceipt | null;
  readonly reason: string | null;
}

const ONE = query(LOAD, 'WHERE lane = ? AND generation = ?');
const OF_LANE = query(LOAD, 'WHERE lane = ? ORDER BY generation');
const LANES_OF_FLOW = 'WHERE lane IN (SELECT lane.id FROM lane JOIN run ON run.id = lane.run WHERE run.flow = ?';
/** Of one lane of one run by generation, whatever the clock said: it may have been put back in between. */
const AS_THEY_BEGAN = 'ORDER BY MAX(began_at) OVER (PARTITION BY lane ORDER BY generation), lane, generation';
const OF_FLOW = query(LOAD, `${LANES_OF_FLOW}) ${AS_THEY_BEGAN}`);
const OF_FLOW_AND_LANE = query(LOAD, `${LANES_OF_FLOW} AND lane.name = ?) ${AS_THEY_BEGAN}`);

export function* findLoad(store: Store, lane: number, generation: number): Asking<LoadRecord | undefined> {
  const cells = yield* store.one(ONE, lane, generation);
  return cells === undefined ? undefined : decodeLoad(store, cells);
}

/** Oldest first. */
export function* loadsOf(store: Store, lane: number): Asking<LoadRecord[]> {
  return (yield* store.many(OF_LANE, lane)).map((cells) => decodeLoad(store, cells));
}

export function* loadsOfFlow(store: Store, flow: string, lane?: string): Asking<LoadRecord[]> {
  const rows = lane === undefined ? store.many(OF_FLOW, flow) : store.many(OF_FLOW_AND_LANE, flow, lane);
  return (yield* rows).map((cells) => decodeLoad(store, cells));
}

export const encodeLoad = (load: LoadRecord): Cell[] => [
  load.lane,
  load.generation,
  load.beganAtMs,
  toCode(LOAD_STATE, load.state),
  load.tries,
  load.publishedAtMs,
  packReceipt(load.opened),
  packReceipt(load.published),
  load.reason,
];

const decodeLoad = (store: Store, c: readonly Cell[]): LoadRecord => ({
  lane: c[0] as number,
  generation: c[1] as number,
  beganAtMs: c[2] as number,
  state: toWord(LOAD_STATE, c[3] as Cell, store.place),
  tries: c[4] as number,
  publishedAtMs: c[5] as number | null,
  opened: unpackReceipt(c[6] as string | null),
  published: unpackReceipt(c[7] as string | null),
  reason: c[8] as string | null,
});

const packReceipt = (receipt: StepReceipt | null): string | null => (receipt === null ? null : JSON.stringify(receipt));
const unpackReceipt = (text: string | null): StepReceipt | null =>
  text === null ? null : (JSON.parse(text) as StepReceipt);

export const toLoadRow = (load: LoadRecord, lane: LaneRecord, run: RunRecord): LoadRow => ({
  run: run.id,
  flow: run.flow,
  window: windowOf(run),
  lane: lane.name,
  generation: load.generation,
  state: load.state,
  tries: load.tries,
  beganAtMs: load.beganAtMs,
  ...(load.publishedAtMs === null ? {} : { publishedAtMs: load.publishedAtMs }),
  ...(load.opened === null ? {} : { opened: load.opened }),
  ...(load.published === null ? {} : { published: load.published }),
  ...(load.reason === null ? {} : { reason: load.reason }),
});
