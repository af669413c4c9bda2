// PostgreSQL to PostgreSQL with the ledger of every record, against `psql` piping a binary COPY into another: one
// server, the same table, in turns.
//   npm run build && node bench/postgres.js [--small]
// The server is the one of the tests, with its durability on. What was copied is compared after each round, outside of
// the clock. The command's start and end are part of its time. Beside it a bare splice: a program on Node that passes
// the bytes on and does nothing else: what a program that keeps a ledger as well can be held against.
import { fileURLToPath } from 'node:url';
import { contents, itemsSql } from './parts/items.js';
import { report, small } from './parts/measure.js';
import { against, figuresOf, inTurns } from './parts/rounds.js';
import { startServer } from './parts/server.js';
import { bash, needs, runOnce, timed } from './parts/timed.js';

const ROWS = small ? 200_000 : 2_000_000;
const ROUNDS = small ? 2 : 3;
/** Between two tables nothing but keys and digests has to be kept; the last kind keeps a copy of each batch as well. */
const KINDS = {
  'batches of 50k': { records: 50_000, staging: 'none', goal: 0.95 },
  'batches of 10k': { records: 10_000, staging: 'none', goal: 0.85 },
  'batches of 50k, copied': { records: 50_000, staging: 'copy' },
};

needs('psql', '--version');
const server = await startServer('postgres');
const client = await server.connect();
const options = { env: server.env, server };
try {
  await client.query(`${itemsSql(ROWS)}; create table copies (like items)`);
  const wanted = await contents(client, 'items');
  const own = Object.entries(KINDS).map(([kind, how]) => [kind, () => ledgered(how)]);
  const kinds = { psql: piped, splice: spliced, ...Object.fromEntries(own) };
  const results = await inTurns(kinds, ROUNDS, {
    before: () => client.query('truncate copies; drop schema if exists waybill cascade; checkpoint'),
    after: async (kind) => {
      const got = await contents(client, 'copies');
      if (got !== wanted) throw new Error(`${kind} copied ${got} instead of ${wanted}`);
    },
  });
  tell(results);
} finally {
  await server.stop();
}

function tell(results) {
  report(`psql binary COPY pipe of ${ROWS} rows`, figuresOf(results.psql, ROWS));
  const splice = { ...figuresOf(results.splice, ROWS), ...against(results.psql, results.splice) };
  report('bare splice on Node, no batches, no ledger (whole process)', splice);
  for (const [kind, { goal }] of Object.entries(KINDS)) {
    const figures = { ...figuresOf(results[kind], ROWS), ...against(results.psql, results[kind]) };
    const name = `PostgreSQL to PostgreSQL with the ledger, ${kind} (whole process)`;
    const wanted = goal === undefined ? [] : [{ text: `ratio >= ${goal}`, met: figures.ratio >= goal }];
    report(name, figures, ...wanted);
  }
}

function piped() {
  const from = `psql -qX "${server.address()}" -c "copy items to stdout (format binary)"`;
  const to = `psql -qX "${server.address()}" -c "copy copies from stdin (format binary)"`;
  return bash(`${from} | ${to}`, options);
}

function spliced() {
  const program = fileURLToPath(new URL('parts/splice.js', import.meta.url));
  return timed([process.execPath, program, server.url('postgres')], options);
}

function ledgered({ records, staging }) {
  const flowFile = `version: 1
connections:
  here: ${server.connection()}
flows:
  copy:
    source: { connection: here, table: items, key: [id] }
    sink: { connection: here, table: copies, recordsPerBatch: ${records}, bytesPerBatch: 100000000 }
    strategy: ledgered-append
    deliver: while-reading
    staging: ${staging}
`;
  return runOnce(flowFile, ['copy'], options);
}
