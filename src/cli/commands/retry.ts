import type { RunRow, Waybill } from '../../app/waybill.ts';
import { type BatchId, parseBatchId, parseRunId, type RunId, showBatch } from '../../model/ids.ts';
import { type CommandDefinition, flagOption, type Given, textOption } from '../command.ts';
import { askLine } from '../confirm.ts';
import type { Context } from '../context.ts';
import { EXIT, worstOf } from '../exit-codes.ts';
import { countOf, showState } from '../format-values.ts';
import { Interrupts } from '../interrupts.ts';
import { runCommand } from '../next-steps.ts';
import type { OutputOf } from '../output-schemas.ts';
import { readBatches, usage } from '../read-words.ts';
import { nextLines, reportLines } from '../run-report.ts';
import { type RunResult, runWindow } from '../run-windows.ts';

export const retry: CommandDefinition = {
  description:
    'Sends refused records again, in new batches that point to the ones they come from. What was delivered is not ' +
    'sent again, and nothing is read. For after the sink was mended; when the data was corrected at its source, use ' +
    '`waybill run --refresh`.',
  exits: [0, 1, 2, 3, 4, 5, 6, 130, 143],
  examples: [
    ["waybill retry r3 --reason 'the account was unlocked'", 'every refused record of a run'],
    ["waybill retry b17 b18 --reason 'the schema was mended'", 'those of two batches'],
  ],
  configure(command, acts) {
    command
      .argument('<what...>', 'a run (r12), or batches (b17 b18)')
      .option('--reason <text>', 'why; kept in the ledger')
      .option('--who <name>', 'who decides; the login name when not given')
      .option('--later', 'only make the new batches; the next run sends them')
      .action(acts(retryRefused));
  },
};

type Retried = OutputOf<'retry'>['retried'][number];

async function retryRefused(context: Context, given: Given): Promise<number> {
  const what = readWhat(given.words);
  const reason = textOption(given, 'reason') ?? (await askLine(context, 'Why may they pass now?'));
  if (reason === undefined) throw usage('a retry needs a reason', 'Add --reason TEXT: it is kept in the ledger.');
  const who = textOption(given, 'who') ?? context.io.userName();
  const waybill = await context.waybill();
  const children = (await waybill.retry({ ...what, who, reason })).flatMap((move) => move.children);
  const retried: Retried[] = children.map((child) => ({
    batch: showBatch(child.parent ?? child.id),
    state: 'moved',
    children: [showBatch(child.id)],
  }));
  const runs = await runsOf(waybill, [...new Set(children.map((child) => child.run))]);
  const later = flagOption(given, 'later');
  const results = later
    ? []
    : await send(
        context,
        runs,
        children.map((child) => child.id),
      );
  const next = later ? runs.map((run) => runCommand(context, run.flow, run.window.name)) : [];
  const document: OutputOf<'retry'> = { schema: 'waybill.retry/1', retried, results, next };
  context.show(document, () => retriedLines(context, document));
  return results.length === 0 ? EXIT.ok : worstOf(results.map((result) => result.exitCode));
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

async function runsOf(waybill: Waybill, ids: readonly RunId[]): Promise<readonly RunRow[]> {
  const reader = await waybill.reader();
  return await Promise.all(ids.map((id) => reader.run(id)));
}

/** Only the new batches: what else is pending in those windows is for a run of its own. */
async function send(context: Context, runs: readonly RunRow[], only: readonly BatchId[]): Promise<RunResult[]> {
  const results: RunResult[] = [];
  const interrupts = new Interrupts(context.io, (nth) =>
    context.complain(nth === 1 ? 'stopping after what is in flight; Ctrl-C again leaves at once' : 'leaving at once'),
  );
  try {
    for (const { flow, window } of runs) {
      if (interrupts.exitCode !== undefined) break;
      const ask = { options: { only }, intervalMs: 10_000, interrupts };
      results.push(await runWindow(context, { flow, window: window.name }, ask));
    }
  } finally {
    interrupts.release();
  }
  return results;
}

function retriedLines(context: Context, document: OutputOf<'retry'>): string[] {
  if (document.retried.length === 0) return ['no record of these is refused'];
  return [
    `${countOf(document.retried.length, 'new batch', 'new batches')} of refused records:`,
    ...document.retried.map(({ batch, children }) => `  ${batch} ${showState('moved')} to ${children.join(', ')}`),
    ...document.results.flatMap((result) => reportLines(context, result)),
    ...nextLines(context, document.next),
  ];
}
