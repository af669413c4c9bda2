import { existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { gzipSync } from 'node:zlib';
import { Ajv2020 } from 'ajv/dist/2020.js';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { openWaybill } from '../src/app/open.ts';
import type { MetadataBlock } from '../src/odf/blocks.ts';
import { type DocumentPeer, openDocumentPeer } from '../src/testing/peer/document-peer.ts';

/** The published schemas lie beside the project; they are not part of it. */
const schemas = fileURLToPath(new URL('../../shared/data/odf', import.meta.url));
const MISSING = 'the schemas of Open Data Fabric do not lie beside the project, in shared/data';
const there = existsSync(schemas);
if (!there) console.info(`SKIPPED: ${MISSING}`);

const SECRET = 'sssh-0451';
let folder: string;
let peer: DocumentPeer;
beforeEach(async () => {
  folder = mkdtempSync(join(tmpdir(), 'waybill-odf-sources-'));
  peer = await openDocumentPeer();
});
afterEach(async () => {
  await peer.close();
  rmSync(folder, { recursive: true, force: true });
});

/** Pulls once by a real source, and gives the history as blocks of today's spelling. */
async function exported(connection: object, source: object): Promise<readonly MetadataBlock[]> {
  const flow = {
    version: 1,
    connections: { from: connection, out: { type: 'memory', store: folder } },
    flows: {
      rates: {
        window: 'pull',
        history: { merge: 'snapshot' },
        source: { connection: 'from', key: ['id'], ...source },
        sink: { connection: 'out', table: 'rates', strategy: 'ledgered-append' },
      },
    },
  };
  writeFileSync(join(folder, 'waybill.yaml'), JSON.stringify(flow));
  const never = new AbortController().signal;
  const waybill = await openWaybill({ cwd: folder, env: { RATES: SECRET } });
  try {
    const { runs } = await waybill.pull('rates', { signals: { stop: never, abort: never } });
    expect(runs.map(({ run }) => run.state)).toEqual(['complete']);
    const blocks: MetadataBlock[] = [];
    for await (const block of await waybill.exportOdf('rates', 'v0.39.0')) blocks.push(block);
    return blocks;
  } finally {
    await waybill.close();
  }
}

const pollingOf = (blocks: readonly MetadataBlock[]) =>
  blocks.map(({ event }) => event).find(({ kind }) => kind === 'SetPollingSource');

/** What the schema of MetadataBlock has against any of them. */
function faultsOf(blocks: readonly MetadataBlock[]): readonly unknown[] {
  const ajv = new Ajv2020({ strict: false, validateFormats: false });
  for (const path of readdirSync(schemas, { recursive: true, encoding: 'utf8' }))
    if (path.endsWith('.json')) ajv.addSchema(JSON.parse(readFileSync(join(schemas, path), 'utf8')) as object);
  const valid = ajv.getSchema('https://opendatafabric.org/schemas/dataset/v1alpha1/MetadataBlock')!;
  const faults = blocks.flatMap((block) => (valid(block) === true ? [] : (valid.errors ?? [])));
  // The schema refuses what is no source: without this one that takes everything would pass.
  expect(valid({ ...blocks[0], event: { ...pollingOf(blocks), read: { kind: 'Csv', header: 'yes' } } })).toBe(false);
  return faults;
}

const merge = { kind: 'Snapshot', primaryKey: ['id'] };
const JSON_TEXT = '{"data":{"items":[{"id":1},{"id":2}]}}';

describe('a source in the history of a flow as Open Data Fabric', () => {
  it.each([
    [
      'CSV with its own signs and names',
      { 'a.csv': "1;'it''s'\n2;x\n" },
      { path: '*.csv', delimiter: ';', quote: "'", header: ['id', 'name'], types: { id: 'int64' } },
      { fetch: { kind: 'FilesGlob', path: 'rates/*.csv', order: 'ByName' } },
      {
        read: {
          kind: 'Csv',
          separator: ';',
          quote: "'",
          escape: "'",
          header: false,
          schema: {
            fields: [
              { name: 'id', type: { kind: 'Option', inner: { kind: 'Int64' } } },
              { name: 'name', type: { kind: 'Option', inner: { kind: 'String' } } },
            ],
          },
        },
      },
    ],
    [
      'packed tables with tabs',
      { 'a.tsv.gz': gzipSync('id\tname\n1\tx\n') },
      { path: '**/*.tsv.gz' },
      { fetch: { kind: 'FilesGlob', path: 'rates/**/*.tsv.gz', order: 'ByName' } },
      {
        prepare: [{ kind: 'Decompress', format: 'Gzip' }],
        read: { kind: 'Csv', separator: '\t', quote: '"', escape: '"', header: true },
      },
    ],
    [
      'a JSON document',
      { 'a.json': JSON_TEXT },
      { path: 'a.json', recordsAt: 'data.items' },
      { fetch: { kind: 'FilesGlob', path: 'rates/a.json', order: 'ByName' } },
      { read: { kind: 'Json', subPath: 'data.items' } },
    ],
    [
      'NDJSON by another name',
      { 'a.log': '{"id":1}\n' },
      { path: 'a.log', format: 'ndjson' },
      { fetch: { kind: 'FilesGlob', path: 'rates/a.log', order: 'ByName' } },
      { read: { kind: 'NdJson' } },
    ],
  ] as const)('F19: files with %s are a polling source that validates', async (_what, files, source, from, steps) => {
    mkdirSync(join(folder, 'rates'));
    for (const [name, bytes] of Object.entries(files)) writeFileSync(join(folder, 'rates', name), bytes);
    const blocks = await exported({ type: 'files', root: './rates' }, { settleSeconds: 0, ...source });
    expect(pollingOf(blocks)).toEqual({ kind: 'SetPollingSource', ...from, ...steps, merge });
    if (there) expect(faultsOf(blocks)).toEqual([]);
  });

  it('F19: an HTTP document is a polling source that validates, and tells no secret', async () => {
    peer.put('/v1/rates', { body: JSON_TEXT, etag: '"1"' });
    const blocks = await exported(
      {
        type: 'http',
        url: `${peer.url}/v1/`,
        auth: { bearer: 'env:RATES' },
        headers: { 'X-Team': SECRET, 'Api-Version': '3', Accept: 'text/plain' },
      },
      {
        path: '/rates?day=today',
        format: 'json',
        recordsAt: 'data.items',
        headers: { Accept: 'application/json', 'X-Api-Key': SECRET },
      },
    );
    expect(pollingOf(blocks)).toEqual({
      kind: 'SetPollingSource',
      fetch: {
        kind: 'Url',
        url: `${peer.url}/v1/rates?day=today`,
        headers: [
          { name: 'Api-Version', value: '3' },
          { name: 'Accept', value: 'application/json' },
        ],
      },
      read: { kind: 'Json', subPath: 'data.items' },
      merge,
    });
    expect(JSON.stringify(blocks)).not.toContain(SECRET);
    if (there) expect(faultsOf(blocks)).toEqual([]);
  });

  it('F19: says nothing of a source that is no one place, or whose address opens it', async () => {
    peer.put('/rates.json', { body: '[{"id":1}]', etag: '"1"' });
    const web = { type: 'http', url: peer.url };
    for (const source of [
      { path: '/rates.json', pages: { by: 'link' } },
      { path: `/rates.json?auth=${SECRET}` },
      { path: '/rates.json?name={{ window }}' },
    ]) {
      const blocks = await exported(web, source);
      expect(pollingOf(blocks), JSON.stringify(source)).toBeUndefined();
      expect(blocks.map(({ event }) => event.kind)).toContain('AddData');
      rmSync(join(folder, '.waybill'), { recursive: true, force: true });
    }
  });
});
