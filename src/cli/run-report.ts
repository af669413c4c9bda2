import type { Balance } from '../model/states.ts';
import type { Context } from './context.ts';
import { countOf, formatCount, formatDuration, formatTime, plainText } from './format-values.ts';
import type { RunResult } from './run-windows.ts';
import { type Cell, type Column, wrapText } from './table.ts';

/** The end of a run, for people: what became of the records of each lane, what was promised, what to do next. */
export function reportLines(context: Context, result: RunResult): string[] {
  // The error itself stands on stderr, with all there is to say of it.
  const { paint } = context.view;
  if (result.look !== undefined) return [`${paint.bold(result.flow)}: nothing new: ${plainText(result.look.why)}`];
  if (result.run === undefined) return [];
  const lines = [headline(context, result)];
  const nothing = nothingLine(result);
  if (nothing !== undefined) lines.push(`  ${nothing}`);
  lines.push(...laneTable(context, result).map((line) => `  ${line}`));
  for (const line of changeLines(result)) lines.push(`  ${line}`);
  for (const { lane, leftOut } of result.lanes) {
    if (leftOut.length > 0) lines.push(`  ${paint.yellow(plainText(lane))}: ${leftOutOf(leftOut)}`);
  }
  for (const stall of result.stalled) {
    lines.push(`  ${paint.yellow(`${plainText(stall.lane)} has stopped for now:`)} ${plainText(stall.reason)}`);
  }
  lines.push(...promiseLines(context, result), ...nextLines(context, result.next));
  return lines;
}

function headline(context: Context, result: RunResult): string {
  const { paint } = context.view;
  const run = result.run!;
  const state = result.paused ? paint.magenta('paused') : conditionOf(context, result);
  const name = `${paint.bold(`${run.flow} ${run.window.name}`)} ${paint.dim(run.id)}`;
  return `${name}: ${state}, in ${formatDuration(result.durationMs)}`;
}

function conditionOf(context: Context, result: RunResult): string {
  const { paint } = context.view;
  const run = result.run!;
  if (result.interrupted && run.state === 'open') return paint.yellow('interrupted');
  switch (run.state) {
    case 'complete':
      return paint.green('complete');
    case 'complete-with-refusals':
      return paint.red('complete, with refused records');
    case 'in-doubt':
      return paint.bold(paint.yellow('in doubt'));
    case 'open':
      return paint.cyan('not finished');
    default:
      return paint.red(run.state);
  }
}

/** U08: a start that sends nothing says so, and why: an empty window, or since when there was nothing to send. */
function nothingLine(result: RunResult): string | undefined {
  const run = result.run!;
  const isEmpty = run.state === 'complete' && result.lanes.every((lane) => lane.balance.read === 0);
  if (isEmpty) return 'nothing to send: the source holds no records for this window';
  if (!result.nothingToDo) return undefined;
  const name = `${run.flow} ${run.window.name}`;
  const since = run.endedAt === undefined ? '' : ` since ${formatTime(Date.parse(run.endedAt))}`;
  if (run.state === 'cancelled') {
    const reason = run.reason === undefined ? '' : `: ${plainText(run.reason)}`;
    return `nothing to send: ${name} was cancelled${reason}`;
  }
  const was = run.state === 'complete' ? 'was complete' : 'has had nothing left to send';
  return `nothing to send: ${name} ${was}${since}`;
}

const number = (head: string): Column => ({ head, align: 'right' });
const LANES: readonly Column[] = [
  { head: 'lane', shrinkTo: 8 },
  number('read'),
  number('delivered'),
  number('refused'),
  number('skipped'),
  number('in doubt'),
  number('pending'),
  number('batches'),
  number('attempts'),
];

function laneTable(context: Context, result: RunResult): string[] {
  const rows = result.lanes.map((lane) => [
    lane.lane,
    ...balanceCells(context, lane.balance),
    formatCount(lane.batches),
    formatCount(lane.attempts),
  ]);
  return rows.length === 0 ? [] : context.table(LANES, rows);
}

/** Read, delivered, refused, skipped, in doubt, pending; a count that calls for somebody is coloured. */
export function balanceCells(context: Context, balance: Balance): Cell[] {
  const { paint } = context.view;
  const cell = (count: number, style: (text: string) => string): Cell => ({
    text: formatCount(count),
    style: count === 0 ? paint.dim : style,
  });
  return [
    formatCount(balance.read),
    cell(balance.delivered, paint.green),
    cell(balance.refused, paint.red),
    cell(balance.skipped, paint.dim),
    cell(balance.inDoubt, (text) => paint.bold(paint.yellow(text))),
    cell(balance.pending, paint.cyan),
  ];
}

/** U19, U20: what a new reading found changed, gone or twice is said, not left to be looked up. */
function changeLines(result: RunResult): string[] {
  return (result.generation?.lanes ?? []).flatMap((lane) => {
    const facts = [
      ...(lane.changed > 0 ? [`${countOf(lane.changed, 'record')} changed since it was sent`] : []),
      ...(lane.vanished > 0 ? [`${countOf(lane.vanished, 'record')} no longer in the source`] : []),
      ...(lane.duplicates > 0 ? [`${countOf(lane.duplicates, 'record')} with a key that came before`] : []),
      ...(lane.unbatched > 0 ? [`${countOf(lane.unbatched, 'record')} in no batch (see records)`] : []),
    ];
    return facts.length === 0 ? [] : [`${plainText(lane.lane)}: ${facts.join(', ')}`];
  });
}

/** `left out, since the sink has no such column: "note" of 3 records`. */
export function leftOutOf(leftOut: RunResult['lanes'][number]['leftOut']): string {
  const each = leftOut.map(
    ({ column, records }) => `${plainText(JSON.stringify(column))} of ${countOf(records, 'record')}`,
  );
  return `left out, since the sink has no such column: ${each.join(', ')}`;
}

function promiseLines(context: Context, result: RunResult): string[] {
  const width = context.view.width - 2;
  return result.lanes.flatMap((lane) =>
    wrapText(`${lane.lane}: ${lane.guarantee.promise} (${lane.guarantee.rung})`, width).map(
      (line) => `  ${context.view.paint.dim(plainText(line))}`,
    ),
  );
}

/** The commands that a person may want to copy now. */
export function nextLines(context: Context, next: readonly string[]): string[] {
  return next.map((command, at) => `  ${context.view.paint.dim(at === 0 ? 'next:' : '     ')} ${command}`);
}
