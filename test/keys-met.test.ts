import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import Database from 'better-sqlite3';
import type { Client } from 'pg';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { start } from './hard/processes.ts';
import { startPostgres, type TestPostgres } from './postgres.ts';

// What two records of different keys are to a table that takes the keys for one: the second takes the place of the
// first. Nobody may find that out from the table alone.

/** The key of the table, and rows of which it takes the second for the first. */
const CASES: readonly (readonly [store: string, key: string, lines: readonly string[]])[] = [
  ['postgres', 'id int primary key', ['01,x', '1,y', '2,z']],
  ['postgres', 'id numeric primary key', ['1.0,x', '1.00,y', '2,z']],
  ['postgres', 'id char(5) primary key', ['a,x', '"a ",y', 'b,z']],
  ['postgres', 'id text collate caseless primary key', ['Ada,x', 'ada,y', 'Bob,z']],
  ['sqlite', 'id integer primary key', ['01,x', '1,y', '2,z']],
  ['sqlite', 'id text collate nocase primary key', ['Ada,x', 'ada,y', 'Bob,z']],
];
const SPELLED = 'with a key that the sink takes for that of another one';

let server: TestPostgres;
let client: Client;
let folder: string;
beforeAll(async () => {
  server = await startPostgres();
  client = await server.client();
  await client.query("create collation caseless (provider = icu, locale = 'und-u-ks-level2', deterministic = false)");
});
afterAll(async () => {
  await client?.end();
  await server?.stop();
});
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'waybill-keys-'));
});
afterEach(() => {
  rmSync(folder, { recursive: true, force: true });
});

/** Makes the table, and answers what reads it. */
async function made(store: string, key: string): Promise<() => Promise<unknown[]>> {
  const table = `create table people (${key}, v text)`;
  if (store === 'sqlite') {
    const database = new Database(join(folder, 'store.db'));
    database.exec(table);
    database.close();
    return async () => {
      const again = new Database(join(folder, 'store.db'), { readonly: true });
      const rows = again.prepare('select v from people order by v').pluck().all();
      again.close();
      return rows;
    };
  }
  await client.query(`drop table if exists people; drop schema if exists waybill cascade; ${table}`);
  return async () => (await client.query('select v from people order by v')).rows.map(({ v }) => v);
}

async function run(store: string, lines: readonly string[], batch = ''): Promise<{ said: string; shown: string }> {
  const { host, port, user, database, password } = server;
  const connection =
    store === 'sqlite'
      ? '{ type: sqlite, file: store.db }'
      : `{ type: postgres, host: "${host}", port: ${port}, user: ${user}, database: ${database}, password: env:STORE }`;
  writeFileSync(join(folder, 'people.csv'), ['id,v', ...lines, ''].join('\n'));
  writeFileSync(
    join(folder, 'waybill.yaml'),
    `version: 1
connections:
  here: { type: files, root: . }
  store: ${connection}
flows:
  people:
    source: { connection: here, path: people.csv, key: [id] }
    sink: { connection: store, table: people, key: [id]${batch} }
    strategy: keyed
`,
  );
  const job = { folder, env: { ...process.env, STORE: password } };
  const ran = await start(job, ['run', 'people']).ended;
  expect(ran).toMatchObject({ status: 0 });
  const { stdout } = await start(job, ['batches', 'show', 'b1']).ended;
  return { said: ran.stderr, shown: stdout };
}

describe('a table that takes keys for one that are spelled differently', () => {
  it.each(CASES)('P17: keyed says that %s with %s holds fewer rows than it was sent', async (store, key, lines) => {
    const rows = await made(store, key);
    const { said, shown } = await run(store, lines);
    expect(said).toContain(`1 record of b1 in lane store ${SPELLED}`);
    expect(shown).toContain('3 records under 2 keys in one transaction');
    expect(await rows()).toEqual(['y', 'z']);
  });

  it.each(['postgres', 'sqlite'])('P17: keyed says nothing where %s tells keys apart', async (store) => {
    const rows = await made(store, 'id text primary key');
    const { said, shown } = await run(store, ['Ada,x', 'ada,y', 'Bob,z']);
    expect(said).not.toContain(SPELLED);
    expect(shown).toContain('3 records under 3 keys in one transaction');
    expect(await rows()).toHaveLength(3);
  });

  it.each(['postgres', 'sqlite'])('P17: keyed says nothing of rows of %s that are there already', async (store) => {
    await made(store, 'id text primary key');
    await run(store, ['Ada,x', 'Bob,y']);
    rmSync(join(folder, '.waybill'), { recursive: true });
    const { said, shown } = await run(store, ['Ada,x', 'Bob,z']);
    expect(said).not.toContain(SPELLED);
    expect(shown).toContain('2 records under 2 keys in one transaction');
  });
});
