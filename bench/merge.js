// A window of changes merged into a table ten times its size by the strategy `merger`, against the same MERGE by hand
// in psql: one server, a fresh copy of the same database each time, in turns.
//   npm run build && node bench/merge.js [--small]
// By hand is what somebody would do who has the changes elsewhere: a table of the same columns, filled by piping one
// binary COPY into another, ANALYZE, and the MERGE that Waybill runs as well. Waybill has to bring the rows too, so the
// goal is held against all of that; what the MERGE alone took is told beside it. Eight changes of ten are of rows that
// are there, one is new, one deletes. What the table holds is compared after each round with what a join of both
// tables says, outside of the clock.
import { contents } from './parts/items.js';
import { median, report, small } from './parts/measure.js';
import { against, figuresOf, inTurns, of } from './parts/rounds.js';
import { startServer } from './parts/server.js';
import { bash, needs, runOnce, timed } from './parts/timed.js';

const ROWS = small ? 1_000_000 : 10_000_000;
const CHANGES = ROWS / 10;
const ROUNDS = small ? 1 : 3;
const GOAL = 0.8;
const COLUMNS = 'id int8, name text, price numeric, at timestamptz, op text';
const MERGE = `merge into facts t using staging s on t.id = s.id
  when matched and s.op = any('{D}'::text[]) then delete
  when matched then update set name = s.name, price = s.price, at = s.at, op = s.op
  when not matched and s.op = any('{D}'::text[]) then do nothing
  when not matched then insert (id, name, price, at, op) values (s.id, s.name, s.price, s.at, s.op)`;

needs('psql', '--version');
const server = await startServer('merge');
const options = { env: server.env, server };
const admin = await server.connect();
try {
  const wanted = await prepare();
  const results = await inTurns({ byHand, merger }, ROUNDS, {
    before: async () => {
      await admin.query('drop database if exists work');
      await admin.query('create database work template prepared strategy file_copy');
      await admin.query('checkpoint');
    },
    after: async (kind) => {
      const client = await server.connect('work');
      const got = await contents(client, 'facts').finally(() => client.end());
      if (got !== wanted) throw new Error(`${kind} came to ${got} instead of ${wanted}`);
    },
  });
  tell(results);
} finally {
  await server.stop();
}

/** Fills the database that each round begins with. Answers what the table has to hold in the end. */
async function prepare() {
  await admin.query('create database prepared');
  const client = await server.connect('prepared');
  await client.query(`create table facts (${COLUMNS}, primary key (id));
    insert into facts select i, 'fact number ' || i, i / 7.0::numeric(20, 4), '2026-01-01'::timestamptz, 'I'
      from generate_series(1, ${ROWS}) i;
    create table changes (${COLUMNS});
    insert into changes select case when i % 10 = 0 then ${ROWS} + i else i * 10 end, 'change number ' || i,
      i / 9.0::numeric(20, 4), '2026-11-19'::timestamptz + i * interval '1 millisecond',
      case i % 10 when 0 then 'I' when 1 then 'D' else 'U' end
      from generate_series(1, ${CHANGES}) i order by hashint8(i)`);
  await client.query('vacuum (analyze) facts, changes');
  const names = ['id', 'name', 'price', 'at', 'op'];
  const columns = names.map((name) => `case when c.id is null then f.${name} else c.${name} end as ${name}`);
  const joined = `select ${columns.join(', ')} from facts f full join changes c on c.id = f.id
    where c.op is distinct from 'D'`;
  return contents(client, `(${joined})`).finally(() => client.end());
}

function tell({ byHand: hand, merger: own }) {
  const mergeSeconds = median(of(hand, 'mergeSeconds'));
  report(`by hand: COPY of ${CHANGES} rows, ANALYZE, MERGE into ${ROWS}`, {
    ...figuresOf(hand, CHANGES),
    mergeSeconds,
  });
  const ratioToMergeAlone = mergeSeconds / median(of(own, 'seconds'));
  const figures = { ...figuresOf(own, CHANGES), ...against(hand, own), ratioToMergeAlone };
  const goal = { text: `ratio >= ${GOAL}`, met: figures.ratio >= GOAL };
  report(`merger: ${CHANGES} rows into ${ROWS} (whole process)`, figures, goal);
}

async function byHand() {
  const psql = ['psql', '-qX', '-v', 'ON_ERROR_STOP=1', server.address('work')];
  const call = psql.map((word) => `'${word}'`).join(' ');
  const out = `${call} -c 'copy changes to stdout (format binary)'`;
  const into = `${call} -c 'create table staging (${COLUMNS})' -c 'copy staging from stdin (format binary)'`;
  const brought = await bash(`${out} | ${into}`, options);
  const merged = await timed([...psql, '-c', 'analyze staging', '-c', MERGE], options);
  const sum = (figure) => brought[figure] + merged[figure];
  return {
    seconds: sum('seconds'),
    cpuSeconds: sum('cpuSeconds'),
    serverCpuSeconds: sum('serverCpuSeconds'),
    mergeSeconds: merged.seconds,
  };
}

function merger() {
  const flowFile = `version: 1
connections:
  here: ${server.connection('work')}
flows:
  merge:
    source: { connection: here, table: changes, key: [id] }
    sink:
      connection: here
      table: facts
      recordsPerBatch: 50000
      bytesPerBatch: 100000000
      load: { deleted: { column: op, values: [D] } }
    strategy: merger
    deliver: while-reading
`;
  return runOnce(flowFile, ['merge'], options);
}
