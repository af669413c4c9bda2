import type { RunId } from '../../model/ids.ts';
import { type Balance, type BatchState, balances, EMPTY_BALANCE } from '../../model/states.ts';
import { SHARD_BATCHES } from '../ledger.ts';
import { BATCH_STATE, toCode } from './codes.ts';
import { type Asking, inTurn, query, type Store } from './store.ts';
import { BATCH, type BatchRecord, decodeBatch } from './tables/batches.ts';
import {
  countsOf,
  type GenerationLane,
  type GenerationRecord,
  generationsOf,
  lastComplete,
} from './tables/generations.ts';
import { balanceOf, type LaneRecord, lanesOf, readTally, type Tally } from './tables/lanes.ts';
import { decodeUnbatched, UNBATCHED } from './tables/members.ts';

const BATCHES_OF = query(BATCH, 'WHERE lane = ? ORDER BY id');
const UNBATCHED_OF = query(UNBATCHED, 'WHERE lane = ?');

/** Numbers of batches and their places in the lane, in that order, as their rows say. */
type Places = (readonly [id: number, seq: number])[];
type Sums = { -readonly [K in keyof Balance]: number } & { batches: number };

/**
 * Adds up a run from its single rows and holds that against its totals and against what its generations say was
 * sealed. One line for each thing that does not agree.
 */
export function* balanceProblems(store: Store, run: RunId): Asking<string[]> {
  const lanes = yield* lanesOf(store, run);
  const said: Said = { generations: yield* generationsOf(store, run), counts: yield* countsOf(store, run) };
  return (yield* inTurn(lanes, (lane) => laneProblems(store, lane, said))).flat();
}

/** What the generations of a run say of themselves. */
interface Said {
  readonly generations: readonly GenerationRecord[];
  readonly counts: ReadonlyMap<number, readonly GenerationLane[]>;
}

function* laneProblems(store: Store, lane: LaneRecord, said: Said): Asking<string[]> {
  const problems: string[] = [];
  const name = `lane ${lane.name} of run r${lane.run}`;
  const sums: Sums = { ...EMPTY_BALANCE, batches: 0 };
  const perGeneration = new Map<number, { batches: number; sealed: number; unbatched: number }>();
  const complete = lastComplete(said.generations);
  const open = new Map<BatchState, Places>(OPEN.map((state) => [state, []]));
  yield* store.each(BATCHES_OF, [lane.id], (cells) => {
    const batch = decodeBatch(store, cells);
    open.get(batch.state)?.push([batch.id, batch.seq]);
    addBatch(batch, sums, perGeneration, problems);
  });
  yield* store.each(UNBATCHED_OF, [lane.id], (cells) => {
    const { state, generation } = decodeUnbatched(store, cells);
    generationOf(perGeneration, generation).unbatched++;
    if (generation < complete) return;
    sums.read++;
    sums[state === 'refused' ? 'refused' : 'skipped']++;
  });
  const tally = yield* readTally(store, lane.id);
  problems.push(...compareTotals(name, tally, sums));
  problems.push(...(yield* compareOpen(store, lane, open)));
  problems.push(...compareGenerations(name, lane, said, perGeneration));
  return problems;
}

function addBatch(
  b: BatchRecord,
  sums: Sums,
  perGeneration: Map<number, { batches: number; sealed: number; unbatched: number }>,
  problems: string[],
): void {
  if (b.delivered + b.refused + b.skipped + b.inDoubt + b.pending + b.moved !== b.records)
    problems.push(`batch b${b.id} does not balance`);
  sums.batches++;
  sums.read += b.records - b.moved;
  sums.delivered += b.delivered;
  sums.refused += b.refused;
  sums.skipped += b.skipped;
  sums.inDoubt += b.inDoubt;
  sums.pending += b.pending;
  // Children were counted when their root was sealed.
  if (b.root !== null) return;
  const generation = generationOf(perGeneration, b.generation);
  generation.batches++;
  generation.sealed += b.records;
}

function generationOf<T>(
  map: Map<number, T & { batches: number; sealed: number; unbatched: number }>,
  generation: number,
): { batches: number; sealed: number; unbatched: number } {
  const found = map.get(generation);
  if (found !== undefined) return found;
  const fresh = { batches: 0, sealed: 0, unbatched: 0 } as T & { batches: number; sealed: number; unbatched: number };
  map.set(generation, fresh);
  return fresh;
}

function compareTotals(name: string, tally: Tally, sums: Sums): string[] {
  const problems = balances(tally) ? [] : [`the totals of ${name} do not balance`];
  for (const key of ['batches', ...Object.keys(balanceOf(tally))] as (keyof Sums)[]) {
    if (tally[key] !== sums[key])
      problems.push(`${name}: ${key} is ${tally[key]} in the totals, ${sums[key]} by its batches`);
  }
  return problems;
}

/** Those that are to be sent or settled. */
const OPEN: readonly BatchState[] = ['sealed', 'sending', 'in-doubt'];
// As shards are claimed: an entry of the index that is damaged may come up in one way of asking and not in another.
const FIRST_OPEN = 'SELECT min(seq) FROM batch WHERE state = ? AND lane = ? AND seq > ? AND state <> 4';
const OPEN_IN =
  'SELECT id, seq FROM batch WHERE state = ? AND lane = ? AND seq BETWEEN ? AND ? AND state <> 4 ORDER BY seq';

/** What the index of open batches loses sight of would never be sent, and the run would wait for it for ever. */
function* compareOpen(store: Store, { id, name, run }: LaneRecord, open: Map<BatchState, Places>): Asking<string[]> {
  const problems: string[] = [];
  for (const [state, there] of open) {
    const code = toCode(BATCH_STATE, state);
    for (let from = 0; from < there.length; ) {
      const before = Math.floor((there[from]![1] - 1) / SHARD_BATCHES) * SHARD_BATCHES;
      const end = there.findIndex(([, seq], nth) => nth > from && seq > before + SHARD_BATCHES);
      const shard = there.slice(from, end === -1 ? there.length : end);
      const first = yield* store.scalar(FIRST_OPEN, code, id, before);
      const found = yield* store.plain(OPEN_IN, code, id, before + 1, before + SHARD_BATCHES);
      if (first !== shard[0]![1] || found.join() !== shard.join())
        problems.push(
          `lane ${name} of run r${run}: of ${there.length} batches that are ${state}, not all are found so`,
        );
      from += shard.length;
    }
  }
  return problems;
}

function compareGenerations(
  name: string,
  lane: LaneRecord,
  { generations, counts }: Said,
  found: Map<number, { batches: number; sealed: number; unbatched: number }>,
): string[] {
  const problems: string[] = [];
  for (const { generation, state } of generations) {
    const said = counts.get(generation)?.find((one) => one.lane === lane.id);
    const is = found.get(generation) ?? { batches: 0, sealed: 0, unbatched: 0 };
    found.delete(generation);
    const expected = state === 'abandoned' || said === undefined ? { batches: 0, sealed: 0, unbatched: 0 } : said;
    for (const key of ['batches', 'sealed', 'unbatched'] as const) {
      if (expected[key] !== is[key])
        problems.push(`${name}, generation ${generation}: ${expected[key]} ${key}, ${is[key]} are there`);
    }
  }
  for (const generation of found.keys())
    problems.push(`${name} has batches of generation ${generation}, which does not exist`);
  return problems;
}
