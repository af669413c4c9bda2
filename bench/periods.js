// Loading a window again takes as long whatever the other periods hold: `metadata-cleaner`, which gives each period a
// table of its own, and `data-overwrite`, into one table with an index on the column of the scope. Two databases that
// differ in the size of the other periods alone, once and twenty times that of the window, in turns.
//   npm run build && node bench/periods.js [--small]
// The rows of the window are made by the query, with another version each time, so reading them costs the same on both
// sides. Afterwards the window must hold the new version and every other period what it held, outside of the clock.
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { contents } from './parts/items.js';
import { report, small } from './parts/measure.js';
import { figuresOf, inTurns, of } from './parts/rounds.js';
import { startServer } from './parts/server.js';
import { waybill } from './parts/timed.js';

const ROWS = small ? 20_000 : 200_000;
const ROUNDS = small ? 3 : 7;
const WINDOW = '2026-11-19';
const OTHERS = ['2026-11-15', '2026-11-16', '2026-11-17', '2026-11-18'];
const SIZES = { 'others of 1x': 1, 'others of 20x': 20 };
const TABLES = { 'metadata-cleaner': 'visits', 'data-overwrite': 'sales' };
const GOAL = 1.25;

const server = await startServer('periods');
const admin = await server.connect();
const sides = [];
let version = 0;
try {
  for (const [size, times] of Object.entries(SIZES)) sides.push(await prepare(size, times));
  const kinds = Object.fromEntries(
    Object.keys(TABLES).flatMap((strategy) =>
      sides.map((side) => [`${strategy}, ${side.size}`, () => again(side, strategy)]),
    ),
  );
  const results = await inTurns(kinds, ROUNDS, {
    before: async () => {
      version++;
      // Rows that were replaced are no part of what the next round is to show.
      for (const { client } of sides) await client.query('vacuum sales');
      for (const { client } of sides) await client.query('update source set version = $1', [version]);
      await admin.query('checkpoint');
    },
    after: (_, { side, strategy }) => expectRight(side, TABLES[strategy]),
  });
  for (const strategy of Object.keys(TABLES)) tell(strategy, results);
} finally {
  for (const { client } of sides) await client.end();
  await admin.end();
  await server.stop();
}

/** A database with a window and others before it, loaded by Waybill; then the others grow to their size. */
async function prepare(size, times) {
  const database = `times_${times}`;
  await admin.query(`create database ${database}`);
  const client = await server.connect(database);
  await client.query(`create table source (version int8); insert into source values (0);
    create table sales (id int8, page text, day date, version int8); create index on sales (day)`);
  const folder = join(server.folder, database);
  mkdirSync(folder);
  writeFileSync(join(folder, 'waybill.yaml'), flowFileFor(database));
  const side = { size, client, folder };
  for (const strategy of Object.keys(TABLES)) {
    const stretch = ['--from', OTHERS[0], '--to', '2026-11-20'];
    await waybill(['run', strategy, ...stretch, '--quiet'], { cwd: folder, env: server.env });
  }
  const { rows: places } = await client.query('select place, first_day::text as day from waybill.waybill_period');
  const tables = [...places, ...OTHERS.map((day) => ({ place: 'sales', day }))].filter(({ day }) => day !== WINDOW);
  for (const { place, day } of tables) {
    await client.query(`insert into ${place} (id, page, day, version)
      select i, 'page number ' || i, '${day}', 0 from generate_series(${ROWS} + 1, ${ROWS * times}) i`);
  }
  await client.query('vacuum (analyze)');
  side.others = await othersOf(side);
  const { rows } = await client.query(`select count(*)::float8 as count from visits where day <> '${WINDOW}'`);
  if (rows[0].count !== OTHERS.length * ROWS * times) throw new Error(`the other periods hold ${rows[0].count} rows`);
  return side;
}

const flowFileFor = (database) => {
  const query = `select cast(i as int8) as id, 'page number ' || i as page, cast(:date as date) as day, version
        from source, generate_series(1, ${ROWS}) i`;
  const columns = '{ id: bigint, page: text, day: date, version: bigint }';
  const limits = 'recordsPerBatch: 50000, bytesPerBatch: 100000000';
  return `version: 1
connections:
  here: ${server.connection(database)}
flows:
  metadata-cleaner:
    window: day
    source: { connection: here, key: [id, day], query: &rows "${query}" }
    sink: { connection: here, table: visits, create: ${columns}, ${limits}, load: { period: day } }
    strategy: metadata-cleaner
  data-overwrite:
    window: day
    source: { connection: here, key: [id, day], query: *rows }
    sink: { connection: here, table: sales, ${limits}, load: { scope: { column: day } } }
    strategy: data-overwrite
`;
};

async function again(side, strategy) {
  const words = ['run', strategy, '--for', WINDOW, '--refresh', '--quiet'];
  const result = await waybill(words, { cwd: side.folder, env: server.env, server });
  return { ...result, side, strategy };
}

const othersOf = async ({ client }) => {
  const tables = Object.values(TABLES).map((table) =>
    contents(client, `(select * from ${table} where day <> '${WINDOW}')`),
  );
  return (await Promise.all(tables)).join('; ');
};

async function expectRight(side, table) {
  const { rows } = await side.client.query(
    `select count(*)::float8 as rows, count(distinct id)::float8 as ids, min(version)::float8 as oldest from ${table}
      where day = '${WINDOW}'`,
  );
  const [{ rows: count, ids, oldest }] = rows;
  if (count !== ROWS || ids !== ROWS || oldest !== version) {
    throw new Error(`${table}, ${side.size}: ${count} rows, ${ids} ids, from version ${oldest} of ${version}`);
  }
  const others = await othersOf(side);
  if (others !== side.others) throw new Error(`${table}, ${side.size}: the others hold ${others}`);
}

function tell(strategy, results) {
  const [one, twenty] = sides.map(({ size }) => figuresOf(results[`${strategy}, ${size}`], ROWS));
  report(`${strategy}: a window of ${ROWS} rows again, ${sides[0].size}`, one);
  const seconds = of(results[`${strategy}, ${sides[0].size}`], 'seconds');
  const ratio = twenty.seconds / one.seconds;
  const ratioOfFastest = twenty.fastest / one.fastest;
  const figures = {
    ...twenty,
    ratio,
    ratioOfFastest,
    serverCpuRatio: twenty.serverCpuMicrosecondsPerRow / one.serverCpuMicrosecondsPerRow,
    // What the same thing takes in its slowest round and its fastest: a ratio below this says nothing.
    noise: Math.max(...seconds) / Math.min(...seconds),
  };
  const goal = {
    text: `ratio, of medians or of the fastest, <= ${GOAL}`,
    met: Math.min(ratio, ratioOfFastest) <= GOAL,
  };
  report(`${strategy}: the same, ${sides[1].size}`, figures, goal);
}
