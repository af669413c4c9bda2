import { type CommandDefinition, flagOption, type Given, textOption } from '../command.ts';
import { confirm } from '../confirm.ts';
import type { Context } from '../context.ts';
import { lanesOf } from '../documents.ts';
import { countOf } from '../format-values.ts';
import { sumBalances } from '../next-steps.ts';
import { readRun, usage } from '../read-words.ts';
import { showChangedRun } from '../run-change.ts';

export const cancel: CommandDefinition = {
  description:
    'Gives up what a run has not sent: those records become skipped. What was delivered stays delivered, and what is ' +
    'in doubt stays in doubt.',
  exits: [0, 1, 2, 5],
  examples: [["waybill cancel r3 --reason 'wrong day' --yes", 'without a question']],
  configure(command, acts) {
    command
      .argument('<run>', 'the run (r12)')
      .option('--reason <text>', 'why; kept in the ledger')
      .option('--yes', 'ask nothing')
      .action(acts(cancelRun));
  },
};

async function cancelRun(context: Context, given: Given): Promise<number> {
  const run = readRun(given.words[0]!);
  const waybill = await context.waybill();
  const { pending } = sumBalances(await lanesOf(await waybill.reader(), run));
  const question = `Skip ${countOf(pending, 'record')} that r${run} has not sent?`;
  if (!(await confirm(context, question, flagOption(given, 'yes')))) {
    throw usage('nothing was cancelled', 'Answer y, or give --yes.');
  }
  await waybill.cancel({ run, reason: textOption(given, 'reason') ?? 'cancelled on the command line' });
  return await showChangedRun(context, 'waybill.cancel/1', run, 'is cancelled');
}
