// PostgreSQL to PostgreSQL with the ledger of every record, against others that move tables: pgcopydb, pgloader, and
// pg_dump into psql. One server, two databases, the same table, in turns.
//   npm run build && node bench/movers.js [--small]
// The table is there and empty when a round begins, so each moves the rows alone: `pgcopydb copy table-data`, `data
// only` of pgloader. The server is the newest that the system has installed, since pgcopydb and pg_dump refuse one that
// is newer than they are. What was copied is compared after each round, outside of the clock.
import { spawnSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { COLUMNS, contents, itemsSql } from './parts/items.js';
import { report, small } from './parts/measure.js';
import { against, figuresOf, inTurns } from './parts/rounds.js';
import { installedBinaries, startServer } from './parts/server.js';
import { bash, needs, runOnce, timed } from './parts/timed.js';

const ROWS = small ? 200_000 : 2_000_000;
const ROUNDS = small ? 1 : 3;
// What `copy` does of its own accord, 100,000 rows ahead, ends with its heap exhausted.
const PREFETCHED_ROWS = 10_000;
/** How many times as fast as each of them. */
const GOALS = { pgcopydb: 2, pgloader: 6, 'pg_dump | psql': 1.8 };

needs('psql', '--version');
const binaries = installedBinaries();
if (binaries === undefined) {
  console.log('SKIPPED: no server of the system is installed: apt-get install postgresql pgcopydb pgloader');
  process.exit(0);
}
const server = await startServer('movers', { binaries });
const there = (command) => spawnSync(command, ['--version'], { stdio: 'ignore' }).error === undefined;
const options = { env: server.env, server };
const admin = await server.connect();
for (const name of ['source', 'target']) await admin.query(`create database ${name}`);
const [source, target] = [await server.connect('source'), await server.connect('target')];
try {
  await source.query(itemsSql(ROWS));
  await target.query(`create table items (${COLUMNS})`);
  const wanted = await contents(source, 'items');
  const results = await inTurns(kindsHere(), ROUNDS, {
    before: () => target.query('truncate items; drop schema if exists waybill cascade; checkpoint'),
    after: async (kind) => {
      const got = await contents(target, 'items');
      if (got !== wanted) throw new Error(`${kind} copied ${got} instead of ${wanted}`);
    },
  });
  tell(results);
} finally {
  await server.stop();
}

function kindsHere() {
  const peers = { pgcopydb, pgloader, 'pg_dump | psql': dumped };
  const found = Object.entries(peers).filter(([name]) => {
    const command = name.split(' ')[0];
    if (there(command)) return true;
    console.log(`SKIPPED: there is no ${command} here to compare with`);
    return false;
  });
  return { psql: piped, ...Object.fromEntries(found), waybill: ledgered };
}

function tell(results) {
  const own = results.waybill;
  report(`psql binary COPY pipe of ${ROWS} rows`, figuresOf(results.psql, ROWS));
  report('with the ledger, batches of 50k (whole process)', { ...figuresOf(own, ROWS), ...against(results.psql, own) });
  for (const [kind, goal] of Object.entries(GOALS)) {
    if (results[kind] === undefined) continue;
    const { ratio, best } = against(results[kind], own);
    const figures = { ...figuresOf(results[kind], ROWS), waybillIsTimesAsFast: ratio, best };
    report(kind, figures, { text: `>= ${goal} times as fast`, met: ratio >= goal });
  }
}

function piped() {
  const out = `psql -qX "${server.address('source')}" -c "copy items to stdout (format binary)"`;
  const into = `psql -qX "${server.address('target')}" -c "copy items from stdin (format binary)"`;
  return bash(`${out} | ${into}`, options);
}

function dumped() {
  const out = `pg_dump --data-only --table=items "${server.address('source')}"`;
  return bash(`${out} | psql -qX "${server.address('target')}" >/dev/null`, options);
}

/** Its books of the last time would let it go on, so each time it has a folder of its own. */
function pgcopydb() {
  const work = join(mkdtempSync(join(server.folder, 'pgcopydb-')), 'work');
  const words = ['--source', server.url('source'), '--target', server.url('target'), '--dir', work];
  return timed(['pgcopydb', 'copy', 'table-data', '--table-jobs', '2', ...words], { ...options, quiet: true });
}

function pgloader() {
  const root = mkdtempSync(join(server.folder, 'pgloader-'));
  mkdirSync(join(root, 'logs'));
  const commands = join(root, 'copy.load');
  writeFileSync(
    commands,
    `load database from ${server.url('source')} into ${server.url('target')}
  with data only, workers = 2, concurrency = 1, prefetch rows = ${PREFETCHED_ROWS};
`,
  );
  const words = ['--on-error-stop', '--root-dir', join(root, 'logs'), commands];
  return timed(['pgloader', ...words], { ...options, quiet: true });
}

function ledgered() {
  const flowFile = `version: 1
connections:
  shop: ${server.connection('source')}
  facts: ${server.connection('target')}
flows:
  copy:
    source: { connection: shop, table: items, key: [id] }
    sink: { connection: facts, table: items, recordsPerBatch: 50000, bytesPerBatch: 100000000 }
    strategy: ledgered-append
    deliver: while-reading
    staging: none
`;
  return runOnce(flowFile, ['copy'], options);
}
