import type { Sink } from '../../connectors/connector.ts';
import type { Job, LaneJob } from '../../engine/engine.ts';
import type { DataRecord } from '../../model/chunk.ts';
import type { Ports } from '../../model/ports.ts';
import type { Window } from '../../model/window.ts';
import type { Strategy } from '../../strategies/strategy.ts';

/** What the source holds for one window. */
export interface Load {
  readonly window: Window;
  readonly rows: readonly DataRecord[];
}

/** What a strategy promises, as a function of what was run: small enough to be seen to be right. */
export interface StrategyModel {
  /** Fields that make up the key of a record; null where content stands for one, and then nothing may stay in doubt. */
  readonly key: readonly string[] | null;
  /** The source, in the order of time: at least three windows of a few rows each, so that every order can be tried. */
  readonly loads: readonly Load[];
  /**
   * What the place holds when these loads have been run to their end, in this order; one that comes again was started
   * again. Any order of the records will do.
   */
  expected(runs: readonly Load[]): readonly DataRecord[];
  /**
   * Of the loads that were run, those that a later one has taken out again: nothing of them is there, and they have to
   * be run again. None when absent.
   */
  undone?(runs: readonly Load[]): readonly Load[];
  /** What may be seen before `load` is there, beside what was there before it: where a sink needs two steps. */
  between?(runs: readonly Load[], load: Load): readonly DataRecord[];
  /**
   * Windows of `loads` with other rows: each is read again after all were run, in this order, as a backfill does it.
   * What `expected` and `undone` are told then are loads of the same window that are not the same.
   */
  readonly corrected?: readonly Load[];
  /** `loads`: whoever looks, at any moment, sees a load whole or not at all. `records`: records come in one by one. */
  readonly visible: 'records' | 'loads';
}

/** A strategy over a sink that has the abilities it needs. */
export interface StrategySubject {
  readonly name: string;
  readonly strategy: Strategy;
  readonly model: StrategyModel;
  /** Called for each story: an empty place. */
  open(): StrategyPlace | Promise<StrategyPlace>;
  /** What the lane and the job need beside what the suite gives them: settings of the strategy, a mapping. */
  readonly lane?: Partial<LaneJob>;
  readonly job?: Partial<Pick<Job, 'deliver' | 'parameters'>>;
}

/** Where the records go to. It outlives the processes that write there. */
export interface StrategyPlace {
  /** Opens it as a process does that has just started. Closed by the suite. */
  sink(ports: Ports): Sink;
  /** What a reader sees. */
  held(): Promise<readonly DataRecord[]>;
  close?(): Promise<void> | void;
}

const day = (date: number): Window => ({
  name: `2026-11-${date}`,
  start: `2026-11-${date}T00:00:00Z`,
  end: `2026-11-${date + 1}T00:00:00Z`,
});

/** Three days of rows; some ids come on two of them, with other content. */
export const THREE_DAYS: readonly Load[] = [
  { window: day(16), ids: [1, 2, 3, 4, 5] },
  { window: day(17), ids: [4, 5, 6, 7, 8] },
  { window: day(18), ids: [2, 7, 9] },
].map(({ window, ids }) => ({ window, rows: ids.map((id) => ({ id, day: window.name })) }));

/** For strategies that add: each record of each window is there once, however often and in whatever order they ran. */
export const eachOnce: StrategyModel = {
  key: ['id'],
  loads: THREE_DAYS,
  visible: 'records',
  expected: (runs) => firstStarts(runs).flatMap(({ rows }) => rows),
};

/** For strategies that write by key: of each key there is what was sent last. What is done is not sent again. */
export const lastOfEachKey: StrategyModel = {
  key: ['id'],
  loads: THREE_DAYS,
  visible: 'records',
  expected: (runs) => [
    ...new Map(firstStarts(runs).flatMap(({ rows }) => rows.map((row) => [row.id, row] as const))).values(),
  ],
};

