import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
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
  }, 60_000);

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
  }, 60_000);
});

describe('records that PostgreSQL does not take', () => {
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
  }, 60_000);
});
