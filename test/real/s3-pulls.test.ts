import { Buffer } from 'node:buffer';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { gzipSync } from 'node:zlib';
import * as sdk from '@aws-sdk/client-s3';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import type { Look, Source } from '../../src/connectors/connector.ts';
import { s3 } from '../../src/connectors/s3/config.ts';
import { ParquetFile } from '../../src/formats/parquet/write.ts';
import type { Chunk } from '../../src/model/chunk.ts';
import type { Position } from '../../src/model/position.ts';
import { ALL } from '../../src/model/window.ts';
import { textsOf } from '../../src/testing/suites/source-reading.ts';
import { cephMissing, type ObjectGateway, startCeph } from '../ceph.ts';
import { type S3Place, S3Places } from '../s3-place.ts';

const missing = cephMissing();
let gateway: ObjectGateway | undefined;
let places: S3Places;
beforeAll(async () => {
  if (missing !== undefined) return console.info(`SKIPPED: pulls from a real S3 server: ${missing}`);
  gateway = await startCeph();
  places = await S3Places.open(gateway);
}, 120_000);
afterAll(() => gateway?.stop());

/** What a ledger would know of one source. */
let place: S3Place;
let from: Position | undefined;
let taken: Set<string>;
let downloads = '';
const opened: Source[] = [];
beforeEach(async ({ skip }) => {
  skip(missing !== undefined, missing);
  place = await places.place();
  from = undefined;
  taken = new Set();
  downloads = mkdtempSync(join(tmpdir(), 'waybill-downloads-'));
});
afterEach(async () => {
  for (const source of opened.splice(0)) await source.close?.();
  await place?.close();
  if (downloads !== '') rmSync(downloads, { recursive: true, force: true });
});

type Settings = { readonly path: string } & Readonly<Record<string, unknown>>;
const signal = new AbortController().signal;
function open(settings: Settings): Source {
  const source = place.source(settings);
  opened.push(source);
  return source;
}
const rangeOf = (take?: readonly string[]) => ({
  window: ALL,
  parameters: {},
  ...(from === undefined ? {} : { from }),
  pull: { taken: async () => taken, downloads, ...(take === undefined ? {} : { take }) },
});
const look = (settings: Settings): Promise<Look> => open(settings).pulls!.look(rangeOf(), signal);
const nameOf = (part: string): string => part.replace(/@.*/s, '').slice(place.folder.length + 1);

/** Keeps what a ledger would: the commits that were made before an error stand. */
async function pull(settings: Settings, take?: readonly string[]): Promise<readonly string[]> {
  const commits: string[] = [];
  let records: string[] = [];
  for await (const chunk of open(settings).read(rangeOf(take), signal)) {
    records = [...records, ...textsOf([chunk]).map((text) => String(JSON.parse(text).n))];
    if (chunk.end === undefined) continue;
    from = chunk.end;
    if (chunk.closes !== undefined) taken.add(chunk.closes);
    commits.push(`${nameOf(chunk.closes ?? '')}:${records.join()}`);
    records = [];
  }
  return commits;
}

const lines = (...numbers: readonly number[]): string => numbers.map((n) => `{"n":${n}}\n`).join('');
const many = (count: number): string => Array.from({ length: count }, (_, n) => lines(n)).join('');
const GLOB: Settings = { path: '**/*.ndjson' };

