import { type CommandDefinition, type Given, textOption } from '../command.ts';
import type { Context } from '../context.ts';
import { readRun } from '../read-words.ts';
import { showChangedRun } from '../run-change.ts';

export const pause: CommandDefinition = {
  description:
    'Lets a run, or one lane of it, begin no new batch. What is in flight is finished and recorded; other lanes go ' +
    'on. It stays paused over restarts, until `waybill resume`.',
  exits: [0, 1, 2, 5],
  examples: [["waybill pause r3 --lane crm --reason 'the sink is being upgraded'", 'one lane']],
  configure(command, acts) {
    command
      .argument('<run>', 'the run (r12)')
      .option('--lane <name>', 'only this lane')
      .option('--reason <text>', 'why; kept in the ledger', 'paused on the command line')
      .action(acts(pauseRun));
  },
};

async function pauseRun(context: Context, given: Given): Promise<number> {
  const run = readRun(given.words[0]!);
  const lane = textOption(given, 'lane');
  const reason = textOption(given, 'reason') ?? '';
  await (await context.waybill()).pause({ run, reason, ...(lane === undefined ? {} : { lane }) });
  return await showChangedRun(context, 'waybill.pause/1', run, 'is paused');
}
