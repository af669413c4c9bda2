import { fileSchema, flowSchema, sinkSchema, sourceSchema } from '../../src/app/flow-file.ts';
import { CONNECTORS } from '../../src/connectors/all.ts';
import type { Connector } from '../../src/connectors/connector.ts';
import { strategies } from '../../src/strategies/all.ts';
import { schemaTable } from './schema-table.ts';

/** The page of the flow file as far as no connector is concerned. */
export function flowFilePage(): string {
  const names = Object.values(strategies).map(({ name, summary }) => `| \`${name}\` | ${summary} |`);
  return `# The flow file, field by field

Made from the schemas that check it. What a field is for, with examples: [the guide](../guide/flow-file.md). Fields
that belong to one connector stand on its own [page](connectors/README.md). In a path, \`*\` means whatever name stands
there, and a word in brackets the form that it belongs to: \`receipt[counts].total\`.

## The file

${schemaTable(fileSchema, new Set(['connections', 'flows']))}

Beside these, \`connections\` and \`flows\`, both maps by name.

## A flow

${schemaTable(flowSchema, new Set(['source', 'sink', 'sinks']))}

Beside these, \`source\` and either \`sink\` or \`sinks\`, a map of sinks by name.

## Every source

${schemaTable(sourceSchema)}

## Every sink

${schemaTable(sinkSchema)}

## Strategies

| strategy | |
|---|---|
${names.join('\n')}
`;
}

/** The pages of \`docs/reference/connectors/\`, by file name: one for every connector and an index. */
export async function connectorPages(): Promise<Map<string, string>> {
  const connectors: Connector[] = [];
  // One after the other: two of them share a file, and jiti gives the second who asks a half-loaded one.
  for (const load of Object.values(CONNECTORS)) connectors.push(await load());
  const pages = new Map([['README.md', indexPage(connectors)]]);
  for (const connector of connectors) pages.set(`${connector.type}.md`, connectorPage(connector));
  return pages;
}

function indexPage(connectors: readonly Connector[]): string {
  const rows = connectors.map((one) => {
    const sides = [one.source && 'source', one.sink && 'sink'].filter((side) => side !== undefined);
    return `| [${one.type}](${one.type}.md) | ${sides.join(', ')} | ${one.summary} |`;
  });
  return `# Connectors

| type | can be | |
|---|---|---|
${rows.join('\n')}
`;
}

function connectorPage(connector: Connector): string {
  const parts = [`# ${connector.type}`, connector.summary, '## Connection', schemaTable(connector.connection)];
  for (const side of ['source', 'sink'] as const) {
    const part = connector[side];
    if (part === undefined) continue;
    const more = `Beside what [every ${side}](../flow-file.md#every-${side}) has:`;
    parts.push(`## As a ${side}`, more, schemaTable(part.settings));
  }
  return `${parts.join('\n\n')}\n\n[All connectors](README.md)\n`;
}
