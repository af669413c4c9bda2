import type { Rung } from '../../model/guarantee.ts';
import type { Violation } from './book.ts';
import type { StoredCase } from './case-file.ts';
import type { Swarm } from './faults.ts';
import { LedgerBench } from './ledger-bench.ts';
import type { LoadScenario, LoadStrategy } from './load-scenario.ts';
import type { PullScenario } from './pull-scenario.ts';
import { drawScenario, type Scenario } from './scenario.ts';
import { type Case, replay, runSchedule, type ScheduleResult } from './schedule.ts';
import { shrink } from './shrink.ts';
import { Tape } from './tape.ts';
import { addSchedule, noTotals, type Totals } from './totals.ts';

export { writeCase } from './case-file.ts';
export { INVARIANTS } from './invariants/all.ts';
export { missingMarks } from './marks.ts';
export { addTotals, noTotals } from './totals.ts';

/**
 * Only schedules of these classes, with these settings on top of what was drawn. Without `strategies` those about loads
 * are left out, without `pulls` those about pulls; with it, all others are.
 */
export interface Focus {
  readonly rungs?: readonly Rung[];
  readonly strategies?: readonly LoadStrategy[];
  readonly load?: Partial<LoadScenario>;
  readonly pulls?: boolean;
  readonly pull?: Partial<PullScenario>;
  readonly swarm?: Swarm;
  readonly change?: Partial<Scenario>;
}

export interface CampaignAsk {
  /** A folder of its own, on a disk in memory if there is one. */
  readonly folder: string;
  readonly seed: number;
  /** Seeds are `seed`, `seed + step`, … so that several workers share a range. */
  readonly step: number;
  readonly schedulesMax: number;
  readonly focus?: Focus;
  /** Asked after each schedule. */
  over(): boolean;
  /** Called now and then with all that was done so far. */
  progress?(totals: Totals): void;
  /** Called when a schedule broke something, before it is made small, which may take minutes. */
  found?(seed: number, violation: Violation): void;
  /** Every how many schedules one is run twice; 100 when absent. */
  readonly replayEvery?: number;
  /** Events that making a failing schedule small may cost; a million and a half when absent. */
  readonly shrinkEvents?: number;
}

export interface CampaignResult {
  readonly totals: Totals;
  /** The seed to go on with. */
  readonly next: number;
  /** The first case that broke something, made small. */
  readonly failed?: StoredCase & { readonly seed: number };
}

const PROGRESS_EVERY = 50;

/** Runs fresh schedules until it is told to end, or until one breaks something. */
export async function runCampaign(ask: CampaignAsk): Promise<CampaignResult> {
  const bench = new LedgerBench(ask.folder);
  const totals = noTotals();
  const stray = new StrayErrors();
  try {
    let nth = 0;
    const next = (): number => (ask.seed + nth * ask.step) >>> 0;
    for (; totals.schedules < ask.schedulesMax && !ask.over(); nth++) {
      const seed = next();
      const scenario = focused(drawScenario(seed), ask.focus);
      if (scenario === undefined) continue;
      const result = await runSchedule(scenario, Tape.ofSeed(seed), bench);
      addSchedule(totals, result, classOf(scenario));
      const again = totals.schedules % (ask.replayEvery ?? 100) === 1;
      const violations = [
        ...result.violations,
        ...stray.taken(),
        ...(again ? await replayed(scenario, result, bench) : []),
      ];
      if (again) totals.replayed++;
      const [first] = violations;
      if (first !== undefined) {
        ask.found?.(seed, first);
        const tape = result.tape;
        return { totals, next: next(), failed: { seed, ...(await madeSmall({ scenario, tape }, first, bench, ask)) } };
      }
      if (nth % PROGRESS_EVERY === PROGRESS_EVERY - 1) ask.progress?.(totals);
    }
    return { totals, next: next() };
  } finally {
    stray.close();
    bench.close();
  }
}

const classOf = ({ load, pull, rung }: Scenario): string =>
  load?.strategy ?? (pull === undefined ? rung : `pull, ${pull.merge}`);

function focused(drawn: Scenario, focus: Focus | undefined): Scenario | undefined {
  if (focus === undefined) return drawn;
  const load = drawn.load === undefined ? undefined : { ...drawn.load, ...focus.load };
  const pull = drawn.pull === undefined ? undefined : { ...drawn.pull, ...focus.pull };
  const fits =
    load === undefined
      ? focus.strategies === undefined && focus.rungs?.includes(drawn.rung) !== false
      : focus.strategies?.includes(load.strategy) === true;
  if (!fits || (pull !== undefined) !== (focus.pulls === true)) return undefined;
  const swarm = { ...drawn.swarm, ...focus.swarm };
  return {
    ...drawn,
    ...focus.change,
    ...(load === undefined ? {} : { load }),
    ...(pull === undefined ? {} : { pull }),
    swarm,
  };
}

/** The same case a second time: the same trace, or something came in that is not on the tape. */
async function replayed(scenario: Case['scenario'], first: ScheduleResult, bench: LedgerBench): Promise<Violation[]> {
  const second = await replay({ scenario, tape: first.tape }, bench);
  if (second.hash === first.hash) return [];
  return [{ invariant: 'determinism', what: `two runs of one tape have the traces ${first.hash} and ${second.hash}` }];
}

async function madeSmall(
  failing: Case,
  violation: Violation,
  bench: LedgerBench,
  ask: CampaignAsk,
): Promise<StoredCase> {
  const { invariant } = violation;
  const small = await shrink(failing, bench, { invariant, eventsMax: ask.shrinkEvents ?? 1_500_000 });
  const last = await replay(small, bench);
  const what = last.violations.find((one) => one.invariant === invariant)?.what ?? violation.what;
  // Where in the code it was seen is printed, not kept: a path of this machine, and of this day's code.
  const [said = what] = what.split('\n');
  return { broke: invariant, what: said, hash: last.hash, ...small };
}

/** Promises that were rejected and that nobody heard: in a real process they would end it. */
class StrayErrors {
  readonly #heard: Violation[] = [];
  readonly #hear = (error: unknown): void => {
    const what = error instanceof Error ? (error.stack ?? error.message) : String(error);
    this.#heard.push({ invariant: 'stray', what: `a promise was rejected and nobody heard: ${what}` });
  };

  constructor() {
    process.on('unhandledRejection', this.#hear);
  }

  taken(): Violation[] {
    return this.#heard.splice(0);
  }

  close(): void {
    process.off('unhandledRejection', this.#hear);
  }
}
