// A CSV file into Parquet with the ledger of every record, against DuckDB alone, whole process against whole process,
// in turns.
//   npm run build && node bench/parquet.js [--small]
// DuckDB is no dependency of the project. `npm install --prefix FOLDER @duckdb/node-api` puts it anywhere, and
// BENCH_MODULES=FOLDER says where. DuckDB as it comes takes every core; beside it stands one that takes a single one.
// Each writes with the types that the file is declared to have, packed with Snappy. What lies in the files is compared
// after each round, by DuckDB, outside of the clock.
import { closeSync, mkdirSync, mkdtempSync, openSync, readdirSync, rmSync, statSync, writeSync } from 'node:fs';
import { createRequire } from 'node:module';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';
import { median, report, small } from './parts/measure.js';
import { against, figuresOf, inTurns, of } from './parts/rounds.js';
import { runOnce, timed } from './parts/timed.js';

const ROWS = small ? 100_000 : 1_000_000;
const ROUNDS = small ? 1 : 3;
const GOAL = 0.85;
const ROWS_PER_BATCH = 100_000;
const script = fileURLToPath(new URL('parts/duck.js', import.meta.url));
/** In the words of DuckDB and in ours. */
const COLUMNS = {
  id: ['bigint', 'int64'],
  code: ['uuid', 'uuid'],
  name: ['varchar', 'text'],
  city: ['varchar', 'text'],
  amount: ['double', 'float64'],
  active: ['boolean', 'boolean'],
  created: ['timestamptz', 'timestamptz'],
  level: ['integer', 'int32'],
  note: ['varchar', 'text'],
};

const module = duckdb();
if (module === undefined) {
  console.log('SKIPPED: there is no DuckDB here to compare with: npm install --prefix FOLDER @duckdb/node-api, and');
  console.log('BENCH_MODULES=FOLDER');
  process.exit(0);
}
const folder = mkdtempSync(join(process.env.BENCH_DIR ?? tmpdir(), 'waybill-bench-parquet-'));
process.once('exit', () => rmSync(folder, { recursive: true, force: true }));
const out = join(folder, 'out');
const file = join(folder, 'rows.csv');
writeRows();

const types = Object.entries(COLUMNS).map(([name, [type]]) => `${name}: '${type}'`);
const csv = `read_csv('${file}', header = true, columns = {${types.join(', ')}})`;
const wanted = await contents(csv);
const kinds = { duckdb: () => copied('all'), 'one thread': () => copied(1), ledgered };
const bytes = {};
const results = await inTurns(kinds, ROUNDS, {
  before: () => {
    rmSync(out, { recursive: true, force: true });
    mkdirSync(out);
  },
  after: async (kind) => {
    const names = readdirSync(out).filter((name) => name.endsWith('.parquet'));
    bytes[kind] = names.reduce((sum, name) => sum + statSync(join(out, name)).size, 0) / ROWS;
    const got = await contents(`read_parquet('${out}/*.parquet')`);
    if (got !== wanted) throw new Error(`${kind} wrote ${got} instead of ${wanted}`);
  },
});
tell();

function tell() {
  for (const kind of ['duckdb', 'one thread']) {
    const statementSeconds = median(of(results[kind], 'statementSeconds'));
    const figures = { ...figuresOf(results[kind], ROWS), statementSeconds, bytesPerRow: bytes[kind] };
    report(`DuckDB, ${ROWS} rows of CSV to Parquet, ${kind === 'duckdb' ? 'every core' : kind}`, figures);
  }
  const own = results.ledgered;
  const ratioToOneThread = against(results['one thread'], own).ratio;
  const figures = {
    ...figuresOf(own, ROWS),
    bytesPerRow: bytes.ledgered,
    ...against(results.duckdb, own),
    ratioToOneThread,
  };
  const goal = { text: `ratio >= ${GOAL}`, met: figures.ratio >= GOAL };
  report(`CSV to Parquet with the ledger, batches of ${ROWS_PER_BATCH} (whole process)`, figures, goal);
}

/** Where the module lies: where BENCH_MODULES says, or where Node looks by itself. */
function duckdb() {
  const base = process.env.BENCH_MODULES;
  const from = base === undefined ? import.meta.url : pathToFileURL(join(base, 'package.json'));
  try {
    return createRequire(from).resolve('@duckdb/node-api');
  } catch (error) {
    if (error.code === 'MODULE_NOT_FOUND') return undefined;
    throw error;
  }
}

async function duck(threads, statement) {
  const result = await timed([process.execPath, script, module, threads, statement].map(String));
  const { seconds, rows } = JSON.parse(result.output);
  return { ...result, statementSeconds: seconds, rows };
}

function copied(threads) {
  const to = `'${join(out, 'rows.parquet')}' (format parquet, compression snappy)`;
  return duck(threads, `copy (select * from ${csv}) to ${to}`);
}

/** All that is there, in a few figures that change when a value does. */
async function contents(from) {
  const row = `hash(${Object.entries(COLUMNS).map(([name, [type]]) => `${name}::${type}`)})`;
  const { rows } = await duck('all', `select count(*), sum(id), sum(${row}), bit_xor(${row}) from ${from}`);
  return JSON.stringify(rows[0]);
}

function ledgered() {
  const columns = Object.entries(COLUMNS).map(([name, [, type]]) => `${name}: ${type}`);
  const limits = `recordsPerBatch: ${ROWS_PER_BATCH}, bytesPerBatch: 100000000`;
  const flowFile = `version: 1
connections:
  lake: { type: files, root: ${folder} }
flows:
  convert:
    source: { connection: lake, path: rows.csv, key: [id] }
    sink: { connection: lake, path: "out/{{ batch }}.parquet", columns: { ${columns.join(', ')} }, ${limits} }
    strategy: ledgered-append
    deliver: while-reading
`;
  return runOnce(flowFile, ['convert']);
}

function writeRows() {
  const fd = openSync(file, 'w');
  writeSync(fd, `${Object.keys(COLUMNS).join(',')}\n`);
  for (let from = 0; from < ROWS; from += 10_000) {
    const lines = Array.from({ length: Math.min(10_000, ROWS - from) }, (_, at) => line(from + at));
    writeSync(fd, lines.join(''));
  }
  closeSync(fd);
}

function line(i) {
  const code = `3f2b8c1e-${String(i % 10_000).padStart(4, '0')}-4d5a-9b7e-${String(i).padStart(12, '0')}`;
  const created = new Date(Date.UTC(2026, 10, 19) + i * 1000).toISOString();
  const city = i % 3 === 0 ? 'São Paulo' : 'Amsterdam';
  const note = i % 50 === 0 ? '"a ""b"", c"' : 'none';
  const amount = Math.round(i * 137.31) / 100;
  return `${[1_000_000 + i, code, `Person ${i}`, city, amount, i % 2 === 0, created, i % 7, note].join(',')}\n`;
}
