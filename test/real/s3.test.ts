import { cpSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { gzipSync } from 'node:zlib';
import * as sdk from '@aws-sdk/client-s3';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { run } from '../../src/cli/cli.ts';
import { RecordedProcess } from '../../src/cli/recorded-process.ts';
import type { Sink } from '../../src/connectors/connector.ts';
import { Bucket } from '../../src/connectors/s3/bucket.ts';
import { NotAppliedError, RefusedError } from '../../src/model/errors.ts';
import type { Load, LoadStep } from '../../src/model/load.ts';
import { ALL } from '../../src/model/window.ts';
import { testPermit } from '../../src/testing/permit.ts';
import { loadOf, recordsOf } from '../../src/testing/suites/load-bench.ts';
import type { LoadRecord } from '../../src/testing/suites/load-subject.ts';
import { loadSuite } from '../../src/testing/suites/load-suite.ts';
import { sinkSuite } from '../../src/testing/suites/sink-suite.ts';
import { readAll, textsOf } from '../../src/testing/suites/source-reading.ts';
import { sourceSuite } from '../../src/testing/suites/source-suite.ts';
import { register } from '../../src/testing/suites/suite.ts';
import { cephMissing, type ObjectGateway, startCeph } from '../ceph.ts';
import { recordsIn } from '../connectors/files-loads.ts';
import { newFolder } from '../connectors/place.ts';
import { s3Loads, s3Sinks, s3Sources, shownIn } from '../connectors/s3.ts';
import { type S3Place, S3Places } from '../s3-place.ts';

const missing = cephMissing();
let gateway: ObjectGateway | undefined;
let places: S3Places;
beforeAll(async () => {
  if (missing !== undefined) return console.info(`SKIPPED: tests on a real S3 server: ${missing}`);
  gateway = await startCeph();
  places = await S3Places.open(gateway);
}, 120_000);
afterAll(() => gateway?.stop());
beforeEach(({ skip }) => skip(missing !== undefined, missing));

let place: S3Place;
const sinks: Sink[] = [];
const opened = (sink: Sink): Sink => {
  sinks.push(sink);
  return sink;
};
afterEach(async () => {
  for (const sink of sinks.splice(0)) await sink.close?.();
  await place?.close();
});

for (const subject of s3Sources(() => places)) register({ describe, it }, sourceSuite(subject));
for (const subject of s3Sinks(() => places)) register({ describe, it }, sinkSuite(subject));
// What is the same for folders and buckets is tried on folders in every way; here those ways whose steps differ.
const WAYS = ['an NDJSON object for each window', 'objects under a manifest'];
for (const subject of s3Loads(() => places)) {
  if (WAYS.includes(subject.name)) register({ describe, it }, loadSuite(subject));
}

const step = (load: Load, fence = 1): LoadStep => ({
  load,
  fence,
  correlationId: 'test',
  signal: new AbortController().signal,
});

async function collected(sink: Sink, load: Load, records: readonly LoadRecord[]): Promise<void> {
  await sink.can.load!.open(step(load));
  for (const [at, record] of records.entries())
    await sink.can.load!.add(testPermit({ records: [record], batch: at + 1, load }));
}

async function seenIn(where: S3Place, manifest?: string): Promise<readonly LoadRecord[]> {
  const texts = await Promise.all((await shownIn(where, manifest)).map((name) => where.text(name)));
  return texts.flatMap((text) => recordsIn(text, false)).sort((a, b) => a.n - b.n);
}

describe('requests that are cut', () => {
  const WRITE = { when: { holds: 'PUT /' }, times: 1 } as const;
  const permit = (batch: number) => testPermit({ records: [{ n: batch }], batch });
  const sent = async (timeout = 60) => {
    const sink = opened(place.sink({ path: '{{ batch }}.ndjson' }, { requestTimeoutSeconds: timeout }));
    return await sink.can.commitOnce!(permit(1)).catch((error: unknown) => error);
  };

  it('before their first byte, in the middle and after their last prove nothing, and are made once', async () => {
    for (const cut of [
      { ...WRITE, side: 'request', at: 0, act: 'reset' },
      { ...WRITE, side: 'request', at: { after: '\r\n\r\n{' }, act: 'close' },
      { ...WRITE, side: 'answer', at: 0, act: 'reset' },
      { ...WRITE, side: 'answer', at: { after: '200' }, act: 'close' },
    ] as const) {
      place = await places.place();
      place.proxy.set([cut]);
      const error = await sent();
      expect(place.proxy.made, JSON.stringify(cut)).toHaveLength(1);
      expect(error, JSON.stringify(cut)).toMatchObject({ code: 'SINK_FAILED' });
      // The client has not sent it again by itself.
      expect(place.proxy.requests).toBe(1);
      await sent();
      expect(await place.names()).toHaveLength(1);
      await place.close();
    }
  });

  it('that are held end after the time that a request may take, and prove nothing', async () => {
    place = await places.place();
    place.proxy.set([{ ...WRITE, side: 'answer', at: 0, act: 'hold' }]);
    expect(await sent(1)).toMatchObject({ code: 'SINK_FAILED' });
    place.proxy.set([]);
    place.proxy.release();
    expect(await sent()).toBe('already');
  });

  it('never left where nobody listens: that is proved not to be applied', async () => {
    place = await places.place();
    await place.proxy.close();
    const error = await sent();
    expect(error).toBeInstanceOf(NotAppliedError);
    expect(error).toMatchObject({ sinkAway: true });
  });

  it('are refused for good where no record is to blame', async () => {
    place = await places.place('nowhere');
    expect(await sent()).toMatchObject({ code: 'REFUSED', about: 'request', reason: 'NoSuchBucket' });
    await place.close();
    place = await places.place();
    await place.put(`${permit(1).batch.idempotencyKey}.ndjson`, 'of somebody else');
    const error = await sent();
    expect(error).toBeInstanceOf(RefusedError);
    expect(error).toMatchObject({ reason: 'marker', about: 'content' });
  });
});

describe('a load in a bucket', () => {
  const LARGE = 9 * 1024 * 1024;

  it('is joined to one object as it is read, and to none when a part of it was changed', async () => {
    place = await places.place();
    const sink = opened(place.sink({ path: 'all.ndjson' }));
    const collect = async (load: Load, letters: string): Promise<void> => {
      await sink.can.load!.open(step(load));
      for (const [at, letter] of [...letters].entries())
        await sink.can.load!.add(testPermit({ records: [{ x: letter.repeat(LARGE) }], batch: at + 1, load }));
    };
    await collect(loadOf(16), 'ab');
    await sink.can.replace!(step(loadOf(16)), { kind: 'all' });
    const first = await place.text('all.ndjson');
    expect(first.split('\n').map((line) => line.slice(0, 7))).toEqual(['{"x":"a', '{"x":"b', '']);
    expect(first).toHaveLength(2 * (LARGE + '{"x":""}\n'.length));
    await collect(loadOf(17), 'cd');
    const part = (await place.names()).find((name) => name.includes(`/${loadOf(17).id}/000000002-`))!;
    await place.put(part, `{"x":"${'e'.repeat(LARGE)}"}\n`);
    await expect(sink.can.replace!(step(loadOf(17)), { kind: 'all' })).rejects.toMatchObject({ reason: 'digest' });
    expect(await place.text('all.ndjson')).toBe(first);
  });

  it('P10, P13: whose objects are found by their names takes the place of those of its window alone', async () => {
    place = await places.place();
    const sink = opened(place.sink({ path: '{{ window }}/{{ batch }}.ndjson' }));
    const replace = async (load: Load, numbers: readonly number[]) => {
      await collected(sink, load, recordsOf(16, numbers));
      return await sink.can.replace!(step(load), { kind: 'all' });
    };
    await replace(loadOf(16), [1, 2]);
    await replace(loadOf(17), [3]);
    expect(await replace(loadOf(16, 2), [4])).toMatchObject({
      facts: { objects: 1, replaced: 2 },
      summary: expect.stringContaining('nothing of it remains'),
    });
    expect(await seenIn(place)).toEqual(recordsOf(16, [3, 4]));
    expect(sink.facts.seenByHalves).toBe(true);
  });
});

const REQUESTS_MAX = 60;
/** Requests that are tried side by side, each over a folder of its own: the server takes longer than the test. */
const TOGETHER = 4;

describe('P12, P37, P38: a load in a bucket, published by a process that dies', () => {
  const WAYS = [
    { path: 'orders/{{ window }}.ndjson', way: 'replace' },
    { path: 'orders/{{ batch }}.ndjson', manifest: 'orders/_manifest.json', way: 'publish' },
  ] as const;
  const [old, young] = [recordsOf(17, [1, 2]), recordsOf(17, [3, 4], 1)];

  /** False when there were fewer requests than that. */
  const diesIn = async (request: number, { way, ...settings }: (typeof WAYS)[number]): Promise<boolean> => {
    const mine = await places.place();
    const call = (sink: Sink, load: Load) =>
      way === 'replace' ? sink.can.replace!(step(load), { kind: 'all' }) : sink.can.publish!(step(load), 0);
    const manifest = 'manifest' in settings ? settings.manifest : undefined;
    const [first, second] = [opened(mine.sink(settings)), opened(mine.sink(settings))];
    await collected(first, loadOf(17), old);
    await call(first, loadOf(17));
    await collected(first, loadOf(17, 2), young);
    mine.dies(request);
    const died = await call(first, loadOf(17, 2)).then(
      () => false,
      () => true,
    );
    mine.proxy.set([]);
    expect([old, young], `after request ${request}`).toContainEqual(await seenIn(mine, manifest));
    await call(second, loadOf(17, 2));
    expect(await seenIn(mine, manifest), `asked again after request ${request}`).toEqual(young);
    await mine.close();
    return died;
  };

  it.each(WAYS)(
    'in any request of $way, is whole for readers, and right when it is asked again',
    async (one) => {
      for (let first = 1; first < REQUESTS_MAX; first += TOGETHER) {
        const died = await Promise.all(Array.from({ length: TOGETHER }, (_, nth) => diesIn(first + nth, one)));
        if (!died.includes(false)) continue;
        expect(first + died.indexOf(false)).toBeGreaterThan(6);
        return expect(died.slice(died.indexOf(false)), 'no later request is there either').not.toContain(true);
      }
      expect.unreachable(`there are more than ${REQUESTS_MAX} requests`);
    },
    120_000,
  );
});

describe('a bucket with object lock', () => {
  const settings = { path: 'orders/{{ batch }}.ndjson', manifest: 'orders/_manifest.json', lock: { days: 2 } };
  // This gateway compares versions only in buckets that keep none, and locks only in those that do.
  const apart = { ...settings, manifestBucket: 'plain' };

  it('P36, P39: keeps a published load as it was, whatever is written or removed under its names', async () => {
    place = await places.place('locked');
    const sink = opened(place.sink(apart));
    await collected(sink, loadOf(16), recordsOf(16, [1, 2]));
    const receipt = await sink.can.publish!(step(loadOf(16)), 5);
    expect(receipt.summary).toMatch(/locked until \d{4}-\d\d-\d\d \(governance\)/);
    const [listed] = (await place.manifest('orders/_manifest.json', 'plain')).loads[0]!.objects;
    const name = listed!.object.slice(`s3://locked/${place.folder}/`.length);
    const before = await place.text(name, listed!.version);
    await place.put(name, 'something else');
    const Key = `${place.folder}/${name}`;
    const remove = { Bucket: 'locked', Key, VersionId: listed!.version };
    await expect(places.client.send(new sdk.DeleteObjectCommand(remove))).rejects.toMatchObject({
      name: 'AccessDenied',
    });
    await places.client.send(new sdk.DeleteObjectCommand({ Bucket: 'locked', Key }));
    expect(await place.text(name, listed!.version)).toBe(before);
    // Asked again, the step finds its load published, and the lock as it was.
    expect(await sink.can.publish!(step(loadOf(16)), 5)).toEqual(receipt);
  });

  it('is refused where the server passes over conditions, before anything is collected', async () => {
    place = await places.place('locked');
    const sink = opened(place.sink(settings));
    await expect(sink.can.load!.open(step(loadOf(16)))).rejects.toMatchObject({ reason: 'conditions' });
    await expect(sink.can.load!.open(step(loadOf(16), 2))).rejects.toMatchObject({ reason: 'conditions' });
  });

  it('P13: says that what is replaced in it stays as an old version, and what removes that', async () => {
    place = await places.place('locked');
    const bucket = new Bucket({ ...place.plain, bucket: 'locked' });
    expect(await bucket.afterlife(step(loadOf(16)).signal)).toContain('NoncurrentVersionExpiration');
    await bucket.close();
  });

  it('P39: is needed where loads are to be locked, and nothing is shown without it', async () => {
    place = await places.place();
    const sink = opened(place.sink(settings));
    await collected(sink, loadOf(16), recordsOf(16, [1]));
    await expect(sink.can.publish!(step(loadOf(16)), 5)).rejects.toMatchObject({ code: 'REFUSED', reason: 'lock' });
    expect(await seenIn(place, settings.manifest)).toEqual([]);
  });
});

describe('objects that are read', () => {
  const read = async (settings: { path: string } & Record<string, unknown>): Promise<readonly string[]> =>
    textsOf(await readAll(place.source(settings), { window: ALL, parameters: {} }));

  it('may be packed, JSON, CSV with types and in folders, in the order of their names', async () => {
    place = await places.place();
    await place.put('b/2.csv', 'n,on\n2,true\n');
    await place.put('a/1.csv.gz', gzipSync('n,on\n1,false\n'));
    await place.put('c.json', '{"data":[{"x":1}]}');
    expect(await read({ path: '**/*.csv*', types: { n: 'integer', on: 'boolean' } })).toEqual([
      '{"n":1,"on":false}',
      '{"n":2,"on":true}',
    ]);
    expect(await read({ path: 'c.json', recordsAt: 'data' })).toEqual(['{"x":1}']);
    await expect(read({ path: 'd/*.csv' })).rejects.toMatchObject({ code: 'SOURCE_FAILED' });
    expect(await read({ path: 'd/*.csv', whenNone: 'empty' })).toEqual([]);
  });

  it('may be read one by one where the bucket may not be listed, and what is refused is told', async () => {
    await places.client.send(new sdk.CreateBucketCommand({ Bucket: 'unlisted' }));
    place = await places.place('unlisted');
    await place.put('1.ndjson', '{"n":1}\n');
    const Resource = ['arn:aws:s3:::unlisted'];
    const Statement = [{ Effect: 'Deny', Principal: '*', Action: ['s3:ListBucket'], Resource }];
    const Policy = JSON.stringify({ Version: '2012-10-17', Statement });
    await places.client.send(new sdk.PutBucketPolicyCommand({ Bucket: 'unlisted', Policy }));
    expect(await read({ path: '1.ndjson' })).toEqual(['{"n":1}']);
    await expect(read({ path: '*.ndjson' })).rejects.toMatchObject({
      code: 'SOURCE_FAILED',
      message: expect.stringMatching(/^cannot read t\d+\/\*\.ndjson: listing s3:.* 403 AccessDenied$/),
      hint: expect.not.stringContaining('refused'),
    });
    place = await places.place('nowhere');
    await expect(read({ path: '1.ndjson' })).rejects.toThrow('404 NoSuchBucket');
  });

  it('are those that a manifest lists, Parquet also, and no load that is only collected', async () => {
    place = await places.place();
    const columns = { n: 'int64', version: 'int64', day: 'text', gone: 'boolean' };
    const manifest = 'parquet/_manifest.json';
    const sink = opened(place.sink({ path: 'parquet/{{ batch }}.parquet', manifest, columns }));
    await collected(sink, loadOf(16), recordsOf(16, [1, 2]));
    await sink.can.publish!(step(loadOf(16)), 5);
    await collected(sink, loadOf(17), recordsOf(17, [3]));
    const texts = await read({ path: manifest, manifest: true });
    expect(texts.map((text) => JSON.parse(text) as unknown)).toEqual(recordsOf(16, [1, 2]));
  });
});

describe('the example', () => {
  it('P29, P37: gives one object a day however often it is run, and all orders under a manifest', async () => {
    const folder = newFolder('orders-to-bucket');
    cpSync(fileURLToPath(new URL('../../examples/orders-to-bucket', import.meta.url)), folder, { recursive: true });
    place = await places.place('orders');
    await places.client.send(new sdk.CreateBucketCommand({ Bucket: 'orders' }));
    const env = {
      S3_ENDPOINT: `http://127.0.0.1:${gateway!.port}`,
      S3_ACCESS_KEY: gateway!.accessKeyId,
      S3_SECRET_KEY: gateway!.secretAccessKey,
    };
    const waybill = async (...words: string[]): Promise<void> => {
      const io = new RecordedProcess({ cwd: folder, env });
      expect(await run(words, io), io.stderr.text).toBe(0);
    };
    const object = async (Key: string): Promise<string> => {
      const answer = await places.client.send(new sdk.GetObjectCommand({ Bucket: 'orders', Key }));
      return (await answer.Body?.transformToString()) ?? '';
    };
    const visible = async (): Promise<readonly string[]> => {
      const { Contents = [] } = await places.client.send(
        new sdk.ListObjectsV2Command({ Bucket: 'orders', Prefix: 'by-day/' }),
      );
      return Contents.map(({ Key = '' }) => Key).filter((name) => !name.includes('/.'));
    };
    try {
      for (const _ of [1, 2]) await waybill('run', 'orders-by-day', '--for', '2026-11-19');
      expect(await visible()).toEqual(['by-day/2026-11-19.csv']);
      expect(await object('by-day/2026-11-19.csv')).toBe(
        'id,customer,total\n3,edsger,99.00\n4,barbara,1.25\n5,ada,3.00\n',
      );
      writeFileSync(join(folder, 'data/2026-11-19.csv'), 'id,customer,total\n3,edsger,98.00\n');
      await waybill('run', 'orders-by-day', '--for', '2026-11-19', '--refresh');
      expect(await visible()).toEqual(['by-day/2026-11-19.csv']);
      expect(await object('by-day/2026-11-19.csv')).toBe('id,customer,total\n3,edsger,98.00\n');
      await waybill('run', 'orders-all');
      const { loads } = JSON.parse(await object('all/_manifest.json')) as { loads: { records: number }[] };
      expect(loads).toMatchObject([{ records: 3 }]);
    } finally {
      rmSync(folder, { recursive: true, force: true });
    }
  });
});
