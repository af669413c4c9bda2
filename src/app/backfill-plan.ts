import type { LoadRow } from '../model/load.ts';
import type { Window } from '../model/window.ts';
import type { BeforeLoad, Fit, FlowFacts, Strategy } from '../strategies/strategy.ts';
import { entryOf, type WindowEntry, type WindowFacts, type WindowState } from './window-ledger.ts';

export interface BackfillAsk {
  readonly from: string;
  /** The first window, or day, that is not meant any more. */
  readonly to: string;
  /** Only windows in one of these states; absent: missing, failed or undone, with `refresh` also complete ones. */
  readonly only?: readonly WindowState[];
  /** Load again what was loaded before. */
  readonly refresh?: boolean;
  /** Begin a refresh anew, also where one of the same stretch has not come to its end. */
  readonly anew?: boolean;
}

/** Whether a window of a plan is to be begun now. Things may have changed since the plan was made. */
export type BackfillTurn =
  | { readonly turn: 'go'; readonly entry: WindowEntry }
  | { readonly turn: 'done'; readonly entry: WindowEntry }
  /** An earlier window is in the hands of another process, and this one must not overtake it. */
  | { readonly turn: 'wait'; readonly earlier: string; readonly owner: string };

/** What a backfill would do now. A plain value: printed by `--dry-run`, and carried out window by window. */
export interface BackfillPlan {
  readonly flow: string;
  /** As asked: the first window or day, and the first that is not meant any more. */
  readonly from: string;
  readonly to: string;
  readonly refresh: boolean;
  /** `any`: windows may go side by side. */
  readonly order: 'in-order' | 'any';
  /** Which lanes want the order, and by what strategy. */
  readonly orderBecause?: string;
  /** An earlier backfill of the same stretch that has not come to its end, which this one goes on with. */
  readonly goesOn?: { readonly begunAt: string; readonly done: number };
  /** Kept with every reading that it begins, so that it can be gone on with. */
  readonly tag: string;
  /** Every window of the stretch, and those that it was widened by, in the order of time. */
  readonly windows: readonly BackfillWindow[];
  /** Names of windows, in the order in which they are to be run. */
  readonly steps: readonly string[];
  readonly warnings: readonly string[];
  /** Windows outside of this backfill that readers do not see any more then: to be loaded again, oldest first. */
  readonly afterwards: readonly Window[];
  /** The window that follows the last of them, for the command that loads them. */
  readonly afterwardsTo?: string;
}

export interface BackfillWindow extends WindowEntry {
  /** `run`: begin it, or go on with it. `load-again`: read it again. `leave`: nothing. */
  readonly act: 'run' | 'load-again' | 'leave';
  /** It was not asked for, and has to go with one that was. */
  readonly widened: boolean;
  /** This backfill has done it already. */
  readonly done: boolean;
}

/** One lane, as far as the order and the consequences of loading a window depend on it. */
export interface BackfillLane {
  readonly name: string;
  readonly strategy: Strategy;
  readonly facts: FlowFacts;
  readonly fit: Fit & { readonly fits: true };
}

export interface BackfillFacts {
  readonly flow: string;
  readonly from: string;
  readonly to: string;
  readonly windows: readonly Window[];
  readonly only: ReadonlySet<WindowState>;
  readonly refresh: boolean;
  readonly tag: string;
  readonly goesOn?: { readonly begunAt: string };
  /** Names of windows that the backfill of this tag has done. */
  readonly done: ReadonlySet<string>;
  readonly lanes: readonly BackfillLane[];
  readonly known: WindowFacts;
}

