import { type CommandDefinition, flagOption, type Given, textOption, textsOption } from '../command.ts';
import { confirm } from '../confirm.ts';
import type { Context } from '../context.ts';
import { EXIT, worstOf } from '../exit-codes.ts';
import { countOf } from '../format-values.ts';
import { Interrupts } from '../interrupts.ts';
import { runCommand } from '../next-steps.ts';
import type { OutputOf } from '../output-schemas.ts';
import { readBatches, readDuration, readWhole, usage } from '../read-words.ts';
import { reportLines } from '../run-report.ts';
import { type Outcome, type RunAsk, runWindows, type Target } from '../run-windows.ts';

const INTERVAL = '10s';

export const run: CommandDefinition = {
  description:
    'Moves the records of a window. Starting the same window again is the same run going on: only what is not ' +
    'decided yet is sent. Ctrl-C finishes what is in flight and records it; a second one leaves at once.',
  exits: [0, 1, 2, 3, 4, 5, 6, 130, 143],
  examples: [
    ['waybill run roket-daily --for 2026-11-19', 'one day'],
    ['waybill run roket-daily --from 2026-11-01 --to 2026-12-01', 'November, day by day'],
    ['waybill run --due', 'all that schedules say should have run by now; for cron'],
    ['waybill run roket-daily --for 2026-11-19 --refresh', 'read again and send what is new'],
    ['waybill run rates', 'what is new, of a flow with `window: pull`'],
  ],
  configure(command, acts) {
    command
      .argument('[flow]', 'the flow; may be left out with --due, and where the file has one flow')
      .option('--for <window>', 'the window: 2026-11-19, 2026-11-19T05, 2026-W47, 2026-11, latest')
      .option('--from <window>', 'the first of several windows, oldest first')
      .option('--to <window>', 'the window before which to stop; not run itself')
      .option('--force', 'of a flow that pulls: read although nobody can tell whether anything is new')
      .option('--take <parts...>', 'of a flow that pulls: read these files, though they lie before its position')
      .option('--due', 'every window that a schedule says should have run by now')
      .option('--refresh', 'read the window again and compare it with what was delivered')
      .option('--resend-all', 'read the window again and send all of it once more; needs --reason')
      .option('--reason <text>', 'why; kept in the ledger')
      .option('--batches <names>', 'only these batches (b1,b2); nothing is read')
      .option('--correlation-id <id>', 'goes with every status and request of the run')
      .option('--lease <duration>', 'how long a process that went silent keeps its claim')
      .option('--empty-exit-code <n>', 'exit with this instead of 0 when there was nothing to send')
      .option('--progress-interval <duration>', `between two lines off a terminal (default: ${INTERVAL}); 0 for none`)
      .option('--yes', 'ask nothing')
      .action(acts(runFlow));
  },
};

async function runFlow(context: Context, given: Given): Promise<number> {
  const emptyText = textOption(given, 'emptyExitCode') ?? '0';
  const emptyExitCode = readWhole(emptyText, '--empty-exit-code', { min: 0, max: 255 });
  const options = await readOptions(context, given);
  const intervalMs = readDuration(textOption(given, 'progressInterval') ?? INTERVAL, '--progress-interval');
  const targets = await readTargets(context, given);
  const interrupts = new Interrupts(context.io, (nth) => heard(context, nth, targets));
  let outcome: Outcome;
  try {
    outcome = await runWindows(context, targets, { options, intervalMs, interrupts });
  } finally {
    interrupts.release();
  }
  const worst = worstOf(outcome.results.map((result) => result.exitCode));
  const code = interrupts.exitCode ?? worst;
  const exitCode = code === EXIT.ok && outcome.sent === 0 ? emptyExitCode : code;
  report(await writerOf(context, targets), context, { ...outcome, exitCode });
  return exitCode;
}

type Writer = (line: string) => void;

/** Results go to stdout, except where records do: a summary among them would be one more record to whoever reads. */
async function writerOf(context: Context, targets: readonly Target[]): Promise<Writer> {
  const flows = new Set(targets.map((target) => target.flow));
  const taken = (await context.waybill())
    .flows()
    .some((flow) => flows.has(flow.name) && flow.lanes.some((lane) => lane.connector === 'stdout'));
  return taken ? (line) => context.complain(line) : (line) => context.write(`${line}\n`);
}

function report(write: Writer, context: Context, outcome: Outcome & { readonly exitCode: number }): void {
  const document: OutputOf<'run'> = {
    schema: 'waybill.run/1',
    exitCode: outcome.exitCode,
    results: [...outcome.results],
    notBegun: outcome.notBegun.map((target) => ({ ...target })),
  };
  // One line, also on a terminal: orchestrators keep the last line of a task as its result.
  if (context.view.json) write(JSON.stringify(document));
  else for (const line of textOf(context, document)) write(line);
}