describe('objects by their names', () => {
  it('F05, F16: are each one commit, go on after the last one, and are reported when they come late', async () => {
    await place.put('in/b.ndjson', lines(1, 2));
    await place.put('in/d.ndjson', lines(3));
    expect(await pull(GLOB)).toEqual(['in/b.ndjson:1,2', 'in/d.ndjson:3']);
    expect(from).toMatchObject({ kind: 'waybill/file-name', value: `${place.folder}/in/d.ndjson` });
    await place.put('in/a.ndjson', lines(0));
    await place.put('in/b.ndjson', lines(1, 2, 9));
    await place.put('in/e.ndjson', lines(4));
    const found = await look(GLOB);
    expect(found.notices?.map(({ kind, message }) => [kind, message.split(';')[0]?.split('1 file: ')[1]])).toEqual([
      ['part-skipped', `${place.folder}/in/a.ndjson`],
      ['part-changed', `${place.folder}/in/b.ndjson`],
    ]);
    expect(await pull(GLOB)).toEqual(['in/e.ndjson:4']);
    const stands = from;
    expect(await pull(GLOB, [`${place.folder}/in/a.ndjson`])).toEqual(['in/a.ndjson:0']);
    expect(from).toEqual(stands);
  });

  it('F05: are listed from the last one on, and from the first again when it is time to', async () => {
    const names = Array.from({ length: 1040 }, (_, nth) => `in/${String(nth).padStart(5, '0')}.ndjson`);
    for (let nth = 0; nth < names.length; nth += 40)
      await Promise.all(names.slice(nth, nth + 40).map((name) => place.put(name, lines(1))));
    from = { sourceName: '', kind: 'waybill/file-name', value: `${place.folder}/${names.at(-1)}` };
    taken = new Set(names.slice(1).map((name) => `${place.folder}/${name}`));
    const asked = async (settings: Settings): Promise<readonly [number, readonly string[]]> => {
      const before = place.proxy.requests;
      const { notices = [] } = await look(settings);
      return [place.proxy.requests - before, notices.map(({ kind }) => kind)];
    };
    expect(await asked(GLOB), 'two pages, since nobody has looked yet').toEqual([2, ['part-skipped']]);
    expect(await asked(GLOB), 'one page, and what is late is still known').toEqual([1, ['part-skipped']]);
    taken.add(`${place.folder}/${names[0]}`);
    await place.put('in/0.ndjson', lines(2));
    expect(await asked(GLOB), 'one page: nobody has looked at what came late').toEqual([1, []]);
    expect(await asked({ ...GLOB, lateMinutes: 0 })).toEqual([2, ['part-skipped']]);
  }, 120_000);

  it('are read as they were listed, or not at all', async () => {
    await place.put('a.ndjson', lines(1));
    await place.put('b.ndjson', lines(2));
    const source = open({ path: '*.ndjson' });
    await source.pulls!.look(rangeOf(), signal);
    await place.put('b.ndjson', lines(2, 3));
    const reading = async () => {
      for await (const { end } of source.read(rangeOf(), signal)) from = end;
    };
    await expect(reading()).rejects.toMatchObject({
      code: 'SOURCE_FAILED',
      message: expect.stringContaining('replaced'),
    });
    expect(from?.value).toBe(`${place.folder}/a.ndjson`);
    expect(await pull({ path: '*.ndjson' })).toEqual(['b.ndjson:2,3']);
  });

  it('whose answer is cut short leave the position before them', async () => {
    await place.put('a.ndjson', lines(1));
    await place.put('b.ndjson', many(400_000));
    place.proxy.set([{ when: { holds: 'b.ndjson' }, side: 'answer', at: 1_000_000, act: 'close', times: 1 }]);
    await expect(pull({ path: '*.ndjson' })).rejects.toMatchObject({ code: 'SOURCE_FAILED' });
    expect(from?.value).toBe(`${place.folder}/a.ndjson`);
    place.proxy.set([]);
    expect((await pull({ path: '*.ndjson' }))[0]).toMatch(/^b\.ndjson:0,1,2.*,399999$/);
  });

  it('of which there are none are an error, or nothing, as the flow says', async () => {
    await expect(look(GLOB)).rejects.toMatchObject({ code: 'SOURCE_FAILED' });
    expect(await look({ ...GLOB, whenNone: 'empty' })).toMatchObject({ kind: 'unchanged' });
  });
});

const PART_BYTES = 5 * 1024 * 1024;

