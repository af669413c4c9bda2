import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type Ended, type Started, start } from './hard/processes.ts';
import { SchemaBench } from './schema-bench.ts';

const ROWS = 12_000;
const KILLS = 3;

let bench: SchemaBench;
beforeAll(async () => {
  bench = await SchemaBench.start();
});
afterAll(() => bench?.stop());

const cli = (...words: string[]): Started =>
  start({ folder: bench.folder, env: {} }, words, {
    ...process.env,
    NO_COLOR: '1',
    WAREHOUSE: bench.server.password,
  });

interface Listed {
  readonly runs: readonly {
    readonly run: { readonly flow: string };
    readonly lanes: readonly { readonly leftOut: readonly { readonly column: string; readonly records: number }[] }[];
  }[];
}

async function leftOut(flow: string): Promise<unknown> {
  const { stdout } = await cli('status', flow, '--output', 'json').ended;
  return (JSON.parse(stdout) as Listed).runs.flatMap(({ lanes }) => lanes.flatMap((lane) => lane.leftOut));
}

describe('what was left out of records', () => {
  it('P08: is counted exactly by `waybill status`, whenever the process is killed', async () => {
    await bench.client.query('create table killed (id int8 primary key, x text)');
    mkdirSync(join(bench.folder, 'in'));
    const filler = 'x'.repeat(300);
    const lines = Array.from({ length: ROWS }, (_, id) =>
      JSON.stringify({ id, x: filler, ...(id % 3 === 0 ? { note: id } : {}), ...(id % 5 === 0 ? { late: null } : {}) }),
    );
    writeFileSync(join(bench.folder, 'in', 'killed.ndjson'), `${lines.join('\n')}\n`);
    bench.configure({
      killed: `deliver: while-reading
source: { connection: folder, path: in/killed.ndjson, key: id }
sink: { connection: db, table: killed, batch: { maxRecords: 100 } }
schema: discard-column`,
    });
    let killed = 0;
    for (let nth = 0; nth < KILLS; nth++) if (await killBehind(500 + nth * 2_000)) killed++;
    expect(killed, 'starts that ended before their time').toBeGreaterThan(0);
    const last: Ended = await cli('run', 'killed').ended;
    expect(last.status, last.stdout + last.stderr).toBe(0);
    const told = 'left out, since the sink has no such column: "note" of 4,000 records';
    expect(last.stdout).toContain(told);
    expect(await leftOut('killed')).toEqual([{ column: 'note', records: ROWS / 3 }]);
    expect((await cli('status', 'killed').ended).stdout).toContain(told);
    expect(await bench.dump('killed', 'count(*), count(distinct id)')).toEqual([`(${ROWS},${ROWS})`]);
  }, 120_000);

  it('P08: counts only records that are in batches, and those of a new reading beside the earlier ones', async () => {
    await bench.client.query(`create table counted (id int8);
      create table src_counted (id int8, note text); insert into src_counted values
        (1, 'a'), (2, null), (2, 'came twice'), (3, 'c')`);
    bench.configure({
      counted: `source: { connection: db, query: "select * from src_counted order by id, note nulls first", key: id,
  onDuplicate: drop }
sink: { connection: db, table: counted }
schema: discard-column`,
    });
    const first = await bench.run('counted');
    expect(first.lanes[0]!.leftOut).toEqual([{ column: 'note', records: 2 }]);
    await bench.client.query(`insert into src_counted values (4, 'd'), (5, null)`);
    const second = await bench.run('counted', { refresh: true });
    expect(second.lanes[0]!.leftOut).toEqual([{ column: 'note', records: 3 }]);
    const notices = second.notices.filter(({ kind }) => kind === 'columns-left-out');
    expect(notices.map(({ message }) => message)).toEqual([expect.stringMatching(/"note" was left out of 1 record$/)]);
  });
});

/** Ends the process as a crash does, once so many rows are there. */
async function killBehind(rows: number): Promise<boolean> {
  const child = cli('run', 'killed');
  let over = false;
  void child.ended.then(() => {
    over = true;
  });
  const count = 'select count(*)::int as n from killed';
  while (!over && (await bench.client.query<{ n: number }>(count)).rows[0]!.n < rows) {
    await bench.client.query('select pg_sleep(0.005)');
  }
  child.kill('SIGKILL');
  return (await child.ended).status === -1;
}
