import type { LedgerReader, RunRow } from '../ledger/ledger.ts';
import type { LoadRow } from '../model/load.ts';
import type { RunState } from '../model/states.ts';
import type { Window } from '../model/window.ts';
import { isGone, showOwner } from './owner.ts';

/**
 * Where a window stands, as the ledger knows it.
 * `missing`: never begun. `not-over`: neither, and its time has not passed yet. `open`: somebody is at work on it.
 * `failed`: a start has ended without finishing it, however that came. `undone`: readers saw what it had brought, and
 * do no more, since an earlier window was loaded again. The others are those of its run.
 */
export const WINDOW_STATES = [
  'missing',
  'not-over',
  'open',
  'failed',
  'in-doubt',
  'paused',
  'cancelled',
  'undone',
  'complete',
] as const;
export type WindowState = (typeof WINDOW_STATES)[number];

export interface WindowEntry {
  readonly window: Window;
  readonly state: WindowState;
  /** Why it is not complete, where there is more to say than its state. */
  readonly reason?: string;
  readonly run?: RunRow;
}

/** What is known of the windows of one flow at one moment. */
export interface WindowFacts {
  readonly runs: ReadonlyMap<string, RunRow>;
  /** In the order in which they began. */
  readonly loads: readonly LoadRow[];
  /** By name: what they had brought was taken out again, and they have not been loaded since. */
  readonly undone: ReadonlyMap<string, Window>;
  readonly nowMs: number;
}

/** `part`: not of every window, so loads are read only where they say more. */
export async function windowFacts(
  flow: string,
  reader: LedgerReader | undefined,
  read: { readonly runs: readonly RunRow[]; readonly nowMs: number; readonly part?: boolean },
): Promise<WindowFacts> {
  // Only a run that has something to do can have been undone.
  const may = read.runs.some((run) => run.state === 'open');
  const loads = reader === undefined || (read.part && !may) ? [] : await reader.loads({ flow });
  const runs = new Map(read.runs.map((run) => [run.window.name, run]));
  return { runs, loads, undone: undoneWindows(loads), nowMs: read.nowMs };
}

export function entryOf(window: Window, { runs, undone, nowMs }: WindowFacts): WindowEntry {
  const run = runs.get(window.name);
  if (run === undefined) {
    const over = window.end === undefined || Date.parse(window.end) <= nowMs;
    return { window, state: over ? 'missing' : 'not-over' };
  }
  const holder = heldBy(run, nowMs);
  if (holder !== undefined) return { window, run, state: 'open', reason: `${showOwner(holder)} is at work on it` };
  if (run.paused) return { window, run, state: 'paused' };
  if (run.state === 'open' && undone.has(window.name)) return { window, run, state: 'undone', reason: UNDONE };
  const state = STATES[run.state];
  const reason = run.reason ?? (run.state === 'open' ? 'its last start has not finished it' : REASONS[run.state]);
  return { window, run, state, ...(reason === undefined ? {} : { reason }) };
}

const UNDONE = 'an earlier window was loaded again and took out what this one had brought';
const STATES: Readonly<Record<RunState, WindowState>> = {
  open: 'failed',
  failed: 'failed',
  'in-doubt': 'in-doubt',
  cancelled: 'cancelled',
  complete: 'complete',
  'complete-with-refusals': 'complete',
};
const REASONS: Readonly<Partial<Record<RunState, string>>> = {
  'complete-with-refusals': 'some of its records were refused',
};

/** Who holds the run of a window and is not proved gone. */
export function heldBy({ owner, leaseUntilMs }: RunRow, nowMs: number): string | undefined {
  if (owner === undefined || leaseUntilMs === undefined || leaseUntilMs <= nowMs) return undefined;
  return isGone(owner) === true ? undefined : owner;
}

/** Those of which in some lane the last load was taken out again, and no other has begun since. */
function undoneWindows(loads: readonly LoadRow[]): ReadonlyMap<string, Window> {
  const latest = new Map(loads.map((load) => [JSON.stringify([load.lane, load.window.name]), load]));
  const undone = [...latest.values()].filter((load) => load.state === 'replaced');
  return new Map(undone.map(({ window }) => [window.name, window]));
}
