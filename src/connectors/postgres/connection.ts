import type * as Pg from 'pg';
import { describeError, WaybillError } from '../../model/errors.ts';
import type { Server } from '../../servers/address.ts';
import { loadPg } from '../../servers/pg.ts';
import { LendingSocket } from './lending-socket.ts';

export type PostgresConnection = Server;

const CONNECT_MS = 15_000;

/** A connection of its own for one reading. Throws DRIVER_MISSING, SOURCE_FAILED; no message holds the password. */
export async function connect(connection: PostgresConnection): Promise<Pg.Client> {
  const client = await newClient(connection, { readsMuch: true });
  try {
    await client.connect();
    return client;
  } catch (error) {
    const { host, port, database } = connection;
    throw new WaybillError('SOURCE_FAILED', `cannot connect to ${showPlace(connection, error)}: ${reasonOf(error)}`, {
      cause: error,
      ...(isSettled(error) ? { hint: 'Correct the connection in the flow file, or what it refers to.' } : {}),
      ids: { host, port, database },
    });
  }
}

/** Which server that is, as whom it was asked, and its own code for why it would not. */
export function showPlace({ host, port, database, user }: PostgresConnection, error: unknown): string {
  const state = sqlState(error);
  return `PostgreSQL at ${host}:${port}/${database} as ${user}${state === undefined ? '' : ` (${state})`}`;
}

/** In words; of a name with several addresses, that of the first. No server says a password that it was given. */
export const reasonOf = (error: unknown): string =>
  describeError(error instanceof AggregateError ? (error.errors[0] ?? error) : error);

/**
 * No connection came about, and none will until somebody has changed something: there is no password, the server knows
 * of no TLS, or its certificate does not do.
 */
export function isSettled(error: unknown): boolean {
  const { code, message } = error as { readonly code?: unknown; readonly message?: unknown };
  if (code === undefined) return /^SASL: .*password|does not support SSL/.test(String(message));
  return typeof code === 'string' && /CERT|^UNABLE_TO_|^(?:28|3D)...$/.test(code);
}

/** A client that is not connected yet. Throws DRIVER_MISSING, and what reading the password or certificate throws. */
export async function newClient(
  connection: PostgresConnection,
  how: { readonly readsMuch: boolean } = { readsMuch: false },
): Promise<Pg.Client> {
  const pg = loadPg('the postgres connector');
  const { host, port, database, user } = connection;
  const client = new pg.Client({
    host,
    port,
    database,
    user,
    ...(connection.password === undefined ? {} : { password: connection.password() }),
    ssl: sslOf(connection),
    application_name: 'waybill',
    connectionTimeoutMillis: CONNECT_MS,
    keepAlive: true,
    // What is encrypted is read by the layer below.
    ...(how.readsMuch && connection.tls === 'off' ? { stream: () => new LendingSocket() } : {}),
  });
  // A connection that breaks also fails the query that is under way, which tells whoever waits for it. Without a
  // listener Node would end the process instead.
  client.on('error', (error) => broken.set(client, error));
  return client;
}

function sslOf(connection: PostgresConnection): false | { rejectUnauthorized: true; ca?: string } {
  if (connection.tls === 'off') return false;
  const ca = connection.ca?.();
  return { rejectUnauthorized: true, ...(ca === undefined ? {} : { ca }) };
}

/** What `pg` knows of a session, and does not show in its types. */
interface Cancellable {
  readonly processID: number | null;
  readonly secretKey: number;
}
interface CancelLine {
  readonly stream: { unref(): void; destroy(): void };
  connect(...where: [port: number, host: string] | [path: string]): void;
  requestSsl(): void;
  cancel(processID: number, secretKey: number): void;
  on(event: string, listener: () => void): void;
}

/**
 * Asks the server to stop what it does for this client, over a connection of its own, and hangs up on the client. Does
 * not wait: whether the request arrives or not, the transaction is over for this side, and the server ends it when it
 * finds the connection gone.
 */
export async function abandon(client: Pg.Client, connection: PostgresConnection): Promise<void> {
  const { processID, secretKey } = client as unknown as Cancellable;
  (client as unknown as { connection: { stream: { destroy(): void } } }).connection.stream.destroy();
  // Still connecting: there is nothing to be stopped yet.
  if (processID == null) return;
  const pg = loadPg('the postgres connector');
  const ssl = sslOf(connection);
  const line = new pg.Connection({ ssl }) as unknown as CancelLine;
  const ask = (): void => line.cancel(processID, secretKey);
  line.on('connect', () => (ssl === false ? ask() : line.requestSsl()));
  line.on('sslconnect', ask);
  // The server answers nothing and hangs up. A request that fails is one that was not needed, or one in vain.
  line.on('error', () => line.stream.destroy());
  const { host, port } = connection;
  line.connect(
    ...(host.startsWith('/') ? ([`${host}/.s.PGSQL.${port}`] as [string]) : ([port, host] as [number, string])),
  );
  line.stream.unref();
}

/** Why a connection broke off by itself. */
const broken = new WeakMap<Pg.Client, unknown>();
export const breakOf = (client: Pg.Client): unknown => broken.get(client);

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
