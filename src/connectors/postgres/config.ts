import { Buffer } from 'node:buffer';
import { z } from 'zod';
import { autoLagSetting, cursorSetting } from '../../cursors/settings.ts';
import { databasePlace, databaseServerOf, type ServerKind } from '../../servers/address.ts';
import {
  hostSettings,
  tableName,
  tableSetting,
  tlsSettings,
  urlOrDatabase,
  urlSetting,
  userSettings,
} from '../../servers/settings.ts';
import type { Connector, OpenContext } from '../connector.ts';
import type { PostgresConnection } from './connection.ts';
import { discoverTables } from './discovery.ts';
import { postgresSink } from './sink.ts';
import { postgresSource } from './source.ts';
import { SQL_TYPE } from './table.ts';

const connection = z
  .strictObject({
    url: urlSetting('`postgres://user:password@host:port/database`'),
    ...hostSettings('Name or address of the server, or the folder of its socket.'),
    database: z.string().min(1).optional(),
    ...userSettings,
    ...tlsSettings(),
  })
  .refine(...urlOrDatabase);

const name = z.string().min(1);
const sourceSettings = z
  .strictObject({
    query: z.string().min(1).optional().describe('A query; parameters are bound by name: `where day = :date`.'),
    table: tableSetting
      .optional()
      .describe('A whole table instead of a query: `items`, `sales.items`, or a list of both where names hold dots.'),
    mode: z
      .enum(['copy', 'cursor'])
      .default('copy')
      .describe('`copy` is fast; `cursor` is for servers and poolers that do not let COPY through.'),
    timeZone: z
      .string()
      .min(1)
      .default('UTC')
      .describe('In which times with a time zone are written, and read in the query.'),
    count: z.boolean().default(false).describe('Count the records first, so that progress has a total.'),
    rowSecurity: z
      .boolean()
      .default(false)
      .describe(
        'Read the rows that policies of row level security show to this user, and do without the others. Without it ' +
          'a reading fails where there are such policies: nobody would see that rows are missing.',
      ),
    lockTimeoutSeconds: z
      .int()
      .min(1)
      .max(86_400)
      .default(60)
      .describe('Waiting longer for a lock of somebody else, such as that of a migration, the reading fails.'),
    cursor: cursorSetting,
    lag: autoLagSetting,
  })
  .refine(({ cursor, lag }) => lag === undefined || cursor !== undefined, '`lag` needs a `cursor`')
  .refine(({ query, table }) => (query === undefined) !== (table === undefined), 'give either `query` or `table`');

/** The server cuts a longer name off without an error, and two tables may then be one. */
const NAME_BYTES_MAX = 63;
const isWhole = (text: string): boolean => Buffer.byteLength(text) <= NAME_BYTES_MAX;
const TOO_LONG = `has more than the ${NAME_BYTES_MAX} bytes that names have in PostgreSQL, which would cut it off`;

