import type { OpenContext } from '../connector.ts';
import { type Authorizer, openAuthorizer } from './auth.ts';
import { type AddressGuard, Connections } from './connections.ts';
import { Deadlines } from './deadlines.ts';
import { TokenSource } from './oauth.ts';
import { Secrets } from './secrets.ts';
import type { ConnectionConfig } from './settings.ts';
import { Transport } from './transport.ts';

export type KeepAlive = 'announced' | 'never' | number;

export interface LinkOptions {
  readonly keepAlive: KeepAlive;
  /** How long a request, and so its connection, may take. */
  readonly requestTimeoutMs: number;
  /** Which addresses may be connected to; all of them when absent. */
  readonly guard?: AddressGuard;
}

/** Connections to one origin, and the clock by which they and their requests are given up. */
export function openLink(
  origin: URL,
  { tls, connectTimeout }: ConnectionConfig,
  { folder, ports }: OpenContext,
  { keepAlive, requestTimeoutMs, guard }: LinkOptions,
): { readonly connections: Connections; readonly deadlines: Deadlines } {
  const connectTimeoutMs = Math.min(requestTimeoutMs, connectTimeout);
  const deadlines = new Deadlines(ports, connectTimeoutMs);
  const shared = { folder, ports, keepAlive, connectTimeoutMs, deadlines };
  const connections = new Connections({ origin, ca: tls?.ca, ...shared, ...(guard === undefined ? {} : { guard }) });
  return { connections, deadlines };
}

export function openTransport(
  origin: URL,
  connection: ConnectionConfig,
  context: OpenContext,
  options: LinkOptions,
): Transport {
  const { connections, deadlines } = openLink(origin, connection, context, options);
  return new Transport(connections, deadlines, context.ports);
}

/** What makes the requests of a connection authorized ones, whoever sends them. */
export interface Access {
  readonly secrets: Secrets;
  readonly auth: Authorizer;
  close(): void;
}

export function openAccess(connection: ConnectionConfig, context: OpenContext, requestTimeoutMs: number): Access {
  const secrets = new Secrets(context);
  const { auth } = connection;
  if (auth === undefined || !('oauth2' in auth)) {
    return { secrets, auth: openAuthorizer(auth, secrets, undefined), close: () => undefined };
  }
  const origin = new URL(new URL(auth.oauth2.tokenUrl).origin);
  const transport = openTransport(origin, connection, context, { keepAlive: 'never', requestTimeoutMs });
  const parts = { secrets, transport, ports: context.ports, timeoutMs: requestTimeoutMs };
  const tokens = new TokenSource(auth.oauth2, parts);
  return { secrets, auth: openAuthorizer(auth, secrets, tokens), close: () => tokens.close() };
}
