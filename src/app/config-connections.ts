import { z } from 'zod';
import type { Connector } from '../connectors/connector.ts';
import type { ConnectionConfig, ConnectorList } from './flow-config.ts';
import { BUILT_IN_CONNECTIONS } from './flow-file.ts';
import { didYouMean, nearest } from './nearest.ts';
import type { SettingsReader } from './settings-reader.ts';

/**
 * Connections by name. One that is there but faulty has no settings, and maybe no connector, so that its flows do not
 * complain a second time; what they ask of the connector can be checked all the same.
 */
export type Connections = ReadonlyMap<string, ConnectionConfig | FaultyConnection>;

export interface FaultyConnection {
  readonly name: string;
  readonly connector: Connector | undefined;
  readonly faulty: true;
}

const typeSchema = z.string();

/** Checks every connection of the file with its connector's schema. */
export async function readConnections(
  raw: Readonly<Record<string, unknown>>,
  flows: Readonly<Record<string, unknown>>,
  reader: SettingsReader,
  connectors: ConnectorList,
): Promise<Connections> {
  const connections = new Map<string, ConnectionConfig | FaultyConnection>();
  for (const [name, value] of Object.entries(raw)) {
    connections.set(name, await readConnection(name, value, reader, connectors));
  }
  const used = namesUsed(flows);
  for (const [name, type] of Object.entries(BUILT_IN_CONNECTIONS)) {
    if (connections.has(name) || !used.has(name)) continue;
    const connector = await connectors.load(type);
    const settings = connector?.connection.safeParse({});
    if (connector !== undefined && settings?.success === true) {
      connections.set(name, { name, connector, settings: settings.data, raw: { type } });
    }
  }
  return connections;
}

/** Connections that the flows name: connectors that nobody uses are not even loaded. */
function namesUsed(flows: Readonly<Record<string, unknown>>): ReadonlySet<unknown> {
  const used = new Set<unknown>();
  const note = (block: unknown): void => {
    if (isMap(block)) used.add(block.connection);
  };
  for (const flow of Object.values(flows)) {
    if (!isMap(flow)) continue;
    note(flow.source);
    note(flow.sink);
    if (isMap(flow.sinks)) for (const sink of Object.values(flow.sinks)) note(sink);
  }
  return used;
}

const isMap = (value: unknown): value is Record<string, unknown> =>
  typeof value === 'object' && value !== null && !Array.isArray(value);

async function readConnection(
  name: string,
  value: unknown,
  reader: SettingsReader,
  connectors: ConnectorList,
): Promise<ConnectionConfig | FaultyConnection> {
  const path = ['connections', name];
  const faulty = (connector?: Connector): FaultyConnection => ({ name, connector, faulty: true });
  // What is no map at all has been reported with the file.
  if (typeof value !== 'object' || value === null || Array.isArray(value)) return faulty();
  const { type: rawType, ...rest } = value as Record<string, unknown>;
  if (rawType === undefined) {
    const hint = `Types: ${connectors.types.join(', ')}.`;
    const near = nearest('type', Object.keys(rest));
    const message = `"type" is missing${near === undefined ? '' : `; is \`${near}\` it?`}`;
    reader.report(path, message, { hint, at: 'key' });
    return faulty();
  }
  const type = reader.check(typeSchema, rawType, [...path, 'type']);
  if (type === undefined) return faulty();
  const connector = await connectors.load(type);
  if (connector === undefined) {
    const message = `there is no connector of the type ${JSON.stringify(type)}${didYouMean(type, connectors.types)}`;
    reader.report([...path, 'type'], message, {
      code: 'CONNECTOR_UNKNOWN',
      hint: `Types: ${connectors.types.join(', ')}.`,
    });
    return faulty();
  }
  const settings = reader.check(connector.connection, rest, path, { also: new Set(['type']) });
  return settings === undefined ? faulty(connector) : { name, connector, settings, raw: value };
}
