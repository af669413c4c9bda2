import { realPorts } from '../../src/app/ports.ts';
import type { PostgresAddress } from '../../src/ledger/postgres/address.ts';
import { parseAddress } from '../../src/ledger/postgres/address.ts';
import type { LinePorts } from '../../src/ledger/postgres/line.ts';
import type { TestPostgres } from '../postgres.ts';

let schemas = 0;

/** An address in a schema of its own; `port`: of something that stands before the server. */
export function addressOf(server: TestPostgres, options: { port?: number; schema?: string } = {}): string {
  const { user, password, host, database } = server;
  const schema = options.schema ?? `books_${++schemas}`;
  return `postgres://${user}:${password}@${host}:${options.port ?? server.port}/${database}?schema=${schema}`;
}

export const parsed = (server: TestPostgres, options: { port?: number; schema?: string } = {}): PostgresAddress =>
  parseAddress(addressOf(server, options));

export const ledgerPorts = (): LinePorts => realPorts();
