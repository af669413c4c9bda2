import { readFileSync } from 'node:fs';
import { resolve } from 'node:path';
import { z } from 'zod';
import type { Connector, OpenContext } from '../connector.ts';
import type { PostgresConnection } from './connection.ts';
import { postgresSource } from './source.ts';

const connection = z.strictObject({
  host: z.string().min(1).default('127.0.0.1').describe('Name or address of the server, or the folder of its socket.'),
  port: z.int().min(1).max(65535).default(5432),
  database: z.string().min(1),
  user: z.string().min(1),
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
});

const name = z.string().min(1);
const sourceSettings = z
  .strictObject({
    query: z.string().min(1).optional().describe('A query; parameters are bound by name: `where day = :date`.'),
    table: z
      .union([name, z.array(name).min(1).max(2)])
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

type Connection = z.output<typeof connection>;
type SourceSettings = z.output<typeof sourceSettings>;

export const postgres: Connector<Connection, SourceSettings, never> = {
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
};

function connectionOf({ password, tls, caFile, ...rest }: Connection, context: OpenContext): PostgresConnection {
  return {
    ...rest,
    tls: tls ?? (isLocal(rest.host) ? 'off' : 'verify'),
    ...(password === undefined ? {} : { password: () => context.secret(password) }),
    ...(caFile === undefined ? {} : { ca: () => readFileSync(resolve(context.folder, caFile), 'utf8') }),
  };
}

const isLocal = (host: string): boolean => host === 'localhost' || host === '::1' || /^(127\.[0-9.]+|\/.*)$/.test(host);

function tableName(table: string | readonly string[]): readonly string[] {
  if (typeof table !== 'string') return table;
  const dot = table.indexOf('.');
  return dot === -1 ? [table] : [table.slice(0, dot), table.slice(dot + 1)];
}
