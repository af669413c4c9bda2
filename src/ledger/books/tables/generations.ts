import type { RunId } from '../../../model/ids.ts';
import type { Position } from '../../../model/position.ts';
import type { GenerationKind, GenerationRow } from '../../ledger.ts';
import type { Cell } from '../../row-digest.ts';
import { GENERATION_KIND, GENERATION_STATE, toCode, toWord } from '../codes.ts';
import { corrupt } from '../corrupt.ts';
import { type Asking, query, type Store, table } from '../store.ts';
import { lanesOf } from './lanes.ts';

export const GENERATION = table('generation', 7, {
  keys: ['run', 'generation'],
  fixed: ['kind', 'started_at', 'reason'],
  rest: ['state', 'closed_at', 'source', 'position_kind', 'position_value', 'position_rows', 'before', 'trail'],
});
export const GENERATION_LANE = table('generation_lane', 8, {
  keys: ['run', 'generation', 'lane'],
  rest: ['read', 'same', 'changed', 'duplicates', 'batches', 'sealed', 'unbatched', 'vanished', 'trail'],
});

export interface GenerationRecord {
  readonly run: RunId;
  readonly generation: number;
  readonly kind: GenerationKind;
  readonly startedAtMs: number;
  readonly reason: string;
  state: GenerationRow['state'];
  closedAtMs: number | null;
  position: Position | null;
  /** Rows of the extraction that lie before the position. */
  rows: number;
  /** Where each source stood before the first seal: null for one that stood nowhere. */
  before: Readonly<Record<string, Position | null>>;
  /** What was read up to the position; null where nothing was sealed, or the source cannot go on. */
  trail: string | null;
}

export interface GenerationLane {
  readonly run: RunId;
  readonly generation: number;
  readonly lane: number;
  read: number;
  same: number;
  changed: number;
  duplicates: number;
  batches: number;
  sealed: number;
  unbatched: number;
  vanished: number;
  /** What was read up to the last row that is decided; null as above. */
  trail: string | null;
}

const ONE = query(GENERATION, 'WHERE run = ? AND generation = ?');
const OF_RUN = query(GENERATION, 'WHERE run = ? ORDER BY generation');
const LANE_OF = query(GENERATION_LANE, 'WHERE run = ? AND generation = ? AND lane = ?');
const LANES_OF = query(GENERATION_LANE, 'WHERE run = ? AND generation = ? ORDER BY lane');
const LANES_OF_RUN = query(GENERATION_LANE, 'WHERE run = ? ORDER BY generation, lane');

export function* findGeneration(store: Store, run: RunId, generation: number): Asking<GenerationRecord | undefined> {
  const cells = yield* store.one(ONE, run, generation);
  return cells === undefined ? undefined : decodeGeneration(store, cells);
}

export function* generationsOf(store: Store, run: RunId): Asking<GenerationRecord[]> {
  return (yield* store.many(OF_RUN, run)).map((cells) => decodeGeneration(store, cells));
}

/** The latest generation that read the window to its end; 0 when there is none. What is older got superseded by it. */
export function* completeGeneration(store: Store, run: RunId): Asking<number> {
  return lastComplete(yield* generationsOf(store, run));
}

/** The same, of all generations of a run in their order. */
export const lastComplete = (all: readonly GenerationRecord[]): number =>
  all.reduce((last, one) => (one.state === 'closed' ? one.generation : last), 0);

export const encodeGeneration = (g: GenerationRecord): Cell[] => [
  g.run,
  g.generation,
  toCode(GENERATION_KIND, g.kind),
  g.startedAtMs,
  g.reason,
  toCode(GENERATION_STATE, g.state),
  g.closedAtMs,
  g.position?.sourceName ?? null,
  g.position?.kind ?? null,
  g.position?.value ?? null,
  g.rows,
  Object.keys(g.before).length === 0 ? null : JSON.stringify(g.before),
  g.trail,
];