describe('one object', () => {
  it('F03: that was uploaded in parts is read once for each ETag', async () => {
    const Key = `${place.folder}/large.ndjson`;
    const Bucket = place.bucket;
    const { UploadId } = await places.client.send(new sdk.CreateMultipartUploadCommand({ Bucket, Key }));
    const rows = many(700_000);
    const Parts = [];
    for (const [nth, Body] of [rows.slice(0, PART_BYTES), rows.slice(PART_BYTES)].entries()) {
      const PartNumber = nth + 1;
      const part = { Bucket, Key, UploadId, PartNumber, Body: Buffer.from(Body) };
      Parts.push({ PartNumber, ETag: (await places.client.send(new sdk.UploadPartCommand(part))).ETag });
    }
    const done = { Bucket, Key, UploadId, MultipartUpload: { Parts } };
    await places.client.send(new sdk.CompleteMultipartUploadCommand(done));
    const [all] = await pull({ path: 'large.ndjson' });
    expect(all).toMatch(/^:0,1,2.*,699999$/);
    expect(from).toMatchObject({ kind: 'odf/etag', value: expect.stringMatching(/-2"?$/) });
    const before = place.proxy.requests;
    expect(await look({ path: 'large.ndjson' })).toMatchObject({ kind: 'unchanged' });
    expect(place.proxy.requests - before, 'requests of a look').toBe(1);
    await place.put('large.ndjson', lines(1));
    expect(await pull({ path: 'large.ndjson' })).toEqual([':1']);
  }, 120_000);

  it('that grows is read from the byte behind the last line, and noticed when it was begun anew', async () => {
    const settings: Settings = { path: 'a.ndjson', pullBy: 'offset' };
    await place.put('a.ndjson', `${lines(1, 2)}{"n":`);
    expect(await pull(settings)).toEqual([':1,2']);
    await place.put('a.ndjson', lines(1, 2, 3));
    expect((await pull(settings)).join('').replaceAll(':', '')).toBe('3');
    await place.put('a.ndjson', lines(7));
    await expect(look(settings)).rejects.toMatchObject({ code: 'SOURCE_TRIMMED' });
  });

  it('F19: lies where its description says, for anybody who may read it', async () => {
    const name = "rates (new)/a+b's.csv";
    const object = {
      Bucket: place.bucket,
      Key: `${place.folder}/${name}`,
      Body: 'id\n1\n',
      ACL: 'public-read',
    } as const;
    await places.client.send(new sdk.PutObjectCommand(object));
    const { endpoint, bucket, forcePathStyle } = place.plain;
    const connection = s3.connection.parse({ endpoint, bucket, forcePathStyle });
    const found = s3.source!.describe!(connection, s3.source!.settings.parse({ path: object.Key }));
    expect(found).toMatchObject({ place: { kind: 'url' }, format: 'csv' });
    const reply = await fetch((found!.place as { url: string }).url);
    expect([reply.status, await reply.text()]).toEqual([200, object.Body]);
  });

  it('shows its columns by its first records, and as Parquet has them', async () => {
    await place.put('a.csv', 'id,day\n1,2026-11-19\n');
    await place.put('b.csv.gz', gzipSync(`id,day,name\n${'1,2026-11-19,x\n'.repeat(100_000)}`));
    const file = new ParquetFile([{ name: 'id', type: { kind: 'int32' }, nullable: false }]);
    file.add(['1']);
    await place.put('c.parquet', await file.finish());
    expect(await place.columns({ path: '*.csv*' }, signal)).toEqual({
      [`${place.folder}/b.csv.gz`]: ['id int64', 'day date', 'name text'],
    });
    expect(await place.columns({ path: '*.parquet' }, signal)).toEqual({ [`${place.folder}/c.parquet`]: ['id int32'] });
  });

  it('with a record that is too long is read without it, packed or not', async () => {
    const text = `${lines(1)}{"n":2,"t":"${'x'.repeat(3_000_000)}"}\n${lines(3)}`;
    await place.put('a.ndjson.gz', gzipSync(text));
    await place.put('b.ndjson', text);
    for (const path of ['a.ndjson.gz', 'b.ndjson']) {
      const chunks: Chunk[] = [];
      for await (const chunk of open({ path, recordBytesMax: '1MiB' }).read({ window: ALL, parameters: {} }, signal))
        chunks.push(chunk);
      expect(textsOf(chunks)).toEqual(['{"n":1}', '{"n":3}']);
      expect(chunks.flatMap(({ rejects = [] }) => rejects)).toMatchObject([{ row: 2, code: 'RECORD_TOO_LARGE' }]);
    }
  });

  it('that is not there is an error, or nothing', async () => {
    await expect(look({ path: 'a.ndjson' })).rejects.toMatchObject({ code: 'SOURCE_FAILED' });
    expect(await look({ path: 'a.ndjson', whenNone: 'empty' })).toMatchObject({ kind: 'unchanged' });
  });
});
