import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import Database from 'better-sqlite3';
import type { Client } from 'pg';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { run } from '../src/cli/cli.ts';
import { OUTPUTS, type OutputOf } from '../src/cli/output-schemas.ts';
import { RecordedProcess } from '../src/cli/recorded-process.ts';
import { noMysql, TestMysql } from './mysql.ts';
import { startPostgres, type TestPostgres } from './postgres.ts';
import { missingProgram } from './server.ts';
import { TAP } from './singer/tap.ts';

const missing = { mysql: noMysql(), python: missingProgram('python3') };
for (const why of Object.values(missing)) {
  if (why !== undefined) console.log(`SKIPPED: what a place holds: ${why}`);
}

const SECRET = 'test-password';
let folder: string;
let postgres: TestPostgres;
let client: Client;
let mysql: TestMysql | undefined;
beforeAll(async () => {
  postgres = await startPostgres();
  client = await postgres.client();
  if (missing.mysql === undefined) mysql = await TestMysql.start();
});
afterAll(async () => {
  await client?.end();
  await postgres?.stop();
  await mysql?.stop();
});
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'waybill-discover-'));
});
afterEach(() => rmSync(folder, { recursive: true, force: true }));

/** The command, with a flow file of this connection and of flows that may be faulty. */
async function discover(connection: object, name = 'place', flows: object = {}, more: readonly string[] = []) {
  const file = { version: 1, connections: { place: connection, out: { type: 'memory' } }, flows };
  writeFileSync(join(folder, 'waybill.yaml'), JSON.stringify(file));
  const io = new RecordedProcess({ cwd: folder, env: { PASSWORD: SECRET } });
  const code = await run(['discover', name, ...more], io);
  return { code, out: io.stdout.text, err: io.stderr.text };
}

async function streamsOf(connection: object): Promise<OutputOf<'discover'>['streams']> {
  const { code, out, err } = await discover(connection, 'place', {}, ['--output', 'json']);
  expect(code, err).toBe(0);
  return OUTPUTS.discover.parse(JSON.parse(out)).streams;
}

const column = (name: string, type: string, nullable = true) => ({ name, type, nullable });

