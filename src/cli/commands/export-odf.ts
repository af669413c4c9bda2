import { type MetadataBlock, ODF_SPELLINGS } from '../../odf/blocks.ts';
import { type CommandDefinition, type Given, textOption } from '../command.ts';
import type { Context } from '../context.ts';
import { EXIT } from '../exit-codes.ts';
import { readChoice } from '../read-words.ts';

const FORMATS = ['yaml', 'json'] as const;

export const exportOdf: CommandDefinition = {
  description:
    'Writes the history of a flow that pulls as metadata blocks of Open Data Fabric: what was added, at which ' +
    'offsets, and where the source stood then. YAML documents, or one block of JSON a line. It makes no binary ' +
    'chain: there are no FlatBuffers, so no hashes of blocks, and no logical hashes; both hashes of a slice are ' +
    'SHA-256 of its records. The name of the dataset is made from the ledger and the flow, and is no public key.',
  exits: [0, 1, 2],
  examples: [
    ['waybill export-odf rates > rates.yaml', 'every block, as YAML documents'],
    ['waybill export-odf rates --format json | tail -1', 'the latest one'],
    ['waybill export-odf rates --spelling rfc-009', 'as RFC-009 spelled it'],
  ],
  configure(command, acts) {
    command
      .argument('<flow>', 'the flow')
      .option('--format <format>', `one of ${FORMATS.join(', ')}; yaml when absent`)
      .option('--spelling <version>', `one of ${ODF_SPELLINGS.join(', ')}; the first when absent`)
      .action(acts(writeBlocks));
  },
};

async function writeBlocks(context: Context, given: Given): Promise<number> {
  const [flow = ''] = given.words;
  const format = readChoice(textOption(given, 'format') ?? 'yaml', '--format', FORMATS);
  const spelling = readChoice(textOption(given, 'spelling') ?? 'v0.39.0', '--spelling', ODF_SPELLINGS);
  const blocks = await (await context.waybill()).exportOdf(flow, spelling);
  if (context.view.json) {
    context.write(
      `${JSON.stringify({ schema: 'waybill.export-odf/1', flow, spelling, blocks: await collected(blocks) })}\n`,
    );
    return EXIT.ok;
  }
  const write = format === 'json' ? asJson : (await import('../../app/odf-yaml.ts')).odfYaml;
  let any = false;
  for await (const block of blocks) {
    any = true;
    context.write(write(block));
  }
  if (!any) context.talk(`${flow} has no history: nothing was ever pulled`);
  return EXIT.ok;
}

async function collected(blocks: AsyncIterable<MetadataBlock>): Promise<readonly MetadataBlock[]> {
  const all: MetadataBlock[] = [];
  for await (const block of blocks) all.push(block);
  return all;
}

const asJson = (block: MetadataBlock): string => `${JSON.stringify(block)}\n`;
