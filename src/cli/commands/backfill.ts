import type { BackfillAsk, BackfillPlan, Waybill } from '../../app/waybill.ts';
import { WINDOW_STATES } from '../../app/window-ledger.ts';
import { showRun } from '../../model/ids.ts';
import { type BackfillDocument, endLines, planLines, resultLines } from '../backfill-report.ts';
import { type CommandDefinition, flagOption, type Given, textOption } from '../command.ts';
import type { Context } from '../context.ts';
import { EXIT } from '../exit-codes.ts';
import { Interrupts } from '../interrupts.ts';
import { readChoices, readDuration, readWhole, usage } from '../read-words.ts';
import { type BackfillOutcome, BackfillWork } from '../run-backfill.ts';
import type { RunAsk } from '../run-windows.ts';
import { onlyFlow } from './run.ts';

const PARALLEL_MAX = 64;

export const backfill: CommandDefinition = {
  description:
    'Runs what is missing of a stretch of time, window by window, and says what stands of each. Whatever interrupts ' +
    'it, the same command goes on where it stopped. Windows go in the order of time where a lane needs that, ' +
    'otherwise as many side by side as --parallel says. With --refresh, windows that are complete are loaded again; ' +
    'those that can only be loaded again together with others bring them along. Several processes may be at the ' +
    'same backfill.',
  exits: [0, 1, 2, 3, 4, 5, 6, 130, 143],
  examples: [
    ['waybill backfill roket-daily --from 2026-11-01 --to 2026-12-01', 'what is missing of November'],
    ['waybill backfill roket-daily --from 2026-11-01 --to 2026-12-01 --dry-run', 'what stands of it, and the plan'],
    ['waybill backfill orders --from 2026-11-10 --to 2026-11-13 --refresh', 'three days again'],
  ],
  configure(command, acts) {
    command
      .argument('[flow]', 'the flow; may be left out where the file has one')
      .option('--from <window>', 'the first window, or a day')
      .option('--to <window>', 'the window, or the day, before which to stop; not run itself')
      .option('--only <states>', `only windows in these states: ${WINDOW_STATES.join(', ')}`)
      .option('--parallel <n>', 'windows side by side, where no lane needs the order of time', '1')
      .option('--refresh', 'load again what is complete')
      .option('--anew', 'with --refresh: begin again, also where an earlier one was not finished')
      .option('--dry-run', 'show the windows and what would be run; run nothing')
      .option('--lease <duration>', 'how long a process that went silent keeps its claim')
      .option('--progress-interval <duration>', 'between two lines off a terminal (default: 10s); 0 for none')
      .action(acts(backfillFlow));
  },
};

async function backfillFlow(context: Context, given: Given): Promise<number> {
  const waybill = await context.waybill();
  const flow = given.words[0] ?? onlyFlow(waybill.flows().map((each) => each.name));
  const ask = readAsk(given);
  const parallel = readWhole(textOption(given, 'parallel') ?? '1', '--parallel', { min: 1, max: PARALLEL_MAX });
  const plan = await waybill.backfill(flow, ask);
  if (plan.windows.length === 0)
    throw usage(`no window begins at or after ${ask.from} and before ${ask.to}`, '--to is not run itself.');
  const side = plan.order === 'any' ? Math.min(parallel, Math.max(1, plan.steps.length)) : 1;
  const planned = planDocument(plan, side, parallel);
  if (flagOption(given, 'dryRun')) {
    const document = { ...planned, dryRun: true, next: nextOf(context, plan, given, NOTHING) };
    context.show(document, () => planLines(context, document));
    return EXIT.ok;
  }
  for (const line of planLines(context, planned)) context.talk(line);
  return await carryOut(context, given, { waybill, plan, planned, ask, side });
}

function readAsk(given: Given): BackfillAsk {
  const [from, to] = [textOption(given, 'from'), textOption(given, 'to')];
  if (from === undefined || to === undefined) throw usage('a backfill needs --from and --to', 'Give both.');
  const only = readChoices(textOption(given, 'only'), WINDOW_STATES);
  const [refresh, anew] = [flagOption(given, 'refresh'), flagOption(given, 'anew')];
  if (anew && !refresh) throw usage('--anew goes with --refresh', 'Without it, what is complete is never run again.');
  return { from, to, refresh, anew, ...(only === undefined ? {} : { only }) };
}

interface Work {
  readonly waybill: Waybill;
  readonly plan: BackfillPlan;
  readonly planned: BackfillDocument;
  readonly ask: BackfillAsk;
  readonly side: number;
}

