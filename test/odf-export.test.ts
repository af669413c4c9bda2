import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { Ajv } from 'ajv';
import { Ajv2020, type ValidateFunction } from 'ajv/dist/2020.js';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { openWaybill } from '../src/app/open.ts';
import type { Waybill } from '../src/app/waybill.ts';
import { memoryStore } from '../src/connectors/memory/store.ts';
import type { MetadataBlock, OdfSpelling } from '../src/odf/blocks.ts';
import { readSourceState } from '../src/odf/source-state.ts';

/** The published schemas lie beside the project; they are not part of it. */
const data = fileURLToPath(new URL('../../shared/data', import.meta.url));
const there = existsSync(join(data, 'odf'));
const MISSING = 'the schemas of Open Data Fabric do not lie beside the project, in shared/data';
if (!there) console.info(`SKIPPED: ${MISSING}`);

let folder = '';
let nth = 0;
let waybill: Waybill;
const never = new AbortController().signal;
beforeEach(async () => {
  folder = mkdtempSync(join(tmpdir(), 'waybill-odf-'));
  const file = `
version: 1
connections: { memory: { type: memory, store: odf-${nth++} } }
flows:
  rates:
    description: Rates of exchange
    source: { connection: memory, table: in, key: [id] }
    sink: { connection: memory, table: out, strategy: ledgered-append }
    window: pull
    history: { merge: ledger, eventTime: at }
`;
  writeFileSync(join(folder, 'waybill.yaml'), file);
  waybill = await openWaybill({ cwd: folder, env: {} });
});
afterEach(async () => {
  await waybill.close();
  rmSync(folder, { recursive: true });
});

async function pull(...rows: object[]): Promise<void> {
  const store = memoryStore(`odf-${nth - 1}`);
  store.fill('in', [...(store.rows('in') ?? []), ...rows]);
  await waybill.pull('rates', { signals: { stop: never, abort: never } });
}

async function blocks(spelling: OdfSpelling): Promise<MetadataBlock[]> {
  const all: MetadataBlock[] = [];
  for await (const block of await waybill.exportOdf('rates', spelling)) all.push(block);
  return all;
}

/** Every schema below a folder, by its `$id`; formats that only name a spelling are not checked by it. */
function validator(): ValidateFunction {
  const ajv = new Ajv2020({ strict: false, validateFormats: false });
  for (const path of readdirSync(join(data, 'odf'), { recursive: true, encoding: 'utf8' }))
    if (path.endsWith('.json')) ajv.addSchema(JSON.parse(readFileSync(join(data, 'odf', path), 'utf8')) as object);
  return ajv.getSchema('https://opendatafabric.org/schemas/dataset/v1alpha1/MetadataBlock') as ValidateFunction;
}

describe('the history of a flow as Open Data Fabric', () => {
  const row = (id: number, at: string) => ({ id, at, rate: 1.5, name: 'x', ok: true, list: [1] });

  it('F19: validates against the schema of MetadataBlock, whatever a pull brought', async ({ skip }) => {
    skip(!there, MISSING);
    await pull(row(1, '2026-11-01'), row(2, '2026-11-02'));
    await pull(row(2, '2026-11-02'));
    await pull({ ...row(3, '2026-11-03T10:00:00Z'), more: 'a column that came later' });
    const valid = validator();
    const all = await blocks('v0.39.0');
    for (const block of all) {
      valid(block);
      expect(valid.errors ?? [], JSON.stringify(block)).toEqual([]);
    }
    // The schema refuses what is no block: without this a validator that takes everything would pass.
    expect(valid({ ...all[0], event: { kind: 'AddData', newWatermark: 3 } })).toBe(false);
    expect(all.map(({ event }) => event.kind)).toEqual([
      'Seed',
      'SetInfo',
      'SetVocab',
      'SetDataSchema',
      'AddData',
      'AddData',
      'SetDataSchema',
      'AddData',
    ]);
  });

  it('F12: carries the state and the watermark, and counts offsets as they were given', async () => {
    await pull(row(1, '2026-11-01'), row(2, '2026-11-02'));
    await pull(row(2, '2026-11-02'));
    await pull(row(3, '2026-10-01'));
    const adds = (await blocks('v0.39.0')).map(({ event }) => event).filter(({ kind }) => kind === 'AddData');
    const state = (value: string) => ({ sourceName: 'memory', kind: 'waybill/count', value });
    const newWatermark = '2026-11-02T00:00:00.000Z';
    expect(adds).toMatchObject([
      { newData: { offsetInterval: { start: 0, end: 1 } }, newWatermark, newSourceState: state('2') },
      { prevOffset: 1, newWatermark, newSourceState: state('3') },
      { prevOffset: 1, newData: { offsetInterval: { start: 2, end: 2 } }, newWatermark, newSourceState: state('4') },
    ]);
    expect(adds[0]).not.toHaveProperty('prevOffset');
    expect(adds[1]).not.toHaveProperty('newData');
    const numbers = (await blocks('v0.39.0')).map(({ sequenceNumber }) => sequenceNumber);
    expect(numbers).toEqual(numbers.map((_, at) => at));
  });

  it('F02: spells states as RFC-009 did where that is asked for, of any kind', async ({ skip }) => {
    skip(!there, MISSING);
    await pull(row(1, '2026-11-01'));
    const ajv = new Ajv({ strict: false, validateFormats: false });
    const schema = (name: string): object =>
      JSON.parse(readFileSync(join(data, 'odf-v0.30.0', `${name}.json`), 'utf8')) as object;
    const valid = ajv.compile(schema('SourceState'));
    const added = (await blocks('rfc-009')).map(({ event }) => event).find(({ kind }) => kind === 'AddData');
    expect(added?.outputData).toMatchObject({ interval: { start: 0, end: 0 } });
    expect(valid(added?.sourceState), JSON.stringify(valid.errors)).toBe(true);
    const known = Object.keys((schema('AddData') as { properties: object }).properties);
    expect(Object.keys(added ?? {}).filter((name) => name !== 'kind' && !known.includes(name))).toEqual([]);
  });

  it('F02: reads a state in each spelling that was met, and keeps a kind of somebody else as it is', () => {
    const state = { kind: 'acme/tick', value: '{"at":1}' };
    const wanted = { sourceName: 'rates', ...state };
    expect(readSourceState({ ...state, sourceName: 'rates' }, 'x')).toEqual(wanted);
    expect(readSourceState({ ...state, source: 'rates' }, 'x')).toEqual(wanted);
    for (const source of ['odf/polling', 'odf/poll', 'default'])
      expect(readSourceState({ ...state, source }, 'rates')).toEqual(wanted);
    const inBlock = { kind: 'MetadataBlock', content: { event: { kind: 'AddData', newSourceState: wanted } } };
    expect(readSourceState(inBlock, 'x')).toEqual(wanted);
    expect(readSourceState({ event: { kind: 'AddData', sourceState: { ...state, source: 'rates' } } }, 'x')).toEqual(
      wanted,
    );
    for (const none of [null, 3, [], {}, { kind: 'AddData' }, { kind: 1, source: 'a', value: 'b' }])
      expect(readSourceState(none, 'x')).toBe(undefined);
  });
});
