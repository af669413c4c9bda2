import { NO_FACTS } from '../../strategies/strategy.ts';
import { CrashPlan } from '../faults/crash.ts';
import { expect, fail } from './expect.ts';
import { LOSSES, type Loss } from './sink-subject.ts';
import type { LossAsk } from './strategy-faults.ts';
import type { Load, StrategySubject } from './strategy-subject.ts';
import { StrategyWorld } from './strategy-world.ts';
import type { Suite, SuiteCase } from './suite.ts';

const TIMEOUT_MS = 120_000;
/** More boundaries or calls than this in one small load, and something goes round in circles. */
const STEPS_MAX = 2_000;

/**
 * What every strategy has to do, over a sink that it fits: whatever happens to the processes that run it and to the
 * answers that it gets, the place comes to hold what its model says. Runs the real engine with a real ledger, in
 * virtual time.
 */
export function strategySuite(subject: StrategySubject): Suite {
  const make = (title: string, run: (subject: StrategySubject) => Promise<void>): SuiteCase => ({
    title,
    proves: [subject.strategy.name],
    timeoutMs: TIMEOUT_MS,
    run: () => run(subject),
  });
  return {
    name: `${subject.name}, by ${subject.strategy.name}`,
    claims: [subject.strategy.name],
    cases: [
      make('fits the sink, and refuses one that can do nothing', fitsIt),
      make('gives the same after one start, two and ten', runsAgain),
      make('gives what its model says in whatever order the windows are run', runsInAnyOrder),
      make('gives what its model says when an earlier window is started again', startsEarlierAgain),
      ...(subject.model.corrected === undefined
        ? []
        : [
            make('gives what its model says when a window is read again with other rows', readsAgain),
            make('goes on after a process that died while it read a window again', diesReadingAgain),
          ]),
      make('goes on after a process that died at any of its effects', diesAnywhere),
      ...LOSSES.map((loss) => make(LOSS_TITLES[loss], (one) => losesEachCall(one, { loss }))),
      make('finds out when an answer is lost twice in a row', (one) =>
        losesEachCall(one, { loss: 'lost-reply', row: 2 }),
      ),
      make('goes on after a process whose request arrives when it is dead', (one) =>
        losesEachCall(one, { loss: 'applied-late', dies: true }),
      ),
    ],
  };
}

const LOSS_TITLES: Readonly<Record<Loss, string>> = {
  'lost-request': 'makes good each request that never arrives',
  'lost-reply': 'finds out each answer that is lost',
  'half-applied': 'makes whole each batch that is applied by half',
  'applied-late': 'finds out each batch that is applied late',
};

async function fitsIt(subject: StrategySubject): Promise<void> {
  await StrategyWorld.use(subject, async ({ place, ports }) => {
    const sink = place.sink(ports);
    const fit = subject.strategy.fit(sink, subject.lane?.facts ?? NO_FACTS);
    const bare = subject.strategy.fit({ ...sink, can: {}, facts: {} }, subject.lane?.facts ?? NO_FACTS);
    await sink.close?.();
    if (!fit.fits) fail(`the strategy does not fit the sink: ${fit.reason}`);
    expect(fit.guarantee.promise, 'what it promises, in words').not.toBe('');
    if (bare.fits) fail('the strategy promises something on a sink without abilities');
    expect(bare.reason, 'why it does not fit').not.toBe('');
  });
}

async function runsAgain(subject: StrategySubject): Promise<void> {
  const { loads } = subject.model;
  expect(loads.length, 'loads; a model has at least three').toBeGreaterThan(2);
  await StrategyWorld.use(subject, async (world) => {
    const runs: Load[] = [];
    for (let times = 1; times <= 10; times++) {
      for (const load of loads) {
        await world.finish(load);
        runs.push(load);
      }
      if ([1, 2, 10].includes(times)) await world.judge(runs, `after ${times} starts of each window`);
    }
  });
}

async function runsInAnyOrder(subject: StrategySubject): Promise<void> {
  for (const runs of permutations(subject.model.loads)) {
    await StrategyWorld.use(subject, async (world) => {
      for (const load of runs) await world.finish(load);
      await world.judge(runs, `in the order ${runs.map(({ window }) => window.name).join(', ')}`);
    });
  }
}