const sinkSettings = z
  .strictObject({
    table: tableSetting
      .refine((table) => tableName(table).every(isWhole), TOO_LONG)
      .describe(
        'Where records go: `items`, `sales.items`, or a list of both where names hold dots. Fields go to the columns ' +
          'of their names.',
      ),
    key: z.array(name).min(1).optional().describe('Columns with a unique index; needed to write by key.'),
    create: z
      .record(name, z.string().regex(SQL_TYPE, 'must be a type of PostgreSQL such as bigint or numeric(12,2)'))
      .optional()
      .describe('Columns and their types, to make the table where there is none; `key` becomes its primary key.'),
    markerSchema: name
      .refine(isWhole, TOO_LONG)
      .default('waybill')
      .describe('The schema in which the sink keeps the markers of batches and the fences of shards; made if missing.'),
    recordsPerBatch: z.int().min(1).default(20_000),
    bytesPerBatch: z.int().min(1).default(8_000_000).describe('Bytes of the encoded records of one batch.'),
    connections: z
      .int()
      .min(1)
      .max(32)
      .default(2)
      .describe('Batches on their way at once, each in a connection of its own.'),
    places: z
      .enum(['durable', 'fast'])
      .default('durable')
      .describe(
        'Where loads are collected. `durable`: in tables that outlive a crash of the server. `fast`: in unlogged ' +
          'ones, which writes half as much; after a crash of the server the window has to be read again.',
      ),
    periodTablesMax: z
      .int()
      .min(2)
      .default(500)
      .describe('With so many tables of periods under one view, the metadata-cleaner warns.'),
    stepTimeoutSeconds: z
      .int()
      .min(1)
      .max(86_400)
      .default(3600)
      .describe('Publishing a load is one transaction; when it takes longer, it is cancelled and tried again.'),
    requestTimeoutSeconds: z
      .int()
      .min(1)
      .max(3600)
      .default(60)
      .describe('A transaction that takes longer is cancelled; the server has the same limit.'),
    lockTimeoutSeconds: z
      .int()
      .min(1)
      .max(3600)
      .default(10)
      .describe('Waiting longer for a lock of somebody else, the transaction is rolled back and tried again later.'),
  })
  .refine(
    ({ create, key }) => create === undefined || (key ?? []).every((column) => Object.hasOwn(create, column)),
    '`create` must have the columns of `key`',
  );

type Connection = z.output<typeof connection>;
type SourceSettings = z.output<typeof sourceSettings>;
type SinkSettings = z.output<typeof sinkSettings>;

const LOCAL = { database: 'items', user: 'waybill' };

export const postgres: Connector<Connection, SourceSettings, SinkSettings> = {
  type: 'postgres',
  summary: 'Tables and queries of PostgreSQL',
  connection,
  source: {
    settings: sourceSettings,
    open: (settings, { query, table, cursor, lag, lockTimeoutSeconds, ...options }, context) =>
      postgresSource(connectionOf(settings, context), {
        ...options,
        lockTimeoutMs: lockTimeoutSeconds * 1000,
        ...(cursor === undefined ? {} : { cursor }),
        ...(lag === undefined ? {} : { lag }),
        ...(query === undefined ? {} : { query }),
        ...(table === undefined ? {} : { table: tableName(table) }),
      }),
    discover: (settings, context, signal) => discoverTables(connectionOf(settings, context), signal),
  },
  sink: {
    settings: sinkSettings,
    open: (settings, { table, key, create, ...options }, context) => {
      const { requestTimeoutSeconds, lockTimeoutSeconds, stepTimeoutSeconds, ...rest } = options;
      return postgresSink({
        ...rest,
        connection: connectionOf(settings, context),
        ports: context.ports,
        table: tableName(table),
        ...(key === undefined ? {} : { key }),
        ...(create === undefined ? {} : { create }),
        requestTimeoutMs: requestTimeoutSeconds * 1000,
        lockTimeoutMs: lockTimeoutSeconds * 1000,
        stepTimeoutMs: stepTimeoutSeconds * 1000,
      });
    },
    place: (settings, { table }) => tablePlace(settings, table),
    samples: [
      { name: 'a table', connection: LOCAL, settings: { table: 'items' } },
      { name: 'a table with a key', connection: LOCAL, settings: { table: 'items', key: ['id'] } },
    ],
  },
  readsBack: (source, sink) =>
    source.settings.table !== undefined &&
    tablePlace(source.connection, source.settings.table) === tablePlace(sink.connection, sink.settings.table)
      ? 'all'
      : 'no',
};

/** Without a schema as far as the flow file tells: hardly anybody has another first one in the search path. */
const tablePlace = (connection: Connection, table: SinkSettings['table']): string =>
  JSON.stringify([databasePlace(connection, SERVER), ...['public', ...tableName(table)].slice(-2)]);

const SERVER: ServerKind = {
  type: 'postgres',
  protocols: ['postgres', 'postgresql'],
  usualPort: 5432,
  example: 'postgres://user:password@host:port/database',
  hostIn: (url) => url.searchParams.get('host'),
};

const connectionOf = (given: Connection, context: OpenContext) => (): PostgresConnection =>
  databaseServerOf(given, context, SERVER);
