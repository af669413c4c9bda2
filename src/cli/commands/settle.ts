import type { DoubtRow, Notice, SettleAsk, Waybill } from '../../app/waybill.ts';
import { type BatchId, showBatch } from '../../model/ids.ts';
import { type CommandDefinition, flagOption, type Given, textOption } from '../command.ts';
import { askLine, confirm } from '../confirm.ts';
import type { Context } from '../context.ts';
import { EXIT } from '../exit-codes.ts';
import { countOf, showState } from '../format-values.ts';
import { runCommand } from '../next-steps.ts';
import type { OutputOf } from '../output-schemas.ts';
import { readBatches, readRun, usage } from '../read-words.ts';
import { nextLines } from '../run-report.ts';
import { noticeLine } from '../run-windows.ts';

type As = SettleAsk['as'];
const MEANINGS: Readonly<Record<As, string>> = {
  ask: 'ask the sink once more',
  delivered: 'count as delivered: it was seen in the sink',
  absent: 'send again: it is proved not to be in the sink',
  resend: 'send again without proof; counted as possibly twice',
  skip: 'never send, without proof; counted as possibly lost',
};
const CHOICES = Object.keys(MEANINGS) as readonly As[];

export const settle: CommandDefinition = {
  description:
    'Decides batches in doubt. The decision is recorded with who took it and on what evidence. What is to be sent ' +
    'again is sent by the next run.',
  exits: [0, 1, 2, 4, 5],
  examples: [
    ["waybill settle b17 --as delivered --evidence 'seen in the sink, request 8f3'", 'one batch'],
    ["waybill settle --run r3 --as ask --evidence 'the sink is back'", 'every doubt of a run'],
  ],
  configure(command, acts) {
    command
      .argument('[batches...]', 'the batches (b17 b18, or b17,b18)')
      .option('--run <run>', 'every batch of this run that is in doubt (r12)')
      .option('--as <decision>', CHOICES.map((as) => `${as}: ${MEANINGS[as]}`).join('; '))
      .option('--evidence <text>', 'what the decision rests on; kept in the ledger')
      .option('--who <name>', 'who decides; the login name when not given')
      .option('--yes', 'ask nothing')
      .action(acts(settleBatches));
  },
};

async function settleBatches(context: Context, given: Given): Promise<number> {
  const named = readBatches(given.words);
  const runText = textOption(given, 'run');
  if (named.length > 0 === (runText !== undefined))
    throw usage('name either batches or --run', 'See `waybill doubts`.');
  const as = await readAs(context, given);
  const waybill = await context.waybill();
  const doubts = await doubtsOf(waybill, named, runText);
  const evidence = textOption(given, 'evidence') ?? (await askLine(context, 'What does the decision rest on?'));
  if (evidence === undefined)
    throw usage('a decision needs its evidence', 'Add --evidence TEXT: it is kept in the ledger.');
  const batches = doubts.length > 0 ? doubts.map((doubt) => doubt.id) : named;
  if (batches.length > 0 && !(await allowed(context, given, as, doubts))) {
    throw usage('nothing was settled', 'Answer y, or give --yes.');
  }
  const who = textOption(given, 'who') ?? context.io.userName();
  const notice = (told: Notice): void => context.talk(noticeLine(context, told));
  const moved = batches.length === 0 ? [] : await waybill.settle({ batches, as, who, evidence, notice });
  const document: OutputOf<'settle'> = {
    schema: 'waybill.settle/1',
    as,
    settled: moved.map((move, at) => ({
      batch: showBatch(batches[at]!),
      state: move.state,
      children: move.children.map((child) => showBatch(child.id)),
    })),
    next: nextOf(
      context,
      doubts,
      moved.map((move) => move.state),
    ),
  };
  context.show(document, () => settledLines(context, document));
  return moved.some((move) => move.state === 'in-doubt') ? EXIT.inDoubt : EXIT.ok;
}

async function readAs(context: Context, given: Given): Promise<As> {
  const list = CHOICES.map((as) => `  ${as.padEnd(10)} ${MEANINGS[as]}`).join('\n');
  const text = textOption(given, 'as') ?? (await askLine(context, `How is it to be settled?\n${list}\n>`));
  const as = CHOICES.find((choice) => choice === text);
  if (as !== undefined) return as;
  const message = text === undefined ? 'the decision is missing' : `${JSON.stringify(text)} is no decision`;
  throw usage(message, `Give --as with one of ${CHOICES.join(', ')}.`);
}

/** All pages of them: a question that names fewer batches than it decides would be a lie. */
async function doubtsOf(waybill: Waybill, named: readonly BatchId[], runText: string | undefined): Promise<DoubtRow[]> {
  const reader = await waybill.reader();
  const rows: DoubtRow[] = [];
  const run = runText === undefined ? undefined : readRun(runText);
  const runs = run === undefined ? await runsOf(waybill, named) : [run];
  for (const of of runs) {
    for (let after: number | undefined; ; after = rows.at(-1)!.id) {
      const page = await reader.doubts({ run: of, limit: 1000, ...(after === undefined ? {} : { after }) });
      rows.push(...page);
      if (page.length < 1000) break;
    }
  }
  return run === undefined ? rows.filter((row) => named.includes(row.id)) : rows;
}

async function runsOf(waybill: Waybill, named: readonly BatchId[]) {
  const reader = await waybill.reader();
  const batches = await Promise.all(named.map((id) => reader.batch(id)));
  return [...new Set(batches.map((batch) => batch.run))];
}

async function allowed(context: Context, given: Given, as: As, doubts: readonly DoubtRow[]): Promise<boolean> {
  if (as === 'ask') return true;
  const records = doubts.reduce((sum, doubt) => sum + doubt.balance.inDoubt, 0);
  const what = `${countOf(doubts.length, 'batch', 'batches')} with ${countOf(records, 'record')} in doubt`;
  return await confirm(context, `${what}: ${MEANINGS[as]}?`, flagOption(given, 'yes'));
}

function nextOf(context: Context, doubts: readonly DoubtRow[], states: readonly string[]): string[] {
  const again = states.some((state) => state === 'sealed' || state === 'moved');
  const windows = new Map(doubts.map((doubt) => [`${doubt.flow} ${doubt.window}`, doubt]));
  return again ? [...windows.values()].map((doubt) => runCommand(context, doubt.flow, doubt.window)) : [];
}

function settledLines(context: Context, document: OutputOf<'settle'>): string[] {
  if (document.settled.length === 0) return ['no batch is in doubt'];
  const lines = document.settled.map(({ batch, state, children }) => {
    const into = children.length === 0 ? '' : `, to be sent as ${children.join(', ')}`;
    return `${batch}: ${showState(state as 'sealed')}${into}`;
  });
  return [...lines, ...nextLines(context, document.next)];
}
