import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { type Ended, type Started, start } from './hard/processes.ts';
import { Poller } from './postgres-load-bench.ts';
import { Places } from './postgres-place.ts';

/** Rows of a day; the next day has half of their ids again. */
const ROWS = 2_000;
const DAYS = [16, 17, 18] as const;

let places: Places;
let folder: string;
const started: Started[] = [];
beforeAll(async () => {
  places = await Places.start();
  await places.client.query(`create table items (id int8, day date, name text);
    insert into items select i + (d - 16) * ${ROWS / 2}, make_date(2026, 11, d), 'item ' || i || ' of day ' || d
      from generate_series(16, 18) d, generate_series(1, ${ROWS}) i`);
});
afterAll(() => places?.stop());
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'waybill-loads-'));
});
afterEach(async () => {
  for (const child of started.splice(0)) {
    child.kill('SIGKILL');
    await child.ended;
  }
  rmSync(folder, { recursive: true, force: true });
});

interface Way {
  readonly ids: string;
  readonly strategy: string;
  /** Of the lane, behind the table. */
  readonly lane?: string;
  readonly viewed?: boolean;
  /** What is held after these days, as a query over the source. */
  held(days: readonly number[]): string;
}

const list = (days: readonly number[]): string => days.map((day) => `'2026-11-${day}'`).join(', ');
const all = (days: readonly number[]): string => `select * from items where day in (${list(days)})`;
const newest = (days: readonly number[]): string =>
  `select distinct on (id) * from items where day in (${list(days)}) order by id, day desc`;
const last = (days: readonly number[]): string => all(days.slice(-1));
const CREATE = ', create: { id: bigint, day: date, name: text }';

const WAYS: readonly Way[] = [
  { ids: 'P01, P02, P32, P34', strategy: 'transactional-writer', held: all },
  { ids: 'P01, P02, P10', strategy: 'data-overwrite', lane: ', load: { scope: { column: day } }', held: all },
  { ids: 'P01, P02, P14', strategy: 'merger', held: newest },
  { ids: 'P01, P02, P26', strategy: 'stateful-merger', held: newest },
  { ids: 'P01, P02, P03', strategy: 'metadata-cleaner', lane: CREATE, viewed: true, held: all },
  { ids: 'P01, P02, P36, P38', strategy: 'proxy', lane: CREATE, viewed: true, held: last },
];

function configure({ strategy, lane = '' }: Way, table: string): void {
  const { host, port, user, database } = places.server;
  writeFileSync(
    join(folder, 'waybill.yaml'),
    `version: 1
connections:
  db: { type: postgres, host: "${host}", port: ${port}, user: ${user}, database: ${database}, password: env:WAREHOUSE }
flows:
  copy:
    window: day
    source: { connection: db, query: "select * from items where day = :date order by id", key: [id] }
    sink: { connection: db, table: ${table}, markerSchema: books_${table}, batch: { maxRecords: 200 }${lane} }
    strategy: ${strategy}
`,
  );
}

function run(day: number): Started {
  const env = { ...process.env, NO_COLOR: '1', WAREHOUSE: places.server.password };
  const child = start({ folder, env: {} }, ['run', 'copy', '--for', `2026-11-${day}`], env);
  started.push(child);
  return child;
}

async function finish(child: Started): Promise<Ended> {
  const ended = await child.ended;
  expect(ended.status, ended.stdout + ended.stderr).toBe(0);
  return ended;
}

const digestOf = (query: string): string =>
  `select count(*) || ' ' || coalesce(md5(string_agg(r::text, '' order by r::text)), '') from (${query}) r`;
const digest = async (query: string): Promise<string> =>
  (await places.client.query({ text: digestOf(query), rowMode: 'array' })).rows[0]![0] as string;

/** Waits until the question, which gives a number, gives so much, or the process is over. */
async function until(child: Started, question: string, atLeast: number): Promise<void> {
  let over = false;
  const ended = child.ended.then(() => {
    over = true;
  });
  while (!over) {
    const { rows } = await places.client.query<{ n: number }>(question).catch(nothingYet);
    if ((rows[0]?.n ?? 0) >= atLeast) return;
    await places.client.query('select pg_sleep(0.01)');
  }
  await ended;
}

/** A table of the books that is not there yet holds nothing. */
function nothingYet(error: { readonly code?: string }): { readonly rows: readonly { readonly n: number }[] } {
  if (error.code === '42P01') return { rows: [] };
  throw error;
}

async function kill(child: Started): Promise<void> {
  child.kill('SIGKILL');
  await child.ended;
}

const OPEN = "where application_name like 'waybill%' and state <> 'idle'";

describe.each(WAYS)('$ids: waybill run, $strategy, on PostgreSQL', (way) => {
  it(`${way.ids}: killed while it collects and while it publishes, gives what it would have given`, async () => {
    const { client } = places;
    const table = places.name();
    if (way.viewed !== true) await client.query(`create table ${table} (id int8, day date, name text)`);
    configure(way, table);
    await finish(run(16));
    const [before, after] = [await digest(way.held([16])), await digest(way.held([16, 17]))];
    expect(await digest(`select * from ${table}`)).toBe(before);
    const poller = await Poller.start<string>(places, digestOf(`select * from ${table}`));

    const collecting = run(17);
    await until(collecting, `select count(*)::int as n from books_${table}.waybill_load_batch`, 3);
    await kill(collecting);
    expect(await digest(`select * from ${table}`)).toBe(before);

    const blocker = await places.server.client();
    await blocker.query(`begin; lock table ${table} in share mode`);
    const publishing = run(17);
    await until(publishing, `select count(*)::int as n from pg_stat_activity ${OPEN} and wait_event_type = 'Lock'`, 1);
    await kill(publishing);
    await blocker.query('rollback');
    await blocker.end();
    // The server finds out that nobody is there any more, and ends what it had open.
    const open = async (): Promise<number> =>
      (await client.query(`select 1 from pg_stat_activity ${OPEN}`)).rowCount ?? 0;
    await expect.poll(open, { timeout: 20_000 }).toBe(0);
    expect(await digest(`select * from ${table}`)).toBe(before);

    await finish(run(17));
    expect(await digest(`select * from ${table}`)).toBe(after);
    for (const seen of new Set(await poller.stop())) expect([before, after]).toContain(seen);
    await finish(run(18));
    for (const day of DAYS) await finish(run(day));
    expect(await digest(`select * from ${table}`)).toBe(await digest(way.held(DAYS)));
  }, 180_000);
});

it('a load that cannot be opened says what to do about it', async () => {
  configure({ ids: '', strategy: 'proxy', held: all }, 'nowhere');
  const ended = await run(16).ended;
  expect(ended.status).toBe(5);
  expect(ended.stderr.replaceAll(/\s+/g, ' ')).toMatch(/Create it, or say its columns and types in `create`.*Then run/);
});
