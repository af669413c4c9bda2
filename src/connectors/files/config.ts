import { resolve } from 'node:path';
import { z } from 'zod';
import type { Connector } from '../connector.ts';
import { placeholdersOf } from './paths.ts';
import { FILE_FORMATS } from './record-format.ts';
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
    .record(z.string(), z.enum(['text', 'integer', 'number', 'boolean', 'json']))
    .optional()
    .describe('Types of columns of CSV; text when absent.'),
  recordsAt: z.string().min(1).optional().describe('Where the array of records is in a JSON document: `data.items`.'),
  whenNone: z.enum(['fail', 'empty']).default('fail').describe('No file: an error, or nothing to read.'),
  inflatedBytesMax: z
    .int()
    .min(1)
    .default(64 * 1024 ** 3)
    .describe('What one `.gz` may hold at most.'),
});

const SINK_VALUES = ['window', 'flow', 'lane'];
const sinkSettings = z.strictObject({
  path: below
    .refine(
      (path) => placeholdersOf(path).every((name) => SINK_VALUES.includes(name)),
      `a path can hold ${SINK_VALUES.map((name) => `{{ ${name} }}`).join(', ')}`,
    )
    .refine(
      (path) => placeholdersOf(path).length === 0 || placeholdersOf(path).includes('window'),
      'a path with placeholders needs {{ window }}: it is one file a window',
    )
    .describe(
      'The file; with `{{ window }}` one for each window, which may then also hold `{{ flow }}` and `{{ lane }}`.',
    ),
  format: z
    .enum(['ndjson', 'csv'])
    .optional()
    .describe('By the ending of the name when absent; NDJSON if that says nothing.'),
  header: z.boolean().default(true).describe('A first line with the names of the fields, in CSV.'),
  recordsPerBatch: z.int().min(1).default(10_000),
  bytesPerBatch: z
    .int()
    .min(1)
    .default(8 * 1024 * 1024),
});

type Connection = z.output<typeof connection>;

export const files: Connector<Connection, z.output<typeof sourceSettings>, z.output<typeof sinkSettings>> = {
  type: 'files',
  summary: 'CSV, NDJSON and JSON files of this machine',
  connection,
  source: {
    settings: sourceSettings,
    open: ({ root }, { path, ...settings }, { folder }) =>
      filesSource({ ...settings, pattern: path, root: resolve(folder, root) }),
  },
  sink: {
    settings: sinkSettings,
    open: ({ root }, { format, ...settings }, { folder }) =>
      filesSink({
        ...settings,
        format: format ?? (/\.csv$/i.test(settings.path) ? 'csv' : 'ndjson'),
        root: resolve(folder, root),
      }),
  },
};