function decodeGeneration(store: Store, c: readonly Cell[]): GenerationRecord {
  return {
    run: c[0] as RunId,
    generation: c[1] as number,
    kind: toWord(GENERATION_KIND, c[2] as Cell, store.place),
    startedAtMs: c[3] as number,
    reason: c[4] as string,
    state: toWord(GENERATION_STATE, c[5] as Cell, store.place),
    closedAtMs: c[6] as number | null,
    position: c[7] === null ? null : { sourceName: c[7] as string, kind: c[8] as string, value: c[9] as string },
    rows: c[10] as number,
    before: c[11] === null ? {} : (JSON.parse(c[11] as string) as GenerationRecord['before']),
    trail: c[12] as string | null,
  };
}

export const encodeGenerationLane = (l: GenerationLane): Cell[] => [
  l.run,
  l.generation,
  l.lane,
  l.read,
  l.same,
  l.changed,
  l.duplicates,
  l.batches,
  l.sealed,
  l.unbatched,
  l.vanished,
  l.trail,
];

function decodeGenerationLane(cells: readonly Cell[]): GenerationLane {
  const [run, generation, lane, read, same, changed, duplicates, batches, sealed, unbatched, vanished, trail] =
    cells as [RunId, number, number, number, number, number, number, number, number, number, number, string | null];
  return { run, generation, lane, read, same, changed, duplicates, batches, sealed, unbatched, vanished, trail };
}

/** The counts of one lane in one generation; all zero and not yet stored when there are none. */
export function* generationLane(store: Store, run: RunId, generation: number, lane: number): Asking<GenerationLane> {
  const cells = yield* store.one(LANE_OF, run, generation, lane);
  if (cells !== undefined) return decodeGenerationLane(cells);
  const fresh: GenerationLane = {
    run,
    generation,
    lane,
    read: 0,
    same: 0,
    changed: 0,
    duplicates: 0,
    batches: 0,
    sealed: 0,
    unbatched: 0,
    vanished: 0,
    trail: null,
  };
  return fresh;
}

export function* saveGenerationLane(store: Store, lane: GenerationLane): Asking<void> {
  const there = (yield* store.one(LANE_OF, lane.run, lane.generation, lane.lane)) !== undefined;
  if (there) store.update(GENERATION_LANE, encodeGenerationLane(lane));
  else store.insert(GENERATION_LANE, encodeGenerationLane(lane));
}

export function* generationLanes(store: Store, run: RunId, generation: number): Asking<GenerationLane[]> {
  return (yield* store.many(LANES_OF, run, generation)).map(decodeGenerationLane);
}

/** The counts of all lanes in all generations of a run, by generation. */
export function* countsOf(store: Store, run: RunId): Asking<Map<number, GenerationLane[]>> {
  const counts = new Map<number, GenerationLane[]>();
  for (const cells of yield* store.many(LANES_OF_RUN, run)) {
    const one = decodeGenerationLane(cells);
    const list = counts.get(one.generation);
    if (list === undefined) counts.set(one.generation, [one]);
    else list.push(one);
  }
  return counts;
}

/** One generation on its own; of several, what they have in common is read once, and `toGenerationRow` used. */
export function* generationRow(store: Store, g: GenerationRecord): Asking<GenerationRow> {
  const names = new Map((yield* lanesOf(store, g.run)).map((lane) => [lane.id, lane.name]));
  return toGenerationRow(store, g, yield* generationLanes(store, g.run, g.generation), names);
}

/** `names`: of the lanes of its run, by their numbers. */
export function toGenerationRow(
  store: Store,
  g: GenerationRecord,
  counts: readonly GenerationLane[],
  names: ReadonlyMap<number, string>,
): GenerationRow {
  return {
    run: g.run,
    generation: g.generation,
    kind: g.kind,
    reason: g.reason,
    state: g.state,
    startedAtMs: g.startedAtMs,
    ...(g.closedAtMs === null ? {} : { closedAtMs: g.closedAtMs }),
    lanes: counts.map(({ run, generation, lane, trail, ...figures }) => {
      const name = names.get(lane);
      if (name === undefined)
        throw corrupt(store.place, `there is no row for lane ${lane}`, { table: 'lane', row: lane });
      return { lane: name, ...figures, ...(trail === null ? {} : { trail }) };
    }),
    ...(g.position === null ? {} : { position: g.position }),
    rows: g.rows,
    ...(g.trail === null ? {} : { trail: g.trail }),
  };
}
