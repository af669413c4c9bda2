import { type CommandDefinition, type Given, textOption } from '../command.ts';
import type { Context } from '../context.ts';
import { EXIT } from '../exit-codes.ts';
import type { OutputName, OutputOf } from '../output-schemas.ts';
import { usage } from '../read-words.ts';

export const schema: CommandDefinition = {
  description:
    'Prints the JSON Schema (2020-12) of the flow file, with the settings of every connector, for editors; or of ' +
    'what a command writes with --output json.',
  exits: [0, 2],
  examples: [
    ['waybill schema > waybill.schema.json', 'for an editor'],
    ['waybill schema --output-of run', 'what `waybill run --output json` writes'],
  ],
  configure(command, acts) {
    command
      .option('--output-of <command>', 'of this command’s JSON output; `error` for errors on stderr')
      .action(acts(printSchema));
  },
};

async function printSchema(context: Context, given: Given): Promise<number> {
  const name = textOption(given, 'outputOf');
  const jsonSchema = name === undefined ? await fileSchema() : await schemaOf(name);
  const document: OutputOf<'schema'> = { schema: 'waybill.schema/1', of: name ?? 'flow-file', jsonSchema };
  context.show(document, () => [JSON.stringify(jsonSchema, undefined, 2)]);
  return EXIT.ok;
}

async function fileSchema(): Promise<Record<string, unknown>> {
  const { flowFileSchema } = await import('../../app/flow-file-schema.ts');
  return await flowFileSchema();
}

async function schemaOf(name: string): Promise<Record<string, unknown>> {
  const { outputNames, outputSchema } = await import('../output-schemas.ts');
  const found = outputNames.find((each: OutputName) => each === name.replaceAll(' ', '-'));
  if (found === undefined)
    throw usage(`no output is called ${JSON.stringify(name)}`, `There are ${outputNames.join(', ')}.`);
  return outputSchema(found);
}
