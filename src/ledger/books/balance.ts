import type { RunId } from '../../model/ids.ts';
import { type Balance, balances, EMPTY_BALANCE } from '../../model/states.ts';
import { type Asking, inTurn, query, type Store } from './store.ts';
import { BATCH, type BatchRecord, decodeBatch } from './tables/batches.ts';
import { completeGeneration, generationLanes, generationsOf } from './tables/generations.ts';
import { balanceOf, type LaneRecord, lanesOf, readTally, type Tally } from './tables/lanes.ts';
import { decodeUnbatched, UNBATCHED } from './tables/members.ts';

const BATCHES_OF = query(BATCH, 'WHERE lane = ? ORDER BY id');
const UNBATCHED_OF = query(UNBATCHED, 'WHERE lane = ?');

type Sums = { -readonly [K in keyof Balance]: number } & { batches: number };

/**
 * Adds up a run from its single rows and holds that against its totals and against what its generations say was
 * sealed. One line for each thing that does not agree.
 */
export function* balanceProblems(store: Store, run: RunId): Asking<string[]> {
  const lanes = yield* lanesOf(store, run);
  return (yield* inTurn(lanes, (lane) => laneProblems(store, run, lane))).flat();
}

function* laneProblems(store: Store, run: RunId, lane: LaneRecord): Asking<string[]> {
  const problems: string[] = [];
  const name = `lane ${lane.name} of run r${run}`;
  const sums: Sums = { ...EMPTY_BALANCE, batches: 0 };
  const perGeneration = new Map<number, { batches: number; sealed: number; unbatched: number }>();
  const complete = yield* completeGeneration(store, run);
  yield* store.each(BATCHES_OF, [lane.id], (cells) =>
    addBatch(decodeBatch(store, cells), sums, perGeneration, problems),
  );
  yield* store.each(UNBATCHED_OF, [lane.id], (cells) => {
    const { state, generation } = decodeUnbatched(store, cells);
    generationOf(perGeneration, generation).unbatched++;
    if (generation < complete) return;
    sums.read++;
    sums[state === 'refused' ? 'refused' : 'skipped']++;
  });
  const tally = yield* readTally(store, lane.id);
  problems.push(...compareTotals(name, tally, sums));
  problems.push(...(yield* compareGenerations(store, run, lane, perGeneration)));
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

function* compareGenerations(
  store: Store,
  run: RunId,
  lane: LaneRecord,
  found: Map<number, { batches: number; sealed: number; unbatched: number }>,
): Asking<string[]> {
  const problems: string[] = [];
  for (const { generation, state } of yield* generationsOf(store, run)) {
    const said = (yield* generationLanes(store, run, generation)).find((one) => one.lane === lane.id);
    const is = found.get(generation) ?? { batches: 0, sealed: 0, unbatched: 0 };
    found.delete(generation);
    const expected = state === 'abandoned' || said === undefined ? { batches: 0, sealed: 0, unbatched: 0 } : said;
    for (const key of ['batches', 'sealed', 'unbatched'] as const) {
      if (expected[key] !== is[key])
        problems.push(
          `lane ${lane.name} of run r${run}, generation ${generation}: ${expected[key]} ${key}, ${is[key]} are there`,
        );
    }
  }
  for (const generation of found.keys())
    problems.push(`lane ${lane.name} of run r${run} has batches of generation ${generation}, which does not exist`);
  return problems;
}
