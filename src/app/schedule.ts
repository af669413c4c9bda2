import { Cron } from 'croner';
import type { LedgerReader, RunRow } from '../ledger/ledger.ts';
import { assertNever } from '../model/assert.ts';
import type { RunState } from '../model/states.ts';
import type { Window } from '../model/window.ts';
import type { FlowConfig } from './flow-config.ts';
import { type Cut, latestComplete, nextWindow, parseWindow, windowAt, windowsBetween } from './windows.ts';

export interface DueWindow {
  readonly flow: string;
  readonly window: Window;
  /** What was already begun of it. */
  readonly run?: RunRow;
}

const PAGE = 1000;

/**
 * The windows of a flow that its schedule says should have run by now and that have not come to an end, oldest first.
 * Catching up begins at `start`, else at the first window that ever ran; a flow that never ran owes only the latest.
 * A window that a person paused is not due.
 */
export async function dueWindows(
  flow: FlowConfig,
  reader: LedgerReader | undefined,
  nowMs: number,
): Promise<readonly DueWindow[]> {
  const moment = lastMoment(flow, nowMs);
  if (moment === undefined) return [];
  const runs = reader === undefined ? [] : await runsOf(flow.name, reader);
  if (flow.window === 'all') return dueAgain(flow, runs, moment);
  if (flow.window === 'pull') return await dueToLook(flow, runs, reader, moment);
  const cut: Cut = { kind: flow.window, timezone: flow.timezone };
  const last = latestComplete(cut, moment);
  const first = firstWindow(flow, cut, runs, last, nowMs);
  if (first === undefined || startMs(first) > startMs(last)) return [];
  const byName = new Map(runs.map((run) => [run.window.name, run]));
  return windowsBetween(cut, first, last)
    .map((window) => dueOf(flow, window, byName.get(window.name)))
    .filter((due) => due.run === undefined || isOwed(due.run));
}

const startMs = (window: Window): number => Date.parse(window.start ?? '');
const dueOf = (flow: FlowConfig, window: Window, run: RunRow | undefined): DueWindow => ({
  flow: flow.name,
  window,
  ...(run === undefined ? {} : { run }),
});

/** A flow without windows is due when its schedule has struck since it was last begun. */
function dueAgain(flow: FlowConfig, runs: readonly RunRow[], moment: number): readonly DueWindow[] {
  const run = runs.at(-1);
  if (run === undefined) return [dueOf(flow, { name: 'all' }, undefined)];
  const struck = moment > (run.endedAtMs ?? run.openedAtMs);
  return !run.paused && run.state !== 'cancelled' && (struck || isOwed(run)) ? [dueOf(flow, run.window, run)] : [];
}

/** A flow that pulls is due when its schedule has struck since somebody looked, or a pull has not come to its end. */
async function dueToLook(
  flow: FlowConfig,
  runs: readonly RunRow[],
  reader: LedgerReader | undefined,
  moment: number,
): Promise<readonly DueWindow[]> {
  const looks = reader === undefined ? [] : await reader.looks(flow.name);
  const lookedMs = Math.max(0, ...looks.map((look) => look.atMs));
  const owed = runs.find(isOwed);
  return moment > lookedMs || owed !== undefined ? [dueOf(flow, { name: 'pull' }, owed)] : [];
}

function isOwed(run: RunRow): boolean {
  if (run.paused) return false;
  switch (run.state) {
    case 'open':
    case 'failed':
    // A later start asks the sink again; and what nobody can decide stays in sight until a person has.
    case 'in-doubt':
      return true;
    case 'complete':
    case 'complete-with-refusals':
    case 'cancelled':
      return false;
    default:
      return assertNever(run.state);
  }
}

function firstWindow(
  flow: FlowConfig,
  cut: Cut,
  runs: readonly RunRow[],
  last: Window,
  nowMs: number,
): Window | undefined {
  if (flow.start !== undefined) return parseWindow(cut, flow.start, nowMs);
  const starts = runs.flatMap((run) => (run.window.start === undefined ? [] : [Date.parse(run.window.start)]));
  const earliest = Math.min(...starts);
  if (!Number.isFinite(earliest)) return last;
  const window = windowAt(cut, earliest);
  // Where the flow cut time in another way once, catching up goes on from the first window that begins after it.
  return startMs(window) === earliest ? window : nextWindow(cut, window);
}

/** When the schedule struck last, up to now. */
function lastMoment(flow: FlowConfig, nowMs: number): number | undefined {
  if (flow.schedule === undefined) return undefined;
  const cron = new Cron(flow.schedule, { timezone: flow.timezone, paused: true, mode: '5-part' });
  // `previousRuns` is exclusive, and a schedule that strikes right now counts.
  return cron.previousRuns(1, new Date(nowMs + 1))[0]?.getTime();
}

/** Oldest first. */
export async function runsOf(flow: string, reader: LedgerReader, state?: RunState): Promise<readonly RunRow[]> {
  const runs: RunRow[] = [];
  for (;;) {
    const after = runs.at(-1)?.id;
    const only = state === undefined ? {} : { state };
    const page = await reader.runs({ flow, limit: PAGE, ...only, ...(after === undefined ? {} : { after }) });
    runs.push(...page);
    if (page.length < PAGE) return runs;
  }
}
