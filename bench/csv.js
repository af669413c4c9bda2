// CSV into PostgreSQL with the ledger of every record, against `psql` giving the same file to COPY: one server, the
// same table, in turns.
//   npm run build && node bench/csv.js [--small]
// The server takes CSV apart on the side of psql and Waybill on its own, so what both sides use together is told as
// well. What was loaded is compared after each round, outside of the clock.
import { spawnSync } from 'node:child_process';
import { chmodSync } from 'node:fs';
import { join } from 'node:path';
import { contents, itemsSql } from './parts/items.js';
import { report, small } from './parts/measure.js';
import { against, figuresOf, inTurns } from './parts/rounds.js';
import { startServer } from './parts/server.js';
import { needs, runOnce, timed } from './parts/timed.js';

const ROWS = small ? 200_000 : 2_000_000;
const ROUNDS = small ? 1 : 3;
const GOAL = 0.95;

needs('psql', '--version');
const server = await startServer('csv');
const client = await server.connect();
const file = join(server.folder, 'items.csv');
const options = { env: server.env, server };
try {
  await client.query(`${itemsSql(ROWS)}; create table copies (like items)`);
  const wanted = await contents(client, 'items');
  const written = psql(`\\copy items to '${file}' with (format csv, header)`);
  if (spawnSync(written[0], written.slice(1), { env: server.env }).status !== 0) throw new Error('no file was written');
  chmodSync(file, 0o644);
  const kinds = {
    psql: () => timed(psql(`\\copy copies from '${file}' with (format csv, header)`), options),
    ledgered: () => ledgered('none'),
    copied: () => ledgered('copy'),
  };
  const results = await inTurns(kinds, ROUNDS, {
    before: () => client.query('truncate copies; drop schema if exists waybill cascade; checkpoint'),
    after: async (kind) => {
      const got = await contents(client, 'copies');
      if (got !== wanted) throw new Error(`${kind} loaded ${got} instead of ${wanted}`);
    },
  });
  report(`psql COPY FROM STDIN of ${ROWS} rows of CSV`, figuresOf(results.psql, ROWS));
  const figuresBeside = (kind) => ({ ...figuresOf(results[kind], ROWS), ...against(results.psql, results[kind]) });
  const figures = figuresBeside('ledgered');
  const goal = { text: `ratio >= ${GOAL}`, met: figures.ratio >= GOAL };
  report('CSV to PostgreSQL with the ledger, batches of 50k (whole process)', figures, goal);
  report('the same with a copy of each batch in staging', figuresBeside('copied'));
} finally {
  await server.stop();
}

function psql(command) {
  return ['psql', '-qX', server.address(), '-c', command];
}

function ledgered(staging) {
  const flowFile = `version: 1
connections:
  facts: ${server.connection()}
  folder: { type: files, root: ${server.folder} }
flows:
  load:
    source: { connection: folder, path: items.csv, key: [id] }
    sink: { connection: facts, table: copies, recordsPerBatch: 50000, bytesPerBatch: 100000000 }
    strategy: ledgered-append
    deliver: while-reading
    staging: ${staging}
`;
  return runOnce(flowFile, ['load'], options);
}