describe('waybill discover', () => {
  it('lists the tables and views of an SQLite file', async () => {
    const db = new Database(join(folder, 'items.db'));
    db.exec(`create table items (id integer primary key, "a ""name" text not null, at datetime, raw blob, anything);
      create table parts (b int not null, a text not null, n decimal(9, 2), primary key (a, b)) without rowid;
      create view both as select id, n from items join parts on a = "a ""name"; create index later on items (at)`);
    db.close();
    expect(await streamsOf({ type: 'sqlite', file: 'items.db' })).toEqual([
      {
        name: 'both',
        columns: [column('id', 'INTEGER'), column('n', 'decimal(9, 2)')],
        key: [],
        cursors: ['id', 'n'],
      },
      {
        name: 'items',
        columns: [
          column('id', 'INTEGER', false),
          column('a "name', 'TEXT', false),
          column('at', 'datetime'),
          column('raw', 'BLOB'),
          column('anything', 'any'),
        ],
        key: ['id'],
        cursors: ['id', 'at'],
      },
      {
        name: 'parts',
        columns: [column('b', 'INT', false), column('a', 'TEXT', false), column('n', 'decimal(9, 2)')],
        key: ['a', 'b'],
        cursors: ['b', 'n'],
      },
    ]);
  });

  it('lists what a user of PostgreSQL may read, as a flow would name it', async () => {
    await client.query(`create schema sales; create role reader login password '${SECRET}';
      create table items (name text, id int8 not null, at timestamptz not null, primary key (id, name));
      create table sales.parts (n numeric(12,2), tags text[], at date) partition by range (at);
      create table sales.parts_1 partition of sales.parts for values from ('2026-01-01') to ('2027-01-01');
      create table hidden (id int); create view seen as select id, name from items;
      grant usage on schema sales to reader; grant select on items, seen, sales.parts to reader`);
    const { host, port, database } = postgres;
    const connection = { type: 'postgres', host, port, database, user: 'reader', password: 'env:PASSWORD' };
    expect(await streamsOf(connection)).toEqual([
      {
        name: 'items',
        columns: [
          column('name', 'text', false),
          column('id', 'bigint', false),
          column('at', 'timestamp with time zone', false),
        ],
        key: ['id', 'name'],
        cursors: ['id', 'at'],
      },
      { name: 'seen', columns: [column('id', 'bigint'), column('name', 'text')], key: [], cursors: ['id'] },
      {
        name: 'sales.parts',
        columns: [column('n', 'numeric(12,2)'), column('tags', 'text[]'), column('at', 'date')],
        key: [],
        cursors: ['n', 'at'],
      },
    ]);
    const refused = await discover({ ...connection, password: 'env:OTHER' });
    expect(refused.code).not.toBe(0);
    expect(refused.err).toContain('SECRET_MISSING');
  });

  it('lists the tables of a MySQL server', async ({ skip }) => {
    skip(missing.mysql !== undefined, missing.mysql);
    await mysql!.run(`create table parts (b int unsigned not null, a varchar(9), n decimal(9,2), primary key (a, b));
      create view items.seen as select b from parts; create database other; create table other.t (at timestamp null)`);
    const place = { port: mysql!.server.port, database: 'items', user: 'waybill', password: 'env:PASSWORD' };
    expect(await streamsOf({ type: 'mysql', ...place })).toEqual([
      {
        name: 'parts',
        columns: [
          column('b', 'int(10) unsigned', false),
          column('a', 'varchar(9)', false),
          column('n', 'decimal(9,2)'),
        ],
        key: ['a', 'b'],
        cursors: ['b', 'n'],
      },
      { name: 'seen', columns: [column('b', 'int(10) unsigned', false)], key: [], cursors: ['b'] },
      { name: 'other.t', columns: [column('at', 'timestamp')], key: [], cursors: ['at'] },
    ]);
  });

  it('lists the streams of a tap', async ({ skip }) => {
    skip(missing.python !== undefined, missing.python);
    writeFileSync(join(folder, 'rows.ndjson'), '');
    const catalog = {
      streams: [
        {
          tap_stream_id: 'orders-1',
          stream: 'orders',
          schema: {
            properties: {
              id: { type: 'integer' },
              at: { type: ['null', 'string'], format: 'date-time' },
              any: {},
              either: { anyOf: [{ type: 'integer' }, { type: ['null', 'string'] }] },
            },
          },
          metadata: [
            { breadcrumb: ['properties', 'id'], metadata: { inclusion: 'automatic' } },
            { breadcrumb: [], metadata: { 'table-key-properties': ['id'], 'valid-replication-keys': ['at', 'id'] } },
          ],
        },
        { stream: 'old', schema: { properties: {} }, key_properties: ['k'], replication_key: 'r' },
      ],
    };
    const text = JSON.stringify(JSON.stringify(catalog));
    const script = `import sys\nassert '--discover' in sys.argv\nprint(${text})`;
    expect(await streamsOf({ type: 'singer', command: ['python3', '-c', script], config: {} })).toEqual([
      {
        name: 'orders',
        columns: [
          column('id', 'integer', false),
          column('at', 'string (date-time)'),
          column('any', 'any'),
          column('either', 'integer | string'),
        ],
        key: ['id'],
        cursors: ['at', 'id'],
      },
      { name: 'old', columns: [], key: ['k'], cursors: ['r'] },
    ]);
    const dies = await discover({ type: 'singer', command: ['python3', '-c', 'raise SystemExit(3)'], config: {} });
    expect([dies.code, dies.err]).toEqual([5, expect.stringContaining('SOURCE_FAILED')]);
    expect(
      (await streamsOf({ type: 'singer', command: ['python3', TAP], config: { rows: 'rows.ndjson' } })).length,
    ).toBe(1);
  });

  it('shows a table for people, of a flow as of its connection, whatever else is wrong with the file', async () => {
    const db = new Database(join(folder, 'items.db'));
    db.exec('create table items (a int, b text not null, primary key (a, b))');
    db.close();
    const place = { type: 'sqlite', file: 'items.db' };
    const source = { connection: 'place', table: 'items', key: ['a'] };
    const sound = { items: { source, sink: { connection: 'out', table: 'x', strategy: 'ledgered-append' } } };
    const lines = ['items', '  column  type  null      key     cursor', '  a       INT             1 of 2  yes'];
    for (const [name, flows] of [
      ['place', { items: { source: { connection: 'place' } } }],
      ['items', sound],
    ] as const) {
      const { code, out, err } = await discover(place, name, flows);
      expect(code, err).toBe(0);
      expect(out.split('\n').slice(0, 3)).toEqual(lines);
    }
    const unknown = await discover(place, 'plaec', sound);
    expect([unknown.code, unknown.err]).toEqual([2, expect.stringContaining('did you mean `place`?')]);
    const silent = await discover(place, 'out', sound);
    expect([silent.code, silent.err]).toEqual([2, expect.stringContaining('does not tell what it holds')]);
  });
});
