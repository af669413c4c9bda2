import type { Violation } from './book.ts';
import { judge } from './judge.ts';
import type { LedgerBench } from './ledger-bench.ts';
import { Machine } from './machine.ts';
import { Operator } from './operator.ts';
import { Reader } from './reader.ts';
import type { Scenario } from './scenario.ts';
import { Supervisor } from './supervisor.ts';
import { Tape } from './tape.ts';
import { swarmWatcher } from './watcher.ts';
import { World } from './world.ts';

/** A schedule that can be run again: what it is about, and every choice that was made in it. */
export interface Case {
  readonly scenario: Scenario;
  readonly tape: readonly number[];
}

export interface ScheduleResult {
  readonly hash: string;
  readonly violations: readonly Violation[];
  readonly tape: readonly number[];
  readonly kills: number;
  readonly virtualMs: number;
  readonly events: number;
  readonly boundaries: number;
  readonly faults: ReadonlyMap<string, number>;
  readonly marks: ReadonlyMap<string, number>;
  readonly checks: ReadonlyMap<string, number>;
  readonly timeline: readonly string[];
}

export interface ScheduleOptions {
  readonly keepTimeline?: boolean;
  /** Instead of the swarm's blows. */
  readonly watcher?: NonNullable<World['watcher']>;
}

/** After the faults have stopped, everything has to be done or listed within this. */
export const LIVENESS_MS = 24 * 3_600_000;

/** Runs one schedule from an empty ledger to the verdict. Nothing of it is left afterwards. */
export async function runSchedule(
  scenario: Scenario,
  tape: Tape,
  bench: LedgerBench,
  options: ScheduleOptions = {},
): Promise<ScheduleResult> {
  const world = new World(tape, scenario.swarm, { keepTimeline: options.keepTimeline ?? false });
  const machine = new Machine(world, scenario, bench);
  world.watcher = options.watcher ?? swarmWatcher(world, scenario);
  const supervisor = new Supervisor(machine);
  const operator = new Operator(machine, supervisor);
  try {
    supervisor.begin();
    operator.begin();
    new Reader(machine).begin();
    const calmAtMs = await untilCalm(world, scenario, supervisor, operator);
    // An order that is being carried out may give the supervisor something to do.
    const done = (): boolean => supervisor.idle && !machine.living().some(({ name }) => name.startsWith('person'));
    const over = (): boolean => done() || supervisor.hopeless || world.nowMs > calmAtMs + LIVENESS_MS;
    const how = await world.run(over);
    await judge(machine, supervisor, { how, calmAtMs });
    return resultOf(machine);
  } finally {
    for (const process of machine.living()) machine.end(process);
    bench.reset();
  }
}

/** Faults happen for a while, or until nobody has anything left to do; then they stop. */
async function untilCalm(
  world: World,
  scenario: Scenario,
  supervisor: Supervisor,
  operator: Operator,
): Promise<number> {
  await world.run(() => world.nowMs >= scenario.faultyMs || (supervisor.idle && operator.idle));
  world.faulty = false;
  world.tell('world', 'the faults stop');
  operator.mend();
  supervisor.calmDown();
  return world.nowMs;
}

function resultOf({ world, book, kills }: Machine): ScheduleResult {
  return {
    hash: world.hash,
    violations: book.violations,
    tape: world.tape.drawn,
    kills,
    virtualMs: world.nowMs,
    events: world.events,
    boundaries: world.boundaries,
    faults: world.faults,
    marks: world.marks,
    checks: book.checks,
    timeline: world.timeline ?? [],
  };
}

export const replay = (one: Case, bench: LedgerBench, options: ScheduleOptions = {}): Promise<ScheduleResult> =>
  runSchedule(one.scenario, Tape.of(one.tape), bench, options);
