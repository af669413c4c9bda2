import type { LedgerReader, RunRow } from '../../app/waybill.ts';
import { RUN_STATES, type RunState } from '../../model/states.ts';
import { type CommandDefinition, type Given, textOption } from '../command.ts';
import type { Context } from '../context.ts';
import { runDocument } from '../documents.ts';
import { EXIT } from '../exit-codes.ts';
import { countOf, plainText, showState } from '../format-values.ts';
import { nextSteps, sumBalances } from '../next-steps.ts';
import type { OutputOf } from '../output-schemas.ts';
import { readWhole } from '../read-words.ts';
import { balanceCells, leftOutOf, nextLines } from '../run-report.ts';
import type { Cell, Column } from '../table.ts';
import { stateStyle } from '../view.ts';

const LATEST = '10';

export const status: CommandDefinition = {
  description:
    'Shows the latest runs, and of the older ones those that need somebody; the worst first, each with the commands ' +
    'that come next.',
  exits: [0, 1, 2],
  examples: [
    ['waybill status', 'all flows'],
    ['waybill status roket-daily', 'one flow'],
  ],
  configure(command, acts) {
    command
      .argument('[flow]', 'only this flow')
      .option('--limit <n>', `how many of the latest runs, and of each kind of problem (default: ${LATEST})`)
      .action(acts(showStatus));
  },
};

type StatusDocument = OutputOf<'status'>;
type StatusRun = StatusDocument['runs'][number];

/** The worst first. An open run whose lease has run out was left by a process that is gone. */
const CONDITIONS = [
  'failed',
  'in-doubt',
  'undone',
  'unpublished',
  'interrupted',
  'complete-with-refusals',
  'paused',
  'running',
  'cancelled',
  'complete',
] as const;
type Condition = (typeof CONDITIONS)[number];
const NEED_NOBODY: readonly Condition[] = ['running', 'cancelled', 'complete'];

async function showStatus(context: Context, given: Given): Promise<number> {
  const waybill = await context.waybill();
  const reader = await waybill.reader();
  const limit = readWhole(textOption(given, 'limit') ?? LATEST, '--limit', { min: 1, max: 1000 });
  const rows = await interesting(reader, given.words[0], limit);
  const runs = await Promise.all(rows.map((row) => statusRun(context, reader, row)));
  runs.sort((a, b) => rank(a) - rank(b) || inOrder(a, b));
  const attention = runs.filter((run) => run.needsAttention).length;
  const document: StatusDocument = { schema: 'waybill.status/1', attention, runs };
  context.show(document, () => statusLines(context, document));
  return EXIT.ok;
}

/** The latest first; but windows that have to be loaded again are loaded in the order of time. */
function inOrder(a: StatusRun, b: StatusRun): number {
  const undone = a.condition === 'undone';
  return undone
    ? (a.run.window.start ?? '').localeCompare(b.run.window.start ?? '')
    : b.run.openedAt.localeCompare(a.run.openedAt);
}

const rank = (run: StatusRun): number => CONDITIONS.indexOf(run.condition as Condition);

/** The latest runs, and the latest of each state that may be a problem, each run once. */
async function interesting(reader: LedgerReader, flow: string | undefined, limit: number): Promise<RunRow[]> {
  const ask = { ...(flow === undefined ? {} : { flow }), newestFirst: true, limit };
  const problems = RUN_STATES.filter((state: RunState) => state !== 'complete' && state !== 'cancelled');
  const lists = await Promise.all([reader.runs(ask), ...problems.map((state) => reader.runs({ ...ask, state }))]);
  return [...new Map(lists.flat().map((row) => [row.id, row])).values()];
}

