import { BATCH_STATES } from '../../model/states.ts';
import { type CommandDefinition, type Given, textOption } from '../command.ts';
import type { Context } from '../context.ts';
import { batchDocument } from '../documents.ts';
import { EXIT } from '../exit-codes.ts';
import { formatBytes, formatCount, showState } from '../format-values.ts';
import type { OutputOf } from '../output-schemas.ts';
import { addPaging, afterOf, cursorOf, limitOf, moreLine } from '../paging.ts';
import { readChoices, readRun } from '../read-words.ts';
import type { Column } from '../table.ts';
import { stateStyle } from '../view.ts';
import { showBatchAction } from './batches-show.ts';

export const batches: CommandDefinition = {
  description:
    'Lists batches in the order in which they were sealed. `batches show` tells all of one, and gives its bytes.',
  exits: [0, 1, 2],
  examples: [
    ['waybill batches r3 --state in-doubt,refused', 'what went wrong in a run'],
    ['waybill batches show b17', 'one batch with its attempts'],
    ['waybill batches show b17 --payload-to b17.json', 'its bytes, exactly as they are sent'],
  ],
  configure(command, acts) {
    addPaging(command)
      .argument('[run]', 'only batches of this run (r12)')
      .option('--state <states>', `some of ${BATCH_STATES.join(', ')}, with commas`)
      .option('--lane <name>', 'only batches of this lane')
      .action(acts(listBatches));
    command
      .command('show')
      .summary('show one batch')
      .description('Shows one batch: its attempts, receipts and children. Exit codes are those of `waybill batches`.')
      .argument('<batch>', 'the batch (b345)')
      .option('--payload', 'write its bytes to stdout, and nothing else')
      .option('--payload-to <file>', 'write its bytes to a new file')
      .action(acts(showBatchAction));
  },
};

async function listBatches(context: Context, given: Given): Promise<number> {
  const run = given.words[0] === undefined ? undefined : readRun(given.words[0]);
  const states = readChoices(textOption(given, 'state'), BATCH_STATES);
  const lane = textOption(given, 'lane');
  const after = afterOf(given);
  const limit = limitOf(given);
  const reader = await (await context.waybill()).reader();
  const rows = await reader.batches({
    ...(run === undefined ? {} : { run }),
    ...(states === undefined ? {} : { states }),
    ...(lane === undefined ? {} : { lane }),
    ...(after === undefined ? {} : { after }),
    limit,
  });
  const list = rows.map(batchDocument);
  const document: OutputOf<'batches'> = { schema: 'waybill.batches/1', batches: list, after: cursorOf(list, limit) };
  context.show(document, () => [...batchTable(context, document.batches), ...moreLine(context, document.after)]);
  return EXIT.ok;
}

const COLUMNS: readonly Column[] = [
  { head: 'batch' },
  { head: 'run' },
  { head: 'lane', shrinkTo: 8 },
  { head: 'seq', align: 'right' },
  { head: 'state' },
  { head: 'records', align: 'right' },
  { head: 'size', align: 'right' },
  { head: 'attempts', align: 'right' },
  { head: 'from' },
  { head: 'reason', shrinkTo: 12 },
];

export function batchTable(context: Context, batches: OutputOf<'batches'>['batches']): string[] {
  if (batches.length === 0) return ['no batches'];
  return context.table(
    COLUMNS,
    batches.map((batch) => [
      batch.id,
      batch.run,
      batch.lane,
      batch.seq,
      { text: showState(batch.state), style: stateStyle(context.view.paint, batch.state) },
      formatCount(batch.records),
      formatBytes(batch.bytes),
      formatCount(batch.attempts),
      batch.parent,
      reasonOf(batch),
    ]),
  );
}

/** Why it is where it is, and what a decision without proof may have done. */
export function reasonOf(batch: {
  readonly reason?: string | undefined;
  readonly possibly?: string | undefined;
}): string | undefined {
  if (batch.possibly === undefined) return batch.reason;
  return `possibly ${batch.possibly}${batch.reason === undefined ? '' : `: ${batch.reason}`}`;
}
