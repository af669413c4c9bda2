import { WaybillError } from '../../model/errors.ts';

/** Where a ledger lies on a PostgreSQL server: an address such as `postgres://user@host:5432/database?schema=name`. */
export interface PostgresAddress {
  readonly host: string;
  readonly port: number;
  readonly database: string;
  readonly user: string;
  readonly password: string | undefined;
  /** The schema that holds the tables of the ledger, and nothing else. */
  readonly schema: string;
  readonly tls: 'off' | 'verify';
  /** The same without its password: for messages. */
  readonly place: string;
}

const DEFAULT_PORT = 5432;
const DEFAULT_SCHEMA = 'waybill';
const PARAMETERS: ReadonlySet<string> = new Set(['schema', 'sslmode', 'host']);
const TLS: Readonly<Record<string, PostgresAddress['tls']>> = {
  disable: 'off',
  // What encrypts without looking at the certificate keeps nobody out; it is taken for what was meant.
  require: 'verify',
  'verify-ca': 'verify',
  'verify-full': 'verify',
};

export const isPostgresAddress = (text: string): boolean => /^postgres(ql)?:\/\//i.test(text);

/** Throws CONFIG_INVALID; never with the password in it. `password`: for an address that holds none. */
export function parseAddress(text: string, password?: string): PostgresAddress {
  const url = URL.canParse(text) && isPostgresAddress(text) ? new URL(text) : undefined;
  if (url === undefined) throw invalid('it is not postgres://USER@HOST:PORT/DATABASE');
  for (const name of url.searchParams.keys())
    if (!PARAMETERS.has(name)) throw invalid(`it has a parameter ${JSON.stringify(name)}, which nobody knows`);
  // A folder of sockets cannot stand where a host does, so it comes as a parameter.
  const host = url.searchParams.get('host') ?? url.hostname.replace(/^\[|\]$/g, '');
  const database = decoded(url.pathname.slice(1));
  const user = decoded(url.username);
  if (host === '' || database === '' || user === '') throw invalid('it must name a user, a host and a database');
  const port = url.port === '' ? DEFAULT_PORT : Number(url.port);
  const schema = url.searchParams.get('schema') ?? DEFAULT_SCHEMA;
  if (!/^[a-z_][a-z0-9_]{0,62}$/.test(schema))
    throw invalid('its schema must be a plain name of small letters, digits and underscores');
  return {
    host,
    port,
    database,
    user,
    password: url.password === '' ? password : decoded(url.password),
    schema,
    tls: tlsOf(url.searchParams.get('sslmode'), host),
    place: `postgres://${user}@${host}:${port}/${database}${schema === DEFAULT_SCHEMA ? '' : `?schema=${schema}`}`,
  };
}

/** A server elsewhere must show who it is; one on this machine is reached without a network in between. */
function tlsOf(mode: string | null, host: string): PostgresAddress['tls'] {
  if (mode === null) return /^(localhost|127\.\d+\.\d+\.\d+|::1|\/.*)$/.test(host) ? 'off' : 'verify';
  const tls = TLS[mode];
  if (tls === undefined) throw invalid(`its sslmode must be one of ${Object.keys(TLS).join(', ')}`);
  return tls;
}

function decoded(text: string): string {
  try {
    return decodeURIComponent(text);
  } catch (error) {
    if (error instanceof URIError) throw invalid('it holds a % that begins no character');
    throw error;
  }
}

const invalid = (what: string): WaybillError =>
  new WaybillError('CONFIG_INVALID', `the address of the ledger is not usable: ${what}`, {
    hint: 'Write WAYBILL_LEDGER=postgres://USER:PASSWORD@HOST:PORT/DATABASE, or leave the password to PGPASSWORD.',
  });
