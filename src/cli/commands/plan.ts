import type { Plan } from '../../app/waybill.ts';
import { type CommandDefinition, flagOption, type Given, textOption } from '../command.ts';
import type { Context } from '../context.ts';
import { runDocument } from '../documents.ts';
import { EXIT } from '../exit-codes.ts';
import { countOf, formatBytes, formatCount, plainText } from '../format-values.ts';
import { runCommand } from '../next-steps.ts';
import type { OutputOf } from '../output-schemas.ts';
import { nextLines } from '../run-report.ts';
import { wrapText } from '../table.ts';
import { onlyFlow } from './run.ts';

export const plan: CommandDefinition = {
  description:
    'Shows what a run would do now: which batches it would send, what each lane promises and on what that rests, and ' +
    'what a crash would leave behind at each point. Reads the source; writes and sends nothing.',
  exits: [0, 1, 2, 5],
  examples: [
    ['waybill plan roket-daily --for 2026-11-19', 'one day'],
    ['waybill plan roket-daily --for 2026-11-19 --refresh', 'what reading the day again would find'],
  ],
  configure(command, acts) {
    command
      .argument('[flow]', 'the flow; may be left out where the file has one')
      .option('--for <window>', 'the window: 2026-11-19, 2026-11-19T05, 2026-W47, 2026-11, latest')
      .option('--refresh', 'also read a window that was read before, and compare')
      .action(acts(planFlow));
  },
};

type PlanDocument = OutputOf<'plan'>;
type LaneDocument = PlanDocument['lanes'][number];

async function planFlow(context: Context, given: Given): Promise<number> {
  const waybill = await context.waybill();
  const flow = given.words[0] ?? onlyFlow(waybill.flows().map((each) => each.name));
  const options = flagOption(given, 'refresh') ? { refresh: true } : {};
  const document = planDocument(context, await waybill.plan(flow, textOption(given, 'for'), options), options);
  context.show(document, () => planLines(context, document));
  return EXIT.ok;
}

function planDocument(context: Context, plan: Plan, { refresh = false }: { refresh?: boolean }): PlanDocument {
  const run = runCommand(context, plan.flow, plan.window.name);
  return {
    schema: 'waybill.plan/1',
    flow: plan.flow,
    window: { ...plan.window },
    run: plan.run === undefined ? undefined : runDocument(plan.run, context.io.wallMs()),
    reading: { ...plan.reading },
    lanes: plan.lanes.map((lane) => ({
      ...lane,
      guarantee: {
        ...lane.guarantee,
        assumptions: [...lane.guarantee.assumptions],
        crash: lane.guarantee.crash.map((point) => ({ ...point })),
      },
      ready: { ...lane.ready },
      fresh: { ...lane.fresh },
      compared: lane.compared === undefined ? undefined : { ...lane.compared },
      unbatched: lane.unbatched.map((record) => ({ ...record })),
      warnings: [...lane.warnings],
      schema: [...lane.schema],
      balance: { ...lane.balance },
    })),
    // What was planned, and not the run of a window that is complete without it.
    next: [refresh ? `${run} --refresh` : run],
  };
}

function planLines(context: Context, document: PlanDocument): string[] {
  const { paint } = context.view;
  const { window } = document;
  const stretch = window.start === undefined ? '' : paint.dim(` (${window.start} to ${window.end ?? 'now'})`);
  const lines = [`${paint.bold(`${document.flow} ${window.name}`)}${stretch}`];
  lines.push(
    `  ${document.reading.reads ? 'reads the source' : 'does not read the source'}: ${plainText(document.reading.why)}`,
  );
  for (const lane of document.lanes) lines.push('', ...laneLines(context, lane));
  return [...lines, '', ...nextLines(context, document.next)];
}

function laneLines(context: Context, lane: LaneDocument): string[] {
  const { paint } = context.view;
  return [
    `${paint.bold(plainText(lane.lane))}: ${lane.strategy}${lane.ordered ? ', batches one after the other' : ''}`,
    ...amountLines(lane).map((line) => `  ${line}`),
    ...schemaLines(context, lane),
    ...unbatchedLines(context, lane),
    ...warningLines(context, lane),
    ...guaranteeLines(context, lane.guarantee),
  ];
}

function amountLines(lane: LaneDocument): string[] {
  const { ready, fresh, compared } = lane;
  const lines: string[] = [];
  if (ready.batches > 0) lines.push(`would send ${amount(ready)} that ${ready.batches === 1 ? 'is' : 'are'} sealed`);
  if (fresh.batches > 0) {
    const largest = `the largest ${countOf(fresh.largestRecords, 'record')}, ${formatBytes(fresh.largestBytes)}`;
    lines.push(`would seal and send ${amount(fresh)}; ${largest}`);
  }
  if (ready.batches + fresh.batches === 0) lines.push('would send nothing');
  if (lane.doubts > 0) lines.push(`would first try to settle ${countOf(lane.doubts, 'batch', 'batches')} in doubt`);
  if (compared !== undefined) {
    const words = { fresh: 'new', changed: 'changed', vanished: 'vanished', same: 'the same' };
    const counts = (Object.keys(words) as (keyof typeof words)[]).map(
      (name) => `${formatCount(compared[name])} ${words[name]}`,
    );
    lines.push(`read again: ${counts.join(', ')}`);
  }
  return lines;
}

const amount = (of: { batches: number; records: number; bytes: number }): string =>
  `${countOf(of.batches, 'batch', 'batches')} with ${countOf(of.records, 'record')} (${formatBytes(of.bytes)})`;

/** As many as fit on a screen; JSON has them all. */
const UNBATCHED_SHOWN = 10;

function unbatchedLines(context: Context, lane: LaneDocument): string[] {
  if (lane.unbatched.length === 0) return [];
  const { paint } = context.view;
  const lines = [`  ${paint.red(`${countOf(lane.unbatched.length, 'record')} would get into no batch:`)}`];
  for (const { row, code, message } of lane.unbatched.slice(0, UNBATCHED_SHOWN)) {
    lines.push(`    row ${formatCount(row)}: ${plainText(message)} ${paint.dim(`(${plainText(code)})`)}`);
  }
  const more = lane.unbatched.length - UNBATCHED_SHOWN;
  return more > 0 ? [...lines, `    and ${formatCount(more)} more (--output json lists them all)`] : lines;
}

function schemaLines(context: Context, lane: LaneDocument): string[] {
  const { width } = context.view;
  return lane.schema.flatMap((said) => wrapText(`schema: ${plainText(said)}`, width - 2).map((line) => `  ${line}`));
}

function warningLines(context: Context, lane: LaneDocument): string[] {
  const { paint, width } = context.view;
  return lane.warnings.flatMap((warning) =>
    wrapText(`careful: ${plainText(warning)}`, width - 2).map((line) => `  ${paint.yellow(line)}`),
  );
}

function guaranteeLines(context: Context, guarantee: LaneDocument['guarantee']): string[] {
  const { paint, width } = context.view;
  const indented = (text: string, by: number) =>
    wrapText(plainText(text), width - by).map((line) => `${' '.repeat(by)}${line}`);
  const lines = [`  guarantee: ${paint.bold(guarantee.rung)}`, ...indented(guarantee.promise, 4)];
  if (guarantee.assumptions.length > 0) lines.push('  which rests on:');
  for (const assumption of guarantee.assumptions) lines.push(...indented(`- ${assumption}`, 4));
  if (guarantee.crash.length > 0) lines.push('  a crash:');
  for (const { point, consequence } of guarantee.crash) lines.push(...indented(`${point}: ${consequence}`, 4));
  return lines;
}
