import type { Finding, FlowInfo } from '../../app/waybill.ts';
import type { CommandDefinition } from '../command.ts';
import type { Context } from '../context.ts';
import { EXIT } from '../exit-codes.ts';
import { countOf, plainText } from '../format-values.ts';
import type { OutputOf } from '../output-schemas.ts';
import { wrapText } from '../table.ts';

export const check: CommandDefinition = {
  description:
    'Checks the whole flow file: every key against its schema, every strategy against what its sink can do. Reads no ' +
    'source, opens no connection.',
  exits: [0, 2],
  examples: [['waybill check', 'all flows, each with what it can promise']],
  configure(command, acts) {
    command.action(acts(checkFile));
  },
};

type CheckDocument = OutputOf<'check'>;

async function checkFile(context: Context): Promise<number> {
  const waybill = await context.waybill();
  const findings = await waybill.check();
  const broken = findings.filter((finding) => finding.level === 'error');
  const document: CheckDocument = {
    schema: 'waybill.check/1',
    file: waybill.file,
    ok: broken.length === 0,
    flows: waybill.flows().map((flow) => checkedFlow(flow, broken)),
    findings: findings.map((finding) => ({ ...finding })),
  };
  context.show(document, () => checkLines(context, document));
  return document.ok ? EXIT.ok : EXIT.usage;
}

function checkedFlow(flow: FlowInfo, broken: readonly Finding[]): CheckDocument['flows'][number] {
  const named = broken.some((finding) => mentions(finding, flow.name));
  return {
    flow: flow.name,
    ok: !named && flow.lanes.every((lane) => lane.guarantee !== undefined),
    lanes: flow.lanes.map(({ name, connector, strategy, guarantee }) => ({
      lane: name,
      connector,
      strategy,
      guarantee:
        guarantee === undefined
          ? undefined
          : { ...guarantee, assumptions: [...guarantee.assumptions], crash: guarantee.crash.map((at) => ({ ...at })) },
    })),
  };
}

/** Findings name the path in the file (`flows.roket-daily.sink.batch`) or the flow and its lane. */
function mentions({ message }: Finding, flow: string): boolean {
  const rest = [`flows.${flow}`, `flows[${JSON.stringify(flow)}]`, `flow ${flow}`].flatMap((name) => {
    const at = message.indexOf(name);
    return at === -1 ? [] : [message.slice(at + name.length)];
  });
  // `flows.a` must not be taken for `flows.a-b`.
  return rest.some((text) => !/^[A-Za-z0-9_-]/.test(text));
}

function checkLines(context: Context, document: CheckDocument): string[] {
  const lines = document.findings.flatMap((finding) => findingLines(context, finding as Finding));
  for (const flow of document.flows) lines.push(...flowLines(context, flow));
  const errors = document.findings.filter((finding) => finding.level === 'error').length;
  lines.push(
    `${document.file}: ${document.ok ? 'ok' : countOf(errors, 'error')}, ${countOf(document.flows.length, 'flow')}`,
  );
  return lines;
}

function findingLines(context: Context, finding: Finding): string[] {
  const { paint } = context.view;
  const word = { error: paint.red('error'), warning: paint.yellow('warning'), info: paint.dim('note') }[finding.level];
  const place = finding.place === undefined ? '' : `${paint.bold(plainText(finding.place))} `;
  const lines = [`${place}${word} ${plainText(finding.message)} ${paint.dim(`(${finding.code})`)}`];
  if (finding.hint !== undefined) lines.push(`  ${plainText(finding.hint)}`);
  return lines;
}

function flowLines(context: Context, flow: CheckDocument['flows'][number]): string[] {
  const { paint, width } = context.view;
  const lines = [`${flow.ok ? paint.green('ok   ') : paint.red('not ok')} ${paint.bold(flow.flow)}`];
  for (const lane of flow.lanes) {
    lines.push(`      ${lane.lane} (${lane.connector}): ${lane.strategy}`);
    if (lane.guarantee === undefined) continue;
    const text = `${lane.guarantee.promise} Guarantee: ${lane.guarantee.rung}.`;
    lines.push(...wrapText(plainText(text), width - 8).map((line) => `        ${paint.dim(line)}`));
  }
  return lines;
}
