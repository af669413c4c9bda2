import { Ajv2020 } from 'ajv/dist/2020.js';
import { describe, expect, it } from 'vitest';
import { parse } from 'yaml';
import { allConnectors } from './connector-list.ts';
import { flowFileSchema } from './flow-file-schema.ts';

const EXAMPLE = `version: 1
connections:
  store: { type: sqlite, file: store.db }
  roket: { type: http, url: https://api.example.com/v1/events, auth: { bearer: "\${ROKET_TOKEN}" } }
flows:
  roket-daily:
    source: { connection: store, query: "select * from members where updated_on = :date", key: [member_id] }
    sink: { connection: roket, batch: { maxRecords: 100, maxBytes: 1MB }, \
receipt: { shape: echoed-record, path: data.unprocessedRecords, key: record.member_id, error: error.message } }
    strategy: ledgered-append
    window: day
    schedule: "0 6 * * *"
    onDoubt: hold
  both:
    source: { connection: store, table: members, params: { d: "{{ window.start | date }}" } }
    sinks:
      api: { connection: roket, batch: { maxRecords: "\${MAX:10}" }, receipt: { shape: none }, retry: { attempts: 3 } }
      copy: { connection: store, table: copy, key: [member_id], mapping: { select: [member_id] } }
`;

async function accepts(text: string): Promise<boolean> {
  const validate = new Ajv2020({ strict: false }).compile(await flowFileSchema());
  return validate(parse(text));
}

describe('the JSON Schema of the flow file', () => {
  it('accepts the flow file of the first use, and one with several sinks and variables', async () => {
    expect(await accepts(EXAMPLE)).toBe(true);
  });

  it.each([
    ['an unknown key of a flow', EXAMPLE.replace('schedule:', 'shedule:')],
    ['an unknown key of a connector', EXAMPLE.replace('maxRecords: 100', 'maxRecord: 100')],
    ['a value of the wrong kind', EXAMPLE.replace('maxRecords: 100', 'maxRecords: many')],
    ['an unknown word', EXAMPLE.replace('onDoubt: hold', 'onDoubt: maybe')],
    ['a type that no connector has', EXAMPLE.replace('type: sqlite', 'type: sqlight')],
    ['a version that is not this one', EXAMPLE.replace('version: 1', 'version: 2')],
    ['a source without a connection', EXAMPLE.replace('source: { connection: store, query', 'source: { query')],
  ])('refuses %s', async (_, text) => {
    expect(text).not.toBe(EXAMPLE);
    expect(await accepts(text)).toBe(false);
  });

  it('has every definition that it refers to, and closes every map of every connector', async () => {
    const schema = await flowFileSchema();
    const references = [...JSON.stringify(schema).matchAll(/"\$ref":"([^"]+)"/g)].map(([, reference]) => reference!);
    const { types } = await allConnectors();
    expect(references.length).toBeGreaterThan(types.length);
    const definitions = schema.$defs as Record<string, { additionalProperties?: unknown; properties?: object }>;
    for (const reference of references) expect(definitions).toHaveProperty([reference.replace('#/$defs/', '')]);
    for (const [name, definition] of Object.entries(definitions)) {
      if (definition.properties !== undefined) expect([name, definition.additionalProperties]).toEqual([name, false]);
    }
    expect(schema.$schema).toBe('https://json-schema.org/draft/2020-12/schema');
  });
});
