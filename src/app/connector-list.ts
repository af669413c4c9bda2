import { CONNECTORS } from '../connectors/all.ts';
import type { Connector } from '../connectors/connector.ts';
import { WaybillError } from '../model/errors.ts';
import type { ConnectorList } from './flow-config.ts';

/**
 * Every connector that Waybill brings, each loaded when it is asked for, and those that a program has of its own.
 * Throws CONFIG_INVALID when two have the same type.
 */
export async function allConnectors(own: readonly Connector[] = []): Promise<ConnectorList> {
  const types = [...Object.keys(CONNECTORS), ...own.map(({ type }) => type)];
  const twice = types.find((type, at) => types.indexOf(type) !== at);
  if (twice !== undefined) {
    throw new WaybillError('CONFIG_INVALID', `there are two connectors of the type ${twice}`, {
      hint: 'Give your own connector a type that no other has.',
    });
  }
  return {
    types,
    load: async (type) => {
      if (Object.hasOwn(CONNECTORS, type)) return await CONNECTORS[type]?.();
      return own.find((one) => one.type === type);
    },
  };
}
