import type { Notice, PullOptions, RunOptions, RunSummary, Waybill } from '../app/waybill.ts';
import type { Context } from './context.ts';
import { runDocument } from './documents.ts';
import { EXIT } from './exit-codes.ts';
import type { Interrupts } from './interrupts.ts';
import { exitOfSummary, nextSteps, runCommand, standingOf } from './next-steps.ts';
import type { OutputOf } from './output-schemas.ts';
import { openDisplay } from './progress-display.ts';
import { usage } from './read-words.ts';
import { errorDocument, renderError } from './render-error.ts';

export interface Target {
  readonly flow: string;
  /** Undefined: the window that the flow runs when nobody names one. */
  readonly window: string | undefined;
}
export type RunResult = OutputOf<'run'>['results'][number];

export interface RunAsk {
  readonly options: Omit<RunOptions & PullOptions, 'signals' | 'notice' | 'progress'>;
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
    for (const result of await runTarget(context, target, ask)) {
      results.push(result);
      sent += result.lanes.reduce((sum, lane) => sum + lane.attempts, 0);
      const passedOver = result.error?.exitCode === EXIT.leaseHeld;
      if (!passedOver && (result.error !== undefined || result.exitCode === EXIT.temporary)) ended.add(target.flow);
    }
  }
  return { results, notBegun, sent };
}

/** Of a flow that pulls without a window that is named: whatever is left of earlier pulls, and what is new. */
export async function runTarget(context: Context, target: Target, ask: RunAsk): Promise<readonly RunResult[]> {
  const waybill = await context.waybill();
  const info = waybill.flows().find(({ name }) => name === target.flow);
  if (info?.window !== 'pull' || target.window !== undefined) return [await runWindow(context, target, ask)];
  return await runPull(context, waybill, target, ask);
}

async function runPull(context: Context, waybill: Waybill, target: Target, ask: RunAsk): Promise<readonly RunResult[]> {
  const startedMs = context.io.wallMs();
  const { refresh, resendAll, only } = ask.options;
  try {
    if (refresh === true || resendAll !== undefined || only !== undefined)
      throw usage('these options go with a window, and a pull is one', 'Name it: --for pull-000001.');
    const { runs, look } = await shown(context, target.flow, ask, (talk) =>
      waybill.pull(target.flow, { ...ask.options, ...talk }),
    );
    const results = runs.map((summary) => summarize(context, summary, ask.interrupts));
    if (look === undefined || look.kind === 'new') return results;
    return [...results, { ...nothing(context, target, startedMs), exitCode: EXIT.ok, nothingToDo: true, look }];
  } catch (error) {
    return [failed(context, error, target, ask, startedMs)];
  }
}

/** Runs one window; an error is rendered and becomes part of the result. */
export async function runWindow(context: Context, target: Target, ask: RunAsk): Promise<RunResult> {
  const waybill = await context.waybill();
  const name = target.window === undefined ? target.flow : `${target.flow} ${target.window}`;
  const startedMs = context.io.wallMs();
  try {
    const { force: _, take: __, ...options } = ask.options;
    const summary = await shown(context, name, ask, (talk) =>
      waybill.run(target.flow, target.window, { ...options, ...talk }),
    );
    return summarize(context, summary, ask.interrupts);
  } catch (error) {
    return failed(context, error, target, ask, startedMs);
  }
}

function failed(context: Context, error: unknown, target: Target, ask: RunAsk, startedMs: number): RunResult {
  const code = renderError(error, context);
  return {
    ...nothing(context, target, startedMs),
    exitCode: ask.interrupts.exitCode ?? code,
    interrupted: ask.interrupts.exitCode !== undefined,
    error: errorDocument(error, context.globals, context.view.verbose),
  };
}

/** A start of which there is no run to tell. */
const nothing = (context: Context, target: Target, startedMs: number): RunResult => ({
  flow: target.flow,
  window: target.window ?? 'latest',
  exitCode: EXIT.ok,
  lanes: [],
  nothingToDo: false,
  interrupted: false,
  paused: false,
  stalled: [],
  durationMs: Math.max(0, context.io.wallMs() - startedMs),
  next: [],
});

/** Does the work while its progress and notices are shown. */
async function shown<T>(
  context: Context,
  name: string,
  ask: RunAsk,
  work: (talk: Pick<RunOptions, 'signals' | 'notice' | 'progress'>) => Promise<T>,
): Promise<T> {
  const display = await openDisplay(context, name, ask);
  try {
    return await work({
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

export function noticeLine(context: Context, notice: Notice): string {
  const paint = context.view.talkPaint;
  const word = notice.level === 'warning' ? paint.yellow('warning:') : paint.dim('note:');
  return `${word} ${notice.message} ${paint.dim(`(${notice.kind})`)}`;
}

const generationDocument = ({ generation, kind, state, reason, lanes }: NonNullable<RunSummary['generation']>) => ({
  generation,
  kind,
  state,
  reason,
  lanes: lanes.map((lane) => ({ ...lane })),
});

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
    ...(generation === undefined ? {} : { generation: generationDocument(generation) }),
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
      leftOut: lane.leftOut.map((one) => ({ ...one })),
    })),
    nothingToDo: summary.nothingToDo,
    interrupted,
    paused: summary.paused,
    stalled: summary.stalled.map((stall) => ({ ...stall })),
    durationMs: summary.elapsedMs,
    next: summary.interrupted && !next.includes(again) ? [again, ...next] : next,
  };
}
