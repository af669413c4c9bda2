import type { CommandDefinition } from '../command.ts';
import type { Context } from '../context.ts';
import { EXIT } from '../exit-codes.ts';
import { plainText } from '../format-values.ts';
import type { OutputOf } from '../output-schemas.ts';
import { wrapText } from '../table.ts';

export const connectors: CommandDefinition = {
  description:
    'Lists the connectors, the strategies by which a lane writes, and which of them fit which sinks. That depends on ' +
    'the settings: `waybill check` and `waybill plan` say what each lane can promise, and what comes nearest.',
  exits: [0],
  examples: [['waybill connectors', 'all of them']],
  configure(command, acts) {
    command.action(acts(listConnectors));
  },
};

async function listConnectors(context: Context): Promise<number> {
  const { catalogue } = await import('../../app/catalogue.ts');
  const { connectors: found, strategies, fits } = await catalogue();
  const document: OutputOf<'connectors'> = {
    schema: 'waybill.connectors/1',
    connectors: found.map((each) => ({ ...each })),
    strategies: strategies.map((each) => ({ ...each })),
    fits: fits.map(({ connector, sample, cells }) => ({
      connector,
      sample,
      cells: cells.map(({ strategy, fit }) => ({ strategy, ...fit })),
    })),
  };
  context.show(document, () => connectorLines(context, document));
  return EXIT.ok;
}

function connectorLines(context: Context, { connectors: found, strategies, fits }: OutputOf<'connectors'>): string[] {
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
    '',
    ...fits.flatMap((row) => fitLines(context, row)),
  ];
}

/** The sink, and below it the strategies that fit. */
function fitLines(context: Context, { connector, sample, cells }: OutputOf<'connectors'>['fits'][number]): string[] {
  const fitting = cells.filter((cell) => cell.fits).map((cell) => cell.strategy);
  const list = fitting.length === 0 ? 'none' : fitting.join(', ');
  const { paint, width } = context.view;
  return [
    `${paint.bold(plainText(connector))}, ${plainText(sample)}:`,
    ...wrapText(list, width - 2).map((line) => `  ${line}`),
  ];
}
