import { z } from 'zod';
import { isCsvType } from '../../formats/csv-json.ts';
import { parseColumnType } from '../../model/columns.ts';
import { columnsOf, writtenFormatOf } from '../../objects/encode.ts';
import { placeholdersOf } from '../../objects/paths.ts';
import { FILE_FORMATS } from '../../objects/record-format.ts';
import type { Connector, OpenContext } from '../connector.ts';
import type { S3Connection } from './connection.ts';
import { s3Sink } from './sink.ts';
import { s3Source } from './source.ts';

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
const character = z.string().refine((text) => text.length === 1 && text > '\0' && text < '\x7f', 'one ASCII character');

const sourceSettings = z.strictObject({
  path: name.describe('A name or a pattern: `data/*.csv`, `**/*.ndjson.gz`; may hold `{{ window }}` and parameters.'),
  manifest: z
    .boolean()
    .default(false)
    .describe('`path` names a manifest that Waybill has written: what it lists is read, and nothing else.'),
  format: z.enum(FILE_FORMATS).optional().describe('By the ending of each name when absent.'),
  delimiter: character.optional().describe('Between the fields of CSV. A comma; a tab for `.tsv`.'),
  quote: character.optional().describe('Around fields of CSV that hold a delimiter. A double quote.'),
  header: z
    .union([z.boolean(), z.array(z.string().min(1)).min(1)])
    .default(true)
    .describe('Whether the first row of CSV holds the names; or the names, where no row does.'),
  emptyIsNull: z
    .boolean()
    .default(true)
    .describe('Nothing between two delimiters is null, and `""` is the empty text.'),
  types: z
    .record(
      z.string(),
      z.string().refine(isCsvType, 'a type such as `int64`, `decimal(12,2)`, `timestamptz` or `text[]`'),
    )
    .optional()
    .describe('Types of columns of CSV; text when absent.'),
  recordsAt: z.string().min(1).optional().describe('Where the array of records is in a JSON document: `data.items`.'),
  whenNone: z.enum(['fail', 'empty']).default('fail').describe('No object: an error, or nothing to read.'),
  inflatedBytesMax: z
    .int()
    .min(1)
    .default(64 * 1024 ** 3)
    .describe('What one `.gz` may hold at most.'),
});

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
      .describe('Names and types of the columns of Parquet: `int64`, `decimal(12,2)`, `timestamptz`, `text[]`.'),
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
    if (parquet && Object.keys(settings.columns ?? {}).length === 0)
      wrong('columns', 'Parquet needs the types of its columns');
    if (!parquet && settings.columns !== undefined) wrong('columns', 'only Parquet has columns with types');
    if (settings.manifest !== undefined && !batches)
      wrong('path', 'a path with a manifest needs {{ batch }}: the manifest lists one object for each');
    if (settings.manifestBucket !== undefined && settings.manifest === undefined)
      wrong('manifestBucket', 'there is no `manifest` to lie in it');
    if (settings.lock !== undefined && settings.manifest === undefined)
      wrong('lock', 'only what a manifest lists is locked: set `manifest`');
  });

type Connection = z.output<typeof connection>;
type SinkSettings = z.output<typeof sinkSettings>;

const BUCKET = { bucket: 'items' };

export const s3: Connector<Connection, z.output<typeof sourceSettings>, SinkSettings> = {
  type: 's3',
  summary: 'Objects in buckets of S3 and of what speaks like it: CSV, NDJSON, JSON and Parquet',
  connection,
  source: {
    settings: sourceSettings,
    open: (settings, { path, ...options }, context) =>
      s3Source({ ...options, pattern: path, connection: connectionOf(settings, context) }),
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
};

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
