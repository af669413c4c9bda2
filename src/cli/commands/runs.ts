import type { RunRow } from '../../app/waybill.ts';
import { RUN_STATES } from '../../model/states.ts';
import { type CommandDefinition, type Given, textOption } from '../command.ts';
import type { Context } from '../context.ts';
import { runDocument } from '../documents.ts';
import { EXIT } from '../exit-codes.ts';
import { formatTime, showState } from '../format-values.ts';
import type { OutputOf } from '../output-schemas.ts';
import { addPaging, afterOf, cursorOf, limitOf, moreLine } from '../paging.ts';
import { readChoices, usage } from '../read-words.ts';
import type { Column } from '../table.ts';
import { stateStyle } from '../view.ts';

export const runs: CommandDefinition = {
  description: 'Lists runs, the newest first. A window of a flow has one run, however often it was started.',
  exits: [0, 1, 2],
  examples: [['waybill runs --flow roket-daily --state in-doubt', 'the days of a flow with batches in doubt']],
  configure(command, acts) {
    addPaging(command)
      .option('--flow <name>', 'only runs of this flow')
      .option('--for <window>', 'only the run of this window')
      .option('--state <state>', `one of ${RUN_STATES.join(', ')}`)
      .action(acts(listRuns));
  },
};

async function listRuns(context: Context, given: Given): Promise<number> {
  const reader = await (await context.waybill()).reader();
  const limit = limitOf(given);
  const rows = await reader.runs({ ...filterOf(given), newestFirst: true, limit });
  const documents = rows.map((row: RunRow) => runDocument(row, context.io.wallMs()));
  const document: OutputOf<'runs'> = { schema: 'waybill.runs/1', runs: documents, after: cursorOf(documents, limit) };
  context.show(document, () => [...runTable(context, document.runs), ...moreLine(context, document.after)]);
  return EXIT.ok;
}

function filterOf(given: Given) {
  const [flow, window] = [textOption(given, 'flow'), textOption(given, 'for')];
  const states = readChoices(textOption(given, 'state'), RUN_STATES);
  if (states !== undefined && states.length > 1) throw usage('--state takes one state here', 'List them one by one.');
  const after = afterOf(given);
  return {
    ...(flow === undefined ? {} : { flow }),
    ...(window === undefined ? {} : { window }),
    ...(states?.[0] === undefined ? {} : { state: states[0] }),
    ...(after === undefined ? {} : { after }),
  };
}

const COLUMNS: readonly Column[] = [
  { head: 'run' },
  { head: 'flow', shrinkTo: 10 },
  { head: 'window', shrinkTo: 10 },
  { head: 'state' },
  { head: 'opened' },
  { head: 'ended' },
  { head: 'reason', shrinkTo: 12 },
];

function runTable(context: Context, runs: OutputOf<'runs'>['runs']): string[] {
  if (runs.length === 0) return ['no runs'];
  const time = (text: string | undefined) =>
    text === undefined ? undefined : formatTime(Date.parse(text)).slice(0, 16);
  return context.table(
    COLUMNS,
    runs.map((run) => [
      run.id,
      run.flow,
      run.window.name,
      { text: showState(run.state) + (run.paused ? ', paused' : ''), style: stateStyle(context.view.paint, run.state) },
      time(run.openedAt),
      time(run.endedAt),
      run.reason,
    ]),
  );
}
