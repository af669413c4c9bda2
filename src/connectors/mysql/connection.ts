import type * as Mysql from 'mysql2';
import { WaybillError } from '../../model/errors.ts';
import type { Server } from '../../servers/address.ts';

export interface MysqlConnection extends Server {
  /** The file of its socket, instead of host and port. */
  readonly socket?: string;
}

const CONNECT_MS = 15_000;

/**
 * A connection of its own for one reading. Throws DRIVER_MISSING, SOURCE_FAILED, and the signal's reason when that is
 * aborted meanwhile; no message holds the password.
 */
export async function connect(connection: MysqlConnection, signal: AbortSignal): Promise<Mysql.Connection> {
  const { default: mysql } = await loadDriver();
  signal.throwIfAborted();
  const { host, port, socket, database, user } = connection;
  const client = mysql.createConnection({
    ...(socket === undefined ? { host, port } : { socketPath: socket }),
    database,
    user,
    ...(connection.password === undefined ? {} : { password: connection.password() }),
    ...(connection.tls === 'off' ? {} : { ssl: sslOf(connection) }),
    connectTimeout: CONNECT_MS,
    charset: 'utf8mb4',
    // Values as the server has them: no date and no number goes through a type that cannot hold it.
    dateStrings: true,
    supportBigNumbers: true,
    bigNumberStrings: true,
    jsonStrings: true,
  });
  // Whoever waits listens as well. Without a listener Node would end the process instead.
  client.on('error', () => undefined);
  let stop = (): void => undefined;
  try {
    await new Promise<void>((resolve, reject) => {
      stop = () => reject(signal.reason);
      signal.addEventListener('abort', stop, { once: true });
      client.connect((error) => (error === null ? resolve() : reject(error)));
    });
    signal.throwIfAborted();
    return client;
  } catch (error) {
    client.destroy();
    signal.throwIfAborted();
    const at = socket ?? `${host}:${port}`;
    throw new WaybillError('SOURCE_FAILED', `cannot connect to MySQL at ${at}/${database} as ${user}${codeOf(error)}`, {
      cause: error,
      ids: { host, port, database },
    });
  } finally {
    signal.removeEventListener('abort', stop);
  }
}

function sslOf(connection: MysqlConnection): Mysql.SslOptions {
  const ca = connection.ca?.();
  return { rejectUnauthorized: true, verifyIdentity: true, ...(ca === undefined ? {} : { ca }) };
}

/** ` (ER_…)`, the server's own name of an error, or the system's. */
export function codeOf(error: unknown): string {
  const code = (error as { code?: unknown } | null)?.code;
  return typeof code === 'string' ? ` (${code})` : '';
}

async function loadDriver(): Promise<typeof Mysql> {
  try {
    return await import('mysql2');
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ERR_MODULE_NOT_FOUND') throw error;
    throw new WaybillError('DRIVER_MISSING', 'the mysql connector needs the package mysql2', {
      hint: 'Install it beside Waybill: npm install mysql2',
      cause: error,
    });
  }
}

/** A name as MySQL writes it. The only place where a name becomes part of a statement. */
export function quoteName(name: string): string {
  if (name === '' || name.includes('\0')) {
    throw new WaybillError('CONFIG_INVALID', `${JSON.stringify(name)} is not the name of a table or a column`);
  }
  return `\`${name.replaceAll('`', '``')}\``;
}
