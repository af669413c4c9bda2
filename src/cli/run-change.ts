import type { RunId } from '../model/ids.ts';
import type { Context } from './context.ts';
import { lanesOf, runDocument } from './documents.ts';
import { EXIT } from './exit-codes.ts';
import { plainText, showState } from './format-values.ts';
import { nextSteps, sumBalances } from './next-steps.ts';
import type { OutputOf } from './output-schemas.ts';
import { balanceCells, nextLines } from './run-report.ts';
import type { Column } from './table.ts';

type Change = OutputOf<'pause'> | OutputOf<'resume'> | OutputOf<'cancel'>;

/** Shows a run as it is after a person changed it; what `pause`, `resume` and `cancel` end with. */
export async function showChangedRun(
  context: Context,
  schema: Change['schema'],
  id: RunId,
  word: string,
): Promise<number> {
  const reader = await (await context.waybill()).reader();
  const [row, lanes] = await Promise.all([reader.run(id), lanesOf(reader, id)]);
  const run = runDocument(row, context.io.wallMs());
  const standing = {
    run: run.id,
    flow: run.flow,
    window: run.window.name,
    balance: sumBalances(lanes),
    paused: run.paused || lanes.some((lane) => lane.paused),
    cancelled: run.state === 'cancelled',
    open: run.state === 'open',
    idle: run.lease?.valid !== true,
  };
  const document = { schema, run, lanes, next: nextSteps(context, standing) } as Change;
  context.show(document, () => changeLines(context, document, word));
  return EXIT.ok;
}

const number = (head: string): Column => ({ head, align: 'right' });
const COLUMNS: readonly Column[] = [
  { head: 'lane', shrinkTo: 8 },
  { head: 'paused' },
  number('read'),
  number('delivered'),
  number('refused'),
  number('skipped'),
  number('in doubt'),
  number('pending'),
];

function changeLines(context: Context, { run, lanes, next }: Change, word: string): string[] {
  const rows = lanes.map((lane) => [
    lane.lane,
    run.paused || lane.paused ? 'paused' : undefined,
    ...balanceCells(context, lane.balance),
  ]);
  const reason = run.reason === undefined ? '' : `: ${plainText(run.reason)}`;
  return [
    `${run.id} ${run.flow} ${run.window.name} ${word} (${showState(run.state)}${reason})`,
    ...context.table(COLUMNS, rows),
    ...nextLines(context, next),
  ];
}
