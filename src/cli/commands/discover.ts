import type { CommandDefinition, Given } from '../command.ts';
import type { Context } from '../context.ts';
import { EXIT } from '../exit-codes.ts';
import { plainText } from '../format-values.ts';
import { Interrupts } from '../interrupts.ts';
import type { OutputOf } from '../output-schemas.ts';

export const discover: CommandDefinition = {
  description:
    'Asks a place what it holds that could be read: tables or streams, their columns and types, the columns that ' +
    'tell records apart, and those that a pull may go on by. PostgreSQL, MySQL, SQLite and the taps of Singer ' +
    'tell, and no record is read. Of a flow that reads files or objects the first records of the last one are ' +
    'looked at, and of one that reads over HTTP those that come first. Where a connection is named the flows of the ' +
    'file may still have their faults.',
  exits: [0, 2, 5, 130, 143],
  examples: [
    ['waybill discover warehouse', 'what the connection `warehouse` holds'],
    ['waybill discover files-in', 'the columns of the files that a flow reads'],
    ['waybill discover orders-in --output json', "what the connection of a flow's source holds"],
  ],
  configure(command, acts) {
    command
      .argument('<connection-or-flow>', 'a connection, or a flow for that of its source')
      .action(acts(listStreams));
  },
};

async function listStreams(context: Context, given: Given): Promise<number> {
  const [name = ''] = given.words;
  const interrupts = new Interrupts(context.io, () => context.talk('asking no further'));
  try {
    const waybill = await context.waybill();
    const { connection, connector, streams } = await waybill.discover(name, interrupts.signals.stop);
    const document: OutputOf<'discover'> = {
      schema: 'waybill.discover/1',
      connection,
      connector,
      streams: streams.map(({ columns, key, cursors, ...stream }) => ({
        ...stream,
        columns: columns.map((column) => ({ ...column })),
        key: [...key],
        cursors: [...cursors],
      })),
    };
    context.show(document, () => streamLines(context, document));
    return EXIT.ok;
  } finally {
    interrupts.release();
  }
}

function streamLines(context: Context, { connection, streams }: OutputOf<'discover'>): readonly string[] {
  if (streams.length === 0) return [`${connection} holds nothing that could be read`];
  return streams.flatMap((stream, nth) => [...(nth === 0 ? [] : ['']), ...linesOf(context, stream)]);
}

/** The name of a stream, and below it a row for each column. */
function linesOf(context: Context, { name, columns, key, cursors }: OutputOf<'discover'>['streams'][number]): string[] {
  const rows = columns.map((column) => [
    { text: `  ${plainText(column.name)}`, style: context.view.paint.bold },
    plainText(column.type),
    column.nullable ? undefined : 'not null',
    key.includes(column.name) ? placeIn(key, column.name) : undefined,
    cursors.includes(column.name) ? 'yes' : undefined,
  ]);
  const heads = [
    { head: '  column' },
    { head: 'type', shrinkTo: 10 },
    { head: 'null' },
    { head: 'key' },
    { head: 'cursor' },
  ];
  return [plainText(name), ...context.table(heads, rows)];
}

/** Which part of the key it is, where there is more than one. */
const placeIn = (key: readonly string[], column: string): string =>
  key.length === 1 ? 'yes' : `${key.indexOf(column) + 1} of ${key.length}`;
