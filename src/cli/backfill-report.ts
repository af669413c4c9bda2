import type { Context } from './context.ts';
import { EXIT } from './exit-codes.ts';
import { countOf, formatCount, formatDuration, plainText } from './format-values.ts';
import { sumBalances } from './next-steps.ts';
import type { OutputOf } from './output-schemas.ts';
import { nextLines, reportLines } from './run-report.ts';
import type { RunResult } from './run-windows.ts';
import { wrapText } from './table.ts';

export type BackfillDocument = OutputOf<'backfill'>;
type ListedWindow = BackfillDocument['windows'][number];

/** What would be done, or is about to be: windows that follow one another and stand alike are one line. */
export function planLines(context: Context, document: BackfillDocument): string[] {
  const { paint } = context.view;
  const { flow, from, to, windows, steps, parallel } = document;
  const lines = [
    `${paint.bold(`${flow} ${from} to ${to}`)}: ${countOf(windows.length, 'window')}, ${whatTo(document)}`,
  ];
  if (document.goesOn !== undefined) {
    const { begunAt, done } = document.goesOn;
    lines.push(
      `  goes on with the backfill begun at ${begunAt}, which has done ${formatCount(done)} (--anew begins again)`,
    );
  }
  if (windows.length > 0) lines.push(...stretchTable(context, windows).map((line) => `  ${line}`));
  if (steps.length > 1) {
    const order =
      document.orderBecause === undefined
        ? `${parallel > 1 ? `${parallel} side by side` : 'one after the other'}; no lane needs an order`
        : `in the order of time (${document.orderBecause})`;
    lines.push(`  order: ${plainText(order)}`);
  }
  return [...lines, ...warningLines(context, document)];
}

function whatTo({ steps, windows }: BackfillDocument): string {
  const again = windows.filter((it) => it.act === 'load-again').length;
  if (steps.length === 0) return 'nothing to run';
  return `${formatCount(steps.length)} to run${again === 0 ? '' : `, ${formatCount(again)} of them again`}`;
}

export function warningLines(context: Context, { warnings }: BackfillDocument): string[] {
  const { paint, width } = context.view;
  return warnings.flatMap((warning) =>
    wrapText(plainText(warning), width - 11).map((line, at) =>
      at === 0 ? `  ${paint.yellow('warning:')} ${line}` : `           ${line}`,
    ),
  );
}

const ACTS: Readonly<Record<ListedWindow['act'], string>> = { run: 'run', 'load-again': 'load again', leave: '' };

function stretchTable(context: Context, windows: readonly ListedWindow[]): string[] {
  const stretches: ListedWindow[][] = [];
  for (const window of windows) {
    const last = stretches.at(-1);
    if (last?.[0] !== undefined && standsAs(last[0]) === standsAs(window)) last.push(window);
    else stretches.push([window]);
  }
  return context.table(
    [
      { head: 'from' },
      { head: 'to' },
      { head: 'windows', align: 'right' },
      { head: 'state' },
      { head: 'then' },
      { head: 'because', shrinkTo: 16 },
    ],
    stretches.map((stretch) => {
      const { window, state, act, widened } = stretch[0]!;
      const then = widened ? `${ACTS[act]} (widened)` : ACTS[act];
      const why = plainText(whyOf(stretch[0]!));
      return [
        window.name,
        stretch.at(-1)!.window.name,
        formatCount(stretch.length),
        state.replace('-', ' '),
        then,
        why,
      ];
    }),
  );
}

const whyOf = ({ done, reason }: ListedWindow): string => (done ? 'this backfill has done it' : (reason ?? ''));
const standsAs = (it: ListedWindow): string => JSON.stringify([it.state, it.act, it.widened, whyOf(it)]);

/** A window that went well is one line; of any other the whole story is told. */
export function resultLines(context: Context, result: RunResult, place: string): string[] {
  if (result.exitCode !== EXIT.ok || result.run === undefined) return reportLines(context, result);
  const { delivered, skipped } = sumBalances(result.lanes);
  const facts = result.nothingToDo
    ? 'nothing to send'
    : `${formatCount(delivered)} delivered${skipped === 0 ? '' : `, ${formatCount(skipped)} skipped`}`;
  const { paint } = context.view;
  const name = `${paint.bold(`${result.flow} ${result.window}`)} ${paint.dim(result.run.id)}`;
  return [`${name}: ${paint.green('complete')}, ${facts}, in ${formatDuration(result.durationMs)} ${paint.dim(place)}`];
}

export function endLines(context: Context, document: BackfillDocument, elapsedMs: number): string[] {
  const { results, doneElsewhere, notBegun, afterwards, next } = document;
  const lines = [
    `${context.view.paint.bold(headOf(document))}: ${endFacts(document)}, in ${formatDuration(elapsedMs)}`,
  ];
  if (doneElsewhere.length > 0) lines.push(`  done by another process meanwhile: ${named(doneElsewhere)}`);
  if (notBegun.length > 0) lines.push(`  not begun: ${named(notBegun)}; ${plainText(document.stopped ?? '')}`);
  if (afterwards.length > 0) lines.push(`  to be loaded again: ${named(afterwards.map(({ name }) => name))}`);
  return results.length + notBegun.length + afterwards.length === 0 ? lines : [...lines, ...nextLines(context, next)];
}

const headOf = ({ flow, from, to }: BackfillDocument): string => `backfill of ${flow} ${from} to ${to}`;

function endFacts({ results, windows, dryRun }: BackfillDocument): string {
  if (dryRun) return 'nothing was run';
  if (results.length === 0) return 'nothing to run';
  const complete = results.filter((result) => result.run?.state.startsWith('complete') === true).length;
  const states = new Map<string, number>();
  for (const { state } of windows) states.set(state, (states.get(state) ?? 0) + 1);
  const all = [...states].map(([state, count]) => `${formatCount(count)} ${state.replace('-', ' ')}`).join(', ');
  return `${formatCount(complete)} of ${formatCount(results.length)} that were run are complete; now ${all}`;
}

/** The first and the last of many. */
const NAMED_MAX = 6;
const named = (names: readonly string[]): string =>
  names.length <= NAMED_MAX ? names.join(', ') : `${names[0]} to ${names.at(-1)} (${formatCount(names.length)})`;
