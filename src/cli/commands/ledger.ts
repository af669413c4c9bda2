import { type CommandDefinition, flagOption, type Given, textOption } from '../command.ts';
import type { Context } from '../context.ts';
import { EXIT } from '../exit-codes.ts';
import { countOf } from '../format-values.ts';
import type { OutputOf } from '../output-schemas.ts';
import { usage } from '../read-words.ts';

export const ledger: CommandDefinition = {
  description:
    'Copies the ledger, a file, to a PostgreSQL server, all of it or nothing, and compares both. Refuses while ' +
    'anybody works with it and where another ledger is. The file is set aside then: two ledgers that go on would ' +
    'send everything twice. ' +
    'Staged bytes stay where they are.',
  exits: [0, 1, 2, 5, 6],
  examples: [
    ['waybill ledger copy --to postgres://waybill@db.example/ops', 'with the password in PGPASSWORD'],
    ["waybill ledger copy --to 'postgres://waybill@db.example/ops?schema=members'", 'into a schema of its own'],
  ],
  configure(command, acts) {
    command
      .argument('<verb>', 'copy')
      .option('--to <address>', 'the server, as postgres://USER@HOST:PORT/DATABASE')
      .option('--keep', 'leave the file where it is')
      .action(acts(copy));
  },
};

async function copy(context: Context, given: Given): Promise<number> {
  const [verb] = given.words;
  if (verb !== 'copy') throw usage(`${JSON.stringify(verb)} is nothing that can be done with a ledger`, 'Say copy.');
  const to = textOption(given, 'to');
  if (to === undefined) throw usage('it is not said where to', 'Add --to postgres://USER@HOST:PORT/DATABASE.');
  const copied = await (await context.waybill()).copyLedger({ to, keep: flagOption(given, 'keep') });
  const document: OutputOf<'ledger'> = { schema: 'waybill.ledger/1', ...copied, tables: [...copied.tables] };
  context.show(document, () => lines(context, document));
  return EXIT.ok;
}

function lines(context: Context, { from, to, already, tables, staging, setAside }: OutputOf<'ledger'>): string[] {
  const { paint } = context.view;
  const rows = tables.reduce((sum, table) => sum + table.rows, 0);
  const what = already ? 'was there already, and agrees' : 'was copied, and agrees';
  return [
    `${paint.green('ok')}: ${from} ${what}: ${countOf(rows, 'row')} in ${countOf(tables.length, 'table')}`,
    `  now   WAYBILL_LEDGER=${to}`,
    `  bytes staged bytes stay in ${staging}`,
    ...(setAside === undefined ? [] : [`  file  ${setAside} is out of use; delete it when you are sure`]),
  ];
}