export function planBackfill(facts: BackfillFacts): BackfillPlan {
  const { lanes, known, refresh, done, goesOn } = facts;
  const asked = askedOf(facts);
  const chosen = new Map(asked.map((entry) => [entry.window.name, entry.window]));
  const groups = asked.flatMap(({ window }) => togetherWith(window, facts));
  const widened = new Map(groups.flat().flatMap((it) => (chosen.has(it.name) ? [] : [[it.name, it] as const])));
  const steps = orderOf([...chosen.values(), ...widened.values()], groups, facts);
  const names = new Set(steps.map(({ name }) => name));
  const listed = new Map([...facts.windows, ...widened.values()].map((window) => [window.name, window]));
  const windows = inTime([...listed.values()]).map((window): BackfillWindow => {
    const entry = entryOf(window, known);
    const added = widened.has(window.name);
    const act = names.has(window.name) ? actOf(entry, refresh || added || entry.state === 'complete') : 'leave';
    return { ...entry, act, widened: added, done: done.has(window.name) };
  });
  const ordered = lanes.filter(({ fit }) => fit.windows === 'in-order');
  return {
    flow: facts.flow,
    from: facts.from,
    to: facts.to,
    refresh,
    order: ordered.length > 0 ? 'in-order' : 'any',
    ...(ordered.length === 0
      ? {}
      : { orderBecause: ordered.map((it) => `${it.name}: ${it.strategy.name}`).join(', ') }),
    ...(goesOn === undefined ? {} : { goesOn: { ...goesOn, done: windows.filter((it) => it.done).length } }),
    tag: facts.tag,
    windows,
    steps: steps.map(({ name }) => name),
    warnings: [...wideningWarnings(widened, groups), ...warningsOf(steps, facts), ...leftOut(windows)],
    afterwards: afterwardsOf(steps, facts),
  };
}

/**
 * Those asked for, and those of the stretch that they take out again: left as they are, they would be complete in the
 * plan, and gone from the sink at its end. Where windows share a place, `together` says so instead.
 */
function askedOf(facts: BackfillFacts): readonly WindowEntry[] {
  const { lanes, known, only, refresh } = facts;
  const entries = facts.windows.map((window) => entryOf(window, known));
  const asked = entries.filter((entry) => isAsked(entry, facts));
  if (!refresh && !only.has('undone')) return asked;
  const alone = lanes.filter(({ strategy }) => strategy.load?.together === undefined);
  const undone = new Set(asked.flatMap(({ window }) => undoneBy(window, alone, known)).map(({ name }) => name));
  const back = ({ window, state }: WindowEntry): boolean => state === 'complete' && undone.has(window.name);
  return entries.filter((entry) => isAsked(entry, facts) || back(entry));
}

const undoneBy = (window: Window, lanes: readonly BackfillLane[], known: WindowFacts): readonly Window[] =>
  lanes.flatMap((lane) =>
    (lane.strategy.load?.undoes?.(before(lane, window, known.loads)) ?? []).map((it) => it.window),
  );

function isAsked({ window, state }: WindowEntry, { only, refresh, done }: BackfillFacts): boolean {
  // What an earlier step of a backfill has taken out is its own to bring back, whatever was asked for.
  return (only.has(state) || (refresh && state === 'undone')) && !done.has(window.name);
}

const actOf = ({ state, run }: WindowEntry, again: boolean): BackfillWindow['act'] =>
  state === 'undone' || (again && run !== undefined) ? 'load-again' : 'run';

const startMs = ({ start }: Window): number => (start === undefined ? 0 : Date.parse(start));
const inTime = (windows: readonly Window[]): readonly Window[] => [...windows].sort((a, b) => startMs(a) - startMs(b));

const before = (lane: BackfillLane, window: Window, loads: readonly LoadRow[]): BeforeLoad => ({
  flow: lane.facts,
  window,
  loads: loads.filter((load) => load.lane === lane.name),
});

/** One group for each lane in which the window cannot be loaded again alone. */
function togetherWith(window: Window, { lanes, known }: BackfillFacts): readonly (readonly Window[])[] {
  return lanes
    .map((lane) => lane.strategy.load?.together?.(before(lane, window, known.loads)) ?? [])
    .filter((group) => group.length > 0);
}

/**
 * The order of time; but a window that has never been loaded, and that the first of a group would take out again, comes
 * after that one.
 */
