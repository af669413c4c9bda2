import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Client } from 'pg';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { type Started, start } from './hard/processes.ts';
import { startPostgres, type TestPostgres } from './postgres.ts';

const ROWS = 9_000;
const CANARY = 'canary-of-a-name';

let server: TestPostgres;
let client: Client;
let folder: string;
const started: Started[] = [];
beforeAll(async () => {
  server = await startPostgres();
  client = await server.client();
});
afterAll(async () => {
  await client?.end();
  await server?.stop();
});
beforeEach(async () => {
  folder = mkdtempSync(join(tmpdir(), 'waybill-unkept-'));
  await client.query(`drop table if exists items, copies; drop schema if exists waybill cascade;
    create table items as select i::int8 id, '${CANARY} ' || i as name, i / 7.0 as price
      from generate_series(1, ${ROWS}) i;
    create table copies (like items)`);
});
afterEach(async () => {
  for (const child of started.splice(0)) {
    child.kill('SIGKILL');
    await child.ended;
  }
  rmSync(folder, { recursive: true, force: true });
});

const SINK = 'connection: here, table: copies, batch: { maxRecords: 700 }';

function configure(given: { sink?: string; flow?: readonly string[] } = {}): void {
  const { host, port, user, database } = server;
  const place = `host: "${host}", port: ${port}, user: ${user}, database: ${database}`;
  const { sink = SINK, flow = ['deliver: while-reading', 'staging: none'] } = given;
  const lines = [
    'version: 1',
    'connections:',
    `  here: { type: postgres, ${place}, password: env:PG }`,
    '  api: { type: http, url: "http://127.0.0.1:1" }',
    'flows:',
    '  copy:',
    '    source: { connection: here, table: items, key: [id] }',
    `    sink: { ${sink} }`,
    ...flow.map((line) => `    ${line}`),
  ];
  writeFileSync(join(folder, 'waybill.yaml'), `${lines.join('\n')}\n`);
}

function run(args: readonly string[]): Started {
  const child = start({ folder, env: { ...process.env, NO_COLOR: '1', PG: server.password } }, args);
  started.push(child);
  return child;
}

async function completed(args: readonly string[], status = 0): Promise<{ stdout: string; stderr: string }> {
  const ended = await run(args).ended;
  expect(ended.status, ended.stdout + ended.stderr).toBe(status);
  return ended;
}

const held = async (): Promise<number> => (await client.query('select count(*)::int n from copies')).rows[0].n;
const differences = async (): Promise<number> =>
  (await client.query('(table items except all table copies) union all (table copies except all table items)'))
    .rowCount!;

/** Ends the run with SIGKILL as soon as the sink holds so many rows. False: it was over before. */
async function killedAt(rows: number): Promise<boolean> {
  const child = run(['run', 'copy']);
  let over = false;
  const ended = child.ended.then(() => {
    over = true;
  });
  while (!over && (await held()) < rows) await client.query('select pg_sleep(0.005)');
  const killed = !over;
  child.kill('SIGKILL');
  await ended;
  return killed;
}

/** All that staging keeps. */
function staged(): Buffer {
  const lane = join(folder, '.waybill', 'staging', 'r1', 'here');
  return Buffer.concat(readdirSync(lane).map((name) => readFileSync(join(lane, name))));
}

describe('batches whose bytes are kept nowhere', () => {
  it('P02: leave each row in the sink once, killed with SIGKILL again and again', async () => {
    configure();
    // Each batch takes its time, so that there is something left to be killed.
    await client.query(`create or replace function slowly() returns trigger language plpgsql as
        $$ begin perform pg_sleep(0.1); return null; end $$;
      create trigger slowly after insert on copies for each statement execute function slowly()`);
    let killed = 0;
    for (const rows of [1, 2_000, 4_000, 6_000]) if ((await held()) < rows && (await killedAt(rows))) killed++;
    expect(killed).toBeGreaterThanOrEqual(2);
    // What was sealed and not sent is gone with the process, and comes with the next reading.
    expect((await completed(['plan', 'copy'])).stdout).not.toContain('that are sealed');
    await completed(['run', 'copy']);
    expect(await differences()).toBe(0);
    const { stdout } = await completed(['run', 'copy']);
    expect(stdout).toContain('nothing to send');
    expect(await held()).toBe(ROWS);
    expect(staged().includes(CANARY), 'a row in the staging folder').toBe(false);
    expect((await completed(['verify'])).stdout).toMatch(/nothing|agree|no difference/i);
    expect((await completed(['doubts'])).stdout).not.toMatch(/b\d/);
  }, 120_000);

  it('are compared by a later reading with what was sent of them', async () => {
    configure();
    await completed(['run', 'copy']);
    await client.query('update items set price = 0 where id < 4; delete from items where id = 9');
    const { stdout } = await completed(['run', 'copy', '--refresh']);
    expect(stdout).toContain('3 records changed since it was sent, 1 record no longer in the source');
    expect(await held()).toBe(ROWS);
  });

  it('P32: are taken apart when a record is refused; it goes out with the next reading that is asked for', async () => {
    configure();
    await client.query('alter table copies add constraint cheap check (price < 1285)');
    await completed(['run', 'copy'], 3);
    expect(await held()).toBe(8_994);
    const failed = await completed(['retry', 'r1', '--reason', 'the constraint is gone'], 1);
    expect(failed.stderr).toContain('BYTES_NOT_KEPT');
    expect(failed.stderr).toContain('--refresh');
    await client.query('alter table copies drop constraint cheap');
    await completed(['run', 'copy', '--refresh']);
    expect(await differences()).toBe(0);
  }, 60_000);

  it('end the reading when their lane gives up, and wait for no room that never comes', async () => {
    configure();
    await client.query(`update items set name = repeat('long ', 2000) || id;
      alter table copies add constraint none_at_all check (id < 0)`);
    const { stdout } = await completed(['run', 'copy'], 5);
    expect(stdout).toContain('has stopped for now');
    expect(await held()).toBe(0);
    await client.query('alter table copies drop constraint none_at_all');
    await completed(['run', 'copy']);
    expect(await differences()).toBe(0);
  }, 60_000);

  it('U08: are said to be so by the plan', async () => {
    configure();
    const said = (await completed(['plan', 'copy'])).stdout.replace(/\s+/g, ' ');
    expect(said).toContain('kept in memory alone');
    expect(said).toContain('where there is none, its records are read again');
    expect(said).not.toContain('is sent again');
  });

  it.each([
    [
      'a sink that cannot be asked',
      { sink: 'connection: api, path: /x, receipt: { shape: none }' },
      /`staging: none` needs a sink that can be asked/,
    ],
    [
      'a load',
      { sink: SINK, flow: ['deliver: while-reading', 'staging: none', 'strategy: data-overwrite'] },
      /needs a sink that can be asked .* and `strategy: ledgered-append`/,
    ],
    ['a window that is read first', { flow: ['staging: none'] }, /needs `deliver: while-reading`/],
  ])('P41: are refused for %s', async (_, given, words) => {
    configure(given);
    const { stdout, stderr } = await completed(['check'], 2);
    const said = (stdout + stderr).replace(/\s+/g, ' ');
    expect(said).toMatch(words);
    expect(said).toContain('Leave `staging` out of this flow');
  });
});
