import { z } from 'zod';
import { parseColumnType } from '../../model/columns.ts';
import { needsFlow } from '../../objects/discovery.ts';
import { columnsOf, writtenFormatOf } from '../../objects/encode.ts';
import { placeholdersOf } from '../../objects/paths.ts';
import { objectPlace, readsBack, type Territory } from '../../objects/read-back.ts';
import { readSettings, readSettingsAgree } from '../../objects/settings.ts';
import type { Connector, OpenContext } from '../connector.ts';
import type { S3Connection } from './connection.ts';
import { describeS3Source } from './description.ts';
import { s3Sink } from './sink.ts';
import { discoverObjects, type S3SourceOptions, s3Source } from './source.ts';

const reference = z
  .string()
  .regex(/^(env|file):./, 'name where the secret is, `env:NAME` or `file:PATH`, not the secret')
  .optional();

const connection = z
  .strictObject({
    endpoint: z
      .url()
      .optional()
      .describe("Address of the server, `https://s3.example.org`. Amazon's for the region when absent."),
    region: z.string().min(1).default('us-east-1'),
    bucket: z.string().min(3),
    accessKeyId: reference.describe('Where the access key is: `env:NAME` or `file:PATH`. Absent: as the machine says.'),
    secretAccessKey: reference.describe('Where its secret is.'),
    sessionToken: reference.describe('Where the token of a session is, for keys that have one.'),
    forcePathStyle: z
      .boolean()
      .default(false)
      .describe('The bucket is part of the path and not of the name of the server, as most gateways want it.'),
    requestTimeoutSeconds: z.int().min(1).max(3600).default(60).describe('No request takes longer.'),
  })
  .refine(
    ({ accessKeyId, secretAccessKey }) => (accessKeyId === undefined) === (secretAccessKey === undefined),
    'give both `accessKeyId` and `secretAccessKey`, or neither',
  );

const name = z
  .string()
  .min(1)
  .refine((path) => !/^\/|(^|\/)\.\.(\/|$)|[\\\0]/.test(path), 'a name in the bucket, without `..`, with slashes');
const sourceSettings = z
  .strictObject({
    path: name.describe('A name or a pattern: `data/*.csv`, `**/*.ndjson.gz`; may hold `{{ window }}` and parameters.'),
    manifest: z
      .boolean()
      .default(false)
      .describe('`path` names a manifest that Waybill has written: what it lists is read, and nothing else.'),
    ...readSettings({ one: 'object', settleSeconds: 0 }),
    lateMinutes: z
      .number()
      .min(0)
      .max(525_600)
      .default(60)
      .describe(
        'A pull by name lists only what comes after the last name taken. So often it lists all names, to notice what ' +
          'came late or has changed; always where one request lists them all.',
      ),
  })
  .superRefine(readSettingsAgree);

const SINK_VALUES = ['window', 'flow', 'lane', 'batch'];
const MANIFEST_VALUES = ['window', 'flow', 'lane'];
const only =
  (values: readonly string[]) =>
  (path: string): boolean =>
    placeholdersOf(path).every((one) => values.includes(one));
const listOf = (values: readonly string[]): string => values.map((one) => `{{ ${one} }}`).join(', ');

const sinkSettings = z
  .strictObject({
    path: name
      .refine(only(SINK_VALUES), `a path can hold ${listOf(SINK_VALUES)}`)
      .describe(
        'The name of the objects. With `{{ batch }}` each batch is one of its own; without it all of a window is ' +
          'joined to one, which `{{ window }}` gives a name of its own. May also hold `{{ flow }}` and `{{ lane }}`.',
      ),
    manifest: name
      .refine(only(MANIFEST_VALUES), `a manifest can hold ${listOf(MANIFEST_VALUES)}`)
      .optional()
      .describe('The name of a manifest, `orders/_manifest.json`: readers see the objects that it lists.'),
    manifestBucket: z
      .string()
      .min(3)
      .optional()
      .describe('The bucket of the manifest, on the same server; for locked objects on gateways that need it.'),
    lock: z
      .strictObject({
        mode: z.enum(['governance', 'compliance']).default('governance'),
        days: z.int().min(1).max(36_500),
      })
      .optional()
      .describe('Objects that a manifest lists are locked for so long; needs a bucket with object lock.'),
    format: z.enum(['ndjson', 'csv', 'parquet']).optional().describe('By the ending of the name when absent.'),
    columns: z
      .record(
        z.string().min(1),
        z.string().refine((text) => parseColumnType(text) !== undefined, 'a type such as `int64`'),
      )
      .optional()
      .describe(
        'Names and types of the columns of Parquet: `int64`, `decimal(12,2)`, `timestamptz`, `text[]`. Those of the ' +
          'source when absent.',
      ),
    header: z.boolean().default(true).describe('A first line with the names of the fields, in CSV.'),
    recordsPerBatch: z.int().min(1).default(100_000),
    bytesPerBatch: z
      .int()
      .min(1)
      .default(16 * 1024 * 1024),
    inFlight: z.int().min(1).max(64).default(4).describe('Batches on their way at once.'),
  })
  .superRefine((settings, context) => {
    const batches = placeholdersOf(settings.path).includes('batch');
    const parquet = (settings.format ?? writtenFormatOf(settings.path)) === 'parquet';
    const wrong = (path: string, message: string): void => context.addIssue({ code: 'custom', path: [path], message });
    if (parquet && !batches) wrong('path', 'a path of Parquet objects needs {{ batch }}: they cannot be joined');
    if (!parquet && settings.columns !== undefined) wrong('columns', 'only Parquet has columns with types');
    if (settings.manifest !== undefined && !batches)
      wrong('path', 'a path with a manifest needs {{ batch }}: the manifest lists one object for each');
    if (settings.manifestBucket !== undefined && settings.manifest === undefined)
      wrong('manifestBucket', 'there is no `manifest` to lie in it');
    if (settings.lock !== undefined && settings.manifest === undefined)
      wrong('lock', 'only what a manifest lists is locked: set `manifest`');
  });

