import { z } from 'zod';
import type { Connector, OpenContext } from '../connector.ts';
import { discoverStreams } from './discovery.ts';
import { discoverCatalog, type SingerSourceOptions, singerSource, type TapConnection } from './source.ts';
import { tapName } from './tap-process.ts';

const PATH = /^(?!(.*\.)?__proto__(\.|$))[^.\s]+(\.[^.\s]+)*$/;

const connection = z.strictObject({
  command: z
    .array(z.string().min(1))
    .min(1)
    .describe('The tap: its program and words of its own. It runs in the folder of the flow file.'),
  config: z
    .record(z.string(), z.json())
    .default({})
    .describe('The config of the tap, without what is secret in it; it is given to the tap as a file.'),
  secrets: z
    .record(
      z.string().regex(PATH, 'a place in the config is made of names between dots'),
      z.string().regex(/^(env|file):./, 'name where the secret is, `env:NAME` or `file:PATH`, not the secret'),
    )
    .default({})
    .describe(
      'What is secret in the config, by its place: `auth.token: env:TOKEN`. Filled in when the tap is started.',
    ),
  graceSeconds: z
    .int()
    .min(0)
    .max(3600)
    .default(10)
    .describe('How long the tap may take to end when it is told to; then it is killed, with all that it has started.'),
});

const sourceSettings = z
  .strictObject({
    stream: z
      .string()
      .min(1)
      .optional()
      .describe('The stream that is read. Records of others are passed over; without it the tap must give only one.'),
    catalog: z
      .string()
      .min(1)
      .optional()
      .describe(
        'The file of the catalog, or `discover`: then the tap is asked for it each time. `stream` is chosen in it.',
      ),
    replicationMethod: z
      .enum(['INCREMENTAL', 'FULL_TABLE', 'LOG_BASED'])
      .optional()
      .describe('Written into the catalog for the stream, where the tap leaves the choice.'),
    replicationKey: z
      .string()
      .min(1)
      .optional()
      .describe('Written into the catalog for the stream: the column that bookmarks are made of.'),
    catalogFlag: z
      .enum(['--catalog', '--properties'])
      .default('--catalog')
      .describe('How the tap is given its catalog; some older taps call it `--properties`.'),
    activateVersion: z
      .enum(['ignore', 'fail'])
      .default('ignore')
      .describe('What becomes of the message that all earlier versions of the records are void: a pull only adds.'),
    lineBytesMax: z
      .int()
      .min(1024)
      .default(16 * 1024 * 1024)
      .describe('A longer line ends the reading.'),
    silenceSeconds: z
      .int()
      .min(1)
      .optional()
      .describe('A tap that writes nothing for so long is ended; it may take its time when absent.'),
  })
  .refine(
    ({ catalog, stream, replicationMethod, replicationKey }) =>
      (replicationMethod === undefined && replicationKey === undefined) ||
      (catalog !== undefined && stream !== undefined),
    '`replicationMethod` and `replicationKey` are written into a catalog: give `catalog` and `stream` with them',
  );

type Connection = z.output<typeof connection>;
type SourceSettings = z.output<typeof sourceSettings>;

export const singer: Connector<Connection, SourceSettings, never> = {
  type: 'singer',
  summary: 'Taps of Singer: programs that write records and bookmarks to their output',
  connection,
  source: {
    settings: sourceSettings,
    open: (given, settings, context) => singerSource({ ...tapOf(given, context), ...optionsOf(settings) }),
    discover: async (given, context, signal) => {
      const tap = tapOf(given, context);
      return discoverStreams(await discoverCatalog(tap, signal), tapName(tap));
    },
  },
};

function tapOf({ command, config, secrets, graceSeconds }: Connection, context: OpenContext): TapConnection {
  return {
    ...{ command, config, secrets, folder: context.folder, ports: context.ports },
    graceMs: graceSeconds * 1000,
    secret: (reference) => context.secret(reference),
  };
}

function optionsOf(settings: SourceSettings): Omit<SingerSourceOptions, keyof TapConnection> {
  const { stream, catalog, replicationMethod: method, replicationKey: key, silenceSeconds } = settings;
  const { catalogFlag, activateVersion, lineBytesMax } = settings;
  return {
    ...(stream === undefined ? {} : { stream }),
    ...(catalog === undefined ? {} : { catalog: catalog === 'discover' ? catalog : { path: catalog } }),
    replication: { ...(method === undefined ? {} : { method }), ...(key === undefined ? {} : { key }) },
    ...{ catalogFlag, activateVersion, lineBytesMax },
    ...(silenceSeconds === undefined ? {} : { silenceMs: silenceSeconds * 1000 }),
  };
}
