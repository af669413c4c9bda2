import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { gzipSync } from 'node:zlib';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { ParquetFile } from '../../formats/parquet/write.ts';
import { rows } from '../../formats/rows.ts';
import type { Chunk } from '../../model/chunk.ts';
import { ALL } from '../../model/window.ts';
import { openDocumentPeer, type PeerDocument } from '../../testing/peer/document-peer.ts';
import { openContext } from '../../testing/peer/open-context.ts';
import { pull } from '../../testing/peer/pull.ts';
import { zipOf } from '../../testing/peer/zip.ts';
import { http } from './config.ts';

let downloads: string;
const closing: (() => Promise<void> | undefined)[] = [];
beforeEach(async () => {
  downloads = await mkdtemp(join(tmpdir(), 'waybill-document-'));
});
afterEach(async () => {
  for (const close of closing.splice(0).reverse()) await close();
  await rm(downloads, { recursive: true, force: true });
});

async function pulled(path: string, document: PeerDocument, settings: Record<string, unknown> = {}) {
  const peer = await openDocumentPeer({ [path]: document });
  closing.push(() => peer.close());
  const config = http.source!.settings.parse({ path, ...settings });
  const source = http.source!.open(http.connection.parse({ url: peer.url }), config, openContext());
  closing.push(async () => source.close?.());
  const whole: Chunk[] = [];
  for await (const chunk of source.read({ window: ALL, parameters: {} }, new AbortController().signal)) {
    whole.push(chunk);
  }
  const { records } = await pull(source, { downloads });
  // A flow that does not pull reads the same, without positions.
  expect(whole.flatMap((chunk) => [...rows(chunk)])).toEqual(records);
  expect(whole.every(({ end }) => end === undefined)).toBe(true);
  return records.map((record) => ({ ...record }));
}

const CSV = 'id,name\n1,a\n2,b\n';
const TEXTS = [
  { id: '1', name: 'a' },
  { id: '2', name: 'b' },
];
const NUMBERS = [
  { id: 1, name: 'a' },
  { id: 2, name: 'b' },
];
const NDJSON = NUMBERS.map((record) => `${JSON.stringify(record)}\n`).join('');
const JSON_TEXT = JSON.stringify({ data: { items: NUMBERS }, next: null });
const gzip = { headers: { 'content-encoding': 'gzip' } };

describe('the format of a document', () => {
  it.each<[string, string, PeerDocument, Record<string, unknown>, unknown]>([
    ['the ending of its path', '/a/orders.csv', { body: CSV }, {}, TEXTS],
    ['the ending before a query', '/orders.csv?day=1', { body: CSV }, {}, TEXTS],
    ['the settings', '/export', { body: CSV.replaceAll(',', ';') }, { format: 'csv', delimiter: ';' }, TEXTS],
    ['its type', '/export', { body: NDJSON, headers: { 'content-type': 'application/x-ndjson' } }, {}, NUMBERS],
    [
      'a type with parameters',
      '/export',
      { body: JSON_TEXT, headers: { 'content-type': 'application/vnd.x+json; charset=utf-8' } },
      { recordsAt: 'data.items' },
      NUMBERS,
    ],
    ['types of columns', '/orders.csv', { body: CSV }, { types: { id: 'int64' } }, NUMBERS],
    ['an array of lines, where one record was said of JSON', '/o.ndjson', { body: NDJSON }, { single: true }, NUMBERS],
    ['one record', '/one.json', { body: '{"id":1,"name":"a"}' }, { single: true }, NUMBERS.slice(0, 1)],
  ])('is told by %s', async (_name, path, document, settings, expected) => {
    expect(await pulled(path, document, settings)).toEqual(expected);
  });

  it('has to be told by something', async () => {
    await expect(pulled('/export', { body: CSV })).rejects.toMatchObject({ code: 'SOURCE_INVALID' });
  });

  it('may be Parquet, whatever coding it travels in', async () => {
    const file = new ParquetFile([{ name: 'id', type: { kind: 'int64' }, nullable: false }]);
    for (const id of ['1', '2', '9007199254740993']) file.add([id]);
    const body = await file.finish();
    const expected = [{ id: 1 }, { id: 2 }, { id: 9007199254740993n }];
    expect(await pulled('/a.parquet', { body })).toEqual(expected);
    expect(await pulled('/a.parquet', { body: gzipSync(body), ...gzip })).toEqual(expected);
    const type = { 'content-type': 'application/vnd.apache.parquet' };
    expect(await pulled('/a', { body, headers: type, chunked: true })).toEqual(expected);
  });
});

