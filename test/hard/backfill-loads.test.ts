import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import Database from 'better-sqlite3';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { OUTPUTS } from '../../src/cli/output-schemas.ts';
import { type Started, start } from './processes.ts';

const DAYS = Array.from({ length: 6 }, (_, n) => `2026-03-0${n + 1}`);
const STRATEGIES = {
  'stateful-merger': '',
  'metadata-cleaner': ', load: { period: month }',
  'data-overwrite': ', load: { scope: { column: day } }',
  proxy: '',
};
let folder: string;
const job = () => ({ folder, env: { ...process.env, NO_COLOR: '1' } });

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'waybill-killed-'));
  const source = new Database(join(folder, 'in.db'));
  source.exec('create table orders (id integer, day text, amount integer)');
  const insert = source.prepare('insert into orders values (?, ?, ?)');
  source.transaction(() => {
    for (const [nth, day] of DAYS.entries()) {
      // Every third order is corrected on each day; the others come once.
      for (let id = 0; id < 300; id++) insert.run(id % 3 === 0 ? id : nth * 1_000 + id, day, nth);
    }
  })();
  source.close();
  const sink = new Database(join(folder, 'out.db'));
  sink.pragma('journal_mode = wal');
  sink.close();
});
afterEach(() => rmSync(folder, { recursive: true, force: true }));

function flowFile(strategy: keyof typeof STRATEGIES): void {
  const text = `version: 1
connections:
  shop: { type: sqlite, file: in.db }
  store: { type: sqlite, file: out.db }
flows:
  copy:
    source: { connection: shop, query: "select * from orders where day = :date order by id", key: [id] }
    sink:
      { connection: store, table: items, recordsPerBatch: 50, columns: { id: integer, day: text, amount: integer }\
${STRATEGIES[strategy]} }
    strategy: ${strategy}
    window: day
`;
  writeFileSync(join(folder, 'waybill.yaml'), text);
}

const held = (): unknown[] => {
  const sink = new Database(join(folder, 'out.db'));
  try {
    return sink.prepare('select id, day, amount from items order by day, id').all();
  } finally {
    sink.close();
  }
};

const RANGE = ['backfill', 'copy', '--from', DAYS[0]!, '--to', '2026-03-07'];
const document = (stdout: string) => OUTPUTS.backfill.parse(JSON.parse(stdout));

/** Lets the process go until the ledger knows of that many loads, and kills it there. False: it had ended before. */
async function killAfterLoads(process: Started, count: number): Promise<boolean> {
  let over = false;
  void process.ended.then(() => (over = true));
  for (;;) {
    if (over) return false;
    if (loadsBegun() >= count) break;
    await new Promise((next) => setTimeout(next, 2));
  }
  process.kill('SIGKILL');
  return (await process.ended).status !== 0;
}

function loadsBegun(): number {
  try {
    const ledger = new Database(join(folder, '.waybill', 'ledger.db'), { readonly: true, fileMustExist: true });
    try {
      return ledger.prepare('select count(*) from load').pluck().get() as number;
    } finally {
      ledger.close();
    }
  } catch (error) {
    // The process has not made it yet.
    if (/no such table|unable to open|does not exist/.test(String(error))) return 0;
    throw error;
  }
}

describe('a backfill of loads that is killed again and again', () => {
  it.each(Object.keys(STRATEGIES) as (keyof typeof STRATEGIES)[])(
    'P01: by %s ends where one ends that nobody has disturbed',
    async (strategy) => {
      flowFile(strategy);
      const first = await start(job(), [...RANGE, '--output', 'json']).ended;
      expect(first.status, first.stderr).toBe(0);
      const expected = held();
      expect(expected.length).toBeGreaterThan(0);
      const before = loadsBegun();
      let kills = 0;
      for (const after of [1, 2, 4]) {
        if (await killAfterLoads(start(job(), [...RANGE, '--refresh']), before + after)) kills++;
      }
      const last = await start(job(), [...RANGE, '--refresh', '--output', 'json']).ended;
      expect(last.status, last.stderr).toBe(0);
      const end = document(last.stdout);
      expect(kills).toBeGreaterThan(0);
      expect(end.windows.map(({ state }) => state)).toEqual(DAYS.map(() => 'complete'));
      expect(end.afterwards).toEqual([]);
      expect(held()).toEqual(expected);
      // The windows that were done before the last kill were left alone.
      expect(end.goesOn?.done).toBeGreaterThan(0);
      expect(end.steps.length).toBeLessThan(DAYS.length);
    },
    60_000,
  );
});
