import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Client } from 'pg';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { type Started, start } from './hard/processes.ts';
import { startPostgres, type TestPostgres } from './postgres.ts';

const ROWS = 9_000;

let server: TestPostgres;
let client: Client;
let folder: string;
const started: Started[] = [];
beforeAll(async () => {
  server = await startPostgres();
  client = await server.client();
});
afterAll(async () => {
  await client?.end();
  await server?.stop();
});
beforeEach(async () => {
  folder = mkdtempSync(join(tmpdir(), 'waybill-csv-'));
  await client.query(`drop table if exists copies; drop schema if exists waybill cascade;
    create table copies (id int8, name text, note text, price numeric, at timestamptz)`);
});
afterEach(async () => {
  for (const child of started.splice(0)) {
    child.kill('SIGKILL');
    await child.ended;
  }
  rmSync(folder, { recursive: true, force: true });
});

/** Line ends in fields, nothing and the empty text; `id` is no column of the first place. */
const rowOf = (id: number, price = `${id}.50`): string =>
  `"item ""${id}""\n${'\n'.repeat(id % 3)}ü",${id},${['', '""', '\\N'][id % 3]},${price},2026-11-19T12:00:00Z`;
const HEADER = 'name,id,note,price,at';
const write = (rows: readonly string[], end = '\n'): void =>
  writeFileSync(join(folder, 'items.csv'), [HEADER, ...rows, ''].join(end));
const numbers = (count: number): number[] => Array.from({ length: count }, (_, at) => at + 1);
const WANTED = `select i::int8, 'item "' || i || E'"\\n' || repeat(E'\\n', i % 3) || 'ü',
  case i % 3 when 1 then '' when 2 then '\\N' end, i + 0.5, '2026-11-19 12:00:00Z'::timestamptz
  from generate_series(1, ${ROWS}) i`;
const rowsNotThere = async (): Promise<number> => {
  const both = `(${WANTED} except all table copies) union all (table copies except all ${WANTED})`;
  return (await client.query(both)).rowCount!;
};
const held = async (): Promise<number> => (await client.query('select count(*)::int n from copies')).rows[0].n;

function configure(given: { strategy?: string; sinks?: string; map?: string } = {}): void {
  const { host, port, user, database } = server;
  const { strategy = 'ledgered-append', map = '' } = given;
  const batch = 'batch: { maxRecords: 700 }';
  const { sinks = `sink: { connection: warehouse, table: copies, ${batch}${map} }` } = given;
  const lines = [
    'version: 1',
    'connections:',
    `  warehouse: { type: postgres, host: "${host}", port: ${port}, user: ${user}, database: ${database}, \
password: env:WAREHOUSE }`,
    'flows:',
    '  copy:',
    '    source: { connection: files, path: items.csv, key: [id] }',
    `    ${sinks}`,
    `    strategy: ${strategy}`,
    '    deliver: while-reading',
  ];
  writeFileSync(join(folder, 'waybill.yaml'), `${lines.join('\n')}\n`);
}

function run(args: readonly string[] = ['run', 'copy']): Started {
  const env = { ...process.env, ROKET_TOKEN: '', NO_COLOR: '1', WAREHOUSE: server.password };
  const child = start({ folder, env }, args);
  started.push(child);
  return child;
}
async function completed(args?: readonly string[], status = 0): Promise<string> {
  const ended = await run(args).ended;
  expect(ended.status, ended.stdout + ended.stderr).toBe(status);
  return ended.stdout;
}
const formatIn = (lane: string): string => {
  const file = join(folder, '.waybill', 'staging', 'r1', lane, '1.seg');
  return /"format":"(\w+)"/.exec(readFileSync(file, 'latin1'))?.[1] ?? 'the first';
};

