import { resolve } from 'node:path';
import { z } from 'zod';
import { cursorSetting, lagSetting } from '../../cursors/settings.ts';
import type { Connector } from '../connector.ts';
import { discoverTables } from './discovery.ts';
import { sqliteSink } from './sink.ts';
import { sqliteSource } from './source.ts';

const connection = z.strictObject({
  file: z.string().min(1).describe('The database file, from the folder of the flow file.'),
});

const sourceSettings = z
  .strictObject({
    query: z.string().min(1).optional().describe('A query; parameters are bound by name: `where day = :date`.'),
    table: z.string().min(1).optional().describe('A whole table, instead of a query.'),
    count: z.boolean().default(false).describe('Count the records first, so that progress has a total.'),
    cursor: cursorSetting,
    lag: lagSetting,
  })
  .refine(({ cursor, lag }) => lag === undefined || cursor !== undefined, '`lag` needs a `cursor`')
  .refine(({ query, table }) => (query === undefined) !== (table === undefined), 'give either `query` or `table`');

const sinkSettings = z.strictObject({
  table: z.string().min(1).describe('A table; fields of records are written to columns of the same name.'),
  key: z.array(z.string().min(1)).min(1).optional().describe('Columns with a unique index; needed to write by key.'),
  base64: z.array(z.string().min(1)).default([]).describe('Columns whose texts are base64 and are stored as bytes.'),
  columns: z
    .record(z.string().min(1), z.string().regex(/^[a-z][\w ]*(\([\d, ]+\))?( not null)?$/i, 'a type of SQL'))
    .optional()
    .describe(
      'Columns and their types (`id: integer not null`): for strategies that load as a whole, where no table says ' +
        'what is in it, or where records carry more than the table has, such as a flag of deletion.',
    ),
  recordsPerBatch: z.int().min(1).default(1000),
});

type Connection = z.output<typeof connection>;

export const sqlite: Connector<Connection, z.output<typeof sourceSettings>, z.output<typeof sinkSettings>> = {
  type: 'sqlite',
  summary: 'Tables and queries of an SQLite file',
  connection,
  source: {
    settings: sourceSettings,
    open: ({ file }, { query, table, cursor, lag, count }, { folder }) =>
      sqliteSource({
        folder,
        file,
        count,
        ...(query === undefined ? {} : { query }),
        ...(table === undefined ? {} : { table }),
        ...(cursor === undefined ? {} : { cursor }),
        ...(lag === undefined ? {} : { lag }),
      }),
    discover: async ({ file }, { folder }) => discoverTables(folder, file),
  },
  sink: {
    settings: sinkSettings,
    open: ({ file }, { key, columns, ...settings }, { folder, ports }) =>
      sqliteSink({
        folder,
        file,
        clock: ports,
        ...settings,
        ...(key === undefined ? {} : { key }),
        ...(columns === undefined ? {} : { columns }),
      }),
    place: ({ file }, { table }) => tablePlace(file, table),
    samples: [
      { name: 'a table', connection: { file: 'items.db' }, settings: { table: 'items' } },
      { name: 'a table with a key', connection: { file: 'items.db' }, settings: { table: 'items', key: ['id'] } },
    ],
  },
  readsBack: (source, sink) =>
    source.settings.table !== undefined &&
    tablePlace(source.connection.file, source.settings.table) === tablePlace(sink.connection.file, sink.settings.table)
      ? 'all'
      : 'no',
};

const tablePlace = (file: string, table: string): string => JSON.stringify([resolve(file), table.toLowerCase()]);
