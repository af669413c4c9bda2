import { z } from 'zod';
import { badAddress, type ServerKind, serverOf } from '../../servers/address.ts';
import { hostSettings, inParts, tlsSettings, urlSetting, userSettings } from '../../servers/settings.ts';
import type { Connector, OpenContext } from '../connector.ts';
import type { RedisConnection } from './connection.ts';
import type { Lasting } from './eviction.ts';
import { type RedisSinkOptions, redisSink } from './sink.ts';
import { redisSource } from './source.ts';

const connection = z
  .strictObject({
    url: urlSetting('`redis://user:password@host:port/0`, `rediss://` with TLS'),
    ...hostSettings('Name or address of the server, or the path of its socket.'),
    database: z.int().min(0).optional().describe('The number of the database.'),
    ...userSettings,
    ...tlsSettings(),
  })
  .refine(
    (given) => (given.url === undefined) === inParts(given),
    'give either `url`, or `host` (and `port`, `database`, `user`, `password`)',
  );

const sourceSettings = z.strictObject({
  stream: z.string().min(1).describe('The stream that entries are read from, in the order of their ids.'),
  value: z
    .enum(['fields', 'base64', 'json'])
    .default('fields')
    .describe(
      '`fields`: a field of text for each field of the entry; `base64`: the same with their bytes in base64. ' +
        '`json`: one field of the entry holds an object, and that is the record.',
    ),
  field: z.string().min(1).default('data').describe('The field of the entry that holds the object.'),
  columns: z
    .record(z.string().min(1), z.enum(['id', 'time']))
    .default({})
    .describe('More columns, by name: the `id` of the entry, or the `time` that the server has made it from.'),
  whenNone: z
    .enum(['fail', 'empty'])
    .default('fail')
    .describe('No such stream: an error, or nothing to read. One that was read before and is gone is an error.'),
  requestTimeoutSeconds: z
    .int()
    .min(1)
    .max(3600)
    .default(30)
    .describe('The reading has failed when an answer takes so long.'),
});

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
    eviction: z
      .enum(['refuse', 'accept'])
      .default('refuse')
      .describe('`refuse` sends nothing to a server that removes keys of its own accord when its memory is full.'),
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
type SourceSettings = z.output<typeof sourceSettings>;
type SinkSettings = z.output<typeof sinkSettings>;

export const redis: Connector<Connection, SourceSettings, SinkSettings> = {
  type: 'redis',
  summary: 'Keys and streams of Redis',
  connection,
  source: {
    settings: sourceSettings,
    open: (given, { stream, value, field, columns, whenNone, requestTimeoutSeconds }, context) =>
      redisSource({
        connection: connectionOf(given, context),
        ports: context.ports,
        stream,
        records: { value, field, columns },
        whenNone,
        requestTimeoutMs: requestTimeoutSeconds * 1000,
      }),
  },
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
        lasting: settings.eviction === 'accept' ? undefined : lastingOf(settings),
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

/** Keys that expire are those that a server with a `volatile` policy removes before their time. */
const lastingOf = ({ expireSeconds, markerDays }: SinkSettings): Lasting =>
  expireSeconds === undefined && markerDays === undefined ? 'for-good' : 'until-expired';

const SERVER: ServerKind = {
  type: 'redis',
  protocols: ['redis', 'rediss'],
  secured: ['rediss'],
  usualPort: 6379,
  example: 'redis://user:password@host:port/0',
};

const connectionOf = (given: Connection, context: OpenContext) => (): RedisConnection => {
  const { database, user, ...server } = serverOf(given, context, SERVER);
  if (!/^\d*$/.test(database)) {
    throw badAddress(SERVER, 'behind the host stands something that is no number of a database');
  }
  return { ...server, database: Number(database), ...(user === '' ? {} : { user }) };
};
