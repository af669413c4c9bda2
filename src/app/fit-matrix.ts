import type { Connector, OpenContext, Sink, SinkSample } from '../connectors/connector.ts';
import type { Guarantee } from '../model/guarantee.ts';
import { strategies } from '../strategies/all.ts';
import type { Fit, FlowFacts, Strategy } from '../strategies/strategy.ts';
import { allConnectors } from './connector-list.ts';
import type { ConnectorList } from './flow-config.ts';
import { realPorts } from './ports.ts';

/** Which strategies fit a sink that is set up in a certain way, for a flow that says all that any of them wants. */
export interface FitRow {
  readonly connector: string;
  /** How the sink is set up. */
  readonly sample: string;
  readonly cells: readonly FitCell[];
}

export interface FitCell {
  readonly strategy: string;
  /** Why it does not fit, or else what makes a lost answer harmless, and what order windows keep. */
  readonly fit:
    | { readonly fits: true; readonly rung: Guarantee['rung']; readonly windows: (Fit & { fits: true })['windows'] }
    | { readonly fits: false; readonly reason: string };
}

/** A flow that names a key and cuts time by day, with a column of days or none: what fits neither, the sink lacks. */
const FACTS: FlowFacts = { key: ['id'], window: 'day', load: {} };
const SCOPED: FlowFacts = { ...FACTS, load: { scope: { column: 'day' } } };

/** One row for each sample of each connector's sink, in the order of the list. Opens sinks, which does no I/O. */
export async function fitMatrix(list?: ConnectorList): Promise<readonly FitRow[]> {
  const rows: FitRow[] = [];
  for (const connector of await sinksOf(list ?? (await allConnectors()))) {
    for (const sample of connector.sink?.samples ?? []) rows.push(await rowOf(connector, sample));
  }
  return rows;
}

/** Connectors with sinks, one after the other: two of them may share a file. */
async function sinksOf(list: ConnectorList): Promise<readonly Connector[]> {
  const connectors: Connector[] = [];
  for (const type of list.types) {
    const connector = await list.load(type);
    if (connector?.sink !== undefined) connectors.push(connector);
  }
  return connectors;
}

async function rowOf(connector: Connector, sample: SinkSample): Promise<FitRow> {
  const sink = openSample(connector, sample);
  try {
    const cells = Object.values(strategies).map((it) => ({ strategy: it.name, fit: cellOf(fitOf(it, sink)) }));
    return { connector: connector.type, sample: sample.name, cells };
  } finally {
    await sink.close?.();
  }
}

function fitOf(strategy: Strategy, sink: Sink): Fit {
  const plain = strategy.fit(sink, FACTS);
  const scoped = strategy.load?.uses.includes('scope') === true ? strategy.fit(sink, SCOPED) : plain;
  return plain.fits || !scoped.fits ? plain : scoped;
}

function cellOf(fit: Fit): FitCell['fit'] {
  if (!fit.fits) return { fits: false, reason: fit.reason };
  return { fits: true, rung: fit.guarantee.rung, windows: fit.windows };
}

function openSample(connector: Connector, { connection, settings }: SinkSample): Sink {
  const context: OpenContext = {
    ports: realPorts(),
    folder: '/',
    secret: () => 'sample',
    stdin: process.stdin,
    stdout: process.stdout,
  };
  const side = connector.sink!;
  return side.open(connector.connection.parse(connection), side.settings.parse(settings), context);
}
