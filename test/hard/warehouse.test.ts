import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Client } from 'pg';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { counts, DAY, DailyJob, everyByteBelow } from '../daily/daily-job.ts';
import { startPostgres, type TestPostgres } from '../postgres.ts';
import { expectError, start } from './processes.ts';

const ROWS = 3_000;
/** Half of the rows are of the day, the others of the day before. */
const OF_DAY = ROWS / 2;
const HOSTILE = ["'; drop table members; --", "x' or '1'='1", '$1 :date \\', '{{ window }}', 'a"b\n;', '%', ''];

let server: TestPostgres;
let client: Client;
let job: DailyJob;

beforeAll(async () => {
  server = await startPostgres();
  client = await server.client();
});
afterAll(async () => {
  await client?.end();
  await server?.stop();
});
beforeEach(async () => {
  await client.query('drop table if exists members; create table members (member_id int8, name text, updated_on date)');
  await client.query(`insert into members select n, 'member ' || n, date '2026-11-19' - (n % 2)::int
    from generate_series(1, ${ROWS}) n`);
  job = await DailyJob.open({ members: [] });
});
afterEach(() => job.close());

const address = (password = server.password): string =>
  `postgres://${server.user}:${encodeURIComponent(password)}@${server.host}:${server.port}/${server.database}`;

/** The flow of the issue, with what a case adds to its source. */
function configure(query: string, ...more: readonly string[]): void {
  const lines = [
    'version: 1',
    'connections:',
    '  warehouse: { type: postgres, url: ${WAREHOUSE_URL} }',
    `  roket:     { type: http, url: ${job.peer.url}/v1/events, auth: { bearer: \${ROKET_TOKEN} } }`,
    'flows:',
    '  roket-daily:',
    '    source:',
    '      connection: warehouse',
    `      query: ${JSON.stringify(query)}`,
    '      key: [member_id]',
    ...more.map((line) => `      ${line}`),
    '    sink:   { connection: roket, batch: { maxRecords: 100, maxBytes: 1MB }, receipt: { shape: none } }',
    '    strategy: ledgered-append',
    '    window: day',
    '    onDoubt: hold',
    '',
  ];
  writeFileSync(join(job.folder, 'waybill.yaml'), lines.join('\n'));
}
const run = (day = DAY, url = address()) =>
  start(job, ['run', 'roket-daily', '--for', day], { WAREHOUSE_URL: url }).ended;
const heldIds = (): number[] => job.held().sort((a, b) => a - b);

describe.each(['copy', 'cursor'])('a day from PostgreSQL by %s', (mode) => {
  it('U01: is sent as a process of its own, exactly its rows, and nothing of the address is kept', async () => {
    configure('select * from members where updated_on = :date', `mode: ${mode}`);
    const ended = await run();
    expect(ended.status, ended.stderr).toBe(0);
    expect(heldIds()).toEqual(Array.from({ length: OF_DAY }, (_, n) => 2 * (n + 1)));
    const other = await run('2026-11-18');
    expect(other.status, other.stderr).toBe(0);
    expect(counts(job.held()).size).toBe(ROWS);
    expect(job.peer.received).toHaveLength(ROWS / 100);
    const said = [ended, other].map(({ stdout, stderr }) => stdout + stderr).join('');
    expect(said + everyByteBelow(join(job.folder, '.waybill'))).not.toContain(server.password);
  });

  it('U01: binds parameters as values, however hostile: they find their row and no other, and do no harm', async () => {
    for (const [n, name] of HOSTILE.entries())
      await client.query('update members set name = $1 where member_id = $2', [name, 2 * (n + 1)]);
    const names = HOSTILE.map((_, n) => `:p${n}`).join(', ');
    const params = HOSTILE.map((name, n) => `  p${n}: { type: text, value: ${JSON.stringify(name)} }`);
    const query = `select * from members where updated_on = :date and name in (${names})`;
    configure(query, `mode: ${mode}`, 'params:', ...params);
    const ended = await run();
    expect(ended.status, ended.stderr).toBe(0);
    expect(heldIds()).toEqual(HOSTILE.map((_, n) => 2 * (n + 1)));
    expect((await client.query('select count(*)::int as n from members')).rows).toEqual([{ n: ROWS }]);
  });

  it('that fails half-way sends nothing, says why, and goes on once the data is mended', async () => {
    await client.query('update members set name = $1 where member_id = 2800', ['zero']);
    const query =
      "select *, 1 / (case when name = 'zero' then 0 else 1 end) as one from members where updated_on = :date";
    configure(query, `mode: ${mode}`);
    const said = expectError(await run(), 'SOURCE_FAILED', 5);
    expect(said).toMatch(/22012|division by zero/);
    expect(job.peer.received).toHaveLength(0);
    const runs = await job.cli(['runs', '--output', 'json']);
    expect(runs.stdout).toMatch(/"state":"failed"/);
    await client.query("update members set name = 'mended' where member_id = 2800");
    const mended = await run();
    expect(mended.status, mended.stderr).toBe(0);
    expect(counts(job.held()).size).toBe(OF_DAY);
    expect(job.peer.received).toHaveLength(OF_DAY / 100);
  });
});

describe('a warehouse that cannot be reached', () => {
  it('is named by its address and never by its password; nothing is sent, and the next start goes on', async () => {
    configure('select * from members where updated_on = :date');
    const away = expectError(
      await run(DAY, `postgres://waybill:hunter2-canary@127.0.0.1:1/postgres`),
      'SOURCE_FAILED',
      5,
    );
    expect(away).toMatch(/127\.0\.0\.1:1\/postgres/);
    expect(away).not.toContain('hunter2');
    const wrong = expectError(await run(DAY, address('hunter2-canary')), 'SOURCE_FAILED', 5);
    expect(wrong).not.toContain('hunter2');
    expect(job.peer.received).toHaveLength(0);
    const mended = await run();
    expect(mended.status, mended.stderr).toBe(0);
    expect(counts(job.held()).size).toBe(OF_DAY);
  });
});
