/**
 * Who may import whom. Types count: a room that only knows the type of another knows the other. The first row whose
 * `files` fits a file is its row; a file that fits none is not tidy, so a new room has to say here what it needs.
 */
export interface Room {
  readonly name: string;
  readonly files: RegExp;
  /** Files of the project that it may import. Its own folder, too, unless `alone`. `$1` is what `files` caught. */
  readonly may: readonly string[];
  readonly alone?: boolean;
  /** Packages, by name. */
  readonly packages?: readonly string[];
  /** Modules of Node, without `node:`. `*` for any. */
  readonly node?: readonly string[];
  readonly why: string;
}

const MODEL = ['src/model/*'];
const FRONT = [
  'src/connectors/connector.ts',
  'src/strategies/strategy.ts',
  'src/ledger/ledger.ts',
  'src/ledger/staging.ts',
  'src/ledger/journal.ts',
];
const FORMATS = ['src/formats/*'];

/** Modules of Node that only compute: they touch no disk, no network, no clock. */
const COMPUTING = [
  'buffer',
  'crypto',
  'util',
  'stream',
  'stream/promises',
  'string_decoder',
  'events',
  'assert',
  'path',
  'url',
];

export const ROOMS: readonly Room[] = [
  {
    name: 'model',
    files: /^src\/model\//,
    may: [],
    why: 'the words of the product depend on nothing, so that everything may depend on them',
  },
  {
    name: 'formats',
    files: /^src\/formats\//,
    may: MODEL,
    // Numbers of JSON that no double holds; and the schema of a declared mapping, which is part of the flow file.
    packages: ['lossless-json', 'zod'],
    // What V8 optimizes of WebAssembly.
    node: [...COMPUTING, 'zlib', 'v8'],
    why: 'formats turn bytes into records and back, and know no place that bytes come from',
  },
  {
    name: 'objects',
    files: /^src\/objects\//,
    may: [...MODEL, ...FORMATS, 'src/connectors/connector.ts'],
    // The settings that are the same for both are zod schemas, as those of a connector are.
    packages: ['zod'],
    node: [...COMPUTING, 'zlib'],
    why: 'what folders and buckets have in common: things that lie under names, and how loads are shown by them',
  },
  {
    name: 'cursors',
    files: /^src\/cursors\//,
    may: [...MODEL, ...FORMATS, 'src/connectors/connector.ts'],
    packages: ['zod'],
    node: COMPUTING,
    why: 'what databases have in common that are read by a column that only grows; it knows none of them',
  },
  {
    name: 'servers',
    files: /^src\/servers\//,
    may: [...MODEL, 'src/connectors/connector.ts'],
    packages: ['zod', 'pg'],
    // The certificate of an authority is a file, and a driver a package that may be missing.
    node: [...COMPUTING, 'fs', 'module'],
    why: 'what is the same for all servers that have an address, a user and a password; it connects to none of them',
  },
  {
    name: 'front files',
    files:
      /^src\/(connectors\/connector|strategies\/strategy|ledger\/(ledger|staging|journal)|(dispatch|status)\/\3)\.ts$/,
    // A strategy is written against the abilities of sinks; staging and the journal speak of the ledger's rows.
    may: [...MODEL, 'src/connectors/connector.ts', 'src/ledger/ledger.ts'],
    alone: true,
    // A connector's settings are zod schemas: that is part of the contract, as a type only.
    packages: ['zod'],
    why: 'an interface that knows an implementation is no interface',
  },
  {
    name: 'list of connectors',
    files: /^src\/connectors\/all\.ts$/,
    may: ['src/connectors/connector.ts', 'src/connectors/*/config.ts', 'src/model/*'],
    alone: true,
    why: 'the list is the only file beside a connector that names it; a connector is one folder and one line here',
  },
  {
    name: 'connectors/X',
    files: /^src\/connectors\/([^/]+)\//,
    may: [...MODEL, ...FORMATS, 'src/connectors/connector.ts', 'src/objects/*', 'src/cursors/*', 'src/servers/*'],
    packages: ['zod'],
    node: ['*'],
    why: 'a connector knows its own system: never another connector, the ledger or the engine',
  },
  {
    name: 'ledger/books',
    files: /^src\/ledger\/books\//,
    may: [...MODEL, 'src/ledger/*.ts'],
    node: COMPUTING,
    why: 'the rules of the ledger are written once and know no database: what they need of one is the store',
  },
  {
    name: 'ledger/X',
    // The folder staging and the journal are one file each beside their interface; a database is a folder.
    files: /^src\/ledger\/(?:([^/]+)\/)?/,
    // Beside the interfaces stand what every database needs in the same way: digests of rows, the index of keys; and
    // the books, which are the rules of the ledger.
    may: [...MODEL, 'src/ledger/*.ts', 'src/ledger/books/*', 'src/servers/pg.ts'],
    node: ['*'],
    why: 'a ledger keeps books; it must not know who writes them',
  },
  {
    name: 'strategies',
    files: /^src\/strategies\//,
    may: [...MODEL, 'src/connectors/connector.ts'],
    why: 'a strategy is written against abilities and serves every sink that has them',
  },
  {
    name: 'engine',
    files: /^src\/engine\//,
    may: [...MODEL, ...FORMATS, ...FRONT],
    // SHA-256 of a batch. Everything else that differs between two executions comes through Ports.
    node: ['crypto'],
    why: 'the engine runs unchanged in the simulator, on any ledger, with any connector',
  },
  {
    name: 'status',
    files: /^src\/status\//,
    may: [...MODEL, 'src/ledger/ledger.ts', 'src/connectors/connector.ts'],
    // Messages as lines of a file, and as two tables: both are written without a processor in between.
    node: [...COMPUTING, 'fs', 'fs/promises'],
    why: 'status reads the ledger and hands messages to sinks; a queue is a sink',
  },
  {
    name: 'odf',
    files: /^src\/odf\//,
    may: MODEL,
    why: 'another house’s words for what the ledger knows; it reads slices, and nobody needs it to move a record',
  },
  {
    name: 'dispatch',
    files: /^src\/dispatch\//,
    may: [...MODEL, 'src/ledger/ledger.ts', 'src/engine/engine.ts', 'src/odf/blocks.ts'],
    why: 'dispatch says which shard is next; it never sees data',
  },
  {
    name: 'app',
    files: /^src\/app\//,
    may: [
      ...MODEL,
      ...FORMATS,
      ...FRONT,
      'src/connectors/all.ts',
      'src/strategies/*',
      'src/ledger/*',
      'src/engine/*',
      'src/status/*',
      'src/dispatch/*',
      'src/odf/*',
    ],
    packages: ['zod', 'yaml', 'jiti', 'croner'],
    node: ['*'],
    why: 'the only room that knows them all: it reads the flow file and wires the rest, connectors from the list',
  },
  {
    name: 'cli',
    files: /^src\/(cli|api)\//,
    may: [
      ...MODEL,
      'src/app/*',
      'src/status/status.ts',
      'src/ledger/ledger.ts',
      'src/engine/engine.ts',
      'src/odf/blocks.ts',
    ],
    packages: ['commander', 'picocolors', 'log-update', 'zod'],
    node: ['*'],
    why: 'a face asks the app and shows what it is told; of the ledger and the engine it knows the types of answers',
  },
  {
    name: 'testing',
    files: /^src\/testing\//,
    may: [
      ...MODEL,
      ...FORMATS,
      ...FRONT,
      'src/engine/*',
      'src/strategies/*',
      'src/ledger/*',
      'src/connectors/memory/*',
    ],
    // No test runner: whoever runs the suites has one of his own. The last one for SQLite on a disk that loses power.
    packages: ['fast-check', 'wa-sqlite'],
    node: ['*'],
    why: 'the suites that users run on their own connectors drive the real engine, never the app',
  },
  {
    name: 'index',
    files: /^src\/index\.ts$/,
    may: ['src/*'],
    why: 're-exports the public API',
  },
];

