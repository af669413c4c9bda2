import { readFileSync } from 'node:fs';
import { resolve } from 'node:path';
import { z } from 'zod';
import { WaybillError } from '../../model/errors.ts';
import type { Connector, OpenContext } from '../connector.ts';
import type { RedisConnection } from './connection.ts';
import { type RedisSinkOptions, redisSink } from './sink.ts';

const connection = z
  .strictObject({
    url: z
      .string()
      .min(1)
      .meta({ secret: true })
      .optional()
      .describe('The whole address, `redis://user:password@host:port/0`, `rediss://` with TLS; by reference.'),
    host: z.string().min(1).optional().describe('Name or address of the server, or the path of its socket.'),
    port: z.int().min(1).max(65535).optional(),
    database: z.int().min(0).optional().describe('The number of the database.'),
    user: z.string().min(1).optional(),
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
  })
  .refine(
    (given) => (given.url === undefined) === inParts(given),
    'give either `url`, or `host` (and `port`, `database`, `user`, `password`)',
  );

const inParts = (given: Readonly<Record<string, unknown>>): boolean =>
  ['host', 'port', 'database', 'user', 'password'].some((part) => given[part] !== undefined);

const sinkSettings = z
  .strictObject({
    key: z
      .array(z.string().min(1))
      .min(1)
      .optional()
      .describe('Columns whose values make up the key that a record is written under. Either this or `stream`.'),
    prefix: z.string().default('').describe('Stands before the values of `key`: `member:` makes keys like member:42.'),
    stream: z.string().min(1).optional().describe('The stream that records are appended to, instead of keys.'),
    value: z
      .enum(['json', 'fields'])
      .default('json')
      .describe(
        '`json`: the record as it is, in a string, or in the field `data` of an entry. `fields`: a hash, or an ' +
          'entry, with a field for each field of the record that is not null.',
      ),
    expireSeconds: z.int().min(1).optional().describe('Keys expire so long after they were last written.'),
    markerDays: z
      .int()
      .min(1)
      .max(3650)
      .optional()
      .describe('Markers of batches in a stream expire after so many days; they are kept for good when absent.'),
    durability: z
      .enum(['server', 'fsync'])
      .default('server')
      .describe('`fsync` sends nothing to a server that answers before what it was sent is on its disk.'),
    recordsPerBatch: z.int().min(1).max(50_000).default(1000),
    bytesPerBatch: z.int().min(1).default(4_000_000).describe('Bytes of the encoded records of one batch.'),
    connections: z
      .int()
      .min(1)
      .max(32)
      .default(2)
      .describe('Batches on their way at once, each in a connection of its own.'),
    requestTimeoutSeconds: z
      .int()
      .min(1)
      .max(3600)
      .default(30)
      .describe('A batch that is not answered in this time is given up; what was not answered is in doubt.'),
  })
  .refine(({ key, stream }) => (key === undefined) !== (stream === undefined), 'give either `key` or `stream`')
  .refine(
    ({ stream, prefix, expireSeconds }) => stream === undefined || (prefix === '' && expireSeconds === undefined),
    '`prefix` and `expireSeconds` belong to `key`, not to `stream`',
  )
  .refine(({ key, markerDays }) => key === undefined || markerDays === undefined, '`markerDays` belongs to `stream`');

type Connection = z.output<typeof connection>;
type SinkSettings = z.output<typeof sinkSettings>;

export const redis: Connector<Connection, unknown, SinkSettings> = {
  type: 'redis',
  summary: 'Keys and streams of Redis',
  connection,
  sink: {
    settings: sinkSettings,
    open: (given, settings, context) => {
      const { recordsPerBatch, bytesPerBatch, connections, durability, requestTimeoutSeconds } = settings;
      return redisSink({
        connection: connectionOf(given, context),
        ports: context.ports,
        into: targetOf(settings),
        recordsPerBatch,
        bytesPerBatch,
        connections,
        durability,
        requestTimeoutMs: requestTimeoutSeconds * 1000,
      });
    },
    samples: [
      { name: 'keys', connection: { host: 'localhost' }, settings: { key: ['id'] } },
      { name: 'a stream', connection: { host: 'localhost' }, settings: { stream: 'items' } },
    ],
  },
};

function targetOf({ key, stream, prefix, value, expireSeconds, markerDays }: SinkSettings): RedisSinkOptions['into'] {
  if (stream !== undefined) return { stream, value, ...(markerDays === undefined ? {} : { markerDays }) };
  return { key: key ?? [], prefix, value, ...(expireSeconds === undefined ? {} : { expireSeconds }) };
}

/** Where to connect to, worked out when it is needed: the address may be a secret, and secrets may change. */
function connectionOf(given: Connection, context: OpenContext): () => RedisConnection {
  const { tls, caFile, password } = given;
  const ca = caFile === undefined ? {} : { ca: () => readFileSync(resolve(context.folder, caFile), 'utf8') };
  return () => {
    const { secured, ...parts } = given.url === undefined ? plainParts(given) : partsOfUrl(given.url, context);
    return {
      ...(password === undefined ? {} : { password: () => context.secret(password) }),
      ...parts,
      tls: tls ?? (isLocal(parts.host) && !secured ? 'off' : 'verify'),
      ...ca,
    };
  };
}

interface Parts extends Pick<RedisConnection, 'host' | 'port' | 'database' | 'user' | 'password'> {
  /** The address itself asks for TLS. */
  readonly secured: boolean;
}

const LOCALHOST = '127.0.0.1';
const USUAL_PORT = 6379;

const plainParts = ({ host, port, database, user }: Connection): Parts => ({
  host: host ?? LOCALHOST,
  port: port ?? USUAL_PORT,
  database: database ?? 0,
  ...(user === undefined ? {} : { user }),
  secured: false,
});

function partsOfUrl(url: string, context: OpenContext): Parts {
  const text = /^(env|file):/.test(url) ? context.secret(url) : url;
  let parsed: URL;
  try {
    parsed = new URL(text.trim());
  } catch {
    // The text is not quoted: it may hold a password.
    throw badAddress('it is no address');
  }
  if (!/^rediss?:$/.test(parsed.protocol)) throw badAddress('it begins neither with redis:// nor with rediss://');
  const [user, password] = [decodeURIComponent(parsed.username), decodeURIComponent(parsed.password)];
  const database = /^\/?(\d*)$/.exec(parsed.pathname)?.[1];
  if (database === undefined) throw badAddress('behind the host stands something that is no number of a database');
  return {
    host: parsed.hostname.replace(/^\[|\]$/g, '') || LOCALHOST,
    port: Number(parsed.port || USUAL_PORT),
    database: Number(database),
    ...(user === '' ? {} : { user }),
    ...(password === '' ? {} : { password: () => password }),
    secured: parsed.protocol === 'rediss:',
  };
}

const badAddress = (why: string): WaybillError =>
  new WaybillError('CONFIG_INVALID', `the url of a redis connection cannot be used: ${why}`, {
    hint: 'Write it as redis://user:password@host:port/0, in the variable or file that the flow file names.',
  });

const isLocal = (host: string): boolean => host === 'localhost' || host === '::1' || /^(127\.[0-9.]+|\/.*)$/.test(host);
