// Incremental reading of PostgreSQL by a cursor column, against `psql` with a binary COPY of the same new rows: a table
// that holds as many old rows as new ones, with an index on the cursor. In turns, whole process against whole process
// on the side of psql, source against server on ours.
//   npm run build && node bench/cursor.js [--small]
// What was read is compared byte for byte with what psql has written, outside of the clock.
import { spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { readFileSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { postgres } from '../build/connectors/postgres/config.js';
import { median, report, small } from './parts/measure.js';
import { startServer } from './parts/server.js';
import { needs } from './parts/timed.js';

const NEW_ROWS = small ? 200_000 : 1_000_000;
const ROUNDS = small ? 3 : 5;
const HEADER_BYTES = 19;
const TRAILER_BYTES = 2;
needs('psql', '--version');
const server = await startServer('cursor');
const client = await server.connect();
const SINCE = '2026-01-01T00:00:00Z';

try {
  await client.query(`create table items (id int8 primary key, name text, price numeric, updated_at timestamptz);
    insert into items select i, 'item number ' || i, i / 7.0::numeric(20, 4),
      timestamptz '${SINCE}' + (i - ${NEW_ROWS}) * interval '1 millisecond' from generate_series(1, ${2 * NEW_ROWS}) i;
    create index on items (updated_at); analyze items; checkpoint`);
  const rows = `select * from items where updated_at > '${SINCE}'`;
  const wanted = await digestOfCopy(`${rows} order by updated_at`);
  const kinds = { copy: async () => copied(rows), ordered: async () => copied(`${rows} order by updated_at`), cursor };
  const seconds = Object.fromEntries(Object.keys(kinds).map((kind) => [kind, []]));
  for (let round = 0; round <= ROUNDS; round++) {
    for (const [kind, read] of Object.entries(kinds)) {
      const started = performance.now();
      const result = await read();
      // The first round only warms up.
      if (round > 0) seconds[kind].push((performance.now() - started) / 1000);
      if (result !== undefined) expectSame(result, wanted);
    }
  }
  tell(seconds);
} finally {
  await server.stop();
}

function tell(seconds) {
  const copy = median(seconds.copy);
  report(`psql binary COPY of ${NEW_ROWS} new rows`, { seconds: copy, rowsPerSecond: NEW_ROWS / copy });
  const ordered = median(seconds.ordered);
  report('the same in the order of the cursor', { seconds: ordered, rowsPerSecond: NEW_ROWS / ordered });
  const own = median(seconds.cursor);
  const figures = { seconds: own, rowsPerSecond: NEW_ROWS / own, ratio: copy / own, ratioToOrdered: ordered / own };
  report('a pull by the cursor', figures, { text: 'ratio >= 0.6', met: figures.ratio >= 0.6 });
}

function copied(query) {
  const { status } = psql(query, '/dev/null');
  if (status !== 0) throw new Error(`psql ended with ${status}`);
}

function psql(query, file) {
  return spawnSync('psql', ['-qX', server.address(), '-c', `\\copy (${query}) to '${file}' (format binary)`], {
    env: server.env,
  });
}

/** One pull as an engine makes it, with what it brought in order; where it stands is asked of each chunk. */
async function cursor() {
  const { host, port, user, password } = server.access;
  const connection = { host, port, user, database: 'postgres', tls: 'off', password: 'env:P' };
  const settings = postgres.source.settings.parse({ table: 'items', cursor: 'updated_at' });
  const context = { folder: '.', secret: () => password };
  const source = postgres.source.open(connection, settings, context);
  const value = JSON.stringify({ columns: ['updated_at'], values: [SINCE] });
  const range = {
    window: { name: 'all' },
    parameters: {},
    takes: ['pgcopy'],
    from: { sourceName: 'items', kind: 'waybill/cursor', value },
    pull: { taken: async () => new Set(), downloads: server.folder },
  };
  const chunks = [];
  for await (const chunk of source.read(range, new AbortController().signal)) chunks.push(chunk);
  return chunks;
}

function expectSame(chunks, wanted) {
  const hash = createHash('sha256');
  for (const { bytes, spans, count, end } of chunks) {
    if (end === undefined) throw new Error('a chunk does not say where the source stands');
    hash.update(bytes.subarray(spans[0], spans[count * 2 - 1]));
  }
  const rows = chunks.reduce((sum, { count }) => sum + count, 0);
  const digest = hash.digest('hex');
  if (rows !== NEW_ROWS || digest !== wanted) throw new Error(`${rows} rows were read, with the digest ${digest}`);
}

/** Of the rows alone, without what stands around them in a file. */
async function digestOfCopy(query) {
  const file = join(server.folder, 'wanted');
  if (psql(query, file).status !== 0) throw new Error('psql failed');
  const bytes = readFileSync(file);
  rmSync(file);
  return createHash('sha256').update(bytes.subarray(HEADER_BYTES, -TRAILER_BYTES)).digest('hex');
}