describe('a packed document', () => {
  it.each<[string, string, PeerDocument]>([
    ['in the coding gzip', '/o.csv', { body: gzipSync(CSV), ...gzip }],
    ['in the coding gzip, in chunks', '/o.csv', { body: gzipSync(CSV), ...gzip, chunked: true }],
    ['called .gz', '/o.csv.gz', { body: gzipSync(CSV) }],
    ['called .gz, sent in the coding gzip of the same bytes', '/o.csv.gz', { body: gzipSync(CSV), ...gzip }],
    ['packed twice', '/o.csv.gz', { body: gzipSync(gzipSync(CSV)), ...gzip }],
    ['called nothing of the kind', '/o.csv', { body: gzipSync(CSV) }],
    ['of two members', '/o.csv.gz', { body: Buffer.concat([gzipSync('id,name\n1,a\n'), gzipSync('2,b\n')]) }],
    ['in a zip', '/o.zip', { body: zipOf([{ name: 'o.csv', content: CSV }]) }],
    [
      'in a zip that travels in the coding gzip',
      '/o.csv',
      { body: gzipSync(zipOf([{ name: 'o.csv', content: CSV }])), ...gzip },
    ],
    [
      'in two files of a zip, beside what a Mac leaves there',
      '/o.zip',
      {
        body: zipOf([
          { name: 'b.csv', content: 'id,name\n2,b\n' },
          { name: '__MACOSX/._a.csv', content: 'x' },
          { name: 'a.csv', content: 'id,name\n1,a\n', stored: true },
          { name: '.DS_Store', content: 'x' },
        ]),
      },
    ],
  ])('%s is read', async (_name, path, document) => {
    expect(await pulled(path, document)).toEqual(TEXTS);
  });

  it('of many files gives those that are meant', async () => {
    const body = zipOf([
      { name: 'readme.txt', content: 'x' },
      { name: 'd/o.ndjson', content: NDJSON },
    ]);
    expect(await pulled('/o.zip', { body }, { entries: '**/*.ndjson' })).toEqual(NUMBERS);
    await expect(pulled('/o.zip', { body }, { entries: '*.csv' })).rejects.toMatchObject({
      code: 'SOURCE_INVALID',
      hint: expect.stringContaining('"readme.txt"'),
    });
  });

  it('of Parquet is refused in words', async () => {
    const body = zipOf([{ name: 'a.parquet', content: 'PAR1' }]);
    await expect(pulled('/o.zip', { body })).rejects.toMatchObject({ code: 'SOURCE_INVALID' });
    await expect(pulled('/a.parquet', { body: gzipSync('PAR1') })).rejects.toMatchObject({ code: 'SOURCE_INVALID' });
  });
});

describe('a document of nothing', () => {
  it.each<[string, PeerDocument, Record<string, unknown>]>([
    ['/o.ndjson', { body: '' }, {}],
    ['/o.csv', { body: 'id,name\n' }, {}],
    ['/o.json', { body: '[]' }, {}],
    ['/o.csv.gz', { body: gzipSync('id,name\n') }, {}],
  ])('%s brings no records and a position', async (path, document, settings) => {
    expect(await pulled(path, { ...document, etag: '"e"' }, settings)).toEqual([]);
  });
});
