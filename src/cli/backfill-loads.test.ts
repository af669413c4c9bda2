import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import Database from 'better-sqlite3';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { run } from './cli.ts';
import { OUTPUTS, type OutputOf } from './output-schemas.ts';
import { RecordedProcess } from './recorded-process.ts';

const DAYS = ['01', '02', '03', '04', '05'].map((day) => `2026-03-${day}`);
const ALL = ['--from', '2026-03-01', '--to', '2026-03-06'] as const;
let folder: string;

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'waybill-backfill-'));
  const source = new Database(join(folder, 'in.db'));
  source.exec('create table orders (id integer, day text, amount integer)');
  const insert = source.prepare('insert into orders values (?, ?, ?)');
  // Order 9 changes every day; the others come once.
  for (const [nth, day] of DAYS.entries()) {
    insert.run(100 + nth, day, nth);
    insert.run(9, day, nth);
  }
  source.close();
  const sink = new Database(join(folder, 'out.db'));
  for (const table of ['merged', 'stated', 'added', 'scoped'])
    sink.exec(`create table ${table} (id integer, day text, amount integer)`);
  sink.close();
  writeFileSync(join(folder, 'waybill.yaml'), flowFile());
});
afterEach(() => rmSync(folder, { recursive: true, force: true }));

const flow = (name: string, strategy: string, more = ''): string => `  ${name}:
    source: { connection: shop, query: "select * from orders where day = :date order by id", key: [id] }
    sink: { connection: store, table: ${name}, columns: { id: integer, day: text, amount: integer }${more} }
    strategy: ${strategy}
    window: day
`;
const flowFile = (): string => `version: 1
connections:
  shop: { type: sqlite, file: in.db }
  store: { type: sqlite, file: out.db }
flows:
${flow('periods', 'metadata-cleaner', ', load: { period: month }')}${flow('merged', 'merger')}\
${flow('stated', 'stateful-merger')}${flow('added', 'transactional-writer')}\
${flow('scoped', 'data-overwrite', ', load: { scope: { column: day } }')}`;

async function waybill(...words: readonly string[]) {
  const io = new RecordedProcess({ cwd: folder });
  const code = await run(words, io);
  return { code, out: io.stdout.text, err: io.stderr.text };
}
async function backfill(...words: readonly string[]): Promise<OutputOf<'backfill'> & { code: number; err: string }> {
  const { code, out, err } = await waybill('backfill', ...words, '--output', 'json');
  expect(out, err).not.toBe('');
  return { ...OUTPUTS.backfill.parse(JSON.parse(out)), code, err };
}
const states = (document: OutputOf<'backfill'>) => document.windows.map(({ state }) => state);
const ran = (document: OutputOf<'backfill'>) => document.results.map(({ window }) => window);
const rows = (table: string): unknown[] => {
  const sink = new Database(join(folder, 'out.db'));
  try {
    return sink.prepare(`select id, day, amount from ${table} order by day, id`).all();
  } finally {
    sink.close();
  }
};
const change = (sql: string): void => {
  const source = new Database(join(folder, 'in.db'));
  source.exec(sql);
  source.close();
};
const all = () => DAYS.flatMap((day, nth) => [9, 100 + nth].map((id) => ({ id, day, amount: nth })));
const complete = DAYS.map(() => 'complete');

describe('a backfill of the metadata-cleaner', () => {
  it('P07: widens a replay of part of a period to all of it, beginning with the table, and says so', async () => {
    expect((await backfill('periods', ...ALL)).code).toBe(0);
    expect(rows('periods')).toEqual(all());
    const alone = await waybill('run', 'periods', '--for', '2026-03-03', '--refresh');
    expect(alone.code).not.toBe(0);
    expect(alone.err).toContain('PERIOD_PARTIAL');
    expect(alone.err).toMatch(/--from 2026-03-01\S*\s+\S* ?--to 2026-04-01 --refresh/);
    expect(rows('periods')).toEqual(all());

    change("update orders set amount = 77 where day = '2026-03-03'");
    const part = ['periods', '--from', '2026-03-03', '--to', '2026-03-04', '--refresh'] as const;
    const planned = await backfill(...part, '--dry-run');
    expect(planned.steps).toEqual(DAYS);
    expect(planned.windows.map(({ widened }) => widened)).toEqual([true, true, false, true, true]);
    expect(planned.warnings.join()).toContain('widened by 4 windows');
    const again = await backfill(...part);
    expect(again.code, again.err).toBe(0);
    expect(ran(again)).toEqual(DAYS);
    expect(rows('periods')).toEqual(all().map((row) => (row.day === '2026-03-03' ? { ...row, amount: 77 } : row)));
    expect(again.afterwards).toEqual([]);
  });

  it('mends what a refused replay of one window has left behind', async () => {
    await backfill('periods', ...ALL);
    await waybill('run', 'periods', '--for', '2026-03-03', '--refresh');
    const mended = await backfill('periods', ...ALL);
    expect(mended.code, mended.err).toBe(0);
    expect(mended.warnings.join()).toContain('widened by 4 windows');
    expect(states(mended)).toEqual(complete);
    expect(rows('periods')).toEqual(all());
  });

  it('brings a window that was never loaded after the one that begins the period again', async () => {
    expect((await backfill('periods', '--from', '2026-03-03', '--to', '2026-03-06')).code).toBe(0);
    const whole = await backfill('periods', ...ALL, '--refresh');
    expect(whole.code, whole.err).toBe(0);
    expect(whole.steps).toEqual([DAYS[2], DAYS[0], DAYS[1], DAYS[3], DAYS[4]]);
    expect(states(whole)).toEqual(complete);
    expect(rows('periods')).toEqual(all());
  });
});

