import { readFileSync } from 'node:fs';
import { resolve } from 'node:path';
import type { OpenContext } from '../connectors/connector.ts';
import { WaybillError } from '../model/errors.ts';

/** What a kind of server writes its addresses like. */
export interface ServerKind {
  readonly type: string;
  /** Of its addresses, without a colon. What comes over one of `secured` is encrypted wherever the server is. */
  readonly protocols: readonly string[];
  readonly secured?: readonly string[];
  readonly usualPort: number;
  /** An address as it is to be written. */
  readonly example: string;
  /** A host that does not stand where hosts do: the folder of a socket. */
  readonly hostIn?: (url: URL) => string | null;
}

/** The settings that say where a server is, however a connector checks them. */
export interface ServerSettings {
  readonly url?: string | undefined;
  readonly host?: string | undefined;
  readonly port?: number | undefined;
  readonly database?: string | number | undefined;
  readonly user?: string | undefined;
  readonly password?: string | undefined;
  readonly tls?: 'verify' | 'off' | undefined;
  readonly caFile?: string | undefined;
}

/** Where a server is, and as whom it is asked. */
export interface Server {
  readonly host: string;
  readonly port: number;
  /** Empty where none is named, as the user is. */
  readonly database: string;
  readonly user: string;
  /** Resolved at the moment of connecting; absent for servers that ask for none. */
  password?(): string;
  readonly tls: 'off' | 'verify';
  /** The text of a certificate authority's certificate, where the system does not know it. */
  ca?(): string;
}

const LOCALHOST = '127.0.0.1';

/**
 * Worked out when it is needed: the address may be a secret, and secrets may change. Throws CONFIG_INVALID; never with
 * the address in it, which may hold a password.
 */
export function serverOf(given: ServerSettings, context: OpenContext, kind: ServerKind): Server {
  const { tls, caFile, password } = given;
  const { secured, ...parts } = given.url === undefined ? plainParts(given, kind) : partsOf(given.url, context, kind);
  return {
    ...(password === undefined ? {} : { password: () => context.secret(password) }),
    ...parts,
    tls: tls ?? (isLocal(parts.host) && !secured ? 'off' : 'verify'),
    ...(caFile === undefined ? {} : { ca: certificateIn(caFile, context) }),
  };
}

/** The same for a database that has to be named, by somebody. */
export function databaseServerOf(given: ServerSettings, context: OpenContext, kind: ServerKind): Server {
  const server = serverOf(given, context, kind);
  if (server.user === '' || server.database === '') throw badAddress(kind, 'it names no user or no database');
  return server;
}

/** A database, spelled alike by all that mean it as far as the settings tell; an address by reference is just that. */
export function databasePlace(given: ServerSettings, kind: ServerKind): string {
  const { url } = given;
  if (url === undefined) {
    const { host, port, database } = plainParts(given, kind);
    return JSON.stringify([isLocal(host) ? LOCALHOST : host.toLowerCase(), port, database]);
  }
  if (/^(env|file):/.test(url) || !URL.canParse(url)) return url;
  const parsed = new URL(url);
  const host = kind.hostIn?.(parsed) ?? (parsed.hostname || LOCALHOST);
  const port = Number(parsed.port || kind.usualPort);
  return JSON.stringify([isLocal(host) ? LOCALHOST : host.toLowerCase(), port, parsed.pathname.slice(1)]);
}

/** Reads the file of a setting `caFile` at the moment of connecting. */
export const certificateIn =
  (caFile: string, { folder }: OpenContext): (() => string) =>
  () =>
    readFileSync(resolve(folder, caFile), 'utf8');

interface Parts extends Omit<Server, 'tls' | 'ca'> {
  /** The address itself asks for TLS. */
  readonly secured: boolean;
}

const plainParts = ({ host, port, database = '', user = '' }: ServerSettings, { usualPort }: ServerKind): Parts => ({
  host: host ?? LOCALHOST,
  port: port ?? usualPort,
  database: String(database),
  user,
  secured: false,
});

function partsOf(url: string, context: OpenContext, kind: ServerKind): Parts {
  const text = (/^(env|file):/.test(url) ? context.secret(url) : url).trim();
  const parsed = URL.canParse(text) ? new URL(text) : undefined;
  if (parsed === undefined) throw badAddress(kind, 'it is no address');
  const protocol = parsed.protocol.slice(0, -1);
  if (!kind.protocols.includes(protocol)) {
    const begins = kind.protocols.map((one) => `${one}://`).join(' or ');
    throw badAddress(kind, `it does not begin with ${begins}`);
  }
  const [user, password] = [decoded(parsed.username, kind), decoded(parsed.password, kind)];
  return {
    host: kind.hostIn?.(parsed) ?? (decoded(parsed.hostname, kind).replace(/^\[|\]$/g, '') || LOCALHOST),
    port: Number(parsed.port || kind.usualPort),
    database: decoded(parsed.pathname.slice(1), kind),
    user,
    ...(password === '' ? {} : { password: () => password }),
    secured: kind.secured?.includes(protocol) === true,
  };
}

function decoded(text: string, kind: ServerKind): string {
  try {
    return decodeURIComponent(text);
  } catch (error) {
    if (error instanceof URIError) throw badAddress(kind, 'it holds a % that begins no character; write it as %25');
    throw error;
  }
}

export const badAddress = ({ type, example }: ServerKind, why: string): WaybillError =>
  new WaybillError('CONFIG_INVALID', `the url of a ${type} connection cannot be used: ${why}`, {
    hint: `Write it as ${example}, in the variable or file that the flow file names.`,
  });

/** This machine, or the folder of a socket on it. */
export const isLocal = (host: string): boolean =>
  host === 'localhost' || host === '::1' || /^(127\.[0-9.]+|\/.*)$/.test(host);
