import { type CommandDefinition, type Given, textOption } from '../command.ts';
import type { Context } from '../context.ts';
import { readRun } from '../read-words.ts';
import { showChangedRun } from '../run-change.ts';

export const resume: CommandDefinition = {
  description:
    'Lets a paused run or lane go on. A process that is at work on it goes on by itself; otherwise start it again ' +
    'with `waybill run`.',
  exits: [0, 1, 2, 5],
  examples: [['waybill resume r3', 'the whole run']],
  configure(command, acts) {
    command.argument('<run>', 'the run (r12)').option('--lane <name>', 'only this lane').action(acts(resumeRun));
  },
};

async function resumeRun(context: Context, given: Given): Promise<number> {
  const run = readRun(given.words[0]!);
  const lane = textOption(given, 'lane');
  await (await context.waybill()).resume({ run, ...(lane === undefined ? {} : { lane }) });
  return await showChangedRun(context, 'waybill.resume/1', run, 'goes on');
}
