import { z } from 'zod';
import { certificateIn, isLocal } from '../../servers/address.ts';
import { reference, tlsSettings, userSettings } from '../../servers/settings.ts';
import type { Connector, OpenContext } from '../connector.ts';
import type { NatsConnectionOptions } from './connection.ts';
import type { MessagePart } from './records.ts';
import { type NatsSinkOptions, natsSink } from './sink.ts';
import { natsSource } from './source.ts';

const connection = z
  .strictObject({
    servers: z
      .array(z.string().regex(/^[^/@\s]+$/, 'a server is written host:port, without a user and a password'))
      .min(1)
      .describe('`host:port` of servers of one cluster; one that answers is taken.'),
    ...userSettings,
    token: reference('token').describe('Where a token is, instead of a user and a password.'),
    credentials: reference('text of the credentials').describe(
      'Where the text of a credentials file (`.creds`) is, instead: `file:PATH` or `env:NAME`.',
    ),
    ...tlsSettings('all are local'),
  })
  .refine(
    ({ user, token, credentials }) => [user, token, credentials].filter((one) => one !== undefined).length <= 1,
    'give one of `user`, `token` and `credentials`',
  )
  .refine(({ user, password }) => (user === undefined) === (password === undefined), 'give `user` with `password`');

const SUBJECT_FILTER = /^([^\s.*>]+|\*)(\.([^\s.*>]+|\*))*(\.>)?$|^>$/;

const streamName = z.string().regex(/^[^\s.*>/\\]+$/, 'a stream is named without spaces, dots, `*`, `>` and slashes');

const sourceSettings = z
  .strictObject({
    stream: streamName.describe('The stream that messages are read from, in the order of their sequences.'),
    subjects: z
      .array(
        z.string().regex(SUBJECT_FILTER, 'a subject is made of tokens between single dots; `*`, and `>` at the end'),
      )
      .min(1)
      .optional()
      .describe(
        'Only messages with these subjects. The server looks for one; where there are several, all are fetched.',
      ),
    data: z
      .enum(['json', 'text', 'base64'])
      .default('json')
      .describe('`json`: the data is an object, and that is the record. `text`, `base64`: it becomes one field.'),
    field: z.string().min(1).default('data').describe('The name of that one field.'),
    columns: z
      .record(
        z.string().min(1),
        z
          .string()
          .regex(
            /^(subject|sequence|time|header:[!-9;-~]+)$/,
            'a column is `subject`, `sequence`, `time` or `header:NAME`',
          ),
      )
      .default({})
      .describe('More columns, by name: `subject`, `sequence`, `time` (when it was stored) or `header:NAME`.'),
    requestTimeoutSeconds: z
      .int()
      .min(1)
      .max(3600)
      .default(30)
      .describe('The reading has failed when the server says nothing for so long.'),
  })
  .refine(({ data, field, columns }) => data === 'json' || !Object.hasOwn(columns, field), {
    message: 'a column has the name of the field that holds the data: give `field` another one',
  });

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
    stream: streamName
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
type SourceSettings = z.output<typeof sourceSettings>;
type SinkSettings = z.output<typeof sinkSettings>;

const LOCAL = { servers: ['localhost:4222'] };

export const nats: Connector<Connection, SourceSettings, SinkSettings> = {
  type: 'nats',
  summary: 'Key-value buckets and streams of NATS JetStream',
  connection,
  source: {
    settings: sourceSettings,
    open: (given, { stream, subjects = [], data, field, columns, requestTimeoutSeconds }, context) =>
      natsSource({
        connection: () => connectionOf(given, context),
        ports: context.ports,
        stream,
        subjects,
        records: { data, field, columns: columns as Readonly<Record<string, MessagePart>> },
        requestTimeoutMs: requestTimeoutSeconds * 1000,
      }),
  },
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
    tls: tls ?? (servers.every(isOnThisMachine) ? 'off' : 'verify'),
    ...(caFile === undefined ? {} : { ca: certificateIn(caFile, context) }),
  };
}

const isOnThisMachine = (server: string): boolean => isLocal(server.replace(/:\d+$/, '').replace(/^\[|\]$/g, ''));