async function carryOut(context: Context, given: Given, work: Work): Promise<number> {
  const { waybill, plan, side, ask } = work;
  const beganMs = context.io.wallMs();
  const lease = textOption(given, 'lease');
  const again = commandOf(context, plan, given);
  const interrupts = new Interrupts(context.io, (nth) => context.complain(`${STOPPING[nth]} Go on with: ${again}`));
  const run: RunAsk = {
    options: lease === undefined ? {} : { leaseMs: readDuration(lease, '--lease') },
    intervalMs: readDuration(textOption(given, 'progressInterval') ?? '10s', '--progress-interval'),
    lines: side > 1,
    interrupts,
  };
  let outcome: BackfillOutcome;
  let nth = 0;
  try {
    outcome = await new BackfillWork(context, waybill, plan, run).run(side, (result) => {
      nth++;
      if (context.view.json) context.talk(`${result.flow} ${result.window}: ${nth} of ${plan.steps.length}`);
      else
        for (const line of resultLines(context, result, `(${nth} of ${plan.steps.length})`)) context.write(`${line}\n`);
    });
  } finally {
    interrupts.release();
  }
  const after = await waybill.backfill(plan.flow, { ...ask, only: [], refresh: false, anew: false });
  const document = endDocument(context, given, { ...work, after, outcome });
  if (context.view.json) context.write(`${JSON.stringify(document)}\n`);
  else for (const line of endLines(context, document, context.io.wallMs() - beganMs)) context.write(`${line}\n`);
  return outcome.exitCode;
}

const STOPPING: Readonly<Record<1 | 2, string>> = {
  1: 'stopping: what is in flight is finished and recorded; Ctrl-C again leaves at once.',
  2: 'leaving at once: what was in flight may have arrived, and is in doubt until the next start settles it.',
};

const NOTHING: BackfillOutcome = { results: [], doneElsewhere: [], notBegun: [], exitCode: EXIT.ok };

function planDocument(plan: BackfillPlan, side: number, parallel: number): BackfillDocument {
  const unwanted =
    parallel > 1 && plan.order === 'in-order' && plan.steps.length > 1
      ? [`--parallel has no effect: windows go in the order of time (${plan.orderBecause})`]
      : [];
  return {
    schema: 'waybill.backfill/1',
    flow: plan.flow,
    from: plan.from,
    to: plan.to,
    dryRun: false,
    refresh: plan.refresh,
    order: plan.order,
    orderBecause: plan.orderBecause,
    parallel: side,
    goesOn: plan.goesOn === undefined ? undefined : { ...plan.goesOn },
    windows: plan.windows.map(windowDocument),
    steps: [...plan.steps],
    warnings: [...plan.warnings, ...unwanted],
    afterwards: plan.afterwards.map((window) => ({ ...window })),
    ...outcomeOf(NOTHING),
    next: [],
  };
}

const windowDocument = ({
  window,
  run,
  ...rest
}: BackfillPlan['windows'][number]): BackfillDocument['windows'][number] => ({
  ...rest,
  window: { ...window },
  run: run === undefined ? undefined : showRun(run.id),
});

const outcomeOf = ({ results, doneElsewhere, notBegun, stopped, exitCode }: BackfillOutcome) => ({
  results: [...results],
  doneElsewhere: [...doneElsewhere],
  notBegun: [...notBegun],
  stopped,
  exitCode,
});

/** The plan as it was, with the states as they are now. */
function endDocument(
  context: Context,
  given: Given,
  { plan, planned, after, outcome }: Work & { after: BackfillPlan; outcome: BackfillOutcome },
): BackfillDocument {
  const now = new Map(after.windows.map((it) => [it.window.name, it]));
  const windows = plan.windows.map((it) => {
    const { state, reason, run } = now.get(it.window.name) ?? it;
    const { reason: _, run: __, ...was } = it;
    return windowDocument({
      ...was,
      state,
      ...(reason === undefined ? {} : { reason }),
      ...(run === undefined ? {} : { run }),
    });
  });
  const afterwards = after.afterwards.map((window) => ({ ...window }));
  const next = nextOf(context, { ...plan, ...afterOf(after) }, given, outcome);
  return { ...planned, windows, afterwards, ...outcomeOf(outcome), next };
}

const afterOf = ({ afterwards, afterwardsTo }: BackfillPlan) => ({
  afterwards,
  ...(afterwardsTo === undefined ? {} : { afterwardsTo }),
});

/** What a person may want to do next: go on, decide what needs a person, bring back what was taken out. */
function nextOf(context: Context, plan: BackfillPlan, given: Given, outcome: BackfillOutcome): string[] {
  const { flow, afterwards, afterwardsTo } = plan;
  const unfinished = outcome.notBegun.length > 0 || outcome.results.some((it) => it.exitCode !== EXIT.ok);
  const first = afterwards[0]?.name;
  const back =
    first === undefined || afterwardsTo === undefined
      ? []
      : [context.command('backfill', flow, '--from', first, '--to', afterwardsTo, '--only', 'undone')];
  const begin = outcome === NOTHING && plan.steps.length > 0;
  return [
    ...(unfinished || begin ? [commandOf(context, plan, given)] : []),
    ...outcome.results.flatMap((it) => it.next.filter((step) => !step.startsWith('waybill run '))),
    ...(begin ? [] : back),
  ];
}

function commandOf(context: Context, { flow, from, to }: BackfillPlan, given: Given): string {
  const only = textOption(given, 'only');
  const parallel = textOption(given, 'parallel') ?? '1';
  const words = ['backfill', flow, '--from', from, '--to', to];
  if (only !== undefined) words.push('--only', only);
  if (parallel !== '1') words.push('--parallel', parallel);
  if (flagOption(given, 'refresh')) words.push('--refresh');
  return context.command(...words);
}