async function statusRun(context: Context, reader: LedgerReader, row: RunRow): Promise<StatusRun> {
  const run = runDocument(row, context.io.wallMs());
  const balances = await reader.balance(row.id);
  const leftOut = await reader.leftOut(row.id);
  const lanes = [...balances].map(([lane, balance]) => ({
    lane,
    balance: { ...balance },
    leftOut: leftOut.filter((one) => one.lane === lane).map(({ column, records }) => ({ column, records })),
  }));
  const balance = { ...sumBalances(lanes) };
  const condition = run.state === 'open' && !run.paused ? await openCondition(reader, row, run) : conditionOf(run);
  const { id, flow, window, paused } = run;
  const next = nextSteps(context, {
    run: id,
    flow,
    window: window.name,
    balance,
    paused,
    cancelled: run.state === 'cancelled',
    open: run.state === 'open',
    idle: condition !== 'running',
  });
  return { run, condition, needsAttention: !NEED_NOBODY.includes(condition), balance, lanes, next };
}

function conditionOf(run: StatusRun['run']): Condition {
  if (run.state !== 'open') return run.state;
  if (run.paused) return 'paused';
  return run.lease?.valid === true ? 'running' : 'interrupted';
}

/** Nobody is at work on it, and what it collects tells more than that: it is not published, or was taken out again. */
async function openCondition(reader: LedgerReader, row: RunRow, run: StatusRun['run']): Promise<Condition> {
  const condition = conditionOf(run);
  if (condition !== 'interrupted') return condition;
  const loads = (await reader.loads({ flow: row.flow })).filter((load) => load.run === row.id);
  const latest = loads.filter((load) => load.generation === row.generation);
  if (latest.some((load) => load.state === 'replaced')) return 'undone';
  const pending = [...(await reader.balance(row.id)).values()].some((balance) => balance.pending > 0);
  return latest.length > 0 && !pending ? 'unpublished' : condition;
}

const number = (head: string): Column => ({ head, align: 'right' });
const COLUMNS: readonly Column[] = [
  { head: 'run' },
  { head: 'flow', shrinkTo: 8 },
  { head: 'window', shrinkTo: 10 },
  { head: 'condition', shrinkTo: 10 },
  number('delivered'),
  number('refused'),
  number('skipped'),
  number('in doubt'),
  number('pending'),
];

/** Without `read`, the sum of the others, and without noughts: what is nowhere is left out, and the table is narrow. */
function countCells(context: Context, balance: StatusRun['balance']): Cell[] {
  const { delivered, refused, skipped, inDoubt, pending } = balance;
  const cells = balanceCells(context, balance).slice(1);
  return [delivered, refused, skipped, inDoubt, pending].map((count, at) => (count === 0 ? undefined : cells[at]));
}

const why = ({ reason }: StatusRun['run']): string[] =>
  reason === undefined ? [] : [`  reason: ${plainText(reason)}`];

function statusLines(context: Context, document: StatusDocument): string[] {
  const { paint } = context.view;
  if (document.runs.length === 0) return ['no runs yet'];
  const table = context.table(
    COLUMNS,
    document.runs.map(({ run, condition, balance }) => [
      run.id,
      run.flow,
      run.window.name,
      { text: showState(condition as RunState), style: stateStyle(paint, condition) },
      ...countCells(context, balance),
    ]),
  );
  const urgent = document.runs.filter((run) => run.needsAttention);
  const head =
    urgent.length === 0
      ? paint.green('nothing needs attention')
      : paint.bold(
          paint.yellow(`${countOf(urgent.length, 'run')} ${urgent.length === 1 ? 'needs' : 'need'} attention`),
        );
  const steps = urgent
    .slice(0, 3)
    .flatMap(({ run, next }) => [
      '',
      `${run.id} ${run.flow} ${run.window.name}`,
      ...why(run),
      ...nextLines(context, next),
    ]);
  return [head, '', ...table, ...leftOutLines(document), ...steps];
}

function leftOutLines({ runs }: StatusDocument): string[] {
  const lines = runs.flatMap(({ run, lanes }) =>
    lanes.flatMap(({ lane, leftOut }) => {
      if (leftOut.length === 0) return [];
      return [`${run.id} ${plainText(run.flow)} ${run.window.name}, ${plainText(lane)}: ${leftOutOf(leftOut)}`];
    }),
  );
  return lines.length === 0 ? [] : ['', ...lines];
}