type Connection = z.output<typeof connection>;
type SourceSettings = z.output<typeof sourceSettings>;
type SinkSettings = z.output<typeof sinkSettings>;

const BUCKET = { bucket: 'items' };

const sourceOptions = (
  connection: Connection,
  { path, ...settings }: SourceSettings,
  context: OpenContext,
): S3SourceOptions => ({
  ...settings,
  pattern: path,
  connection: connectionOf(connection, context),
  clock: { wallMs: () => context.ports.wallMs() },
});

export const s3: Connector<Connection, SourceSettings, SinkSettings> = {
  type: 's3',
  summary: 'Objects in buckets of S3 and of what speaks like it: CSV, NDJSON, JSON and Parquet',
  connection,
  source: {
    settings: sourceSettings,
    open: (connection, settings, context) => s3Source(sourceOptions(connection, settings, context)),
    describe: describeS3Source,
    discover: async (connection, context, signal, settings) => {
      if (settings === undefined) throw needsFlow('s3');
      return await discoverObjects(sourceOptions(connection, settings, context), signal);
    },
  },
  sink: {
    settings: sinkSettings,
    open: (settings, { format, header, columns, ...options }, context) =>
      s3Sink({
        ...options,
        connection: connectionOf(settings, context),
        clock: { wallMs: () => context.ports.wallMs() },
        written: { format: format ?? writtenFormatOf(options.path), header, columns: columnsOf(columns ?? {}) },
      }),
    place: (connection, settings, lane) =>
      JSON.stringify([connection.endpoint ?? null, objectPlace(shownIn(connection, settings), lane)]),
    samples: [
      { name: 'one object', connection: BUCKET, settings: { path: 'items.ndjson' } },
      { name: 'an object for each window', connection: BUCKET, settings: { path: 'items/{{ window }}.ndjson' } },
      {
        name: 'an object for each batch',
        connection: BUCKET,
        settings: { path: 'items/{{ window }}/{{ batch }}.ndjson' },
      },
      {
        name: 'objects that a manifest lists',
        connection: BUCKET,
        settings: { path: 'items/{{ window }}/{{ batch }}.ndjson', manifest: 'items/_manifest.json' },
      },
    ],
  },
  readsBack: (source, { connection, settings }) =>
    source.connection.endpoint === connection.endpoint &&
    readsBack({ root: source.connection.bucket, path: source.settings.path }, shownIn(connection, settings))
      ? 'among'
      : 'no',
};

/** Where readers find what is written: what a manifest lists stays where no pattern looks. */
const shownIn = ({ bucket }: Connection, { path, manifest, manifestBucket }: SinkSettings): Territory =>
  manifest === undefined ? { root: bucket, path } : { root: manifestBucket ?? bucket, path: manifest };

function connectionOf(given: Connection, context: OpenContext): S3Connection {
  const { accessKeyId, secretAccessKey, sessionToken, requestTimeoutSeconds, ...place } = given;
  const connection = { ...place, requestTimeoutMs: requestTimeoutSeconds * 1000 };
  if (accessKeyId === undefined || secretAccessKey === undefined) return connection;
  return {
    ...connection,
    credentials: () => ({
      accessKeyId: context.secret(accessKeyId),
      secretAccessKey: context.secret(secretAccessKey),
      ...(sessionToken === undefined ? {} : { sessionToken: context.secret(sessionToken) }),
    }),
  };
}
