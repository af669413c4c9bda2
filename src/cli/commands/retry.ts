import { type BatchId, parseBatchId, parseRunId, type RunId, showBatch } from '../../model/ids.ts';
import { type CommandDefinition, type Given, textOption } from '../command.ts';
import { askLine } from '../confirm.ts';
import type { Context } from '../context.ts';
import { EXIT } from '../exit-codes.ts';
import { countOf, showState } from '../format-values.ts';
import { runCommand } from '../next-steps.ts';
import type { OutputOf } from '../output-schemas.ts';
import { readBatches, usage } from '../read-words.ts';
import { nextLines } from '../run-report.ts';

export const retry: CommandDefinition = {
  description:
    'Sends refused records again, in new batches that point to the ones they come from. What was delivered is ' +
    'not sent again. For after the sink was mended; when the data was corrected at its source, use ' +
    '`waybill run --refresh`.',
  exits: [0, 1, 2, 5, 6],
  examples: [
    ["waybill retry r3 --reason 'the account was unlocked'", 'every refused record of a run'],
    ["waybill retry b17 b18 --reason 'the schema was mended'", 'those of two batches'],
  ],
  configure(command, acts) {
    command
      .argument('<what...>', 'a run (r12), or batches (b17 b18)')
      .option('--reason <text>', 'why; kept in the ledger')
      .option('--who <name>', 'who decides; the login name when not given')
      .action(acts(retryRefused));
  },
};

async function retryRefused(context: Context, given: Given): Promise<number> {
  const what = readWhat(given.words);
  const reason = textOption(given, 'reason') ?? (await askLine(context, 'Why may they pass now?'));
  if (reason === undefined) throw usage('a retry needs a reason', 'Add --reason TEXT: it is kept in the ledger.');
  const who = textOption(given, 'who') ?? context.io.userName();
  const waybill = await context.waybill();
  const moved = await waybill.retry({ ...what, who, reason });
  const document: OutputOf<'retry'> = {
    schema: 'waybill.retry/1',
    retried: moved.map((move, at) => ({
      batch: showBatch(move.children[0]?.parent ?? what.batches?.[at] ?? (0 as BatchId)),
      state: move.state,
      children: move.children.map((child) => showBatch(child.id)),
    })),
    next: await nextOf(context, what),
  };
  context.show(document, () => retriedLines(context, document));
  return EXIT.ok;
}

function readWhat(words: readonly string[]): { run?: RunId; batches?: readonly BatchId[] } {
  const [first = ''] = words;
  const run = first.startsWith('r') ? parseRunId(first) : undefined;
  if (run !== undefined && words.length === 1) return { run };
  if (words.some((word) => word.split(',').some((name) => parseBatchId(name.trim()) === undefined))) {
    throw usage(`${words.join(' ')} is neither one run nor batches`, 'Name one run (r12) or some batches (b17 b18).');
  }
  return { batches: readBatches(words) };
}

async function nextOf(context: Context, what: { run?: RunId; batches?: readonly BatchId[] }): Promise<string[]> {
  const reader = await (await context.waybill()).reader();
  const ids = what.run === undefined ? (what.batches ?? []) : [];
  const runs =
    what.run === undefined ? await Promise.all(ids.map(async (id) => (await reader.batch(id)).run)) : [what.run];
  const rows = await Promise.all([...new Set(runs)].map((run) => reader.run(run)));
  return rows.map((run) =>
    run.state === 'open' ? runCommand(context, run.flow, run.window.name) : context.command('status', run.flow),
  );
}

function retriedLines(context: Context, document: OutputOf<'retry'>): string[] {
  if (document.retried.length === 0) return ['no record of these is refused'];
  const children = document.retried.reduce((sum, each) => sum + each.children.length, 0);
  return [
    `${countOf(children, 'new batch', 'new batches')} with the refused records`,
    ...document.retried.map(
      ({ batch, state, children: into }) => `  ${batch}: ${showState(state as 'moved')}, to ${into.join(', ')}`,
    ),
    ...nextLines(context, document.next),
  ];
}
