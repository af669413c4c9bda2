import { RECORD_STATES } from '../../model/states.ts';
import { type CommandDefinition, type Given, textOption } from '../command.ts';
import type { Context } from '../context.ts';
import { recordDocument } from '../documents.ts';
import { EXIT } from '../exit-codes.ts';
import { formatCount, showState } from '../format-values.ts';
import type { OutputOf } from '../output-schemas.ts';
import { addPaging, limitOf, moreLine } from '../paging.ts';
import { readBatch, readChoices, readRun } from '../read-words.ts';
import type { Column } from '../table.ts';
import { stateStyle } from '../view.ts';

export const records: CommandDefinition = {
  description: 'Lists records with where each is and why. A record of one key: `waybill trace`.',
  exits: [0, 1, 2],
  examples: [
    ['waybill records r3 --state refused', 'what the sink refused, each with its reason'],
    ['waybill records --batch b17', 'the members of a batch, in order'],
  ],
  configure(command, acts) {
    addPaging(command)
      .argument('[run]', 'only records of this run (r12)')
      .option('--state <states>', `some of ${RECORD_STATES.join(', ')}, with commas`)
      .option('--batch <batch>', 'only records of this batch (b345)')
      .option('--lane <name>', 'only records of this lane')
      .action(acts(listRecords));
  },
};

async function listRecords(context: Context, given: Given): Promise<number> {
  const run = given.words[0] === undefined ? undefined : readRun(given.words[0]);
  const [batch, lane, after] = ['batch', 'lane', 'after'].map((name) => textOption(given, name));
  const states = readChoices(textOption(given, 'state'), RECORD_STATES);
  const waybill = await context.waybill();
  const reader = await waybill.reader();
  const page = await reader.records({
    ...(run === undefined ? {} : { run }),
    ...(batch === undefined ? {} : { batch: readBatch(batch) }),
    ...(lane === undefined ? {} : { lane }),
    ...(states === undefined ? {} : { states }),
    ...(after === undefined ? {} : { after }),
    limit: limitOf(given),
  });
  const document: OutputOf<'records'> = {
    schema: 'waybill.records/1',
    records: page.records.map((record) =>
      recordDocument(record, record.key === undefined ? undefined : waybill.showKey(record)),
    ),
    after: page.cursor,
  };
  context.show(document, () => [...recordTable(context, document.records), ...moreLine(context, document.after)]);
  return EXIT.ok;
}

const COLUMNS: readonly Column[] = [
  { head: 'key', shrinkTo: 12 },
  { head: 'state' },
  { head: 'batch' },
  { head: 'place', align: 'right' },
  { head: 'row', align: 'right' },
  { head: 'run' },
  { head: 'lane', shrinkTo: 8 },
  { head: 'code', shrinkTo: 8 },
  { head: 'reason', shrinkTo: 16 },
];

function recordTable(context: Context, records: OutputOf<'records'>['records']): string[] {
  if (records.length === 0) return ['no records'];
  return context.table(
    COLUMNS,
    records.map((record) => [
      record.key ?? '(unreadable)',
      { text: showState(record.state), style: stateStyle(context.view.paint, record.state) },
      record.batch,
      // People count from one; JSON has the 0-based `position`.
      record.position === undefined ? undefined : formatCount(record.position + 1),
      record.row === undefined ? undefined : formatCount(record.row),
      record.run,
      record.lane,
      record.code,
      record.reason,
    ]),
  );
}
