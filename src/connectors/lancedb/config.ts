import { resolve } from 'node:path';
import { z } from 'zod';
import { type Columns, parseColumnType } from '../../model/columns.ts';
import { WaybillError } from '../../model/errors.ts';
import type { Connector } from '../connector.ts';
import { lancedbSink } from './sink.ts';

const column = z.string().refine((name) => name !== '' && !/[`\0]/.test(name), 'a name without backticks');

const connection = z.strictObject({
  uri: z
    .string()
    .min(1)
    .describe(
      'The folder of the database, from the folder of the flow file; or an address such as `s3://bucket/path`.',
    ),
  options: z
    .record(z.string().min(1), z.string())
    .default({})
    .describe("LanceDB's storage options for an object store: `region`, `endpoint`; without secrets."),
  secrets: z
    .record(z.string().min(1), z.string().min(1))
    .default({})
    .describe('Storage options that are secret, as references: `env:NAME` or `file:PATH`.'),
});

const sinkSettings = z
  .strictObject({
    table: z
      .string()
      .regex(/^[A-Za-z0-9_][A-Za-z0-9_.-]*$/, 'letters, digits, `_`, `-` and `.`')
      .describe('Made with the first records where there is none; beside it stands `<table>_waybill`.'),
    key: z
      .array(column)
      .min(1)
      .optional()
      .describe('Columns that name a row, for `keyed`, `merger`, `stateful-merger` and `data-overwrite`; never null.'),
    rowColumn: column
      .default('waybill_row')
      .describe('Without `key`: a text column that Waybill fills with the batch of a row and its number in it.'),
    columns: z
      .record(
        column,
        z.string().refine((text) => parseColumnType(text) !== undefined, 'a type such as `int64`'),
      )
      .optional()
      .describe(
        'Names and types of the columns that are written: `int64`, `decimal(12,2)`, `timestamptz`, `float32[]`. ' +
          'Other columns of the table are left alone. Absent: all columns of the table, or what the first batch holds.',
      ),
    recordsPerBatch: z.int().min(1).default(10_000),
    bytesPerBatch: z
      .int()
      .min(1)
      .default(16 * 1024 * 1024),
    requestTimeoutMs: z.int().min(1000).default(60_000).describe('A commit that takes longer is given up: unknown.'),
  })
  .refine(({ key, columns }) => (key ?? []).every((name) => columns === undefined || Object.hasOwn(columns, name)), {
    path: ['key'],
    message: 'the columns of `key` are among `columns`',
  });

type Settings = z.output<typeof sinkSettings>;

export const lancedb: Connector<z.output<typeof connection>, unknown, Settings> = {
  type: 'lancedb',
  summary: 'Tables of LanceDB, which keep every version of themselves',
  connection,
  sink: {
    settings: sinkSettings,
    open: ({ uri, options, secrets }, { columns, key, ...settings }, { folder, secret }) =>
      lancedbSink({
        ...settings,
        place: {
          uri,
          folder,
          options: () => ({
            ...options,
            ...Object.fromEntries(Object.entries(secrets).map(([name, reference]) => [name, secret(reference)])),
          }),
        },
        ...(key === undefined ? {} : { key }),
        ...(columns === undefined ? {} : { columns: columnsOf(columns) }),
      }),
    // An address may have `//` in it, which no folder keeps.
    place: ({ uri }, { table }) => JSON.stringify([uri.includes('://') ? uri : resolve(uri), table]),
    samples: [
      { name: 'a table', connection: { uri: 'items' }, settings: { table: 'items' } },
      { name: 'a table with a key', connection: { uri: 'items' }, settings: { table: 'items', key: ['id'] } },
    ],
  },
};

function columnsOf(types: Readonly<Record<string, string>>): Columns {
  return Object.entries(types).map(([name, text]) => {
    const type = parseColumnType(text);
    if (type === undefined) throw new WaybillError('CONFIG_INVALID', `there is no type ${JSON.stringify(text)}`);
    return { name, type, nullable: true };
  });
}
