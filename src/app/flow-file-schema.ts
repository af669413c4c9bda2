import { z } from 'zod';
import type { Connector } from '../connectors/connector.ts';
import { allConnectors } from './connector-list.ts';
import type { ConnectorList } from './flow-config.ts';
import { fileSchema, flowSchema, sinkSchema, sourceSchema } from './flow-file.ts';

type JsonSchema = Record<string, unknown>;

/**
 * The JSON Schema (draft 2020-12) of the flow file, made from the schemas that check it, so that an editor knows every
 * key of every connector. A source or a sink names only a connection, so its settings may be those of any connector;
 * `waybill check` is stricter, since it knows which. Where a number is wanted, a variable may stand as well.
 */
export async function flowFileSchema(connectors?: ConnectorList): Promise<JsonSchema> {
  const list = connectors ?? (await allConnectors());
  const loaded: Connector[] = [];
  for (const type of list.types) {
    const connector = await list.load(type);
    if (connector !== undefined) loaded.push(connector);
  }
  const builder = new SchemaBuilder();
  const flow = builder.of('flow', flowSchema);
  const lane = builder.side(loaded, 'sink', sinkSchema);
  const properties = {
    ...propertiesOf(flow),
    source: builder.side(loaded, 'source', sourceSchema),
    sink: lane,
    sinks: { type: 'object', minProperties: 1, additionalProperties: lane },
  };
  const one = [{ required: ['sink'] }, { required: ['sinks'] }];
  const file = builder.of('file', fileSchema);
  return {
    $schema: 'https://json-schema.org/draft/2020-12/schema',
    title: 'Waybill flow file',
    ...file,
    properties: {
      ...propertiesOf(file),
      connections: { type: 'object', additionalProperties: builder.connections(loaded) },
      flows: { type: 'object', additionalProperties: { ...flow, properties, required: ['source'], oneOf: one } },
    },
    required: ['version', 'flows'],
    $defs: builder.definitions,
  };
}

const propertiesOf = (schema: JsonSchema): JsonSchema => (schema.properties ?? {}) as JsonSchema;

class SchemaBuilder {
  readonly definitions: Record<string, JsonSchema> = {};

  /** A schema whose own definitions have moved to the common list, under names that begin with `name`. */
  of(name: string, schema: z.ZodType): JsonSchema {
    const options = { target: 'draft-2020-12', io: 'input', unrepresentable: 'any' } as const;
    const { $schema: _, $defs, ...json } = z.toJSONSchema(schema, options) as JsonSchema;
    for (const [id, definition] of Object.entries(($defs ?? {}) as Record<string, JsonSchema>)) {
      this.definitions[`${name}.${id}`] = moved(definition, name) as JsonSchema;
    }
    return moved(json, name) as JsonSchema;
  }

  /** What may stand as a connection: one form for each connector. */
  connections(connectors: readonly Connector[]): JsonSchema {
    const forms = connectors.map((connector) => {
      const name = `connection.${connector.type}`;
      const type = { const: connector.type, description: connector.summary };
      return this.#define(name, withKeys(this.of(name, connector.connection), { type }, ['type']));
    });
    return { anyOf: forms };
  }

  /** What may stand as a source or a sink: one form for each connector that has one. */
  side(connectors: readonly Connector[], side: 'source' | 'sink', generic: z.ZodType): JsonSchema {
    const common = propertiesOf(this.of(side, generic));
    const forms = connectors.flatMap((connector) => {
      const part = connector[side];
      if (part === undefined) return [];
      const name = `${side}.${connector.type}`;
      return [this.#define(name, withKeys(this.of(name, part.settings), common, ['connection']))];
    });
    return { anyOf: forms };
  }

  #define(name: string, schema: JsonSchema): JsonSchema {
    this.definitions[name] = schema;
    return { $ref: `#/$defs/${name}` };
  }
}

/** References of a schema that was a document of its own point to where its definitions are now. */
function moved(node: unknown, name: string): unknown {
  if (Array.isArray(node)) return node.map((item) => moved(item, name));
  if (typeof node !== 'object' || node === null) return node;
  // Our own mark for fields that hold secrets; it would mean nothing to an editor.
  const { secret: _, ...copy } = node as JsonSchema;
  for (const [key, value] of Object.entries(copy)) {
    if (key === '$ref' && typeof value === 'string') {
      copy[key] = value === '#' ? `#/$defs/${name}` : value.replace('#/$defs/', `#/$defs/${name}.`);
    } else if (key !== 'default' && key !== 'const' && key !== 'enum') copy[key] = moved(value, name);
  }
  return orVariable(copy);
}

/** Numbers, and texts of a certain form, may be given by a variable. */
function orVariable(schema: JsonSchema): JsonSchema {
  const { type, description, default: preset, ...rest } = schema;
  const isNumber = type === 'number' || type === 'integer' || type === 'boolean';
  const isForm = type === 'string' && (rest.pattern !== undefined || rest.format !== undefined);
  if (!isNumber && !isForm) return schema;
  return {
    ...(description === undefined ? {} : { description }),
    ...(preset === undefined ? {} : { default: preset }),
    anyOf: [
      { type, ...rest },
      { type: 'string', pattern: '\\$\\{[A-Za-z_][A-Za-z0-9_]*(:[^{}]*)?\\}' },
    ],
  };
}

/** Adds keys to every form of an object schema. */
function withKeys(schema: JsonSchema, keys: JsonSchema, required: readonly string[]): JsonSchema {
  for (const choice of ['anyOf', 'oneOf'] as const) {
    const forms = schema[choice];
    if (!Array.isArray(forms)) continue;
    return { ...schema, [choice]: forms.map((form: JsonSchema) => withKeys(form, keys, required)) };
  }
  const before = Array.isArray(schema.required) ? (schema.required as string[]) : [];
  return {
    ...schema,
    type: 'object',
    properties: { ...keys, ...propertiesOf(schema) },
    required: [...new Set([...required, ...before])],
  };
}