/** The first two days as they should have been: a row less, one with other content, a new one. */
export const CORRECTED: readonly Load[] = [
  { window: day(17), old: [4, 6, 8], late: 12 },
  { window: day(16), old: [1, 3, 5], late: 11 },
].map(({ window, old, late }) => ({
  window,
  rows: [...old.map((id) => ({ id, day: window.name })), { id: late, day: window.name, note: 'forgotten' }],
}));

/** For strategies that add a whole load in one step. */
export const eachLoadOnce: StrategyModel = { ...eachOnce, visible: 'loads' };

/** For strategies that replace what the same window had brought, and leave that of others alone. */
export const lastOfEachWindow: StrategyModel = {
  ...eachLoadOnce,
  corrected: CORRECTED,
  expected: (runs) => newestOfEachWindow(runs).flatMap(({ rows }) => rows),
};

/** For strategies that merge by key, without a memory of what was there before. */
export const mergedInTurn: StrategyModel = { ...lastOfEachKey, visible: 'loads', corrected: CORRECTED };

/** Three days in which some rows are deletions, of what is there and of what was never there. */
export const DAYS_WITH_DELETIONS: readonly Load[] = THREE_DAYS.map(({ window, rows }, at) => {
  const gone = [[5, 99], [4, 1], [9]][at]!;
  const deletions = gone.map((id) => ({ id, day: window.name, gone: true }));
  const kept = rows.filter(({ id }) => !gone.includes(id as number));
  return { window, rows: [...kept.map((row) => ({ ...row, gone: false })), ...deletions] };
});

/** For strategies that merge by key and remove what is flagged as `gone`. */
export const mergedWithDeletions: StrategyModel = {
  key: ['id'],
  loads: DAYS_WITH_DELETIONS,
  visible: 'loads',
  expected: (runs) => mergedRows(firstStarts(runs)),
};

/**
 * For strategies that go back in time: a window that is run finds what windows before it have left behind. What later
 * ones had brought is gone until they are run again.
 */
export const mergedInTime: StrategyModel = {
  ...mergedWithDeletions,
  corrected: CORRECTED.map((load) => ({ ...load, rows: load.rows.map((row) => ({ ...row, gone: false })) })),
  expected: (runs) => mergedRows(inTime(runs)),
  undone: (runs) => newestOfEachWindow(runs).filter((load) => !inTime(runs).includes(load)),
};

/** The same where going back and merging are two steps of the sink. */
export const mergedInTwoSteps: StrategyModel = {
  ...mergedInTime,
  between: (runs, load) => mergedRows(inTime([...runs, load]).filter((one) => one !== load)),
};

/** For strategies whose newest load is all that is shown. */
export const newestLoad: StrategyModel = {
  key: ['id'],
  loads: THREE_DAYS,
  corrected: CORRECTED,
  visible: 'loads',
  expected: (runs) => firstStarts(runs).at(-1)?.rows ?? [],
};

function mergedRows(loads: readonly Load[]): readonly DataRecord[] {
  const byKey = new Map<unknown, DataRecord>();
  for (const row of loads.flatMap(({ rows }) => rows)) {
    if (row.gone === true) byKey.delete(row.id);
    else byKey.set(row.id, row);
  }
  return [...byKey.values()];
}

/** The loads that are there in the end, in the order of time. */
function inTime(runs: readonly Load[]): readonly Load[] {
  const startMs = ({ window }: Load): number => Date.parse(window.start ?? '');
  return runs.reduce<readonly Load[]>(
    (there, run) => (there.includes(run) ? there : [...there.filter((one) => startMs(one) < startMs(run)), run]),
    [],
  );
}

/** Of loads of one window, the one that was run last. */
export const newestOfEachWindow = (runs: readonly Load[]): readonly Load[] => [
  ...new Map(runs.map((load) => [load.window.name, load])).values(),
];

const firstStarts = (runs: readonly Load[]): readonly Load[] => [...new Set(runs)];