function textOf(context: Context, document: OutputOf<'run'>): string[] {
  const lines = document.results.flatMap((result) => reportLines(context, result));
  if (document.results.length === 0 && document.notBegun.length === 0) lines.push('nothing to send: no window is due');
  for (const flow of new Set(document.notBegun.map((target) => target.flow))) {
    const windows = document.notBegun.filter((target) => target.flow === flow).map(({ window }) => window);
    lines.push(...notBegunLines(context, flow, windows));
  }
  return lines;
}

/** A year of hours that a failure has held up is no more to read than one. */
function notBegunLines(context: Context, flow: string, windows: readonly string[]): string[] {
  const [first, last] = [windows[0] as string, windows.at(-1) as string];
  if (windows.length === 1) return [`${flow} ${first}: not begun`, `  next: ${runCommand(context, flow, first)}`];
  const count = countOf(windows.length, 'window');
  return [`${flow}: ${count} not begun, ${first} to ${last}`, '  next: the same command again, which goes on there'];
}

async function readOptions(context: Context, given: Given): Promise<RunAsk['options']> {
  const reason = textOption(given, 'reason');
  const resendAll = flagOption(given, 'resendAll');
  if (resendAll) await allowResend(context, given, reason);
  const batches = textOption(given, 'batches');
  const take = textsOption(given, 'take');
  const lease = textOption(given, 'lease');
  const correlationId = textOption(given, 'correlationId');
  return {
    ...(flagOption(given, 'refresh') ? { refresh: true } : {}),
    ...(flagOption(given, 'force') ? { force: true } : {}),
    ...(take === undefined ? {} : { take }),
    ...(resendAll && reason !== undefined ? { resendAll: { reason } } : {}),
    ...(batches === undefined ? {} : { only: readBatches([batches]) }),
    ...(correlationId === undefined ? {} : { correlationId }),
    ...(lease === undefined ? {} : { leaseMs: readDuration(lease, '--lease') }),
  };
}

async function allowResend(context: Context, given: Given, reason: string | undefined): Promise<void> {
  if (reason === undefined) throw usage('--resend-all needs a reason', 'Add --reason TEXT: it is kept in the ledger.');
  if (flagOption(given, 'refresh') || textOption(given, 'batches') !== undefined) {
    throw usage('--resend-all goes with neither --refresh nor --batches', 'Choose one of them.');
  }
  const question = 'Send everything of this window again? A sink that keeps all it gets will hold it twice.';
  if (await confirm(context, question, flagOption(given, 'yes'))) return;
  throw usage('nothing was sent again', 'Answer y, or give --yes.');
}

async function readTargets(context: Context, given: Given): Promise<Target[]> {
  const [window, from, to] = ['for', 'from', 'to'].map((name) => textOption(given, name));
  const flow = given.words[0];
  const due = flagOption(given, 'due');
  if ([window !== undefined, from !== undefined || to !== undefined, due].filter(Boolean).length > 1) {
    throw usage('--for, --from with --to, and --due are three ways to say the same', 'Choose one of them.');
  }
  const waybill = await context.waybill();
  if (due) return (await waybill.due(flow)).map((each) => ({ flow: each.flow, window: nameOfDue(each.window) }));
  const name = flow ?? onlyFlow(waybill.flows().map((each) => each.name));
  if (from === undefined && to === undefined) return [{ flow: name, window }];
  if (from === undefined || to === undefined) throw usage('--from and --to come together', 'Give both, or --for.');
  const windows = waybill.windows(name, from, to);
  if (windows.length === 0)
    throw usage(`no window begins at or after ${from} and before ${to}`, '--to is not run itself.');
  return windows.map((each) => ({ flow: name, window: each.name }));
}

/** What is new has no name before it is read. */
const nameOfDue = ({ name }: { readonly name: string }): string | undefined => (name === 'pull' ? undefined : name);

/** The flow of a file that has one; otherwise it must be named. */
export function onlyFlow(names: readonly string[]): string {
  const [first, second] = names;
  if (first !== undefined && second === undefined) return first;
  throw usage('the command does not say which flow', `Name one: ${names.join(', ') || 'the flow file has none'}.`);
}

function heard(context: Context, nth: 1 | 2, targets: readonly Target[]): void {
  const [target] = targets;
  const resume =
    target === undefined || targets.length > 1
      ? 'the same command'
      : runCommand(context, target.flow, target.window ?? 'all');
  const what =
    nth === 1
      ? 'stopping: what is in flight is finished and recorded; Ctrl-C again leaves at once.'
      : 'leaving at once: what was in flight may have arrived, and is in doubt until the next start settles it.';
  context.complain(`${what} Resume with: ${resume}`);
}
