import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Client } from 'pg';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { type Started, start } from './hard/processes.ts';
import { startPostgres, type TestPostgres } from './postgres.ts';

const ROWS = 12_000;

let server: TestPostgres;
let client: Client;
let folder: string;
const started: Started[] = [];
beforeAll(async () => {
  server = await startPostgres();
  client = await server.client();
  await client.query(`create table items (id int8, code uuid, name text, note text, price numeric, ratio float8,
    flag boolean, at timestamptz)`);
  await client.query(`insert into items select 9007199254740993 + i, md5(i::text)::uuid, 'item "' || i || E'"\\n\\\\ü',
    case i % 3 when 0 then null when 1 then '' else '\\N' end, i / 7.0, i / 7.0::float8, i % 2 = 0,
    '2026-11-19'::timestamptz + i * interval '1 second' from generate_series(1, ${ROWS}) i`);
});
afterAll(async () => {
  await client?.end();
  await server?.stop();
});
beforeEach(async () => {
  folder = mkdtempSync(join(tmpdir(), 'waybill-pgpg-'));
  await client.query(
    'drop table if exists copies; drop schema if exists waybill cascade; create table copies (like items)',
  );
});
afterEach(async () => {
  for (const child of started.splice(0)) {
    child.kill('SIGKILL');
    await child.ended;
  }
  rmSync(folder, { recursive: true, force: true });
});

function configure(given: { strategy: string; source?: string; sink?: string; flow?: string }): void {
  const { host, port, user, database } = server;
  const {
    strategy,
    source = 'connection: warehouse, table: items',
    sink = '',
    flow = 'deliver: while-reading',
  } = given;
  const lines = [
    'version: 1',
    'connections:',
    `  warehouse: { type: postgres, host: "${host}", port: ${port}, user: ${user}, database: ${database}, \
password: env:WAREHOUSE }`,
    'flows:',
    '  copy:',
    `    source: { ${source}, key: [id] }`,
    `    sink: { connection: warehouse, table: copies, batch: { maxRecords: 500 }${sink} }`,
    `    strategy: ${strategy}`,
    `    ${flow}`,
  ];
  writeFileSync(join(folder, 'waybill.yaml'), `${lines.join('\n')}\n`);
}

function run(args: readonly string[] = ['run', 'copy']): Started {
  const env = { ...process.env, ROKET_TOKEN: '', NO_COLOR: '1', WAREHOUSE: server.password };
  const child = start({ folder, env }, args);
  started.push(child);
  return child;
}
const held = async (): Promise<number> => (await client.query('select count(*)::int n from copies')).rows[0].n;
/** Waits until the table holds so many rows, or `over`. */
async function until(rows: number, over = (): boolean => false): Promise<void> {
  while (!over() && (await held()) < rows) await client.query('select pg_sleep(0.01)');
}
const contents = async (table: string): Promise<unknown> =>
  (
    await client.query(
      `select count(*)::int n, sum(id) ids, md5(string_agg(t::text, '' order by id)) digest from ${table} t`,
    )
  ).rows[0];

describe.each(['ledgered-append', 'keyed'])('a copy from PostgreSQL to PostgreSQL, %s', (strategy) => {
  beforeEach(async () => {
    if (strategy === 'keyed') await client.query('alter table copies add primary key (id)');
    // A write by key whose answer was lost is repeated when nothing of it can be under way any more: after this time.
    configure({ strategy, ...(strategy === 'keyed' ? { sink: ', key: [id], requestTimeoutSeconds: 4' } : {}) });
  });

  it('P02: holds each row once and as it was, however often it is killed with SIGKILL and started again', async () => {
    let killed = 0;
    for (const rows of [1, 4_000, 8_000]) {
      const child = run();
      let over = false;
      const ended = child.ended.then(() => {
        over = true;
      });
      await until(rows, () => over);
      child.kill('SIGKILL');
      await ended;
      if ((await held()) < ROWS) killed++;
    }
    expect(killed).toBeGreaterThanOrEqual(2);
    const last = await run().ended;
    expect(last.status, last.stderr).toBe(0);
    expect(await contents('copies')).toEqual(await contents('items'));
    const again = await run().ended;
    expect(again.status, again.stderr).toBe(0);
    expect(await held()).toBe(ROWS);
  }, 120_000);

  it('a process that stands still past its lease writes nothing more when it wakes', async () => {
    const key = strategy === 'keyed' ? ', key: [id]' : '';
    configure({ strategy, sink: `${key}, requestTimeoutSeconds: 2`, flow: 'lease: 4s' });
    const other = await server.client();
    await other.query('begin; lock table copies');
    const first = run();
    // All its senders wait for the lock: nothing is written to the ledger now, which a sleeper could hold up.
    const waiting =
      "select 1 from pg_stat_activity where application_name like 'waybill%' and wait_event_type = 'Lock'";
    await expect.poll(async () => (await client.query(waiting)).rowCount, { timeout: 20_000, interval: 20 }).toBe(2);
    first.kill('SIGSTOP');
    await other.query('rollback');
    await other.end();
    // Whatever it had open on the server when it stopped is ended there, or would hold up the others for ever.
    let second = await run().ended;
    // 6: the sleeper's lease of the window still holds. 5: that of its batches does.
    for (let tries = 0; [5, 6].includes(second.status) && tries < 100; tries++) second = await run().ended;
    expect(second.status, second.stderr).toBe(0);
    expect(await contents('copies')).toEqual(await contents('items'));
    // Which transaction wrote each row: one that is written again, with the same values, is by another.
    const writers = "select md5(string_agg(xmin::text, ',' order by id)) from copies";
    const before = (await client.query(writers)).rows;
    first.kill('SIGCONT');
    const woken = await first.ended;
    expect([0, 6], woken.stderr).toContain(woken.status);
    expect(await contents('copies')).toEqual(await contents('items'));
    expect((await client.query(writers)).rows).toEqual(before);
  });

  it('two starts at once: each row is there once, and no start says that it failed', async () => {
    const both = [run(), run()];
    const ended = await Promise.all(both.map((child) => child.ended));
    // 6: another process holds the lease of the window.
    expect(
      ended.map(({ status }) => status).every((status) => status === 0 || status === 6),
      ended[0]!.stderr,
    ).toBe(true);
    const last = await run().ended;
    expect(last.status, last.stderr).toBe(0);
    expect(await contents('copies')).toEqual(await contents('items'));
  });
});

