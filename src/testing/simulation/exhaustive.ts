import { RUNGS, type Rung } from '../../model/guarantee.ts';
import type { Violation } from './book.ts';
import { LedgerBench } from './ledger-bench.ts';
import type { Scenario } from './scenario.ts';
import { runSchedule, type ScheduleResult } from './schedule.ts';
import { Tape } from './tape.ts';
import { plannedWatcher } from './watcher.ts';
import type { Blow } from './world.ts';

export const BLOWS: readonly Blow[] = ['kill', 'power-cut', 'pause'];
/** Classes for which every pair of boundaries is tried as well: one that cannot ask, and one that can. */
export const PAIRED: readonly Rung[] = ['none', 'look'];
/** A small schedule has some fifty boundaries; one that never ends has a fault of its own. */
const BOUNDARIES_MAX = 2_000;

/** Two batches of three records each; nothing goes wrong but what is planned. */
export function smallScenario(rung: Rung, deliver: Scenario['deliver']): Scenario {
  return {
    rung,
    rows: 6,
    keyed: true,
    repeats: false,
    onDuplicate: 'report',
    chunkRecords: 4,
    resumable: true,
    recordsPerBatch: 3,
    inFlight: rung === 'position' ? 1 : 2,
    intendAhead: 0,
    deliver,
    lanes: 1,
    windows: 1,
    onDoubt: 'hold',
    onChanged: 'hold',
    leaseMs: 10_000,
    requestTimeoutMs: 1_000,
    visibilityLagMs: 0,
    keyHorizonMs: 1_000_000,
    rejectsAtomically: true,
    localLedger: true,
    provesDeath: true,
    attempts: 5,
    faultyMs: 600_000,
    // A second process is started whenever that is possible, so that whoever stalls is taken over from.
    swarm: { twin: 1_000 },
  };
}

export interface ExhaustiveResult {
  readonly rung: Rung;
  readonly deliver: Scenario['deliver'];
  readonly blow: Blow;
  readonly depth: 1 | 2;
  readonly runs: number;
  readonly violations: readonly (Violation & { readonly at: readonly number[] })[];
}

/** Strikes at every effect boundary in turn, until a schedule ends without having been struck. */
export async function everyBoundary(
  rung: Rung,
  deliver: Scenario['deliver'],
  blow: Blow,
  bench: LedgerBench,
): Promise<ExhaustiveResult> {
  const found: ExhaustiveResult['violations'][number][] = [];
  let runs = 0;
  for (let at = 1; at < BOUNDARIES_MAX; at++) {
    const { result, struck } = await struckAt([at], rung, deliver, blow, bench);
    if (struck === 0) break;
    runs++;
    for (const violation of result.violations) found.push({ ...violation, at: [at] });
  }
  return { rung, deliver, blow, depth: 1, runs, violations: found };
}

/** Strikes at every pair: the second blow meets whoever makes good the first, at each of his boundaries. */
export async function everyPair(
  rung: Rung,
  deliver: Scenario['deliver'],
  bench: LedgerBench,
): Promise<ExhaustiveResult> {
  const found: ExhaustiveResult['violations'][number][] = [];
  let runs = 0;
  for (let first = 1; first < BOUNDARIES_MAX; first++) {
    for (let second = first + 1; second < BOUNDARIES_MAX; second++) {
      const at = [first, second];
      const { result, struck } = await struckAt(at, rung, deliver, 'kill', bench);
      if (struck === 0) return { rung, deliver, blow: 'kill', depth: 2, runs, violations: found };
      runs++;
      for (const violation of result.violations) found.push({ ...violation, at });
      if (struck < 2) break;
    }
  }
  return { rung, deliver, blow: 'kill', depth: 2, runs, violations: found };
}

async function struckAt(
  at: readonly number[],
  rung: Rung,
  deliver: Scenario['deliver'],
  blow: Blow,
  bench: LedgerBench,
): Promise<{ result: ScheduleResult; struck: number }> {
  const scenario = smallScenario(rung, deliver);
  const planned = plannedWatcher(at, blow, scenario.leaseMs * 2);
  const result = await runSchedule(scenario, Tape.of([]), bench, { watcher: planned.watch });
  return { result, struck: planned.struck() };
}

export interface ExhaustiveAsk {
  readonly folder: string;
  readonly rungs?: readonly Rung[];
  readonly pairs: boolean;
  tell(result: ExhaustiveResult): void;
}

/** Every class of sink, both ways of delivering, every kind of blow; pairs for two classes. */
export async function runExhaustive(ask: ExhaustiveAsk): Promise<readonly ExhaustiveResult[]> {
  const bench = new LedgerBench(ask.folder);
  const results: ExhaustiveResult[] = [];
  const add = (result: ExhaustiveResult): void => {
    results.push(result);
    ask.tell(result);
  };
  try {
    for (const rung of ask.rungs ?? RUNGS) {
      for (const blow of BLOWS) {
        add(await everyBoundary(rung, 'after-read', blow, bench));
        add(await everyBoundary(rung, 'while-reading', blow, bench));
      }
      if (ask.pairs && PAIRED.includes(rung)) add(await everyPair(rung, 'after-read', bench));
    }
    return results;
  } finally {
    bench.close();
  }
}