describe('a backfill of the stateful merger', () => {
  it('names the windows that have to be loaded again, and loads them with one more command', async () => {
    expect((await backfill('stated', ...ALL)).code).toBe(0);
    const after = rows('stated');
    change('update orders set amount = 50 where id = 101; delete from orders where id = 102');
    const part = ['stated', '--from', '2026-03-02', '--to', '2026-03-04', '--refresh'] as const;
    const planned = await backfill(...part, '--dry-run');
    expect(planned.afterwards.map(({ name }) => name)).toEqual(DAYS.slice(3));
    expect(planned.warnings.join()).toContain('goes back to where it stood before 2026-03-02');
    const done = await backfill(...part);
    expect(done.code, done.err).toBe(0);
    expect(ran(done)).toEqual(DAYS.slice(1, 3));
    expect(done.afterwards.map(({ name }) => name)).toEqual(DAYS.slice(3));
    expect(done.next).toEqual(['waybill backfill stated --from 2026-03-04 --to 2026-03-06 --only undone']);
    expect(states(await backfill('stated', ...ALL, '--dry-run'))).toEqual([
      ...complete.slice(0, 3),
      'undone',
      'undone',
    ]);
    const rest = await backfill('stated', '--from', '2026-03-04', '--to', '2026-03-06', '--only', 'undone');
    expect(rest.code, rest.err).toBe(0);
    expect(rest.afterwards).toEqual([]);
    const expected = (after as { id: number; amount: number }[])
      .filter(({ id }) => id !== 102)
      .map((row) => (row.id === 101 ? { ...row, amount: 50 } : row));
    expect(rows('stated')).toEqual(expected);
  });

  it('brings back the later windows of its stretch that a window which was missing takes out', async () => {
    expect((await backfill('stated', '--from', '2026-03-02', '--to', '2026-03-04')).code).toBe(0);
    expect((await backfill('stated', '--from', '2026-03-05', '--to', '2026-03-06')).code).toBe(0);
    const planned = await backfill('stated', ...ALL, '--dry-run');
    expect(planned.steps).toEqual(DAYS);
    expect(planned.windows.map(({ act }) => act)).toEqual(['run', 'load-again', 'load-again', 'run', 'load-again']);
    expect(planned.afterwards).toEqual([]);
    // Whoever asks for missing windows alone hears what they take out.
    const alone = await backfill('stated', ...ALL, '--only', 'missing', '--dry-run');
    expect(alone.steps).toEqual([DAYS[0], DAYS[3]]);
    expect(alone.afterwards.map(({ name }) => name)).toEqual([DAYS[1], DAYS[2], DAYS[4]]);
    const done = await backfill('stated', ...ALL);
    expect(done.code, done.err).toBe(0);
    expect(ran(done)).toEqual(DAYS);
    expect(states(done)).toEqual(complete);
    expect(done.next).toEqual([]);
    expect(rows('stated')).toHaveLength(6);
    expect(rows('stated')).toContainEqual({ id: 9, day: '2026-03-05', amount: 4 });
    expect((await backfill('stated', ...ALL)).steps).toEqual([]);
  });

  it('brings back what it has taken out itself, in the order of time', async () => {
    await backfill('stated', ...ALL);
    const before = rows('stated');
    const again = await backfill('stated', ...ALL, '--refresh', '--parallel', '4');
    expect(again.code, again.err).toBe(0);
    expect(again.parallel).toBe(1);
    expect(ran(again)).toEqual(DAYS);
    expect(again.afterwards).toEqual([]);
    expect(rows('stated')).toEqual(before);
  });
});

describe('a backfill of other strategies', () => {
  it('P19: of the merger warns that readers see states that never were', async () => {
    await backfill('merged', ...ALL);
    const planned = await backfill('merged', '--from', '2026-03-02', '--to', '2026-03-03', '--refresh', '--dry-run');
    expect(planned.warnings.join()).toMatch(/3 later windows have been merged already, up to 2026-03-05.*never were/);
    expect(planned.order).toBe('in-order');
    const text = await waybill('backfill', 'merged', ...ALL, '--refresh', '--dry-run');
    expect(text.out).toContain('warning: store: 4 later windows');
  });

  it('goes in any order where each window has rows of its own', async () => {
    const scoped = await backfill('scoped', ...ALL, '--parallel', '2');
    expect(scoped).toMatchObject({ code: 0, order: 'any', parallel: 2 });
    expect(rows('scoped')).toEqual(all());
    expect((await backfill('added', ...ALL, '--dry-run')).order).toBe('any');
    await backfill('added', ...ALL);
    const again = await backfill('added', ...ALL, '--refresh', '--dry-run');
    expect(again.warnings.join()).toContain('adds its records once more');
  });
});