/**
 * Drivers and other packages that belong to one place. Whoever else wants one of them asks that place.
 * `lazy`: an optional peer, loaded by `import()` at the moment of use, so that who does not need it need not have it.
 */
export const DRIVERS: Readonly<Record<string, { readonly in: RegExp; readonly lazy?: true }>> = {
  // The doctor loads it to say what is wrong with it; the store of statuses is two tables of an SQLite file.
  'better-sqlite3': { in: /^src\/((ledger|connectors)\/sqlite\/|app\/doctor\.ts$|status\/emit-store\.ts$)/ },
  pg: { in: /^src\/(ledger|connectors)\/postgres\//, lazy: true },
  mysql2: { in: /^src\/connectors\/mysql\//, lazy: true },
  'wa-sqlite': { in: /^src\/testing\/disk\//, lazy: true },
  hyparquet: { in: /^src\/formats\/parquet\//, lazy: true },
  'hyparquet-compressors': { in: /^src\/formats\/parquet\//, lazy: true },
  'hyparquet-writer': { in: /^src\/formats\/parquet\//, lazy: true },
  '@aws-sdk/client-s3': { in: /^src\/connectors\/s3\//, lazy: true },
  '@lancedb/lancedb': { in: /^src\/connectors\/lancedb\//, lazy: true },
  'apache-arrow': { in: /^src\/connectors\/lancedb\//, lazy: true },
  '@nats-io/transport-node': { in: /^src\/connectors\/nats\//, lazy: true },
  '@nats-io/jetstream': { in: /^src\/connectors\/nats\//, lazy: true },
  '@nats-io/kv': { in: /^src\/connectors\/nats\//, lazy: true },
  redis: { in: /^src\/connectors\/redis\//, lazy: true },
  undici: { in: /^src\/connectors\/http\// },
};

/**
 * A test stands in a room but may see more: the rooms that are shipped for testing, an implementation to test
 * against instead of a mock, and every package. What crosses more rooms than that belongs in `test/`.
 */
export const TEST_MAY = [
  'src/testing/*',
  'src/ledger/*',
  'src/connectors/memory/*',
  'src/app/ports.ts',
  ...MODEL,
  ...FRONT,
];

/** Does a path fit a pattern? `*` at the end stands for anything, in the middle for one name. */
export function fits(path: string, pattern: string): boolean {
  if (pattern.endsWith('/*')) return path.startsWith(pattern.slice(0, -1));
  const [before, after] = pattern.split('*');
  if (after === undefined) return path === pattern;
  return path.startsWith(before!) && path.endsWith(after) && !path.slice(before!.length, -after.length).includes('/');
}
