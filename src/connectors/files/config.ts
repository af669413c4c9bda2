import { resolve } from 'node:path';
import { z } from 'zod';
import { isCsvType } from '../../formats/csv-json.ts';
import { parseColumnType } from '../../model/columns.ts';
import { columnsOf, writtenFormatOf } from '../../objects/encode.ts';
import { placeholdersOf } from '../../objects/paths.ts';
import { FILE_FORMATS } from '../../objects/record-format.ts';
import type { Connector, Sink } from '../connector.ts';
import { batchFileSink } from './batch-file-sink.ts';
import { filesSink } from './sink.ts';
import { filesSource } from './source.ts';

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
const character = z.string().refine((text) => text.length === 1 && text > '\0' && text < '\x7f', 'one ASCII character');

const sourceSettings = z.strictObject({
  path: below.describe('A file or a pattern: `data/*.csv`, `**/*.ndjson.gz`; may hold `{{ window }}` and parameters.'),
  format: z.enum(FILE_FORMATS).optional().describe('By the ending of the name when absent.'),
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
    .describe('Types of columns of CSV; text when absent. `integer` and `number` are numbers of any size.'),
  recordsAt: z.string().min(1).optional().describe('Where the array of records is in a JSON document: `data.items`.'),
  whenNone: z.enum(['fail', 'empty']).default('fail').describe('No file: an error, or nothing to read.'),
  inflatedBytesMax: z
    .int()
    .min(1)
    .default(64 * 1024 ** 3)
    .describe('What one `.gz` may hold at most.'),
});

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
      .describe('Names and types of the columns of Parquet: `int64`, `decimal(12,2)`, `timestamptz`, `text[]`.'),
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
    if (parquet && Object.keys(settings.columns ?? {}).length === 0)
      wrong('columns', 'Parquet needs the types of its columns');
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

export const files: Connector<Connection, z.output<typeof sourceSettings>, SinkSettings> = {
  type: 'files',
  summary: 'CSV, NDJSON, JSON and Parquet files of this machine',
  connection,
  source: {
    settings: sourceSettings,
    open: ({ root }, { path, ...settings }, { folder }) =>
      filesSource({ ...settings, pattern: path, root: resolve(folder, root) }),
  },
  sink: {
    settings: sinkSettings,
    open: ({ root }, settings, { folder }) => openSink(resolve(folder, root), settings),
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
};
