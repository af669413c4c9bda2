import type { LoadSettings } from '../../model/load.ts';
import { pullWindow, type Window } from '../../model/window.ts';
import type { FlowFacts } from '../../strategies/strategy.ts';
import { blameless, drawSwarm, type Swarm } from './faults.ts';
import type { PullScenario } from './pull-scenario.ts';
import { Tape } from './tape.ts';

/** The strategies that collect what a window brings and publish it in one step. */
export const LOADING = [
  'transactional-writer',
  'data-overwrite',
  'merger',
  'stateful-merger',
  'metadata-cleaner',
  'proxy',
] as const;
export type LoadStrategy = (typeof LOADING)[number];

/** How the lanes of a scenario publish what their windows bring; a scenario without it sends record by record. */
export interface LoadScenario {
  readonly strategy: LoadStrategy;
  /** Stateful merger: the sink keeps its own past and goes back first, or keeps every load by its time. */
  readonly past: 'versions' | 'history';
  /** Mergers: some rows say that they are gone, and are taken out or left with their mark. */
  readonly deletions: 'none' | 'remove' | 'mark';
  /** Mergers: of two rows of one key the later version counts. */
  readonly latestBy: boolean;
  /** Data overwrite: the rows of the window, or those of a value that all windows share. */
  readonly scope: 'window' | 'value';
  readonly period: 'day' | 'month';
  /** Proxy: how many earlier loads stay readable. */
  readonly keep: number | null;
  readonly onRefused: 'hold' | 'publish';
  /** How the place of a load tells a repeated batch: by a marker, or since it writes what is there. */
  readonly addedBy: 'marker' | 'put';
  /** Which window, counted from 0, is read again when all of them are done. */
  readonly readAgain: number | null;
}

/** Two days in one month and one in the next. */
const DAYS: readonly Window[] = [
  { name: '2026-11-29', start: '2026-11-29T00:00:00Z', end: '2026-11-30T00:00:00Z' },
  { name: '2026-11-30', start: '2026-11-30T00:00:00Z', end: '2026-12-01T00:00:00Z' },
  { name: '2026-12-01', start: '2026-12-01T00:00:00Z', end: '2026-12-02T00:00:00Z' },
];

export function windowsOf({
  load,
  pull,
  windows,
}: {
  readonly load?: LoadScenario;
  readonly pull?: PullScenario;
  readonly windows: number;
}): readonly Window[] {
  if (load !== undefined) return DAYS.slice(0, windows);
  if (pull !== undefined) return Array.from({ length: windows }, (_, nth) => pullWindow(nth + 1));
  return ['w1', 'w2'].slice(0, windows).map((name) => ({ name }));
}

/** Whether a later window may only begin when the earlier ones are done, as a backfill has it. */
export const windowsInOrder = ({ strategy, scope }: LoadScenario): boolean =>
  strategy !== 'transactional-writer' && !(strategy === 'data-overwrite' && scope === 'window');

export const merges = ({ strategy }: LoadScenario): boolean => strategy === 'merger' || strategy === 'stateful-merger';

/** What the flow file of such a flow would say. */
export function factsOf(load: LoadScenario, keyed: boolean): FlowFacts {
  const settings: LoadSettings = {
    onRefused: load.onRefused,
    ...(load.strategy === 'data-overwrite' && { scope: scopeOf(load) }),
    ...(load.strategy === 'metadata-cleaner' && { period: load.period }),
    ...(load.strategy === 'proxy' && load.keep !== null && { keep: load.keep }),
    ...(merges(load) && load.latestBy && { latestBy: 'v' }),
    ...(merges(load) &&
      load.deletions !== 'none' && { deleted: { column: 'gone', values: [true], how: load.deletions } }),
  };
  return { key: keyed ? ['id'] : null, window: 'day', load: settings };
}

const scopeOf = ({ scope }: LoadScenario): NonNullable<LoadSettings['scope']> =>
  scope === 'window' ? { column: 'day' } : { column: 'tenant', value: 'one' };

/** So many schedules of a thousand are about loads. */
const SHARE = 250;

/** What a scenario about loads has instead of what was drawn for it. */
export interface DrawnLoads {
  readonly rung: 'marker';
  readonly load: LoadScenario;
  readonly swarm: Swarm;
  readonly rows: number;
  readonly keyed: boolean;
  readonly repeats: boolean;
  readonly inFlight: number;
  readonly windows: number;
  readonly rejectsAtomically: boolean;
}

/**
 * Some of the seeds are about loads. What they draw comes from a tape of their own, so that every other seed makes the
 * schedule that it has always made.
 */
export function drawLoads(
  seed: number,
  drawn: { readonly keyed: boolean; readonly repeats: boolean },
): DrawnLoads | undefined {
  const tape = Tape.ofSeed(seed ^ 0x10ad10ad);
  if (!tape.chance(SHARE)) return undefined;
  const load: LoadScenario = {
    strategy: tape.pick(LOADING),
    past: tape.pick(['versions', 'history']),
    deletions: tape.pick(['remove', 'none', 'mark']),
    latestBy: tape.draw(2) === 1,
    scope: tape.pick(['window', 'value']),
    period: tape.pick(['month', 'day']),
    keep: tape.pick([null, 1, 0]),
    onRefused: tape.pick(['hold', 'publish']),
    addedBy: tape.pick(['marker', 'put']),
    readAgain: tape.draw(2) === 1 ? tape.draw(2) : null,
  };
  const swarm = blameless(drawSwarm(tape, 'marker'));
  return {
    rung: 'marker',
    load,
    swarm: withHalves(load, swarm, tape),
    rows: tape.pick([3, 5]),
    keyed: merges(load) || drawn.keyed,
    repeats: drawn.repeats && (!merges(load) || load.latestBy),
    inFlight: tape.pick([1, 2, 4]),
    windows: tape.pick([2, 1, 2, 3]),
    rejectsAtomically: tape.draw(3) > 0,
  };
}

/** A place that is written to without a transaction may have taken a part of a batch. */
function withHalves(load: LoadScenario, swarm: Swarm, tape: Tape): Swarm {
  if (load.addedBy === 'marker' || !tape.chance(300)) return swarm;
  return { ...swarm, 'half-applied': tape.pick([60, 120, 250]) };
}
