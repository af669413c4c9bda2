import { WaybillError } from '../model/errors.ts';
import { requireFlow, requireSound } from './findings.ts';
import type { Config, ConnectionConfig } from './flow-config.ts';
import { didYouMean } from './nearest.ts';
import type { Discovery } from './waybill.ts';
import { openContext, type WireWorld } from './wire.ts';

/**
 * What a connection, or that of a flow's source, holds. The rest of the flow file may have its faults: who writes a
 * flow may want to know first what there is.
 */
export async function discover(
  config: Config,
  name: string,
  world: WireWorld,
  signal: AbortSignal,
): Promise<Discovery> {
  const { connection, source } = placeOf(config, name);
  const { connector, settings } = connection;
  const ask = connector.source?.discover;
  if (ask === undefined) {
    throw new WaybillError('USAGE', `a connection of the type ${connector.type} does not tell what it holds`, {
      hint: 'What can be read there, and how, is told in the documentation of the place itself.',
      ids: { connection: connection.name },
    });
  }
  const streams = await ask(settings, openContext(world), signal, source);
  return { connection: connection.name, connector: connector.type, streams };
}

/** A connection of this name comes before a flow of it; `source`: the settings of the flow's. */
function placeOf(config: Config, name: string): { readonly connection: ConnectionConfig; readonly source?: unknown } {
  const connection = config.connections.get(name);
  if (connection !== undefined) return { connection };
  if (config.flowNames.includes(name)) {
    const { source } = requireFlow(config, name);
    return { connection: source.connection, source: source.settings };
  }
  requireSound(config);
  const known = [...config.connections.keys(), ...config.flowNames];
  const message = `there is no connection and no flow ${JSON.stringify(name)} in ${config.file}`;
  throw new WaybillError('USAGE', `${message}${didYouMean(name, known)}`, { ids: { file: config.file } });
}
