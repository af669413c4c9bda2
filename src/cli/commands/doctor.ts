import type { CommandDefinition } from '../command.ts';
import type { Context } from '../context.ts';
import { EXIT } from '../exit-codes.ts';
import { countOf, plainText } from '../format-values.ts';
import type { OutputOf } from '../output-schemas.ts';

export const doctor: CommandDefinition = {
  description:
    'Looks at what flows need here: the Node version, drivers, the ledger and its disk, secrets. Says what to do ' +
    'about each thing that is not well.',
  exits: [0, 1, 2],
  examples: [['waybill doctor', 'before the first run, or when something is odd']],
  configure(command, acts) {
    command.action(acts(examine));
  },
};

async function examine(context: Context): Promise<number> {
  const checks = await (await context.waybill()).doctor();
  const ok = checks.every((check) => check.ok);
  const document: OutputOf<'doctor'> = {
    schema: 'waybill.doctor/1',
    ok,
    checks: checks.map((check) => ({ ...check })),
  };
  context.show(document, () => doctorLines(context, document));
  return ok ? EXIT.ok : EXIT.failed;
}

function doctorLines(context: Context, { checks }: OutputOf<'doctor'>): string[] {
  const { paint } = context.view;
  const width = Math.max(0, ...checks.map((check) => check.check.length));
  const lines = checks.flatMap(({ check, ok, message, hint }) => [
    `${ok ? paint.green('ok  ') : paint.red('bad ')} ${plainText(check).padEnd(width)}  ${plainText(message)}`,
    ...(hint === undefined || ok ? [] : [`     ${plainText(hint)}`]),
  ]);
  const bad = checks.filter((check) => !check.ok).length;
  return [...lines, bad === 0 ? 'all is well' : countOf(bad, 'thing is not well', 'things are not well')];
}
