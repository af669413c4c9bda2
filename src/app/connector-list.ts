import { CONNECTORS } from '../connectors/all.ts';
import type { ConnectorList } from './flow-config.ts';

/** Every connector that Waybill brings, each loaded when it is asked for. */
export async function allConnectors(): Promise<ConnectorList> {
  return {
    types: Object.keys(CONNECTORS),
    load: async (type) => (Object.hasOwn(CONNECTORS, type) ? await CONNECTORS[type]?.() : undefined),
  };
}
