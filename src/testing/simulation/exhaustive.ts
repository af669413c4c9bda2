import { RUNGS, type Rung } from '../../model/guarantee.ts';
import type { Violation } from './book.ts';
import { LedgerBench } from './ledger-bench.ts';
import type { LoadScenario } from './load-scenario.ts';
import type { PullScenario } from './pull-scenario.ts';
import type { Scenario } from './scenario.ts';
import { runSchedule, type ScheduleResult } from './schedule.ts';
import { Tape } from './tape.ts';
import { plannedWatcher } from './watcher.ts';
import type { Blow } from './world.ts';

export const BLOWS: readonly Blow[] = ['kill', 'power-cut', 'pause'];
const UNKEPT = 'bytes in memory alone';
/**
 * Subjects for which every pair of boundaries is tried as well: one that cannot ask, one that can, and one where the
 * second start has to find out what became of the first before it does anything else.
 */
export const PAIRED: readonly string[] = ['none', 'look', UNKEPT];
/** A small schedule has some fifty boundaries; one that never ends has a fault of its own. */
const BOUNDARIES_MAX = 2_000;

/** What is struck at: a strategy over a class of sink. */
export interface Subject {
  readonly strategy: string;
  /** Tells apart the subjects of one strategy. */
  readonly name: string;
  readonly rung: Rung;
  readonly load?: LoadScenario;
  readonly pull?: PullScenario;
  readonly unkept?: true;
}

const PLAIN_LOAD: Omit<LoadScenario, 'strategy'> = {
  past: 'history',
  deletions: 'remove',
  latestBy: false,
  scope: 'window',
  period: 'month',
  keep: null,
  onRefused: 'hold',
  addedBy: 'marker',
  readAgain: 0,
};

const loading = (strategy: LoadScenario['strategy'], more: Partial<LoadScenario> = {}): Subject => ({
  strategy,
  name: [strategy, ...Object.values(more)].join(', '),
  rung: 'marker',
  load: { ...PLAIN_LOAD, strategy, ...more },
});

const pulling = (merge: PullScenario['merge']): Subject => ({
  strategy: 'ledgered-append',
  name: `pull, ${merge}`,
  rung: 'marker',
  pull: { merge },
});

/**
 * Every strategy; the one that sends record by record for each class of sink, the one that goes back in both ways;
 * pulls.
 */
export const SUBJECTS: readonly Subject[] = [
  ...RUNGS.map((rung) => ({ strategy: rung === 'put' ? 'keyed' : 'ledgered-append', name: rung, rung })),
  { strategy: 'ledgered-append', name: UNKEPT, rung: 'marker', unkept: true },
  loading('transactional-writer'),
  loading('data-overwrite'),
  loading('merger'),
  loading('stateful-merger'),
  loading('stateful-merger', { past: 'versions' }),
  loading('metadata-cleaner'),
  loading('proxy'),
  pulling('as they are'),
  pulling('upsert-stream'),
];

/**
 * Two batches of three records each; nothing goes wrong but what is planned. With loads: two windows of two batches
 * each, and the first of them once more when both are done. With pulls: two of them.
 */
export function smallScenario(
  { rung, load, pull, unkept }: Pick<Subject, 'rung' | 'load' | 'pull' | 'unkept'>,
  deliver: Scenario['deliver'],
): Scenario {
  if (load !== undefined) return smallLoads(load, deliver);
  const small = smallRecords(rung, deliver);
  if (unkept === true) return { ...small, unkept };
  return pull === undefined ? small : { ...small, pull, rows: 4, chunkRecords: 2, windows: 2 };
}

function smallLoads(load: LoadScenario, deliver: Scenario['deliver']): Scenario {
  return { ...smallRecords('marker', deliver), load, rows: 3, recordsPerBatch: 2, windows: 2 };
}

function smallRecords(rung: Rung, deliver: Scenario['deliver']): Scenario {
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
  readonly strategy: string;
  readonly name: string;
  readonly deliver: Scenario['deliver'];
  readonly blow: Blow;
  readonly depth: 1 | 2;
  readonly runs: number;
  readonly violations: readonly (Violation & { readonly at: readonly number[] })[];
}

/** Strikes at every effect boundary in turn, until a schedule ends without having been struck. */
export async function everyBoundary(
  subject: Subject,
  deliver: Scenario['deliver'],
  blow: Blow,
  bench: LedgerBench,
): Promise<ExhaustiveResult> {
  const found: ExhaustiveResult['violations'][number][] = [];
  const { strategy, name } = subject;
  let runs = 0;
  for (let at = 1; at < BOUNDARIES_MAX; at++) {
    const { result, struck } = await struckAt([at], subject, { deliver, blow }, bench);
    if (struck === 0) break;
    runs++;
    for (const violation of result.violations) found.push({ ...violation, at: [at] });
  }
  return { strategy, name, deliver, blow, depth: 1, runs, violations: found };
}

/** Strikes at every pair: the second blow meets whoever makes good the first, at each of his boundaries. */
export async function everyPair(
  subject: Subject,
  deliver: Scenario['deliver'],
  bench: LedgerBench,
): Promise<ExhaustiveResult> {
  const found: ExhaustiveResult['violations'][number][] = [];
  const { strategy, name } = subject;
  let runs = 0;
  for (let first = 1; first < BOUNDARIES_MAX; first++) {
    for (let second = first + 1; second < BOUNDARIES_MAX; second++) {
      const at = [first, second];
      const { result, struck } = await struckAt(at, subject, { deliver, blow: 'kill' }, bench);
      if (struck === 0) return { strategy, name, deliver, blow: 'kill', depth: 2, runs, violations: found };
      runs++;
      for (const violation of result.violations) found.push({ ...violation, at });
      if (struck < 2) break;
    }
  }
  return { strategy, name, deliver, blow: 'kill', depth: 2, runs, violations: found };
}

async function struckAt(
  at: readonly number[],
  subject: Subject,
  { deliver, blow }: { deliver: Scenario['deliver']; blow: Blow },
  bench: LedgerBench,
): Promise<{ result: ScheduleResult; struck: number }> {
  const scenario = smallScenario(subject, deliver);
  const planned = plannedWatcher(at, blow, scenario.leaseMs * 2);
  const result = await runSchedule(scenario, Tape.of([]), bench, { watcher: planned.watch });
  return { result, struck: planned.struck() };
}

export interface ExhaustiveAsk {
  readonly folder: string;
  /** By name; all of them when absent. */
  readonly subjects?: readonly string[];
  readonly pairs: boolean;
  tell(result: ExhaustiveResult): void;
}

/** Every strategy and class of sink, both ways of delivering, every kind of blow; pairs for two classes. */
export async function runExhaustive(ask: ExhaustiveAsk): Promise<readonly ExhaustiveResult[]> {
  const bench = new LedgerBench(ask.folder);
  const results: ExhaustiveResult[] = [];
  const add = (result: ExhaustiveResult): void => {
    results.push(result);
    ask.tell(result);
  };
  try {
    for (const subject of SUBJECTS.filter(({ name }) => ask.subjects?.includes(name) !== false)) {
      for (const blow of BLOWS) {
        add(await everyBoundary(subject, 'after-read', blow, bench));
        add(await everyBoundary(subject, 'while-reading', blow, bench));
      }
      if (ask.pairs && PAIRED.includes(subject.name)) add(await everyPair(subject, 'after-read', bench));
    }
    return results;
  } finally {
    bench.close();
  }
}
