import type { CommandDefinition } from '../command.ts';
import type { Context } from '../context.ts';
import { EXIT } from '../exit-codes.ts';
import { plainText } from '../format-values.ts';
import type { OutputOf } from '../output-schemas.ts';

export const connectors: CommandDefinition = {
  description:
    'Lists the connectors, and the strategies by which a lane writes. Which strategies fit a sink depends on its ' +
    'settings: `waybill check` and `waybill plan` say what each lane can promise.',
  exits: [0],
  examples: [['waybill connectors', 'all of them']],
  configure(command, acts) {
    command.action(acts(listConnectors));
  },
};

async function listConnectors(context: Context): Promise<number> {
  const { catalogue } = await import('../../app/catalogue.ts');
  const { connectors: found, strategies } = await catalogue();
  const document: OutputOf<'connectors'> = {
    schema: 'waybill.connectors/1',
    connectors: found.map((each) => ({ ...each })),
    strategies: strategies.map((each) => ({ ...each })),
  };
  context.show(document, () => connectorLines(context, document));
  return EXIT.ok;
}

function connectorLines(context: Context, { connectors: found, strategies }: OutputOf<'connectors'>): string[] {
  const { paint } = context.view;
  return [
    ...context.table(
      [{ head: 'connector' }, { head: 'source' }, { head: 'sink' }, { head: 'what it is', shrinkTo: 20 }],
      found.map((each) => [
        each.type,
        each.source ? 'yes' : undefined,
        each.sink ? 'yes' : undefined,
        plainText(each.summary),
      ]),
    ),
    '',
    ...context.table(
      [{ head: 'strategy' }, { head: 'what it does', shrinkTo: 20 }],
      strategies.map((each) => [{ text: each.name, style: paint.bold }, each.summary]),
    ),
  ];
}
