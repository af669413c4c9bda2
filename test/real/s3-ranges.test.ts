import * as sdk from '@aws-sdk/client-s3';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { cephMissing, type ObjectGateway, startCeph } from '../ceph.ts';
import { CANARY, members, ndjson, RangePlace } from '../ranges/place.ts';
import { type S3Place, S3Places } from '../s3-place.ts';

const missing = cephMissing();
const HALF = 1_500;
const [ONE, TWO] = [members(1, HALF), members(HALF + 1, 2 * HALF)];
/** As long as the other, so that nothing but the version tells them apart before they are read. */
const OTHERS = TWO.map((row) => ({ ...row, name: row.name.replace(CANARY, [...CANARY].reverse().join('')) }));

let gateway: ObjectGateway | undefined;
let places: S3Places;
beforeAll(async () => {
  if (missing !== undefined) return console.info(`SKIPPED: ranges of objects of a real S3 server: ${missing}`);
  gateway = await startCeph();
  places = await S3Places.open(gateway);
}, 120_000);
afterAll(() => gateway?.stop());

let objects: S3Place;
let place: RangePlace;
/** `plain` keeps no versions; `locked` does, since locks need them. */
async function open(bucket: 'plain' | 'locked'): Promise<void> {
  objects = await places.place(bucket);
  await objects.put('1.ndjson', ndjson(ONE));
  await objects.put('2.ndjson', ndjson(TWO));
  place = new RangePlace({
    source: `connection: store, path: "${objects.folder}/*.ndjson"`,
    connections:
      `  store: { type: s3, endpoint: "http://127.0.0.1:${gateway!.port}", bucket: ${bucket}, forcePathStyle: true, ` +
      'accessKeyId: env:ACCESS, secretAccessKey: env:SECRET }\n',
    env: { ACCESS: gateway!.accessKeyId, SECRET: gateway!.secretAccessKey },
  });
}
beforeEach(({ skip }) => skip(missing !== undefined, missing));
afterEach(async () => {
  await place?.close();
  await objects?.close();
});

const versionsOf = async (name: string): Promise<readonly string[]> => {
  const Prefix = `${objects.folder}/${name}`;
  const { Versions = [] } = await places.client.send(
    new sdk.ListObjectVersionsCommand({ Bucket: objects.bucket, Prefix }),
  );
  return Versions.map(({ VersionId = '' }) => VersionId);
};
const remove = async (name: string, VersionId?: string): Promise<void> => {
  const which = VersionId === undefined ? {} : { VersionId };
  const Key = `${objects.folder}/${name}`;
  await places.client.send(new sdk.DeleteObjectCommand({ Bucket: objects.bucket, Key, ...which }));
};

describe('batches that are ranges of objects', () => {
  it.each(['plain', 'locked'] as const)(
    'U09: are made again by who goes on after a kill, each record once: %s',
    async (bucket) => {
      await open(bucket);
      await place.killedAfter(200);
      await place.killedAfter(200);
      expect(place.staged().includes(CANARY), 'a record in the staging folder').toBe(false);
      await place.cli(['run', 'members']);
      expect(place.rows()).toEqual([...ONE, ...TWO]);
      await place.cli(['verify']);
    },
    120_000,
  );

  it('are lost with the object that another one has replaced, where the bucket keeps no versions', async () => {
    await open('plain');
    await place.killedAfter(200);
    await objects.put('2.ndjson', ndjson(OTHERS));
    const { stderr } = await place.cli(['run', 'members'], 1);
    expect(stderr).toContain('RANGE_LOST');
    expect(stderr.replaceAll(/\s+/g, ' ')).toMatch(
      /2\.ndjson, 0 to \d+ \(version "\w+"\): another version of s3:\/\/plain/,
    );
    expect(place.rows()).toEqual(ONE);
    await remove('2.ndjson');
    expect((await place.cli(['run', 'members'], 1)).stderr).toContain('the server has no such version of s3://plain');
    await objects.put('2.ndjson', ndjson(TWO));
    await place.cli(['run', 'members']);
    expect(place.rows()).toEqual([...ONE, ...TWO]);
  }, 120_000);

  it('stay those of the version that was read, whatever takes its place, where the bucket keeps versions', async () => {
    await open('locked');
    await place.killedAfter(200);
    const [version] = await versionsOf('2.ndjson');
    await objects.put('2.ndjson', ndjson(OTHERS));
    await remove('1.ndjson');
    await place.cli(['run', 'members']);
    expect(place.rows()).toEqual([...ONE, ...TWO]);
    expect((await versionsOf('2.ndjson')).length).toBe(2);
    expect(version).toBeDefined();
  }, 120_000);

  it('are lost with their version', async () => {
    await open('locked');
    await place.killedAfter(200);
    const [version] = await versionsOf('2.ndjson');
    await objects.put('2.ndjson', ndjson(OTHERS));
    await remove('2.ndjson', version);
    const { stderr } = await place.cli(['run', 'members'], 1);
    expect(stderr.replaceAll(/\s+/g, ' ')).toContain(`(version ${version}): the server has no such version of`);
    expect(place.rows()).toEqual(ONE);
  }, 120_000);
});
