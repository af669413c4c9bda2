import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Readable } from 'node:stream';
import { gzipSync } from 'node:zlib';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import type { Connector, Source } from '../src/connectors/connector.ts';
import { files } from '../src/connectors/files/config.ts';
import { http } from '../src/connectors/http/config.ts';
import { s3 } from '../src/connectors/s3/config.ts';
import { stdin } from '../src/connectors/stdio/config.ts';
import { ParquetFile } from '../src/formats/parquet/write.ts';
import { rows } from '../src/formats/rows.ts';
import { parseColumnType } from '../src/model/columns.ts';
import { ALL } from '../src/model/window.ts';
import { openDocumentPeer } from '../src/testing/peer/document-peer.ts';
import { openContext } from '../src/testing/peer/open-context.ts';
import { readAll } from '../src/testing/suites/source-reading.ts';

const LONG = 'x'.repeat(3000);
/** As long as the limit, with everything around it: the last one that may be read. */
const full = (before: string, after: string): string =>
  `${before}${'y'.repeat(2048 - before.length - after.length)}${after}`;

async function parquet(): Promise<Uint8Array> {
  const column = (name: string, type: string) => ({ name, type: parseColumnType(type)!, nullable: true });
  const file = new ParquetFile([column('id', 'int64'), column('t', 'text')]);
  file.add(['1', full('{"id":1,"t":"', '"}').slice('{"id":1,"t":"'.length, -2)]);
  file.add(['2', LONG]);
  // It is over the limit only when it is spelled in JSON.
  file.add(['3', '\n'.repeat(1500)]);
  file.add(['4', 'z']);
  return await file.finish();
}

let folder: string;
const bodies = new Map<string, Uint8Array>();
beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), 'waybill-limit-'));
  const lines = [full('{"id":1,"t":"', '"}'), `{"id":2,"t":"${LONG}"}`, `{"id":3,"t":"${LONG}"}`, '{"id":4,"t":"z"}'];
  const csv = ['id,t', full('1,', ''), `2,${LONG}`, `3,"${LONG}"`, '4,z'].join('\n');
  bodies.set('a.ndjson', Buffer.from(lines.join('\n')));
  bodies.set('a.csv', Buffer.from(csv));
  bodies.set('a.json', Buffer.from(`{"rows":[\n${lines.join(',\n')}]}`));
  bodies.set('a.parquet', await parquet());
  for (const name of ['a.ndjson', 'a.csv', 'a.json']) bodies.set(`${name}.gz`, gzipSync(bodies.get(name)!));
  for (const [name, bytes] of bodies) writeFileSync(join(folder, name), bytes);
});
afterAll(() => rmSync(folder, { recursive: true, force: true }));
const closing: (() => Promise<void>)[] = [];
afterEach(async () => {
  for (const close of closing.splice(0)) await close();
});

/** Numbers of the records that came, and what is said of the others. */
async function found(source: Source) {
  const chunks = await readAll(source, { window: ALL, parameters: {} });
  return {
    ids: chunks.flatMap((chunk) => [...rows(chunk)]).map((row) => Number(row.id)),
    rejects: chunks.flatMap(({ rejects = [] }) => rejects),
  };
}

const settingsOf = (name: string) => ({
  recordBytesMax: '2KiB',
  ...(name.startsWith('a.json') ? { recordsAt: 'rows' } : {}),
});

function expectLimited({ ids, rejects }: Awaited<ReturnType<typeof found>>): void {
  expect(ids).toEqual([1, 4]);
  expect(rejects.map(({ row, code }) => [row, code])).toEqual([
    [2, 'RECORD_TOO_LARGE'],
    [3, 'RECORD_TOO_LARGE'],
  ]);
  for (const { message } of rejects) {
    expect(message).toMatch(/the record is longer than 2048 bytes; raise `recordBytesMax` of the source/);
    expect(message).not.toContain('xx');
  }
}

const NAMES = ['a.ndjson', 'a.ndjson.gz', 'a.csv', 'a.csv.gz', 'a.json', 'a.json.gz', 'a.parquet'];

describe('recordBytesMax', () => {
  it.each(NAMES)('leaves longer records of a file out, and says what to set: %s', async (name) => {
    const settings = files.source!.settings.parse({ path: name, ...settingsOf(name) });
    expectLimited(await found(files.source!.open({ root: folder }, settings, openContext())));
  });

  it.each(NAMES)('leaves longer records of a document over HTTP out, and says what to set: %s', async (name) => {
    const peer = await openDocumentPeer({ [`/${name}`]: { body: bodies.get(name)! } });
    closing.push(() => peer.close());
    const settings = http.source!.settings.parse({ path: `/${name}`, ...settingsOf(name) });
    const source = http.source!.open(http.connection.parse({ url: peer.url }), settings, openContext());
    closing.push(async () => source.close?.());
    expectLimited(await found(source));
  });

  it.each(['ndjson', 'csv'])('leaves longer records of the standard input out: %s', async (format) => {
    const settings = stdin.source!.settings.parse({ format, recordBytesMax: '2KiB' });
    const context = { ...openContext(), stdin: Readable.from([bodies.get(`a.${format}`)!]) };
    expectLimited(await found(stdin.source!.open({}, settings, context)));
  });

  it('is 16 MiB in every source of bytes where nothing is said, and is never nothing', () => {
    const sources: readonly [Connector, object][] = [
      [files as Connector, { path: 'a.csv' }],
      [s3 as Connector, { path: 'a.csv' }],
      [http as Connector, { path: '/a.csv' }],
      [stdin as Connector, {}],
    ];
    for (const [connector, settings] of sources) {
      const schema = connector.source!.settings;
      expect(schema.parse(settings)).toMatchObject({ recordBytesMax: 16 * 1024 ** 2 });
      expect(schema.parse({ ...settings, recordBytesMax: '1MiB' })).toMatchObject({ recordBytesMax: 1024 ** 2 });
      for (const recordBytesMax of [0, -1, 'much', '', '257MiB']) {
        expect(schema.safeParse({ ...settings, recordBytesMax }).success, connector.type).toBe(false);
      }
    }
  });
});
