import { showRun } from '../../model/ids.ts';
import type { CommandDefinition, Given } from '../command.ts';
import type { Context } from '../context.ts';
import { EXIT } from '../exit-codes.ts';
import { countOf, plainText } from '../format-values.ts';
import type { OutputOf } from '../output-schemas.ts';
import { readRun } from '../read-words.ts';

export const verify: CommandDefinition = {
  description:
    'Reads the ledger and the staged bytes and compares them with their digests, chains and balances. Changes nothing.',
  exits: [0, 1, 2, 7],
  examples: [
    ['waybill verify', 'everything'],
    ['waybill verify r3', 'one run'],
  ],
  configure(command, acts) {
    command.argument('[run]', 'only this run (r12)').action(acts(verifyLedger));
  },
};

async function verifyLedger(context: Context, given: Given): Promise<number> {
  const run = given.words[0] === undefined ? undefined : readRun(given.words[0]);
  const differences = await (await context.waybill()).verify(run);
  const document: OutputOf<'verify'> = {
    schema: 'waybill.verify/1',
    run: run === undefined ? undefined : showRun(run),
    differences: [...differences],
  };
  context.show(document, () => verifyLines(context, document));
  return differences.length === 0 ? EXIT.ok : EXIT.difference;
}

function verifyLines(context: Context, { run, differences }: OutputOf<'verify'>): string[] {
  const { paint } = context.view;
  const what = run ?? 'the ledger and the staged bytes';
  if (differences.length === 0)
    return [`${paint.green('ok')}: ${what} agree${run === undefined ? '' : 's'} with all digests`];
  return [
    paint.red(`${countOf(differences.length, 'difference')}:`),
    ...differences.map((line) => `  ${plainText(line)}`),
  ];
}
