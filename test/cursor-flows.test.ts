import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import Database from 'better-sqlite3';
import type { Client } from 'pg';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { type Started, start } from './hard/processes.ts';
import { noMysql, TestMysql } from './mysql.ts';
import { startPostgres, type TestPostgres } from './postgres.ts';

const ROWS = 6_000;
const KILLS = 3;

let server: TestPostgres;
let client: Client;
let folder: string;
let mysql: TestMysql | undefined;
const missing: Readonly<Record<string, string | undefined>> = { MySQL: noMysql() };
for (const [title, why] of Object.entries(missing)) {
  if (why !== undefined) console.log(`SKIPPED: a flow that pulls from ${title} by a cursor: ${why}`);
}
const started: Started[] = [];
beforeAll(async () => {
  server = await startPostgres();
  client = await server.client();
  if (missing.MySQL === undefined) mysql = await TestMysql.start();
});
afterAll(async () => {
  await mysql?.stop();
  await client?.end();
  await server?.stop();
});
beforeEach(async () => {
  folder = mkdtempSync(join(tmpdir(), 'waybill-cursors-'));
});
afterEach(async () => {
  for (const child of started.splice(0)) {
    child.kill('SIGKILL');
    await child.ended;
  }
  rmSync(folder, { recursive: true, force: true });
});

/** A flow from a table with a cursor into a table of PostgreSQL, with a batch and a commit for each chunk. */
function configure(source: string): void {
  const { host, port, user, database } = server;
  writeFileSync(
    join(folder, 'waybill.yaml'),
    `version: 1
connections:
  db: { type: postgres, host: "${host}", port: ${port}, user: ${user}, database: ${database}, password: env:WAREHOUSE }
  file: { type: sqlite, file: items.db }
  other: { type: mysql, port: ${mysql?.server.port ?? 1}, database: items, user: waybill, password: env:ITEMS }
flows:
  copy:
    window: pull
    deliver: while-reading
    source: { connection: ${source}, key: [id] }
    sink: { connection: db, table: copies, batch: { maxRecords: 500 } }
    strategy: ledgered-append
`,
  );
}

function run(words: readonly string[] = ['run', 'copy']): Started {
  const child = start({ folder, env: {} }, words, {
    ...process.env,
    NO_COLOR: '1',
    WAREHOUSE: server.password,
    ITEMS: 'test-password',
  });
  started.push(child);
  return child;
}

async function finish(words?: readonly string[]): Promise<string> {
  const ended = await run(words).ended;
  expect(ended.status, ended.stdout + ended.stderr).toBe(0);
  return ended.stdout + ended.stderr;
}

const copied = async (): Promise<readonly string[]> =>
  (await client.query<{ row: string }>("select id || ' ' || v as row from copies")).rows.map(({ row }) => row);

/** Ends the process as a crash does, once it has brought so many more rows. */
async function killBehind(rows: number): Promise<boolean> {
  const before = (await copied()).length;
  const child = run();
  let over = false;
  void child.ended.then(() => {
    over = true;
  });
  while (!over && (await copied()).length < before + rows) await client.query('select pg_sleep(0.005)');
  child.kill('SIGKILL');
  return (await child.ended).status === -1;
}

interface Table {
  readonly source: string;
  /** The type of the cursor, where rows are copied to. */
  readonly at: string;
  /** Sets up rows 1 to ROWS of version 1, all with few times. */
  make(): Promise<void>;
  /** Gives some rows another version, at a time that is not before those that are there. */
  change(version: number): Promise<void>;
  held(): Promise<readonly string[]>;
}

const local = (sql: string): unknown[] => {
  const db = new Database(join(folder, 'items.db'));
  try {
    if (sql.startsWith('select')) return db.prepare(sql).pluck().all();
    db.exec(sql);
    return [];
  } finally {
    db.close();
  }
};

const TABLES: Readonly<Record<string, Table>> = {
  PostgreSQL: {
    source:
      'db, query: "select * from items where id < :most", cursor: at, params: { most: { type: integer, value: 9999 } }',
    at: 'timestamptz',
    async make() {
      await client.query(`drop table if exists items; create table items (id int8 primary key, v int8, at timestamptz,
          filler text);
        insert into items select i, 1, '2026-01-01'::timestamptz + (i / 300) * interval '1 microsecond',
          repeat('x', 300) from generate_series(1, ${ROWS}) i; create index on items (at)`);
    },
    async change(version) {
      await client.query(
        `update items set v = ${version}, at = (select max(at) from items) + (id % 2) * interval '1 microsecond'
          where id % 200 = ${version % 7}`,
      );
    },
    held: async () =>
      (await client.query<{ row: string }>("select id || ' ' || v as row from items")).rows.map(({ row }) => row),
  },
  SQLite: {
    source: 'file, table: items, cursor: [at]',
    at: 'int8',
    async make() {
      local(`create table items (id integer primary key, v integer, at integer, filler text);
        with recursive n(i) as (select 1 union all select i + 1 from n where i < ${ROWS})
        insert into items select i, 1, 9007199254740993 + i / 300, hex(zeroblob(150)) from n`);
    },
    async change(version) {
      local(
        `update items set v = ${version}, at = (select max(at) from items) + id % 2 where id % 200 = ${version % 7}`,
      );
    },
    held: async () => local("select id || ' ' || v from items") as string[],
  },
  MySQL: {
    source: 'other, table: items, cursor: at',
    at: 'timestamp',
    async make() {
      await mysql!.run(`drop table if exists items; create table items (id bigint primary key, v int, at datetime(6),
          filler text, index (at));
        insert into items select seq, 1, timestamp'2026-01-01 00:00:00' + interval floor(seq / 300) microsecond,
          repeat('x', 300) from seq_1_to_${ROWS}`);
    },
    async change(version) {
      await mysql!.run(
        `set @newest = (select max(at) from items);
          update items set v = ?, at = @newest + interval id % 2 microsecond where id % 200 = ?`,
        [version, version % 7],
      );
    },
    held: async () => (await mysql!.run("select concat(id, ' ', v) as r from items")).map(({ r }) => String(r)),
  },
};

describe.each(Object.keys(TABLES))('a flow that pulls from %s by a cursor', (title) => {
  const table = TABLES[title]!;

  it(`F01, F06: killed ${KILLS} times while rows change, brings each version that it could see once`, async ({
    skip,
  }) => {
    skip(missing[title] !== undefined, missing[title]);
    await client.query(`drop table if exists copies; drop schema if exists waybill cascade;
      create table copies (id int8, v int8, at ${table.at}, filler text)`);
    await table.make();
    configure(table.source);
    let killed = 0;
    for (let nth = 1; nth <= KILLS; nth++) {
      if (await killBehind(400)) killed += 1;
      await table.change(nth + 1);
    }
    expect(killed, 'starts that were killed on their way').toBeGreaterThan(0);
    await finish();
    // What was frozen when the last process was killed was sent first; then what is new since was looked for.
    const brought = await copied();
    expect(new Set(brought).size, 'versions, none of them twice').toBe(brought.length);
    expect(brought).toEqual(expect.arrayContaining([...(await table.held())]));
    await finish();
    expect(await copied()).toHaveLength(brought.length);
    await table.change(50);
    await finish();
    expect(await copied()).toHaveLength(brought.length + ROWS / 200);
    await finish(['verify']);
  }, 120_000);
});
