import type * as Pg from 'pg';
import { WaybillError } from '../../model/errors.ts';

export interface PostgresConnection {
  readonly host: string;
  readonly port: number;
  readonly database: string;
  readonly user: string;
  /** Resolved at the moment of connecting; undefined for servers that ask for none. */
  password?(): string;
  readonly tls: 'off' | 'verify';
  /** The text of a certificate authority's certificate, where the system does not know it. */
  ca?(): string;
}

const CONNECT_MS = 15_000;

/** A connection of its own for one reading. Throws DRIVER_MISSING, SOURCE_FAILED; no message holds the password. */
export async function connect(connection: PostgresConnection): Promise<Pg.Client> {
  const { default: pg } = await loadDriver();
  const { host, port, database, user } = connection;
  const ca = connection.ca?.();
  const client = new pg.Client({
    host,
    port,
    database,
    user,
    ...(connection.password === undefined ? {} : { password: connection.password() }),
    ssl: connection.tls === 'off' ? false : { rejectUnauthorized: true, ...(ca === undefined ? {} : { ca }) },
    application_name: 'waybill',
    connectionTimeoutMillis: CONNECT_MS,
    keepAlive: true,
  });
  // A connection that breaks also fails the query that is under way, which tells whoever waits for it. Without a
  // listener Node would end the process instead.
  client.on('error', (error) => broken.set(client, error));
  try {
    await client.connect();
    return client;
  } catch (error) {
    const state = sqlState(error);
    const why = state === undefined ? '' : ` (${state})`;
    throw new WaybillError(
      'SOURCE_FAILED',
      `cannot connect to PostgreSQL at ${host}:${port}/${database} as ${user}${why}`,
      {
        cause: error,
        ids: { host, port, database },
      },
    );
  }
}

/** Why a connection broke off by itself. */
const broken = new WeakMap<Pg.Client, unknown>();
export const breakOf = (client: Pg.Client): unknown => broken.get(client);

async function loadDriver(): Promise<typeof Pg> {
  try {
    return await import('pg');
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ERR_MODULE_NOT_FOUND') throw error;
    throw new WaybillError('DRIVER_MISSING', 'the postgres connector needs the package pg', {
      hint: 'Install it beside Waybill: npm install pg',
      cause: error,
    });
  }
}

/** A name as SQL writes it. The only place where a name becomes part of a statement. */
export function quoteName(name: string): string {
  if (name === '' || name.includes('\0')) {
    throw new WaybillError('CONFIG_INVALID', `${JSON.stringify(name)} is not the name of a table or a column`);
  }
  return `"${name.replaceAll('"', '""')}"`;
}

/** The five characters by which PostgreSQL names an error; undefined for errors of the connection. */
export function sqlState(error: unknown): string | undefined {
  const code = (error as { code?: unknown } | null)?.code;
  return typeof code === 'string' && /^[0-9A-Z]{5}$/.test(code) ? code : undefined;
}
