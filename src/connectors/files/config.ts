import { join, resolve, sep } from 'node:path';
import { z } from 'zod';
import { parseColumnType } from '../../model/columns.ts';
import { describeRecords } from '../../objects/description.ts';
import { needsFlow } from '../../objects/discovery.ts';
import { columnsOf, writtenFormatOf } from '../../objects/encode.ts';
import { placeholdersOf } from '../../objects/paths.ts';
import { objectPlace, readsBack } from '../../objects/read-back.ts';
import { readSettings, readSettingsAgree } from '../../objects/settings.ts';
import type { Connector, OpenContext, Sink, SourceDescription } from '../connector.ts';
import { batchFileSink } from './batch-file-sink.ts';
import { filesSink } from './sink.ts';
import { discoverFiles, type FilesSourceOptions, filesSource } from './source.ts';

const connection = z.strictObject({
  root: z
    .string()
    .min(1)
    .default('.')
    .describe('No file outside this folder is touched. From the folder of the flow file.'),
});

const below = z
  .string()
  .min(1)
  .refine(
    (path) => !/^[/\\]|(^|\/)\.\.(\/|$)|[\\\0]/.test(path),
    'a path lies below `root`, without `..`, with slashes',
  );
const sourceSettings = z
  .strictObject({
    path: below.describe(
      'A file or a pattern: `data/*.csv`, `**/*.ndjson.gz`; may hold `{{ window }}` and parameters.',
    ),
    ...readSettings({ one: 'file', settleSeconds: 5 }),
  })
  .superRefine(readSettingsAgree);

const SINK_VALUES = ['window', 'flow', 'lane', 'batch'];
const MANIFEST_VALUES = ['window', 'flow', 'lane'];
const sinkSettings = z
  .strictObject({
    path: below
      .refine(
        (path) => placeholdersOf(path).every((name) => SINK_VALUES.includes(name)),
        `a path can hold ${SINK_VALUES.map((name) => `{{ ${name} }}`).join(', ')}`,
      )
      .refine(
        (path) => placeholdersOf(path).length === 0 || /\{\{\s*(window|batch)\s*\}\}/.test(path),
        'a path with placeholders needs {{ window }}: it is one file a window',
      )
      .describe(
        'The file; with `{{ window }}` one for each window, which may then also hold `{{ flow }}` and `{{ lane }}`. ' +
          'With `{{ batch }}`, which Parquet needs, each batch is a file of its own.',
      ),
    manifest: below
      .refine(
        (path) => placeholdersOf(path).every((name) => MANIFEST_VALUES.includes(name)),
        `a manifest can hold ${MANIFEST_VALUES.map((name) => `{{ ${name} }}`).join(', ')}`,
      )
      .optional()
      .describe('The path of a manifest, `orders/_manifest.json`: readers see the files that it lists.'),
    format: z
      .enum(['ndjson', 'csv', 'parquet'])
      .optional()
      .describe('By the ending of the name when absent; NDJSON if that says nothing.'),
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
    recordsPerBatch: z.int().min(1).default(10_000),
    bytesPerBatch: z
      .int()
      .min(1)
      .default(8 * 1024 * 1024),
  })
  .superRefine((settings, context) => {
    const parquet = sinkFormat(settings) === 'parquet';
    const batches = placeholdersOf(settings.path).includes('batch');
    const wrong = (path: string, message: string): void => context.addIssue({ code: 'custom', path: [path], message });
    if (parquet && !batches)
      wrong('path', 'a path of Parquet files needs {{ batch }}: nothing can be added to one that is there');
    if (settings.manifest !== undefined && !batches)
      wrong('path', 'a path with a manifest needs {{ batch }}: the manifest lists one file for each');
    if (!parquet && settings.columns !== undefined) wrong('columns', 'only Parquet has columns with types');
  });

type SinkSettings = z.output<typeof sinkSettings>;

const sinkFormat = ({ format, path }: Pick<SinkSettings, 'path'> & { readonly format?: SinkSettings['format'] }) =>
  format ?? writtenFormatOf(path);

function openSink(root: string, { columns, manifest, ...settings }: SinkSettings): Sink {
  const format = sinkFormat(settings);
  if (format !== 'parquet' && !placeholdersOf(settings.path).includes('batch')) {
    return filesSink({ ...settings, format, root });
  }
  const written = { format, header: settings.header, columns: columnsOf(columns ?? {}) };
  return batchFileSink({ ...settings, manifest, root, written });
}

type Connection = z.output<typeof connection>;
type SourceSettings = z.output<typeof sourceSettings>;

const sourceOptions = (
  { root }: Connection,
  { path, ...settings }: SourceSettings,
  { folder, ports }: OpenContext,
): FilesSourceOptions => ({
  ...settings,
  pattern: path,
  root: resolve(folder, root),
  clock: { wallMs: () => ports.wallMs() },
});

/** The pattern with its root before it; none where a run fills something in, or the root itself reads as a pattern. */
function describeSource({ root }: Connection, { path, ...settings }: SourceSettings): SourceDescription | undefined {
  const records = describeRecords(path, settings);
  if (records === undefined || placeholdersOf(path).length > 0 || /[*?[\]{}]/.test(root)) return undefined;
  return { place: { kind: 'files', pattern: join(root, path).split(sep).join('/') }, ...records };
}

export const files: Connector<Connection, SourceSettings, SinkSettings> = {
  type: 'files',
  summary: 'CSV, NDJSON, JSON and Parquet files of this machine',
  connection,
  source: {
    settings: sourceSettings,
    open: (connection, settings, context) => filesSource(sourceOptions(connection, settings, context)),
    describe: describeSource,
    discover: async (connection, context, signal, settings) => {
      if (settings === undefined) throw needsFlow('files');
      return await discoverFiles(sourceOptions(connection, settings, context), signal);
    },
  },
  sink: {
    settings: sinkSettings,
    open: ({ root }, settings, { folder }) => openSink(resolve(folder, root), settings),
    place: ({ root }, { path, manifest = path }, lane) => objectPlace({ root: resolve(root), path: manifest }, lane),
    samples: [
      { name: 'one file', connection: {}, settings: { path: 'items.ndjson' } },
      { name: 'a file for each window', connection: {}, settings: { path: 'items-{{ window }}.ndjson' } },
      {
        name: 'Parquet, a file for each batch',
        connection: {},
        settings: { path: 'items/{{ window }}/{{ batch }}.parquet', columns: { id: 'int64' } },
      },
      {
        name: 'files that a manifest lists',
        connection: {},
        settings: { path: 'items/{{ window }}/{{ batch }}.ndjson', manifest: 'items/_manifest.json' },
      },
    ],
  },
  // What a manifest lists stays where no pattern looks.
  readsBack: (source, { connection: { root }, settings: { path, manifest = path } }) =>
    readsBack(
      { root: resolve(source.connection.root), path: source.settings.path },
      { root: resolve(root), path: manifest },
    )
      ? 'among'
      : 'no',
};
