import { cpSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import Database from 'better-sqlite3';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { newFolder } from '../connectors/place.ts';
import { start } from '../hard/processes.ts';
import { tellFigure } from './figures.ts';
import { runTraced, straceMissing } from './strace.ts';

const missing = straceMissing();
/** Starts that are tried side by side. */
const TOGETHER = 3;
/** A quicker look, at every so-manieth call only; all of them where nothing is said. */
const STRIDE = Number(process.env.WAYBILL_CALLS_STRIDE ?? 1);
/** No start of this flow has more calls of one kind. */
const CALLS_MAX = 2_000;
const COLUMNS = '{ id: integer, day: text, amount: real, gone: integer }';
const GONE = 'load: { deleted: { column: gone, values: [1], how: remove } }';
const [FIRST, SECOND] = ['2026-11-16', '2026-11-17'] as const;
const TABLE = '(id integer, day text, amount real, gone integer)';

/** All eight strategies at one window. */
const FLOW = `version: 1
connections:
  in: { type: sqlite, file: source.db }
  out: { type: sqlite, file: sink.db }
flows:
  orders:
    window: day
    lease: 1s
    source: { connection: in, query: 'select * from orders where day = :date', key: [id] }
    sinks:
      appended: { connection: out, strategy: ledgered-append, table: appended }
      kept: { connection: out, strategy: keyed, table: kept, key: [id] }
      added: { connection: out, strategy: transactional-writer, table: added }
      replaced: { connection: out, strategy: data-overwrite, table: replaced, load: { scope: { column: day } } }
      merged: { connection: out, strategy: merger, table: merged, ${GONE} }
      history: { connection: out, strategy: stateful-merger, table: history, ${GONE} }
      periods: { connection: out, strategy: metadata-cleaner, table: periods, columns: ${COLUMNS} }
      newest: { connection: out, strategy: proxy, table: newest, columns: ${COLUMNS} }
`;

type Row = readonly [id: number, day: string, amount: number, gone: number];
const rowsOf = (day: string, first: number): readonly Row[] =>
  Array.from({ length: 30 }, (_, n) => [first + n, day, n + 0.5, n % 10 === 0 ? 1 : 0] as const);
const DAYS = { [FIRST]: rowsOf(FIRST, 1), [SECOND]: rowsOf(SECOND, 16) } as const;
const BOTH = [...DAYS[FIRST], ...DAYS[SECOND]];
const latest = new Map(BOTH.map((row) => [row[0], row]));
const living = [...latest.values()].filter((row) => row[3] === 0);
const HELD: Readonly<Record<string, readonly Row[]>> = {
  appended: BOTH,
  kept: [...latest.values()],
  added: BOTH,
  replaced: BOTH,
  merged: living,
  history: living,
  periods: BOTH,
  newest: DAYS[SECOND],
};

const env = { ...process.env, NO_COLOR: '1' };
const inOrder = (rows: readonly Row[]): readonly string[] => rows.map((row) => row.join(' ')).sort();

function ask<T>(folder: string, file: string, work: (db: Database.Database) => T): T {
  const db = new Database(join(folder, file));
  try {
    return work(db);
  } finally {
    db.close();
  }
}

/** A folder in which the first day is loaded, to be copied for each try. */
let loaded: string;
beforeAll(async () => {
  if (missing !== undefined) return;
  loaded = newFolder('failing-calls');
  writeFileSync(join(loaded, 'waybill.yaml'), FLOW);
  ask(loaded, 'source.db', (db) => {
    db.exec(`create table orders ${TABLE}`);
    const insert = db.prepare('insert into orders values (?, ?, ?, ?)');
    for (const row of BOTH) insert.run(...row);
  });
  ask(loaded, 'sink.db', (db) => {
    for (const table of ['appended', 'added', 'replaced', 'merged', 'history'])
      db.exec(`create table ${table} ${TABLE}`);
    db.exec('create table kept (id integer primary key, day text, amount real, gone integer)');
  });
  const ended = await start({ folder: loaded, env }, ['run', 'orders', '--for', FIRST]).ended;
  expect(ended.status, ended.stderr).toBe(0);
});
afterAll(() => (loaded === undefined ? undefined : rmSync(loaded, { recursive: true, force: true })));
beforeEach(({ skip }) => skip(missing !== undefined, missing));

/** A start whose nth call fails, and one that mends it. False when it had no such call any more. */
async function tryCall(inject: string): Promise<boolean> {
  const folder = newFolder('failing-call');
  const job = { folder, env };
  const words = ['run', 'orders', '--for', SECOND];
  try {
    cpSync(loaded, folder, { recursive: true });
    const ended = await runTraced(job, words, inject);
    if (!ended.met) return false;
    expect([0, 4, 5], `${inject}: ${ended.stderr}`).toContain(ended.status);
    if (ended.status === 5) expect(ended.stderr, inject).toMatch(/^ {2}do {4}.{10,}/m);
    await mend(job, words, inject);
    for (const [table, rows] of Object.entries(HELD)) {
      const held = ask(folder, 'sink.db', (db) =>
        db.prepare(`select id, day, amount, gone from ${table}`).raw(true).all(),
      );
      expect(inOrder(held as Row[]), `${inject}: ${table}`).toEqual(inOrder(rows));
    }
    return true;
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

/** A lease whose release could not be written is waited for: it is short. */
async function mend(job: { folder: string; env: NodeJS.ProcessEnv }, words: string[], inject: string): Promise<void> {
  for (let tries = 0; ; tries++) {
    const ended = await start(job, words).ended;
    if (ended.status === 0) return;
    expect(tries, `${inject}: ${ended.stdout}${ended.stderr}`).toBeLessThan(10);
  }
}

describe('G23: with all eight strategies at work, a call of the disk that fails', () => {
  it.each([
    ['fsync', 'EIO', 1],
    ['fdatasync', 'EIO', 1],
    ['pwrite64', 'ENOSPC', 40],
  ] as const)(
    '(%s, %s), each %i. in turn, is mended by the next start: each table is as it has to be',
    async (call, error, every) => {
      let [next, met, over] = [1, 0, false];
      const work = async (): Promise<void> => {
        while (!over && next < CALLS_MAX) {
          const nth = next;
          next += every * STRIDE;
          if (await tryCall(`${call}:error=${error}:when=${nth}`)) met++;
          else over = true;
        }
      };
      await Promise.all(Array.from({ length: TOGETHER }, work));
      if (STRIDE === 1) expect(met).toBeGreaterThan(2);
      tellFigure('G23', `failed calls under all strategies, ${call} with ${error}`, met);
    },
    900_000,
  );
});
