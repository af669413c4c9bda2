import { readFileSync } from 'node:fs';
import { resolve } from 'node:path';
import { z } from 'zod';
import { WaybillError } from '../../model/errors.ts';
import type { Connector, OpenContext } from '../connector.ts';
import type { PostgresConnection } from './connection.ts';
import { postgresSink } from './sink.ts';
import { postgresSource } from './source.ts';
import { SQL_TYPE } from './table.ts';

const connection = z
  .strictObject({
    url: z
      .string()
      .min(1)
      .meta({ secret: true })
      .optional()
      .describe('The whole address, `postgres://user:password@host:port/database`; by reference where it is secret.'),
    host: z.string().min(1).optional().describe('Name or address of the server, or the folder of its socket.'),
    port: z.int().min(1).max(65535).optional(),
    database: z.string().min(1).optional(),
    user: z.string().min(1).optional(),
    password: z
      .string()
      .regex(/^(env|file):./, 'name where the password is, `env:NAME` or `file:PATH`, not the password')
      .optional()
      .describe('Where the password is: `env:NAME` or `file:PATH`.'),
    tls: z
      .enum(['verify', 'off'])
      .optional()
      .describe('`verify` checks the certificate and the name of the server. Off when absent and the server is local.'),
    caFile: z
      .string()
      .min(1)
      .optional()
      .describe('Certificate of the authority that signed the certificate of the server.'),
  })
  .refine(
    (given) => (given.url === undefined ? given.database !== undefined && given.user !== undefined : !inParts(given)),
    'give either `url`, or `database` and `user` (and `host`, `port`, `password`)',
  );

const inParts = (given: Readonly<Record<string, unknown>>): boolean =>
  ['host', 'port', 'database', 'user', 'password'].some((part) => given[part] !== undefined);

const name = z.string().min(1);
const table = z.union([name, z.array(name).min(1).max(2)]);
const sourceSettings = z
  .strictObject({
    query: z.string().min(1).optional().describe('A query; parameters are bound by name: `where day = :date`.'),
    table: table
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
  })
  .refine(({ query, table }) => (query === undefined) !== (table === undefined), 'give either `query` or `table`');

const sinkSettings = z
  .strictObject({
    table: table.describe(
      'Where records go: `items`, `sales.items`, or a list of both where names hold dots. Fields go to the columns ' +
        'of their names.',
    ),
    key: z.array(name).min(1).optional().describe('Columns with a unique index; needed to write by key.'),
    create: z
      .record(name, z.string().regex(SQL_TYPE, 'must be a type of PostgreSQL such as bigint or numeric(12,2)'))
      .optional()
      .describe('Columns and their types, to make the table where there is none; `key` becomes its primary key.'),
    markerSchema: name
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
    open: (settings, { query, table, ...options }, context) =>
      postgresSource(connectionOf(settings, context), {
        ...options,
        ...(query === undefined ? {} : { query }),
        ...(table === undefined ? {} : { table: tableName(table) }),
      }),
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
    samples: [
      { name: 'a table', connection: LOCAL, settings: { table: 'items' } },
      { name: 'a table with a key', connection: LOCAL, settings: { table: 'items', key: ['id'] } },
    ],
  },
};

/** Where to connect to, worked out when it is needed: the address may be a secret, and secrets may change. */
function connectionOf(given: Connection, context: OpenContext): () => PostgresConnection {
  const { tls, caFile, password } = given;
  const ca = caFile === undefined ? {} : { ca: () => readFileSync(resolve(context.folder, caFile), 'utf8') };
  return () => {
    const parts = given.url === undefined ? plainParts(given) : partsOfUrl(given.url, context);
    return {
      ...(password === undefined ? {} : { password: () => context.secret(password) }),
      ...parts,
      tls: tls ?? (isLocal(parts.host) ? 'off' : 'verify'),
      ...ca,
    };
  };
}

type Parts = Pick<PostgresConnection, 'host' | 'port' | 'database' | 'user' | 'password'>;

const LOCALHOST = '127.0.0.1';
const USUAL_PORT = 5432;

/** The schema has made sure of database and user. */
const plainParts = ({ host, port, database = '', user = '' }: Connection): Parts => ({
  host: host ?? LOCALHOST,
  port: port ?? USUAL_PORT,
  database,
  user,
});

function partsOfUrl(url: string, context: OpenContext): Parts {
  const text = /^(env|file):/.test(url) ? context.secret(url) : url;
  let parsed: URL;
  try {
    parsed = new URL(text.trim());
  } catch {
    // The text is not quoted: it may hold a password.
    throw badAddress('it is no address');
  }
  if (!/^postgres(ql)?:$/.test(parsed.protocol)) throw badAddress('it does not begin with postgres://');
  const [user, password] = [decodeURIComponent(parsed.username), decodeURIComponent(parsed.password)];
  const database = decodeURIComponent(parsed.pathname.slice(1));
  if (user === '' || database === '') throw badAddress('it names no user or no database');
  return {
    host: parsed.searchParams.get('host') ?? (parsed.hostname.replace(/^\[|\]$/g, '') || LOCALHOST),
    port: Number(parsed.port || USUAL_PORT),
    database,
    user,
    ...(password === '' ? {} : { password: () => password }),
  };
}

const badAddress = (why: string): WaybillError =>
  new WaybillError('CONFIG_INVALID', `the url of a postgres connection cannot be used: ${why}`, {
    hint: 'Write it as postgres://user:password@host:port/database, in the variable or file that the flow file names.',
  });

const isLocal = (host: string): boolean => host === 'localhost' || host === '::1' || /^(127\.[0-9.]+|\/.*)$/.test(host);

function tableName(table: string | readonly string[]): readonly string[] {
  if (typeof table !== 'string') return table;
  const dot = table.indexOf('.');
  return dot === -1 ? [table] : [table.slice(0, dot), table.slice(dot + 1)];
}
