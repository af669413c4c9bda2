import * as sdk from '@aws-sdk/client-s3';
import { describe, expect, it } from 'vitest';
import { s3 } from './config.ts';

const described = (connection: object, source: object) =>
  s3.source!.describe!(s3.connection.parse(connection), s3.source!.settings.parse(source));

/** Where the driver would ask for the object: the request is taken from it before it leaves. */
async function asked(connection: { bucket: string; endpoint?: string; region?: string }, Key: string) {
  const { bucket, ...rest } = connection;
  const credentials = { accessKeyId: 'none', secretAccessKey: 'none' };
  const client = new sdk.S3Client({ region: 'us-east-1', ...rest, credentials });
  let found = '';
  client.middlewareStack.add(
    () => async (args) => {
      const { protocol, hostname, port, path } = args.request as Record<string, string | undefined>;
      found = new URL(`${protocol}//${hostname}${port === undefined ? '' : `:${port}`}${path}`).href;
      throw new RangeError('no request leaves');
    },
    { step: 'finalizeRequest', priority: 'low' },
  );
  await client.send(new sdk.GetObjectCommand({ Bucket: bucket, Key })).catch((error: unknown) => {
    if (!(error instanceof RangeError)) throw error;
  });
  return found;
}

const KEY = "rates/2026 (new)/a+b's.csv.gz";

describe('a source of objects, described', () => {
  const servers: readonly [string, { bucket: string; region?: string; endpoint?: string; path?: boolean }][] = [
    ["Amazon's", { bucket: 'rates' }],
    ["Amazon's elsewhere", { bucket: 'rates', region: 'eu-central-1' }],
    ["Amazon's in China", { bucket: 'rates', region: 'cn-north-1' }],
    ['a bucket with a dot', { bucket: 'rates.example', region: 'eu-central-1' }],
    ['a gateway', { bucket: 'rates', endpoint: 'https://s3.example.org' }],
    ['a gateway with its buckets in the path', { bucket: 'rates', endpoint: 'https://s3.example.org', path: true }],
    ['a gateway without a name', { bucket: 'rates', endpoint: 'http://127.0.0.1:7480' }],
    ['a gateway below a path', { bucket: 'rates', endpoint: 'https://example.org/objects/', path: true }],
  ];
  it.each(servers)('F19: names the address that the driver asks for: %s', async (_what, { path = false, ...given }) => {
    const connection = { ...given, forcePathStyle: path };
    const found = described(connection, { path: KEY, delimiter: ';', types: { id: 'int64' }, header: ['id'] });
    expect(found).toEqual({
      place: { kind: 'url', url: await asked(connection, KEY) },
      format: 'csv',
      csv: {
        separator: ';',
        quote: '"',
        header: false,
        columns: [{ name: 'id', type: { kind: 'int64' }, nullable: true }],
      },
      packed: { kind: 'gzip' },
    });
  });

  it.each([
    ['a pattern', {}, { path: 'rates/*.csv' }],
    ['a name that a run fills in', {}, { path: 'rates/{{ window }}.csv' }],
    ['a manifest', {}, { path: 'rates/_manifest.json', manifest: true }],
    ['an object of which nobody knows the form', {}, { path: 'rates/today' }],
    ['an address with what opens it', { endpoint: 'https://ann:secret@s3.example.org' }, { path: 'a.csv' }],
  ])('F19: says nothing of %s', (_what, connection, source) => {
    expect(described({ bucket: 'rates', ...connection }, source)).toBeUndefined();
  });

  it('F19: names no key', () => {
    const keys = { accessKeyId: 'env:ACCESS', secretAccessKey: 'env:SECRET' };
    const found = described({ bucket: 'rates', ...keys }, { path: 'a.parquet' });
    expect(found).toEqual({
      place: { kind: 'url', url: 'https://rates.s3.us-east-1.amazonaws.com/a.parquet' },
      format: 'parquet',
    });
  });
});
