// Loading a window again takes as long whatever the other periods hold: `metadata-cleaner`, which gives each period a
// table of its own, and `data-overwrite`, into one table with an index on the column of the scope. Two databases that
// differ in the size of the other periods alone, once and twenty times that of the window, in turns.
//   npm run build && node bench/periods.js [--small]
// The rows of the window are made by the query, with another version each time, so reading them costs the same on both
// sides. After each round the window must hold the new version, and in the end every other period what it held, outside
// of the clock. The goal is held against what the ledger says of the load, from opening its place to publishing it: the
// start of a process would hide what depends on sizes.
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { contents } from './parts/items.js';
import { median, report, small } from './parts/measure.js';
import { figuresOf, inTurns } from './parts/rounds.js';
import { startServer } from './parts/server.js';
import { waybill } from './parts/timed.js';

const ROWS = small ? 10_000 : 100_000;
const ROUNDS = small ? 2 : 5;
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
  for (const side of sides) {
    if ((await othersOf(side)) !== side.others) throw new Error(`${side.size}: the other periods hold something else`);
  }
  for (const strategy of Object.keys(TABLES)) await tell(strategy, results);
} finally {
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

function flowFileFor(database) {
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
    source: { connection: here, query: "${query}" }
    sink: { connection: here, table: visits, create: ${columns}, ${limits}, load: { period: day } }
    strategy: metadata-cleaner
  data-overwrite:
    window: day
    source: { connection: here, query: "${query}" }
    sink: { connection: here, table: sales, ${limits}, load: { scope: { column: day } } }
    strategy: data-overwrite
`;
}

async function again(side, strategy) {
  const words = ['run', strategy, '--for', WINDOW, '--refresh', '--quiet'];
  const result = await waybill(words, { cwd: side.folder, env: server.env, server });
  return { ...result, side, strategy };
}

/** Of the rounds that count: what came before are the first load and the one that warms up. */
async function loadSecondsOf(side, strategy) {
  const { output } = await waybill(['loads', strategy, '--output', 'json'], { cwd: side.folder, env: server.env });
  return JSON.parse(output)
    .loads.filter(({ window }) => window === WINDOW)
    .sort((a, b) => a.generation - b.generation)
    .slice(-ROUNDS)
    .map(({ began, published }) => (Date.parse(published) - Date.parse(began)) / 1000);
}

async function othersOf({ client }) {
  const found = [];
  for (const table of Object.values(TABLES)) {
    found.push(await contents(client, `(select * from ${table} where day <> '${WINDOW}')`));
  }
  return found.join('; ');
}

async function expectRight(side, table) {
  const { rows } = await side.client.query(
    `select count(*)::float8 as rows, count(distinct id)::float8 as ids, min(version)::float8 as oldest from ${table}
      where day = '${WINDOW}'`,
  );
  const [{ rows: count, ids, oldest }] = rows;
  if (count !== ROWS || ids !== ROWS || oldest !== version) {
    throw new Error(`${table}, ${side.size}: ${count} rows, ${ids} ids, from version ${oldest} of ${version}`);
  }
}

async function tell(strategy, results) {
  const [one, twenty] = await Promise.all(
    sides.map(async (side) => {
      const loads = await loadSecondsOf(side, strategy);
      const figures = figuresOf(results[`${strategy}, ${side.size}`], ROWS);
      return {
        ...figures,
        loadSeconds: median(loads),
        fastestLoad: Math.min(...loads),
        slowestLoad: Math.max(...loads),
      };
    }),
  );
  report(`${strategy}: a window of ${ROWS} rows again, ${sides[0].size}`, one);
  const ratio = twenty.loadSeconds / one.loadSeconds;
  const figures = {
    ...twenty,
    ratio,
    ratioOfFastest: twenty.fastestLoad / one.fastestLoad,
    wholeProcessRatio: twenty.seconds / one.seconds,
    serverCpuRatio: twenty.serverCpuMicrosecondsPerRow / one.serverCpuMicrosecondsPerRow,
    // Of one and the same thing: a ratio below this says nothing.
    noise: one.slowestLoad / one.fastestLoad,
  };
  const met = Math.min(ratio, figures.ratioOfFastest) <= GOAL;
  report(`${strategy}: the same, ${sides[1].size}`, figures, {
    text: `ratio, or that of the fastest, <= ${GOAL}`,
    met,
  });
}
