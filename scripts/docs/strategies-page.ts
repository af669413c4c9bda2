import { type FitCell, type FitRow, fitMatrix } from '../../src/app/fit-matrix.ts';
import { CONNECTORS } from '../../src/connectors/all.ts';
import { strategies } from '../../src/strategies/all.ts';

/** Every strategy, and which sinks it fits: computed from the code, sink by sink. */
export async function strategiesPage(): Promise<string> {
  const rows = await fitMatrix();
  const names = Object.keys(strategies);
  return `# Strategies, and the sinks that they fit

Made from the code: each sink below is opened as it would be by a flow, and each strategy is asked whether it can keep
its promise on it. The flow names a key, cuts time by day and has a column of days where that helps, so what does not
fit is the sink's lack. For a flow of your own \`waybill check\` and \`waybill plan\` say the same, with what comes
nearest.

${Object.values(strategies)
  .map((one) => `- **${one.name}**: ${one.summary}${usesOf(one.load?.uses ?? [])}`)
  .join('\n')}

A word in the table is what makes a lost answer harmless: [the rungs](../guide/doubts.md). With \`*\`, windows go in the
order of time; the others may go side by side in a backfill.

| sink | ${names.join(' | ')} |
|---|${names.map(() => '---|').join('')}
${rows.map(tableRow).join('\n')}
${withoutSamples(rows, await sinkTypes())}
## Why not

${rows.map(reasons).join('\n\n')}
`;
}

const usesOf = (uses: readonly string[]): string =>
  uses.length === 0 ? '' : ` Uses of \`load\`: ${uses.map((use) => `\`${use}\``).join(', ')}.`;

const tableRow = ({ connector, sample, cells }: FitRow): string =>
  `| ${connector}, ${sample} | ${cells.map(({ fit }) => cellText(fit)).join(' | ')} |`;

function cellText(fit: FitCell['fit']): string {
  if (!fit.fits) return '–';
  return `${fit.rung}${fit.windows === 'in-order' ? ' \\*' : ''}`;
}

async function sinkTypes(): Promise<readonly string[]> {
  const types: string[] = [];
  for (const load of Object.values(CONNECTORS)) {
    const connector = await load();
    if (connector.sink !== undefined) types.push(connector.type);
  }
  return types;
}

/** A sink that shows no sample is named, so that nobody takes its absence for a no. */
function withoutSamples(rows: readonly FitRow[], types: readonly string[]): string {
  const missing = types.filter((type) => !rows.some((row) => row.connector === type));
  return missing.length === 0
    ? ''
    : `\nNot in the table, since they show no sample of a sink: ${missing.join(', ')}.\n`;
}

function reasons({ connector, sample, cells }: FitRow): string {
  const byReason = new Map<string, string[]>();
  for (const { strategy, fit } of cells) {
    if (!fit.fits) byReason.set(fit.reason, [...(byReason.get(fit.reason) ?? []), strategy]);
  }
  const lines = [...byReason].map(([reason, names]) => `- ${names.join(', ')}: ${reason}`);
  return [`**${connector}, ${sample}**`, '', ...(lines.length === 0 ? ['- every strategy fits'] : lines)].join('\n');
}
