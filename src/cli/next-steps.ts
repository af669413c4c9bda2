import type { RunSummary } from '../app/waybill.ts';
import { showRun } from '../model/ids.ts';
import { addBalances, type Balance } from '../model/states.ts';
import { isPull } from '../model/window.ts';
import type { Context } from './context.ts';
import { EXIT } from './exit-codes.ts';

/** Where a run stands, as far as it decides what comes next. */
export interface Standing {
  /** `r3`. */
  readonly run: string;
  readonly flow: string;
  readonly window: string;
  readonly balance: Balance;
  readonly paused: boolean;
  readonly cancelled: boolean;
  /** Not complete, though nothing may be pending: what was collected is not published, or was taken out again. */
  readonly open: boolean;
  /** Nobody is at work on it. */
  readonly idle: boolean;
}

/** Commands to copy, the most pressing first. Empty when there is nothing to do. */
export function nextSteps(context: Context, at: Standing): string[] {
  const steps: string[] = [];
  if (at.paused) steps.push(context.command('resume', at.run));
  else if ((at.balance.pending > 0 || at.open) && at.idle) steps.push(runCommand(context, at.flow, at.window));
  if (at.cancelled && !isPull(at.window)) steps.push(`${runCommand(context, at.flow, at.window)} --refresh`);
  if (at.balance.inDoubt > 0) {
    steps.push(context.command('doubts', at.run));
    steps.push(context.command('settle', '--run', at.run));
  }
  if (at.balance.refused > 0) {
    steps.push(context.command('records', at.run, '--state', 'refused'));
    steps.push(context.command('retry', at.run, '--reason', 'WHY'));
  }
  return steps;
}

export const runCommand = (context: Context, flow: string, window: string): string =>
  context.command('run', flow, ...(window === 'all' ? [] : ['--for', window]));

export const sumBalances = (lanes: readonly { readonly balance: Balance }[]): Balance =>
  addBalances(lanes.map((lane) => lane.balance));

/** The exit code that one finished start stands for, interruptions aside. Doubt wins over everything that it can. */
export function exitOfSummary(summary: RunSummary): number {
  const balance = sumBalances(summary.lanes);
  if (summary.run.state === 'failed') return EXIT.failed;
  if (balance.inDoubt > 0) return EXIT.inDoubt;
  if (summary.paused || balance.pending > 0) return EXIT.temporary;
  // What was refused may be why a load is held back, and waiting mends neither.
  if (balance.refused > 0) return EXIT.refused;
  return summary.stalled.length > 0 ? EXIT.temporary : EXIT.ok;
}

export function standingOf(summary: RunSummary): Standing {
  return {
    run: showRun(summary.run.id),
    flow: summary.run.flow,
    window: summary.run.window.name,
    balance: sumBalances(summary.lanes),
    paused: summary.paused,
    cancelled: summary.run.state === 'cancelled',
    open: summary.run.state === 'open',
    idle: true,
  };
}
