import { z } from 'zod';
import type { Connector } from '../connectors/connector.ts';
import { allConnectors } from './connector-list.ts';
import { fileSchema, flowSchema, sinkSchema, sourceSchema } from './flow-file.ts';

type JsonSchema = Record<string, unknown>;

/**
 * The JSON Schema (2020-12) of the flow file, for editors. A connection names its connector, so its settings are one
 * of the known ones; a source or a sink names only a connection, so its settings may be those of any connector.
 * `waybill check` is stricter: it knows which.
 */
export async function flowFileSchema(): Promise<JsonSchema> {
  const connectors = await allConnectors();
  const all = (await Promise.all(connectors.types.map((type) => connectors.load(type)))).filter(
    (one) => one !== undefined,
  );
  const flow = asJson(flowSchema);
  const sink = anyOf(
    all.flatMap((one) => (one.sink === undefined ? [] : [merge(asJson(sinkSchema), asJson(one.sink.settings))])),
  );
  const properties = flow.properties as JsonSchema;
  properties.source = anyOf(
    all.flatMap((one) => (one.source === undefined ? [] : [merge(asJson(sourceSchema), asJson(one.source.settings))])),
  );
  properties.sink = sink;
  properties.sinks = { type: 'object', additionalProperties: sink };
  const file = asJson(fileSchema);
  const parts = file.properties as JsonSchema;
  parts.connections = { type: 'object', additionalProperties: anyOf(all.map(connectionSchema)) };
  parts.flows = { type: 'object', additionalProperties: flow };
  return { $schema: 'https://json-schema.org/draft/2020-12/schema', title: 'Waybill flow file', ...file };
}

function connectionSchema(connector: Connector): JsonSchema {
  const type = { type: 'object', properties: { type: { const: connector.type } }, required: ['type'] };
  return merge(type, asJson(connector.connection));
}

/** As it is written, before defaults and conversions; what JSON Schema cannot say is allowed. */
function asJson(schema: z.ZodType): JsonSchema {
  const { $schema: _, ...rest } = z.toJSONSchema(schema, {
    target: 'draft-2020-12',
    io: 'input',
    unrepresentable: 'any',
  });
  return rest as JsonSchema;
}

/** Both sets of keys in one object; the settings may be one of several shapes. */
function merge(base: JsonSchema, settings: JsonSchema): JsonSchema {
  for (const word of ['anyOf', 'oneOf'] as const) {
    const options = settings[word];
    if (Array.isArray(options)) return anyOf(options.map((option: JsonSchema) => merge(base, option)));
  }
  const required = [base, settings].flatMap((one) => (one.required as string[] | undefined) ?? []);
  return {
    type: 'object',
    ...(settings.$defs === undefined ? {} : { $defs: settings.$defs }),
    properties: { ...(base.properties as JsonSchema), ...(settings.properties as JsonSchema | undefined) },
    ...(required.length === 0 ? {} : { required: [...new Set(required)] }),
    // A settings schema without named properties allows any: then so must this one.
    additionalProperties: settings.properties === undefined && settings.type !== 'object',
  };
}

function anyOf(options: readonly JsonSchema[]): JsonSchema {
  const [only] = options;
  return options.length === 1 && only !== undefined ? only : { anyOf: options };
}
