import type { Notice, RunOptions, RunSummary, Waybill } from '../app/waybill.ts';
import type { Context } from './context.ts';
import { runDocument } from './documents.ts';
import { EXIT } from './exit-codes.ts';
import type { Interrupts } from './interrupts.ts';
import { exitOfSummary, nextSteps, runCommand, standingOf } from './next-steps.ts';
import type { OutputOf } from './output-schemas.ts';
import { openDisplay } from './progress-display.ts';
import { errorDocument, renderError } from './render-error.ts';

export interface Target {
  readonly flow: string;
  /** Undefined: the window that the flow runs when nobody names one. */
  readonly window: string | undefined;
}
export type RunResult = OutputOf<'run'>['results'][number];

export interface RunAsk {
  readonly options: Omit<RunOptions, 'signals' | 'notice' | 'progress'>;
  readonly intervalMs: number;
  /** Progress as lines, on a terminal too. */
  readonly lines?: boolean;
  readonly interrupts: Interrupts;
}

export interface Outcome {
  readonly results: readonly RunResult[];
  readonly notBegun: readonly { readonly flow: string; readonly window: string }[];
  /** Sends of this start, over all windows. */
  readonly sent: number;
}

/**
 * Runs windows one after the other. Refused records and doubts stop nothing. A window that fails, or that its sink
 * leaves pending, ends the row of its own flow, since a later window may build on it; the other flows go on. A window
 * that another process is at work on is passed over.
 */
export async function runWindows(context: Context, targets: readonly Target[], ask: RunAsk): Promise<Outcome> {
  const results: RunResult[] = [];
  const notBegun: { flow: string; window: string }[] = [];
  const ended = new Set<string>();
  let sent = 0;
  for (const target of targets) {
    if (ask.interrupts.exitCode !== undefined || ended.has(target.flow)) {
      notBegun.push({ flow: target.flow, window: target.window ?? 'latest' });
      continue;
    }
    const result = await runWindow(context, target, ask);
    results.push(result);
    sent += result.lanes.reduce((sum, lane) => sum + lane.attempts, 0);
    const passedOver = result.error?.exitCode === EXIT.leaseHeld;
    if (!passedOver && (result.error !== undefined || result.exitCode === EXIT.temporary)) ended.add(target.flow);
  }
  return { results, notBegun, sent };
}

/** Runs one window; an error is rendered and becomes part of the result. */
export async function runWindow(context: Context, target: Target, ask: RunAsk): Promise<RunResult> {
  const waybill = await context.waybill();
  const name = target.window === undefined ? target.flow : `${target.flow} ${target.window}`;
  const startedMs = context.io.wallMs();
  try {
    return summarize(context, await runShown(context, waybill, target, name, ask), ask.interrupts);
  } catch (error) {
    const code = renderError(error, context);
    return {
      flow: target.flow,
      window: target.window ?? 'latest',
      exitCode: ask.interrupts.exitCode ?? code,
      lanes: [],
      nothingToDo: false,
      interrupted: ask.interrupts.exitCode !== undefined,
      paused: false,
      stalled: [],
      durationMs: Math.max(0, context.io.wallMs() - startedMs),
      error: errorDocument(error, context.globals, context.view.verbose),
      next: [],
    };
  }
}

async function runShown(context: Context, waybill: Waybill, target: Target, name: string, ask: RunAsk) {
  const display = await openDisplay(context, name, ask);
  try {
    return await waybill.run(target.flow, target.window, {
      ...ask.options,
      signals: ask.interrupts.signals,
      progress: (progress) => display.progress(progress),
      notice: (notice) => {
        if (notice.level === 'warning' || context.view.verbose) display.line(noticeLine(context, notice));
      },
    });
  } finally {
    display.end();
  }
}

function noticeLine(context: Context, notice: Notice): string {
  const paint = context.view.talkPaint;
  const word = notice.level === 'warning' ? paint.yellow('warning:') : paint.dim('note:');
  return `${word} ${notice.message} ${paint.dim(`(${notice.kind})`)}`;
}

function summarize(context: Context, summary: RunSummary, interrupts: Interrupts): RunResult {
  const { run, generation } = summary;
  const window = run.window.name;
  const interrupted = summary.interrupted || interrupts.exitCode !== undefined;
  const next = nextSteps(context, standingOf(summary));
  const again = runCommand(context, run.flow, window);
  return {
    flow: run.flow,
    window,
    exitCode: summary.interrupted ? (interrupts.exitCode ?? EXIT.interrupted) : exitOfSummary(summary),
    run: runDocument(run, context.io.wallMs()),
    generation: {
      generation: generation.generation,
      kind: generation.kind,
      state: generation.state,
      reason: generation.reason,
      lanes: generation.lanes.map((lane) => ({ ...lane })),
    },
    lanes: summary.lanes.map((lane) => ({
      lane: lane.lane,
      guarantee: {
        ...lane.guarantee,
        assumptions: [...lane.guarantee.assumptions],
        crash: lane.guarantee.crash.map((point) => ({ ...point })),
      },
      balance: { ...lane.balance },
      attempts: lane.attempts,
      batches: lane.batches,
      answers: { ...lane.answers },
    })),
    nothingToDo: summary.nothingToDo,
    interrupted,
    paused: summary.paused,
    stalled: summary.stalled.map((stall) => ({ ...stall })),
    durationMs: summary.elapsedMs,
    next: summary.interrupted && !next.includes(again) ? [again, ...next] : next,
  };
}
