import type { ReadableTrace } from '../../app/waybill.ts';
import { WaybillError } from '../../model/errors.ts';
import type { LoadState } from '../../model/load.ts';
import { type CommandDefinition, type Given, textOption } from '../command.ts';
import type { Context } from '../context.ts';
import { attemptDocument, batchDocument, doubtDocument, recordDocument } from '../documents.ts';
import { EXIT } from '../exit-codes.ts';
import { formatCount, formatTime, plainText, showState } from '../format-values.ts';
import { runCommand } from '../next-steps.ts';
import type { OutputOf } from '../output-schemas.ts';
import { nextLines } from '../run-report.ts';
import { stateStyle } from '../view.ts';
import { attemptLines } from './batches-show.ts';

export const trace: CommandDefinition = {
  description:
    'Finds a record by its key and tells where it is and why: run, batch, place in the batch, attempts with what the ' +
    'sink answered, state, reason, and what to do next.',
  exits: [0, 1, 2],
  examples: [
    ['waybill trace 12345', 'wherever a record with this key went'],
    ['waybill trace eu 12345 --flow members', 'a key of two columns, in one flow'],
  ],
  configure(command, acts) {
    command
      .argument('<key...>', 'the key as the source spells it; several columns as several words, in order')
      .option('--flow <name>', 'only in this flow')
      .option('--for <window>', 'only in this window')
      .option('--lane <name>', 'only in this lane')
      .action(acts(traceKey));
  },
};

type TraceDocument = OutputOf<'trace'>;
type OneTrace = TraceDocument['traces'][number];

async function traceKey(context: Context, given: Given): Promise<number> {
  const [flow, window, lane] = ['flow', 'for', 'lane'].map((name) => textOption(given, name));
  const waybill = await context.waybill();
  const found = await waybill.trace(given.words, {
    ...(flow === undefined ? {} : { flow }),
    ...(window === undefined ? {} : { window }),
    ...(lane === undefined ? {} : { lane }),
  });
  if (found.length === 0) throw unknownKey(given.words, flow, window);
  const traces = found.map((each) => traceDocument(context, each));
  const document: TraceDocument = { schema: 'waybill.trace/1', key: [...given.words], traces };
  context.show(document, () => document.traces.flatMap((each, at) => traceLines(context, each, at > 0)));
  return EXIT.ok;
}

function unknownKey(key: readonly string[], flow: string | undefined, window: string | undefined): WaybillError {
  const where = [
    flow === undefined ? [] : [`in the flow ${flow}`],
    window === undefined ? [] : [`in ${window}`],
  ].flat();
  const message = ['no record has the key', key.map((part) => JSON.stringify(part)).join(' '), ...where].join(' ');
  return new WaybillError('RECORD_UNKNOWN', message);
}

function traceDocument(context: Context, found: ReadableTrace): OneTrace {
  return {
    record: recordDocument(found.record, found.record.keyText),
    steps: found.steps.map((step) => ({
      batch: batchDocument(step.batch),
      position: step.index,
      attempts: step.attempts.map((attempt) => attemptDocument(attempt, context.view.verbose)),
    })),
    doubt: found.doubt === undefined ? undefined : doubtDocument(found.doubt, context),
    load: found.load?.state,
    next: nextOf(context, found),
  };
}

/** Every state that is not simply delivered says what can be done about it. */
function nextOf(context: Context, { record, steps, doubt, load }: ReadableTrace): string[] {
  const last = steps.at(-1)?.batch;
  const batch = last === undefined ? undefined : `b${last.id}`;
  switch (record.state) {
    case 'in-doubt':
      return doubt === undefined ? [context.command('doubts', `r${record.run}`)] : doubtDocument(doubt, context).next;
    case 'refused':
      if (batch === undefined) return [context.command('run', record.flow, ...forWindow(record.window), '--refresh')];
      return [context.command('retry', batch, '--reason', 'WHY')];
    case 'pending':
      return [runCommand(context, record.flow, record.window)];
    case 'skipped':
      return batch === undefined ? [] : [context.command('batches', 'show', batch)];
    // What took its place has a trace of its own.
    case 'superseded':
      return [];
    case 'delivered':
      return load === undefined || load.state === 'published' ? [] : [runCommand(context, record.flow, record.window)];
  }
}

const forWindow = (window: string): readonly string[] => (window === 'all' ? [] : ['--for', window]);

function traceLines(context: Context, trace: OneTrace, spaced: boolean): string[] {
  const { paint } = context.view;
  const { record } = trace;
  const key = paint.bold(plainText(record.key ?? '(unreadable)'));
  const state = stateStyle(paint, record.state)(showState(record.state));
  const lines = [`${key}: ${state} since ${formatTime(Date.parse(record.at))}`];
  lines.push(`  ${record.flow} ${record.window}, run ${record.run}, lane ${plainText(record.lane)}`);
  if (record.reason !== undefined || record.code !== undefined) {
    const code = record.code === undefined ? '' : ` (${plainText(record.code)})`;
    lines.push(`  reason: ${plainText(record.reason ?? 'none given')}${code}`);
  }
  if (record.row !== undefined) lines.push(`  row ${formatCount(record.row)} of the source; it got into no batch`);
  for (const step of trace.steps) lines.push(...stepLines(context, step));
  if (trace.load !== undefined) lines.push(`  ${SEEN[trace.load]}`);
  if (trace.doubt !== undefined) {
    const reason = trace.doubt.reason ?? trace.doubt.lastAttempt.reason ?? 'no answer came back';
    lines.push(`  ${paint.yellow('in doubt:')} ${plainText(reason)}`);
  }
  return [...(spaced ? [''] : []), ...lines, ...nextLines(context, trace.next)];
}

/** Where the lane collects: what has arrived is seen by readers only once its load is published. */
const SEEN: Readonly<Record<LoadState, string>> = {
  opening: 'readers do not see it yet: its load is not published',
  open: 'readers do not see it yet: its load is not published',
  publishing: 'whether readers see it is not known: the publishing of its load has no answer yet',
  published: 'readers see it: its load is published',
  'given-up': 'readers do not see it: its load was given up, and the window is read again',
  replaced: 'readers do not see it any more: a later load took it out',
};

function stepLines(context: Context, step: OneTrace['steps'][number]): string[] {
  const { batch } = step;
  const from = batch.parent === undefined ? '' : `, made from ${batch.parent}`;
  const place = `record ${formatCount(step.position + 1)} of ${formatCount(batch.records)}`;
  const head = `  ${context.view.paint.bold(batch.id)} ${showState(batch.state)}: ${place}${from}`;
  return [head, ...step.attempts.flatMap((attempt) => attemptLines(context, attempt).map((line) => `  ${line}`))];
}
