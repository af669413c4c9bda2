import { type CommandDefinition, type Given, textOption } from '../command.ts';
import type { Context } from '../context.ts';
import { doubtDocument } from '../documents.ts';
import { EXIT } from '../exit-codes.ts';
import { countOf, formatCount, formatDuration, plainText } from '../format-values.ts';
import type { OutputOf } from '../output-schemas.ts';
import type { DoubtDocument } from '../output-shapes.ts';
import { addPaging, afterOf, cursorOf, limitOf, moreLine } from '../paging.ts';
import { readRun } from '../read-words.ts';
import { stateStyle } from '../view.ts';

export const doubts: CommandDefinition = {
  description:
    'Lists the batches whose last answer was lost, each with the evidence. Nothing in doubt is sent again by itself, ' +
    'and it blocks no other batch: `waybill settle` decides it.',
  exits: [0, 1, 2],
  examples: [
    ['waybill doubts', 'all'],
    ['waybill doubts r3', 'of one run'],
  ],
  configure(command, acts) {
    addPaging(command)
      .argument('[run]', 'only batches of this run (r12)')
      .option('--flow <name>', 'only batches of this flow')
      .action(acts(listDoubts));
  },
};

async function listDoubts(context: Context, given: Given): Promise<number> {
  const run = given.words[0] === undefined ? undefined : readRun(given.words[0]);
  const flow = textOption(given, 'flow');
  const after = afterOf(given);
  const limit = limitOf(given);
  const reader = await (await context.waybill()).reader();
  const rows = await reader.doubts({
    ...(run === undefined ? {} : { run }),
    ...(flow === undefined ? {} : { flow }),
    ...(after === undefined ? {} : { after }),
    limit,
  });
  const list = rows.map((row) => doubtDocument(row, context));
  const document: OutputOf<'doubts'> = { schema: 'waybill.doubts/1', doubts: list, after: cursorOf(list, limit) };
  context.show(document, () => doubtLines(context, document));
  return EXIT.ok;
}

function doubtLines(context: Context, document: OutputOf<'doubts'>): string[] {
  if (document.doubts.length === 0) return ['no batch is in doubt'];
  const { paint } = context.view;
  const records = document.doubts.reduce((sum, doubt) => sum + doubt.balance.inDoubt, 0);
  const head = `${countOf(document.doubts.length, 'batch', 'batches')} in doubt, ${countOf(records, 'record')}`;
  return [
    stateStyle(paint, 'in-doubt')(head),
    ...document.doubts.flatMap((doubt) => ['', ...oneDoubt(context, doubt)]),
    '',
    ...howToSettle(context, document.doubts[0]!.id),
    ...moreLine(context, document.after),
  ];
}

function oneDoubt(context: Context, doubt: DoubtDocument): string[] {
  const { paint } = context.view;
  const attempt = doubt.lastAttempt;
  const inDoubt = formatCount(doubt.balance.inDoubt);
  const lines = [
    `${paint.bold(doubt.id)} ${doubt.flow} ${doubt.window}, run ${doubt.run}, lane ${plainText(doubt.lane)}`,
    `  ${inDoubt} of ${countOf(doubt.records, 'record')} in doubt for ${formatDuration(doubt.ageMs)}`,
  ];
  const evidence = [doubt.reason, attempt.reason, attempt.receipt?.summary].filter((text) => text !== undefined);
  for (const text of new Set(evidence)) lines.push(`  evidence: ${plainText(text)}`);
  if (attempt.receipt?.reference !== undefined)
    lines.push(`  the sink's reference: ${plainText(attempt.receipt.reference)}`);
  lines.push(`  idempotency key: ${paint.dim(plainText(doubt.idempotencyKey))}`);
  return lines;
}

function howToSettle(context: Context, example: string): string[] {
  const { paint } = context.view;
  // The evidence is left to be filled in: a command that can be copied blindly would put words into the audit trail.
  const ways = [
    ['ask', 'ask the sink again'],
    ['delivered', 'seen in the sink'],
    ['absent', 'not in the sink: send'],
    ['resend', 'no proof: possibly twice'],
    ['skip', 'no proof: possibly lost'],
  ].map(([as = '', meaning = '']) => ({
    command: context.command('settle', example, '--as', as, '--evidence', 'TEXT'),
    meaning,
  }));
  const width = Math.max(...ways.map(({ command }) => command.length));
  return [
    paint.bold('to settle:'),
    ...ways.map(({ command, meaning }) => `  ${command.padEnd(width)}  ${paint.dim(meaning)}`),
  ];
}
