import { z } from 'zod';
import { cursorSetting, lagSetting } from '../../cursors/settings.ts';
import { databaseServerOf, type ServerKind } from '../../servers/address.ts';
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
import type { MysqlConnection } from './connection.ts';
import { discoverTables } from './discovery.ts';
import { mysqlSource } from './source.ts';

const connection = z
  .strictObject({
    url: urlSetting('`mysql://user:password@host:port/database`'),
    ...hostSettings('Name or address of the server.'),
    socket: z.string().min(1).optional().describe('The file of its socket, instead of `host` and `port`.'),
    database: z.string().min(1).optional(),
    ...userSettings,
    ...tlsSettings(),
  })
  .refine(...urlOrDatabase);

const sourceSettings = z
  .strictObject({
    query: z.string().min(1).optional().describe('A query; parameters are bound by name: `where day = :date`.'),
    table: tableSetting
      .optional()
      .describe('A whole table instead of a query: `items`, `sales.items`, or a list of both where names hold dots.'),
    timeZone: z
      .string()
      .regex(/^[+-][01]\d:[0-5]\d$/, 'must be an offset such as +01:00')
      .default('+00:00')
      .describe('The offset of the clock that values of the type `datetime` are written by.'),
    count: z.boolean().default(false).describe('Count the records first, so that progress has a total.'),
    cursor: cursorSetting,
    lag: lagSetting,
  })
  .refine(({ cursor, lag }) => lag === undefined || cursor !== undefined, '`lag` needs a `cursor`')
  .refine(({ query, table }) => (query === undefined) !== (table === undefined), 'give either `query` or `table`');

type Connection = z.output<typeof connection>;
type SourceSettings = z.output<typeof sourceSettings>;

export const mysql: Connector<Connection, SourceSettings, never> = {
  type: 'mysql',
  summary: 'Tables and queries of MySQL and MariaDB',
  connection,
  source: {
    settings: sourceSettings,
    open: (settings, { query, table, cursor, lag, ...options }, context) =>
      mysqlSource(connectionOf(settings, context), {
        ...options,
        ...(query === undefined ? {} : { query }),
        ...(table === undefined ? {} : { table: tableName(table) }),
        ...(cursor === undefined ? {} : { cursor }),
        ...(lag === undefined ? {} : { lag }),
      }),
    discover: (settings, context, signal) => discoverTables(connectionOf(settings, context), signal),
  },
};

const SERVER: ServerKind = {
  type: 'mysql',
  protocols: ['mysql', 'mariadb'],
  usualPort: 3306,
  example: 'mysql://user:password@host:port/database',
};

const connectionOf =
  ({ socket, ...given }: Connection, context: OpenContext): (() => MysqlConnection) =>
  () => ({ ...databaseServerOf(given, context, SERVER), ...(socket === undefined ? {} : { socket }) });