function orderOf(
  windows: readonly Window[],
  groups: readonly (readonly Window[])[],
  { lanes, known }: BackfillFacts,
): readonly Window[] {
  let steps = inTime(windows);
  for (const first of new Map(groups.map((group) => [group[0]!.name, group[0]!])).values()) {
    const at = steps.findIndex(({ name }) => name === first.name);
    const takenOut = (window: Window): boolean => lanes.some((lane) => wouldUndo(lane, first, window, known.loads));
    const early = steps.slice(0, at).filter((window) => takenOut(window));
    const others = (part: readonly Window[]) => part.filter((window) => !early.includes(window));
    steps = [...others(steps.slice(0, at)), first, ...early, ...steps.slice(at + 1)];
  }
  return steps;
}

function wouldUndo(lane: BackfillLane, first: Window, window: Window, loads: readonly LoadRow[]): boolean {
  const [model] = loads.filter((load) => load.lane === lane.name && load.window.name === first.name);
  if (model === undefined) return false;
  const asIf: LoadRow = { ...model, window, state: 'published' };
  const undone = lane.strategy.load?.undoes?.(before(lane, first, [...loads, asIf])) ?? [];
  return undone.some((load) => load.window.name === window.name);
}

function wideningWarnings(
  widened: ReadonlyMap<string, Window>,
  groups: readonly (readonly Window[])[],
): readonly string[] {
  const whole = new Map(groups.map((group) => [group[0]!.name, group]));
  return [...whole.values()].flatMap((group) => {
    const added = group.filter(({ name }) => widened.has(name)).length;
    if (added === 0) return [];
    const stretch = `${group[0]!.name} to ${group.at(-1)!.name}`;
    return [
      `widened by ${added} windows: those from ${stretch} share one place, so they can only be loaded ` +
        `again together, beginning with ${group[0]!.name}`,
    ];
  });
}

/** What a person should know, once a lane: of the first window that there is something to say of. */
function warningsOf(steps: readonly Window[], facts: BackfillFacts): readonly string[] {
  const { lanes, known } = facts;
  return lanes.flatMap((lane) => {
    for (const window of steps) {
      const said =
        lane.strategy.load === undefined
          ? behind(lane, window, facts)
          : (lane.strategy.load.warnings?.({ ...before(lane, window, known.loads) }) ?? []);
      if (said.length > 0) return said.map((text) => `${lane.name}: ${text}`);
    }
    return [];
  });
}

/** A lane that is written in the order of time, and has later windows already. */
function behind(lane: BackfillLane, window: Window, { known }: BackfillFacts): readonly string[] {
  if (lane.fit.windows === 'any') return [];
  const runs = [...known.runs.values()].filter((run) => run.state.startsWith('complete'));
  const later = inTime(runs.map((run) => run.window)).filter((other) => startMs(other) > startMs(window));
  if (later.length === 0) return [];
  return [
    `${later.length} later windows have been written already, up to ${later.at(-1)!.name}; ` +
      `what ${window.name} brings is written after them`,
  ];
}

function leftOut(windows: readonly BackfillWindow[]): readonly string[] {
  const count = (state: WindowState): number => windows.filter((it) => it.act === 'leave' && it.state === state).length;
  const [early, held, paused, doubts] = [count('not-over'), count('open'), count('paused'), count('in-doubt')];
  return [
    ...(early > 0 ? [`${early} windows are left out since their time is not over yet (--only not-over)`] : []),
    ...(held > 0 ? [`${held} windows are left to the processes that are at work on them`] : []),
    ...(doubts > 0
      ? [`${doubts} windows are in doubt, and left to a person (\`waybill doubts\`, --only in-doubt)`]
      : []),
    ...(paused > 0 ? [`${paused} windows are paused, and are left out until \`waybill resume\``] : []),
  ];
}

function afterwardsOf(steps: readonly Window[], { lanes, known }: BackfillFacts): readonly Window[] {
  const undone = new Map(known.undone);
  for (const window of steps) for (const one of undoneBy(window, lanes, known)) undone.set(one.name, one);
  for (const { name } of steps) undone.delete(name);
  return inTime([...undone.values()]);
}
