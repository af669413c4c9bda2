// PostgreSQL to a PostgreSQL that is far away, against `psql` piping a binary COPY into another over the same line, in
// turns. The line takes ten milliseconds each way, so every answer is waited for for twenty.
//   npm run build && node bench/far.js [--small]
// What was copied is compared after each round, outside of the clock. The command's start and end are part of its time.
import { contents, itemsSql } from './parts/items.js';
import { report, small } from './parts/measure.js';
import { against, figuresOf, inTurns } from './parts/rounds.js';
import { startServer } from './parts/server.js';
import { slowLine } from './parts/slow-line.js';
import { bash, needs, runOnce } from './parts/timed.js';

const ROWS = small ? 200_000 : 1_000_000;
const ROUNDS = small ? 2 : 3;
const ONE_WAY_MS = 10;
const KINDS = {
  'batches of 50k': { records: 50_000, connections: 2 },
  'batches of 10k': { records: 10_000, connections: 2 },
  'batches of 10k, 4 connections': { records: 10_000, connections: 4 },
};

needs('psql', '--version');
const server = await startServer('postgres');
const client = await server.connect();
const line = await slowLine(server.access.port, ONE_WAY_MS);
const options = { env: server.env, server };
try {
  await client.query(`${itemsSql(ROWS)}; create table copies (like items)`);
  const wanted = await contents(client, 'items');
  const own = Object.entries(KINDS).map(([kind, how]) => [kind, () => ledgered(how)]);
  const kinds = { psql: piped, ...Object.fromEntries(own) };
  const results = await inTurns(kinds, ROUNDS, {
    before: () => client.query('truncate copies; drop schema if exists waybill cascade; checkpoint'),
    after: async (kind) => {
      const got = await contents(client, 'copies');
      if (got !== wanted) throw new Error(`${kind} copied ${got} instead of ${wanted}`);
    },
  });
  tell(results);
} finally {
  line.close();
  await server.stop();
}

function tell(results) {
  report(`psql binary COPY pipe of ${ROWS} rows, ${2 * ONE_WAY_MS} ms away`, figuresOf(results.psql, ROWS));
  for (const kind of Object.keys(KINDS)) {
    const figures = { ...figuresOf(results[kind], ROWS), ...against(results.psql, results[kind]) };
    report(`PostgreSQL to PostgreSQL ${2 * ONE_WAY_MS} ms away, with the ledger, ${kind} (whole process)`, figures);
  }
}

function piped() {
  const from = `psql -qX "${server.address()}" -c "copy items to stdout (format binary)"`;
  const to = `psql -qX "${server.address(undefined, line.port)}" -c "copy copies from stdin (format binary)"`;
  return bash(`${from} | ${to}`, options);
}

function ledgered({ records, connections }) {
  const flowFile = `version: 1
connections:
  here: ${server.connection()}
  far: ${server.connection(undefined, line.port)}
flows:
  copy:
    source: { connection: here, table: items, key: [id] }
    sink:
      connection: far
      table: copies
      recordsPerBatch: ${records}
      bytesPerBatch: 100000000
      connections: ${connections}
    strategy: ledgered-append
    deliver: while-reading
    staging: none
`;
  return runOnce(flowFile, ['copy'], options);
}