describe('rows of one table in another one', () => {
  const wide = `(id int8, code uuid, name text, note varchar(10), price numeric(12, 4), ratio float8, flag boolean,
    at timestamptz, tags text[], doc jsonb, bytes bytea, day date, small int2)`;
  const rows = `select i, md5(i::text)::uuid, 'ü' || i, case when i % 2 = 0 then 'n' || i end, i / 7.0,
    case i % 5 when 0 then 'NaN' when 1 then '-Infinity' else i / 3.0 end::float8, i % 2 = 0,
    '2026-11-19'::timestamptz + i * interval '1 us', array['a', null, '{"' || i], jsonb_build_object('n', i / 8.0),
    decode(md5(i::text), 'hex'), '2026-11-19'::date - i, i % 300 from generate_series(1, 900) i`;
  beforeEach(async () => {
    await client.query(`drop table if exists wide, copies; create table wide ${wide}; insert into wide ${rows}`);
    configure({ strategy: 'ledgered-append', source: 'connection: warehouse, table: wide' });
  });
  const formatIn = (file: string): string => /"format":"(\w+)"/.exec(readFileSync(file, 'latin1'))?.[1] ?? 'ndjson';
  const staged = (): string => formatIn(join(folder, '.waybill', 'staging', 'r1', 'warehouse', '1.seg'));

  it.each<[string, string]>([
    ['are handed on as they are, every type', ''],
    ['are written in other types where the columns have others', 'alter id type int4, alter small type int8'],
    ['find their columns by name', 'drop small, add small int2, add more text default $$d$$'],
  ])(
    '%s',
    async (_, change) => {
      await client.query(`create table copies ${wide}`);
      if (change !== '') {
        const parts = change.replaceAll(/(alter|drop|add) /g, '$1 column ');
        for (const part of parts.split(/, (?=alter|drop|add)/)) await client.query(`alter table copies ${part}`);
      }
      const ended = await run().ended;
      expect(ended.status, ended.stdout + ended.stderr).toBe(0);
      expect(staged()).toBe('pgcopy');
      const columns = 'id, code, name, note, price, ratio, flag, at, tags, doc, bytes, day, small';
      const all = (table: string) => client.query(`select ${columns} from ${table} order by id`);
      const texts = (table: string) => client.query(`select (${columns})::text as row from ${table} order by id`);
      expect((await all('copies')).rows.length).toBe(900);
      expect((await texts('copies')).rows).toEqual((await texts('wide')).rows);
    },
    60_000,
  );

  it('are compared by a later reading with what was sent of them', async () => {
    await client.query(`create table copies ${wide}`);
    expect((await run().ended).status).toBe(0);
    await client.query("update wide set name = 'other' where id <= 3; delete from wide where id = 4");
    await client.query("insert into wide select 1000 + id, code, 'new' from wide where id <= 5");
    const again = await run(['run', 'copy', '--refresh']).ended;
    expect(again.stdout).toContain('3 records changed since it was sent, 1 record no longer in the source');
    expect(await held()).toBe(904);
  });
});

describe('records that PostgreSQL does not take', () => {
  it('rows of COPY that do not fit are refused one by one, with the reason of each', async () => {
    await client.query(
      'drop table copies; create table copies (like items); alter table copies add check (id % 1000 <> 7)',
    );
    configure({ strategy: 'ledgered-append' });
    const ended = await run().ended;
    expect(ended.status, ended.stdout + ended.stderr).toBe(3);
    expect(await held()).toBe(ROWS - 12);
    const listed = await run(['records', '--state', 'refused', '--output', 'json']).ended;
    expect((JSON.parse(listed.stdout) as { records: unknown[] }).records).toHaveLength(12);
    expect(listed.stdout).toMatch(/23514/);
  });

  it('P32: are refused one by one, with the reason of each; all others are delivered', async () => {
    const record = (id: number) => JSON.stringify({ id, name: `n${id}`, price: id });
    const bad = new Map([
      [1, '{"id":1,"price":"dear"}'],
      [777, '{"id":777,"nothing":1}'],
      [2000, '{"id":2000,"at":"never"}'],
    ]);
    const lines = Array.from({ length: 2000 }, (_, at) => bad.get(at + 1) ?? record(at + 1));
    writeFileSync(join(folder, 'rows.ndjson'), `${lines.join('\n')}\n`);
    configure({ strategy: 'ledgered-append', source: 'connection: files, path: rows.ndjson, format: ndjson' });
    const ended = await run().ended;
    expect(ended.status, ended.stdout + ended.stderr).toBe(3);
    expect(await held()).toBe(1997);
    const listed = await run(['records', '--state', 'refused', '--output', 'json']).ended;
    const { records } = JSON.parse(listed.stdout) as { records: { reason?: { code: string } }[] };
    expect(records).toHaveLength(3);
    expect(listed.stdout).toMatch(/22P02/);
    expect(listed.stdout).toMatch(/22007/);
    expect(listed.stdout).toMatch(/column-unknown/);
    expect(listed.stdout).not.toMatch(/dear|never/);
  });
});
