import { rmSync } from 'node:fs';
import { join } from 'node:path';
import Database from 'better-sqlite3';
import { sqliteSink } from '../../src/connectors/sqlite/sink.ts';
import { sqliteSource } from '../../src/connectors/sqlite/source.ts';
import { ALL } from '../../src/model/window.ts';
import type { LoadAbility } from '../../src/testing/suites/load-subject.ts';
import type { Ability, SchemaFixture, SinkFixture, SinkSubject } from '../../src/testing/suites/sink-subject.ts';
import type { SourceSubject } from '../../src/testing/suites/source-subject.ts';
import { newFolder } from './place.ts';

const FILE = 'db.sqlite';
const clock = { wallMs: () => 5, monotonicMs: () => 5 };

type Row = Readonly<Record<string, unknown>>;

/** A new folder with one database in it. */
export function database(sql: string): {
  readonly folder: string;
  read(sql: string): unknown[];
  remove(): void;
  grow(): Row[];
} {
  const folder = newFolder('sqlite');
  const db = new Database(join(folder, FILE));
  db.exec(sql);
  db.close();
  return {
    folder,
    read(query) {
      const opened = new Database(join(folder, FILE), { readonly: true });
      try {
        return opened.prepare(query).raw(true).all();
      } finally {
        opened.close();
      }
    },
    remove: () => rmSync(folder, { recursive: true, force: true }),
    grow() {
      const opened = new Database(join(folder, FILE));
      opened.exec("insert into items values (2501, 'new', 625.25), (2502, 'newer', 625.5)");
      opened.close();
      return [
        { id: 2501, name: 'new', price: 625.25 },
        { id: 2502, name: 'newer', price: 625.5 },
      ];
    },
  };
}

const MANY = `create table items (id integer primary key, name text, price real);
  with recursive n(i) as (select 1 union all select i + 1 from n where i < 2500)
  insert into items select i, 'item "' || i || '"' || char(10) || 'ü', i / 4.0 from n`;
const expected = Array.from({ length: 2500 }, (_, at) => ({
  id: at + 1,
  name: `item "${at + 1}"\nü`,
  price: (at + 1) / 4,
}));

/** Positions of a cursor that nobody has given. */
const UNREADABLE = ['', '7', '{}', '{"columns":["id"],"values":[1.5]}'].map((value) => {
  return { sourceName: 'items', kind: 'waybill/cursor', value };
});

/** The whole of it as a pull without a position brings it. */
const PULL = { window: ALL, parameters: {}, pull: { taken: async () => new Set<string>(), downloads: '/nowhere' } };

export const sqliteSources: readonly SourceSubject[] = [
  ...[['id'], ['price', 'id']].map((cursor): SourceSubject => {
    const name = `an SQLite table by its cursor ${cursor.join(', ')}`;
    const open = () => {
      const made = database(MANY);
      const options = { folder: made.folder, file: FILE, table: 'items', cursor, count: true };
      const another = () => sqliteSource(options);
      const pull = { unreadable: UNREADABLE, grow: async () => made.grow() };
      return { source: another(), another, range: PULL, expected, pull, close: made.remove };
    };
    return { name, abilities: ['resume', 'remaining', 'pull'], open };
  }),
  {
    name: 'an SQLite query',
    abilities: ['remaining'],
    open: () => {
      const made = database(MANY);
      const options = { folder: made.folder, file: FILE, query: 'select * from items order by id', count: true };
      return {
        source: sqliteSource(options),
        another: () => sqliteSource(options),
        range: { window: ALL, parameters: {} },
        expected,
        close: made.remove,
      };
    },
  },
];

export function sqliteFixture(columns: string, key?: readonly string[]): SinkFixture {
  const made = database(`create table t (${columns})`);
  const { folder } = made;
  const open = () =>
    sqliteSink({
      folder,
      file: FILE,
      table: 't',
      base64: [],
      recordsPerBatch: 100,
      clock,
      ...(key === undefined ? {} : { key }),
    });
  return {
    sink: open(),
    another: open,
    record: (n, version = 0) => ({ n, version }),
    refused: { record: { n: 99, version: 0, unheard: 1 } },
    held: async () =>
      (made.read('select n, version from t') as [number, number][]).map(([n, version]) =>
        version === 0 ? `${n}` : `${n}v${version}`,
      ),
    lose: { 'half-applied': { never: 'a batch is one transaction of the database' } },
    close: made.remove,
  };
}

/** A table that is not there yet. */
function withoutTable(key?: readonly string[]): SchemaFixture {
  const made = database('create table other (n integer)');
  const options = { folder: made.folder, file: FILE, table: 't', base64: [], recordsPerBatch: 100, clock };
  const open = () => sqliteSink({ ...options, ...(key === undefined ? {} : { key }) });
  return { sink: open(), another: open, close: made.remove };
}

/** The unique index that `put` needs would refuse the second append of a record: two places, two sinks. */
function only(fixture: SinkFixture, ability: Ability): SinkFixture {
  const narrow = (sink: SinkFixture['sink']) => ({ ...sink, can: { [ability]: sink.can[ability]! } });
  return { ...fixture, sink: narrow(fixture.sink), another: () => narrow(fixture.another!()) };
}

export const SQLITE_LOADS: readonly LoadAbility[] = [
  'load',
  'appendLoad',
  'replace',
  'merge',
  'mergeAt',
  'addToPeriod',
  'publish',
];

export const sqliteSinks: readonly SinkSubject[] = [
  {
    name: 'an SQLite table',
    abilities: ['commitOnce', 'append'],
    loads: SQLITE_LOADS,
    schema: { open: () => withoutTable() },
    open: () => sqliteFixture('n integer, version integer'),
  },
  {
    name: 'an SQLite table with a key',
    abilities: ['put'],
    schema: { open: () => withoutTable(['id']) },
    open: () => only(sqliteFixture('n integer unique, version integer', ['n']), 'put'),
  },
];