describe('a file of CSV in PostgreSQL', () => {
  it.each(['ledgered-append', 'keyed'])(
    'P02: holds each row once, killed with SIGKILL and started again, %s',
    async (strategy) => {
      const keyed = strategy === 'keyed';
      if (keyed) await client.query('alter table copies add primary key (id)');
      const more = keyed ? ', key: [id], requestTimeoutSeconds: 4' : '';
      write(numbers(ROWS).map((id) => rowOf(id)));
      configure({ strategy, map: more });
      let killed = 0;
      for (const rows of [1, 3_000, 6_000]) {
        const child = run();
        let over = false;
        const ended = child.ended.then(() => {
          over = true;
        });
        while (!over && (await held()) < rows) await client.query('select pg_sleep(0.01)');
        child.kill('SIGKILL');
        await ended;
        if ((await held()) < ROWS) killed++;
      }
      expect(killed).toBeGreaterThanOrEqual(2);
      await completed();
      expect(formatIn('warehouse')).toBe('csv');
      expect(await rowsNotThere()).toBe(0);
      await completed();
      expect(await held()).toBe(ROWS);
    },
    120_000,
  );

  it('is the same with line ends of Windows', async () => {
    write(
      numbers(ROWS).map((id) => rowOf(id)),
      '\r\n',
    );
    configure();
    await completed();
    expect(await rowsNotThere()).toBe(0);
  });

  it('is compared by a later reading with what was sent of it', async () => {
    write(numbers(900).map((id) => rowOf(id)));
    configure();
    await completed();
    write(
      numbers(910)
        .slice(1)
        .map((id) => rowOf(id, id < 5 ? '0' : undefined)),
    );
    const said = await completed(['run', 'copy', '--refresh']);
    expect(said).toContain('3 records changed since it was sent, 1 record no longer in the source');
    expect(await held()).toBe(910);
  });

  it('P32: has its bad records refused one by one, with the reason of each, and all others delivered', async () => {
    const bad = new Map([
      [1, rowOf(1, 'dear')],
      [777, rowOf(777).replace('2026', 'secret')],
      [2000, rowOf(2000, '"no\nprice"')],
    ]);
    write(numbers(2000).map((id) => bad.get(id) ?? rowOf(id)));
    configure();
    await completed(undefined, 3);
    expect(await held()).toBe(1997);
    const listed = await completed(['records', '--state', 'refused', '--output', 'json']);
    type Refused = { readonly key: string; readonly batch: string; readonly reason: object };
    const { records } = JSON.parse(listed) as { records: Refused[] };
    records.sort((a, b) => Number(a.key) - Number(b.key));
    expect(records.map(({ key }) => key)).toEqual(['1', '777', '2000']);
    const reasons = records.map(({ reason }) => JSON.stringify(reason));
    for (const [nth, words] of [/22P02.*price/, /22007.*at/, /22P02.*price/].entries())
      expect(reasons[nth]).toMatch(words);
    expect(listed).not.toMatch(/dear|secret|no\\nprice/);
    // Whoever is to look into it gets the row as it stands in the file.
    expect(await completed(['batches', 'show', records[0]!.batch, '--payload'])).toBe(`${rowOf(1, 'dear')}\n`);
    await client.query('alter table copies alter column price type text, alter column at type text');
    await completed(['retry', 'r1', '--reason', 'the columns take it now']);
    expect(await held()).toBe(2000);
  });

  it('is looked into where a mapping asks for it, and goes beside it to a lane without one', async () => {
    write(numbers(1500).map((id) => rowOf(id)));
    await client.query('drop table if exists renamed; create table renamed (number int8, name text)');
    const sink = 'connection: warehouse, batch: { maxRecords: 700 }';
    const mapping = 'mapping: { rename: { id: number }, drop: [note, price, at] }';
    configure({
      sinks: `sinks: { plain: { ${sink}, table: copies }, mapped: { ${sink}, table: renamed, ${mapping} } }`,
    });
    await completed();
    expect([formatIn('plain'), formatIn('mapped')]).toEqual(['csv', 'the first']);
    const { rows } = await client.query(
      'select count(*)::int n from copies c join renamed r on r.number = c.id and r.name = c.name',
    );
    expect(rows[0].n).toBe(1500);
  });
});
