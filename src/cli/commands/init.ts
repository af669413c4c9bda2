import { writeFile } from 'node:fs/promises';
import { resolve } from 'node:path';
import { WaybillError } from '../../model/errors.ts';
import type { CommandDefinition } from '../command.ts';
import { type Context, commandLine } from '../context.ts';
import { EXIT } from '../exit-codes.ts';
import { FLOW_FILE_TEMPLATE } from '../init-template.ts';
import type { OutputOf } from '../output-schemas.ts';
import { nextLines } from '../run-report.ts';

export const init: CommandDefinition = {
  description: 'Writes a commented flow file to begin with. Asks nothing; does not touch a file that is there.',
  exits: [0, 1, 2],
  examples: [['waybill init', 'waybill.yaml in this folder']],
  configure(command, acts) {
    command.action(acts(writeTemplate));
  },
};

async function writeTemplate(context: Context): Promise<number> {
  const file = resolve(context.io.cwd, context.globals.config ?? 'waybill.yaml');
  try {
    await writeFile(file, FLOW_FILE_TEMPLATE, { flag: 'wx' });
  } catch (cause) {
    throw cannotWrite(context, file, cause);
  }
  const next = [context.command('check'), context.command('plan', 'members'), context.command('run', 'members')];
  const document: OutputOf<'init'> = { schema: 'waybill.init/1', file, next };
  context.show(document, () => [`written: ${file}`, ...nextLines(context, next)]);
  return EXIT.ok;
}

function cannotWrite(context: Context, file: string, cause: unknown): WaybillError {
  const exists = cause instanceof Error && 'code' in cause && cause.code === 'EEXIST';
  return exists
    ? new WaybillError('USAGE', `${file} is already there, and is left as it is`, {
        hint: 'Check it, or name another file with --config FILE.',
        ids: { command: commandLine(context.globals, ['check']) },
      })
    : new WaybillError('USAGE', `${file} cannot be written`, { cause, hint: 'Go to a folder that can be written.' });
}