async function startsEarlierAgain(subject: StrategySubject): Promise<void> {
  const { loads } = subject.model;
  await StrategyWorld.use(subject, async (world) => {
    const runs = [...loads, loads[0]!];
    for (const load of runs) await world.finish(load);
    await world.judge(runs, 'after the first window was started again');
  });
}

async function readsAgain(subject: StrategySubject): Promise<void> {
  const { loads, corrected = [] } = subject.model;
  await StrategyWorld.use(subject, async (world) => {
    const runs = [...loads];
    for (const load of loads) await world.finish(load);
    for (const load of corrected) {
      await world.start(load, { refresh: true });
      await world.finish(load);
      runs.push(load);
      await world.judge(runs, `after ${load.window.name} was read again`);
    }
  });
}

/**
 * Somebody who reads a window again asks for it again when the process has died. Reading and sealing are the same as
 * the first time: what is tried are the boundaries of the sink, and of what the books say of loads and generations.
 */
async function diesReadingAgain(subject: StrategySubject): Promise<void> {
  const counted = new CrashPlan(Number.POSITIVE_INFINITY);
  await readsAgainDying(subject, counted);
  const places = counted.names.flatMap((name, at) => (/sink\.|Load|Generation/.test(name) ? [at + 1] : []));
  expect(places.length, 'boundaries of one load').toBeGreaterThan(5);
  for (const at of places) await readsAgainDying(subject, new CrashPlan(at));
}

async function readsAgainDying({ model, ...subject }: StrategySubject, plan: CrashPlan): Promise<void> {
  const again = model.corrected![0]!;
  // That window and later ones, which a strategy that goes back in time takes out.
  const loads = model.loads.slice(model.loads.findIndex(({ window }) => window.name === again.window.name));
  await StrategyWorld.use({ ...subject, model }, async (world) => {
    for (const load of loads) await world.finish(load);
    await world.start(again, { plan, refresh: true });
    const where = `died ${plan.where}, reading ${again.window.name} again`;
    await world.glance(loads, again, where);
    await world.start(again, { refresh: true });
    await world.finish(again);
    await world.judge([...loads, again], where);
  });
}

/** The second load meets the fault: what the first has left must outlive it. */
async function diesAnywhere(subject: StrategySubject): Promise<void> {
  const [first, second] = subject.model.loads as [Load, Load];
  for (let at = 1; at <= STEPS_MAX; at++) {
    const died = await StrategyWorld.use(subject, async (world) => {
      await world.finish(first);
      const plan = new CrashPlan(at);
      const { summary } = await world.start(second, { plan });
      const where = `died ${plan.where} (${at})`;
      await world.glance([first], second, where);
      await world.finish(second);
      await world.judge([first, second], where);
      return summary === 'died';
    });
    if (!died) return expect(at, 'boundaries of one load').toBeGreaterThan(20);
  }
  fail(`a load has more than ${STEPS_MAX} boundaries`);
}

interface LossStory {
  readonly loss: Loss;
  readonly dies?: boolean;
  /** How many calls, one after the other, go wrong. */
  readonly row?: number;
}

async function losesEachCall(subject: StrategySubject, { loss, dies = false, row = 1 }: LossStory): Promise<void> {
  const [first, second] = subject.model.loads as [Load, Load];
  for (let call = 1; call <= STEPS_MAX; call++) {
    const calls = Array.from({ length: row }, (_, nth) => call + nth);
    const made = await StrategyWorld.use(subject, async (world) => {
      await world.finish(first);
      const ask: LossAsk = { calls, loss, dies };
      const started = await world.start(second, { loss: ask });
      const where = `${loss} at call ${calls.join(' and ')} of the sink${dies ? ', and the process died' : ''}`;
      await world.glance([first], second, where);
      await world.finish(second);
      await world.judge([first, second], where);
      return started.calls;
    });
    if (made < call) return expect(call, 'calls of the sink in one load').toBeGreaterThan(1);
  }
  fail(`a load has more than ${STEPS_MAX} calls of the sink`);
}

function permutations<T>(all: readonly T[]): readonly (readonly T[])[] {
  if (all.length <= 1) return [all];
  return all.flatMap((one, at) =>
    permutations([...all.slice(0, at), ...all.slice(at + 1)]).map((rest) => [one, ...rest]),
  );
}
