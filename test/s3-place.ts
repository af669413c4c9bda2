import * as sdk from '@aws-sdk/client-s3';
import { S3Client } from '@aws-sdk/client-s3';
import type { Sink, Source } from '../src/connectors/connector.ts';
import { s3 } from '../src/connectors/s3/config.ts';
import { type Books, parsed } from '../src/objects/books.ts';
import type { Cut } from '../src/testing/faults/cut.ts';
import { type CutProxy, openCutProxy } from '../src/testing/faults/cut-proxy.ts';
import { openContext } from '../src/testing/peer/open-context.ts';
import type { ObjectGateway } from './ceph.ts';

const SECRETS = { access: 'env:ACCESS', secret: 'env:SECRET' };

/** A gateway with buckets for tests; each place in them has a folder of its own. */
export class S3Places {
  readonly gateway: ObjectGateway;
  readonly client: S3Client;
  #count = 0;

  private constructor(gateway: ObjectGateway) {
    this.gateway = gateway;
    this.client = new S3Client({
      region: 'us-east-1',
      endpoint: `http://127.0.0.1:${gateway.port}`,
      forcePathStyle: true,
      credentials: gateway,
      requestChecksumCalculation: 'WHEN_REQUIRED',
    });
  }

  static async open(gateway: ObjectGateway): Promise<S3Places> {
    const places = new S3Places(gateway);
    await places.client.send(new sdk.CreateBucketCommand({ Bucket: 'plain' }));
    await places.client.send(new sdk.CreateBucketCommand({ Bucket: 'locked', ObjectLockEnabledForBucket: true }));
    return places;
  }

  /** An empty place, with a line to it that can be cut. */
  async place(bucket = 'plain'): Promise<S3Place> {
    const proxy = await openCutProxy({ target: { port: this.gateway.port }, framing: 'http' });
    return new S3Place(this, { bucket, folder: `t${++this.#count}`, proxy });
  }
}

export class S3Place {
  readonly places: S3Places;
  readonly bucket: string;
  readonly folder: string;
  readonly proxy: CutProxy;
  readonly #port: number;

  constructor(places: S3Places, where: { bucket: string; folder: string; proxy: CutProxy }) {
    this.places = places;
    this.bucket = where.bucket;
    this.folder = where.folder;
    this.proxy = where.proxy;
    this.#port = where.proxy.port;
  }

  get #context() {
    const { accessKeyId, secretAccessKey } = this.places.gateway;
    return openContext({ [SECRETS.access]: accessKeyId, [SECRETS.secret]: secretAccessKey });
  }

  #connection(more: Record<string, unknown> = {}) {
    return s3.connection.parse({
      endpoint: `http://127.0.0.1:${this.#port}`,
      bucket: this.bucket,
      forcePathStyle: true,
      accessKeyId: SECRETS.access,
      secretAccessKey: SECRETS.secret,
      ...more,
    });
  }

  /** The connection as the connector itself sees it. */
  get plain() {
    const credentials = () => this.places.gateway;
    const place = { endpoint: `http://127.0.0.1:${this.#port}`, region: 'us-east-1', forcePathStyle: true };
    return { ...place, bucket: this.bucket, credentials, requestTimeoutMs: 60_000 };
  }

  /** Paths in the settings are meant from the folder of the place. */
  sink(
    settings: { path: string; manifest?: string } & Record<string, unknown>,
    connection = {},
    ports = this.#context.ports,
  ): Sink {
    const { path, manifest, ...more } = settings;
    const below = {
      path: `${this.folder}/${path}`,
      ...(manifest === undefined ? {} : { manifest: `${this.folder}/${manifest}` }),
    };
    const parsedSettings = s3.sink!.settings.parse({ ...more, ...below });
    return s3.sink!.open(this.#connection(connection), parsedSettings, { ...this.#context, ports });
  }

  source(settings: { path: string } & Record<string, unknown>): Source {
    const parsedSettings = s3.source!.settings.parse({ ...settings, path: `${this.folder}/${settings.path}` });
    return s3.source!.open(this.#connection(), parsedSettings, this.#context);
  }

  /** What `waybill discover` shows of a flow that reads here: names and types of columns, by object. */
  async columns(settings: { path: string }, signal: AbortSignal): Promise<Readonly<Record<string, readonly string[]>>> {
    const parsedSettings = s3.source!.settings.parse({ path: `${this.folder}/${settings.path}` });
    const found = await s3.source!.discover!(this.#connection(), this.#context, signal, parsedSettings);
    return Object.fromEntries(
      found.map(({ name, columns }) => [name, columns.map((one) => `${one.name} ${one.type}`)]),
    );
  }

  /** Everything in the place, hidden names too, without its folder. */
  async names(): Promise<readonly string[]> {
    const command = new sdk.ListObjectsV2Command({ Bucket: this.bucket, Prefix: `${this.folder}/` });
    const { Contents = [] } = await this.places.client.send(command);
    return Contents.map(({ Key = '' }) => Key.slice(this.folder.length + 1));
  }

  async text(name: string, version?: string): Promise<string> {
    const which = version === undefined ? {} : { VersionId: version };
    const command = new sdk.GetObjectCommand({ Bucket: this.bucket, Key: `${this.folder}/${name}`, ...which });
    return (await (await this.places.client.send(command)).Body?.transformToString()) ?? '';
  }

  async put(name: string, body: string | Uint8Array): Promise<void> {
    await this.places.client.send(
      new sdk.PutObjectCommand({ Bucket: this.bucket, Key: `${this.folder}/${name}`, Body: body }),
    );
  }

  async manifest(name: string, bucket = this.bucket): Promise<Books> {
    const command = new sdk.GetObjectCommand({ Bucket: bucket, Key: `${this.folder}/${name}` });
    const text = await (await this.places.client.send(command)).Body?.transformToString();
    return parsed(Buffer.from(text ?? ''), name);
  }

  /** The process dies in its so-manieth request: that one arrives, its answer does not, later ones are never made. */
  dies(request: number): void {
    const lost: Cut = { when: { first: request, every: 1 }, side: 'answer', at: 0, act: 'reset', times: 1 };
    this.proxy.set([lost, { when: { first: request + 1, every: 1 }, side: 'request', at: 0, act: 'reset' }]);
  }

  close(): Promise<void> {
    return this.proxy.close();
  }
}
