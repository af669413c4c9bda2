import { readFileSync } from 'node:fs';
import { resolve } from 'node:path';
import { z } from 'zod';
import type { Connector, OpenContext } from '../connector.ts';
import type { NatsConnectionOptions } from './connection.ts';
import { type NatsSinkOptions, natsSink } from './sink.ts';

const reference = (what: string) =>
  z
    .string()
    .regex(/^(env|file):./, `name where the ${what} is, \`env:NAME\` or \`file:PATH\`, not the ${what}`)
    .optional();

const connection = z
  .strictObject({
    servers: z
      .array(z.string().regex(/^[^/@\s]+$/, 'a server is written host:port, without a user and a password'))
      .min(1)
      .describe('`host:port` of servers of one cluster; one that answers is taken.'),
    user: z.string().min(1).optional(),
    password: reference('password').describe('Where the password is: `env:NAME` or `file:PATH`.'),
    token: reference('token').describe('Where a token is, instead of a user and a password.'),
    credentials: reference('text of the credentials').describe(
      'Where the text of a credentials file (`.creds`) is, instead: `file:PATH` or `env:NAME`.',
    ),
    tls: z
      .enum(['verify', 'off'])
      .optional()
      .describe('`verify` checks the certificate and the name of the server. Off when absent and all are local.'),
    caFile: z
      .string()
      .min(1)
      .optional()
      .describe('Certificate of the authority that signed the certificates of the servers.'),
  })
  .refine(
    ({ user, token, credentials }) => [user, token, credentials].filter((one) => one !== undefined).length <= 1,
    'give one of `user`, `token` and `credentials`',
  )
  .refine(({ user, password }) => (user === undefined) === (password === undefined), 'give `user` with `password`');

const sinkSettings = z
  .strictObject({
    bucket: z
      .string()
      .regex(/^[A-Za-z0-9_-]+$/, 'a bucket is named in letters, digits, `_` and `-`')
      .optional()
      .describe('The key-value bucket that records are put into. Either this or `stream`.'),
    key: z
      .array(z.string().min(1))
      .min(1)
      .optional()
      .describe('Columns whose values make up the key in the bucket, joined by dots.'),
    prefix: z
      .string()
      .regex(
        /^([A-Za-z0-9_=-]+\.)*[A-Za-z0-9_=-]*$/,
        'a prefix is made of letters, digits, `_`, `-`, `=` and single dots',
      )
      .default('')
      .describe('Stands before the values of `key`: `members.` makes keys like members.42.'),
    create: z
      .strictObject({
        history: z.int().min(1).max(64).default(1).describe('How many revisions of a key are kept.'),
        replicas: z.int().min(1).max(5).default(1),
        ttlSeconds: z.int().min(1).optional().describe('Revisions are removed after so long.'),
      })
      .optional()
      .describe('Makes the bucket where there is none.'),
    stream: z
      .string()
      .regex(/^[^\s.*>/\\]+$/, 'a stream is named without spaces, dots, `*`, `>` and slashes')
      .optional()
      .describe('The stream that records are published to, instead of a bucket. It has to be there.'),
    subject: z
      .string()
      .regex(/^[^\s.*>]+(\.[^\s.*>]+)*$/, 'a subject is made of tokens between single dots, without wildcards')
      .optional()
      .describe('The subject of the messages in the stream.'),
    duplicateWindowSeconds: z
      .int()
      .min(1)
      .default(120)
      .describe('How long the stream recognises a message that comes again; nothing is sent when it is set to less.'),
    recordsPerBatch: z.int().min(1).max(10_000).default(500),
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
      .describe('A batch that is not acknowledged in this time is given up; what was not is in doubt.'),
  })
  .refine(({ bucket, stream }) => (bucket === undefined) !== (stream === undefined), 'give either `bucket` or `stream`')
  .refine(
    ({ bucket, key, prefix, create }) =>
      bucket === undefined ? key === undefined && prefix === '' && create === undefined : key !== undefined,
    '`key` belongs to `bucket` and has to be given with it; `prefix` and `create` belong there too',
  )
  .refine(
    ({ stream, subject }) => (stream === undefined) === (subject === undefined),
    '`subject` belongs to `stream` and has to be given with it',
  );

type Connection = z.output<typeof connection>;
type SinkSettings = z.output<typeof sinkSettings>;

const LOCAL = { servers: ['localhost:4222'] };

export const nats: Connector<Connection, unknown, SinkSettings> = {
  type: 'nats',
  summary: 'Key-value buckets and streams of NATS JetStream',
  connection,
  sink: {
    settings: sinkSettings,
    open: (given, settings, context) => {
      const { recordsPerBatch, bytesPerBatch, connections, requestTimeoutSeconds } = settings;
      return natsSink({
        connection: () => connectionOf(given, context),
        ports: context.ports,
        into: targetOf(settings),
        recordsPerBatch,
        bytesPerBatch,
        connections,
        requestTimeoutMs: requestTimeoutSeconds * 1000,
      });
    },
    samples: [
      { name: 'a key-value bucket', connection: LOCAL, settings: { bucket: 'items', key: ['id'] } },
      { name: 'a stream', connection: LOCAL, settings: { stream: 'items', subject: 'items.new' } },
    ],
  },
};

/** The schema has made sure of what belongs together. */
function targetOf(settings: SinkSettings): NatsSinkOptions['into'] {
  const { bucket, key = [], prefix, create, stream = '', subject = '', duplicateWindowSeconds } = settings;
  if (bucket === undefined) return { stream, subject, duplicateWindowMs: duplicateWindowSeconds * 1000 };
  return { bucket, key, prefix, ...(create === undefined ? {} : { create }) };
}

function connectionOf(given: Connection, context: OpenContext): NatsConnectionOptions {
  const { servers, user, password, token, credentials, tls, caFile } = given;
  const secret =
    (at: string): (() => string) =>
    () =>
      context.secret(at);
  return {
    servers,
    ...(user === undefined ? {} : { user }),
    ...(password === undefined ? {} : { password: secret(password) }),
    ...(token === undefined ? {} : { token: secret(token) }),
    ...(credentials === undefined ? {} : { credentials: secret(credentials) }),
    tls: tls ?? (servers.every(isLocal) ? 'off' : 'verify'),
    ...(caFile === undefined ? {} : { ca: () => readFileSync(resolve(context.folder, caFile), 'utf8') }),
  };
}

const isLocal = (server: string): boolean => /^(localhost|127\.[0-9.]+|\[::1\])(:\d+)?$/.test(server);
