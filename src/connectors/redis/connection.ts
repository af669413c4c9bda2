import type * as Redis from 'redis';
import { WaybillError } from '../../model/errors.ts';
import type { Server } from '../../servers/address.ts';

export interface RedisConnection extends Omit<Server, 'database' | 'user'> {
  /** The number of the database. */
  readonly database: number;
  readonly user?: string;
}

interface SendOptions {
  readonly timeout: number;
  /** What is made of values of an answer, by the driver's code for their type. */
  readonly typeMapping?: Readonly<Record<number, unknown>>;
}

/** What is used of a client of the driver. */
export interface Client {
  readonly isReady: boolean;
  connect(): Promise<unknown>;
  sendCommand(args: readonly (string | Buffer)[], options?: SendOptions): Promise<unknown>;
  destroy(): void;
}

const CONNECT_MS = 15_000;

/**
 * A client that is not connected yet. It never connects a second time and never sends a command again: what was lost
 * with a connection is the engine's to settle. Throws DRIVER_MISSING, and what reading a secret throws.
 */
export async function newClient(connection: RedisConnection): Promise<Client> {
  const { createClient } = await loadDriver();
  const client = createClient({
    socket: { ...socketOf(connection), connectTimeout: CONNECT_MS, reconnectStrategy: false },
    database: connection.database,
    ...(connection.user === undefined ? {} : { username: connection.user }),
    ...(connection.password === undefined ? {} : { password: connection.password() }),
    // Replies in the form that every version of the server speaks.
    RESP: 2,
    disableOfflineQueue: true,
    disableClientInfo: true,
    maintNotifications: 'disabled',
  });
  // An error of the connection also rejects whatever waits for an answer; without a listener Node would end the
  // process.
  client.on('error', () => undefined);
  return client as unknown as Client;
}

function socketOf(connection: RedisConnection): NonNullable<Redis.RedisClientOptions['socket']> {
  const { host, port, tls } = connection;
  if (host.startsWith('/')) return { path: host, tls: false };
  if (tls === 'off') return { host, port };
  const ca = connection.ca?.();
  return { host, port, tls: true, rejectUnauthorized: true, ...(ca === undefined ? {} : { ca }) };
}

async function loadDriver(): Promise<typeof Redis> {
  try {
    return await import('redis');
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ERR_MODULE_NOT_FOUND') throw error;
    throw new WaybillError('DRIVER_MISSING', 'the redis connector needs the package redis', {
      hint: 'Install it beside Waybill: npm install redis',
      cause: error,
    });
  }
}

/** Which server that is, for messages. */
export const showPlace = ({ host, port, database }: RedisConnection): string =>
  host.startsWith('/') ? `Redis at ${host}, database ${database}` : `Redis at ${host}:${port}, database ${database}`;
