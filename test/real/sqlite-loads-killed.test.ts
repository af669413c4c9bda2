import { spawn } from 'node:child_process';
import { rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import Database from 'better-sqlite3';
import { describe, expect, it } from 'vitest';
import { newFolder } from '../connectors/place.ts';

const CLI = fileURLToPath(new URL('../../dist/cli/main.js', import.meta.url));
/** For each of two windows. */
const KILLS = 8;
const SEED = 11;
const COLUMNS = '{ id: integer, day: text, amount: real, gone: integer }';
const GONE = 'load: { deleted: { column: gone, values: [1], how: remove } }';

/** Six lanes, one for each strategy that publishes a window as a whole, into one file. */
const FLOW = `version: 1
connections:
  in: { type: sqlite, file: source.db }
  out: { type: sqlite, file: sink.db }
flows:
  orders:
    window: day
    source: { connection: in, query: 'select * from orders where day = :date', key: [id] }
    sinks:
      added: { connection: out, strategy: transactional-writer, table: added }
      replaced: { connection: out, strategy: data-overwrite, table: replaced, load: { scope: { column: day } } }
      merged: { connection: out, strategy: merger, table: merged, ${GONE} }
      history: { connection: out, strategy: stateful-merger, table: history, ${GONE} }
      periods: { connection: out, strategy: metadata-cleaner, table: periods, columns: ${COLUMNS} }
      newest: { connection: out, strategy: proxy, table: newest, columns: ${COLUMNS}, load: { keep: 1 } }
`;

type Row = readonly [id: number, day: string, amount: number, gone: number];

const DAYS = ['2026-11-16', '2026-11-17', '2026-11-18'] as const;
const TABLE = '(id integer, day text, amount real, gone integer)';

class Shop {
  readonly #folder = newFolder('sqlite-killed');

  constructor() {
    writeFileSync(join(this.#folder, 'waybill.yaml'), FLOW);
    this.ask('source.db', (db) => {
      db.exec(`create table orders ${TABLE}`);
      const insert = db.prepare('insert into orders values (?, ?, ?, ?)');
      for (const [nth, day] of DAYS.entries()) {
        for (let n = 0; n < 50; n++) insert.run(n + nth * 20, day, n + 0.5, n % 10 === 0 ? 1 : 0);
      }
    });
    this.ask('sink.db', (db) => {
      for (const table of ['added', 'replaced', 'merged', 'history']) db.exec(`create table ${table} ${TABLE}`);
    });
  }

  ask<T>(file: 'source.db' | 'sink.db', work: (db: Database.Database) => T): T {
    const db = new Database(join(this.#folder, file));
    try {
      return work(db);
    } finally {
      db.close();
    }
  }

  rows(file: 'source.db' | 'sink.db', from: string): readonly Row[] {
    return this.ask(file, (db) => db.prepare(`select id, day, amount, gone from ${from}`).raw(true).all() as Row[]);
  }

  /** What a start comes to; one that is given a time is killed when that is over. */
  start(words: readonly string[], killAfterMs?: number): Promise<number | 'killed'> {
    return new Promise((resolve, reject) => {
      const child = spawn(process.execPath, [CLI, 'run', 'orders', ...words], { cwd: this.#folder, stdio: 'ignore' });
      const killing = killAfterMs === undefined ? undefined : setTimeout(() => child.kill('SIGKILL'), killAfterMs);
      child.once('error', reject);
      child.once('exit', (code) => {
        clearTimeout(killing);
        resolve(code ?? 'killed');
      });
    });
  }

  /** Loads the last two days again; each is killed many times, and then left alone. */
  async killEach(tookMs: number): Promise<{ readonly kills: number; readonly whole: number }> {
    const chance = chances(SEED);
    const ends: (number | 'killed')[] = [];
    for (const day of DAYS.slice(1)) {
      const again = ['--for', day, '--refresh'];
      for (let kill = 0; kill < KILLS; kill++) ends.push(await this.start(again, tookMs * (0.3 + chance())));
      expect(await this.start(again), day).toBe(0);
    }
    const kills = ends.filter((end) => end === 'killed').length;
    return { kills, whole: ends.length - kills };
  }

  close(): void {
    rmSync(this.#folder, { recursive: true, force: true });
  }
}

/** The same numbers for the same seed. */
function chances(seed: number): () => number {
  let state = seed;
  return () => {
    state = (state * 1_103_515_245 + 12_345) % 2_147_483_648;
    return state / 2_147_483_648;
  };
}

const inOrder = (rows: readonly Row[]): readonly string[] => rows.map((row) => row.join(' ')).sort();

function merged(days: readonly (readonly Row[])[]): readonly Row[] {
  const byId = new Map<number, Row>();
  for (const row of days.flat()) {
    if (row[3] === 1) byId.delete(row[0]);
    else byId.set(row[0], row);
  }
  return [...byId.values()];
}

describe('a process that is killed while it loads into an SQLite file by every strategy', () => {
  it(`P02, P26, P38: leaves what the next one brings to the right end, ${KILLS * 2} times at any moment`, async () => {
    const shop = new Shop();
    try {
      let tookMs = 0;
      for (const day of DAYS) {
        const from = performance.now();
        expect(await shop.start(['--for', day]), day).toBe(0);
        tookMs = performance.now() - from;
      }
      shop.ask('source.db', (db) => {
        db.exec(`update orders set amount = amount + 1000 where day = '${DAYS[1]}' and id % 7 = 0`);
        db.exec(`delete from orders where day = '${DAYS[1]}' and id % 9 = 0`);
      });
      const { kills, whole } = await shop.killEach(tookMs);
      console.info(`${kills} kills, ${whole} starts came to their end before, seed ${SEED}`);
      expect(kills).toBeGreaterThan(KILLS / 2);
      const days = DAYS.map((day) => shop.rows('source.db', `orders where day = '${day}'`));
      const seen = (table: string) => inOrder(shop.rows('sink.db', table));
      expect(seen('replaced'), 'replaced').toEqual(inOrder(days.flat()));
      expect(seen('periods'), 'periods').toEqual(inOrder(days.flat()));
      expect(seen('newest'), 'newest').toEqual(inOrder(days[2]!));
      expect(seen('history'), 'history').toEqual(inOrder(merged(days)));
      // Each start that came to its end has added its window once more, and none a part of it.
      const added = shop.rows('sink.db', `added where day <> '${DAYS[0]}' group by day, id having count(*) > 0`);
      expect(added.length, 'rows that were added').toBeGreaterThan(90);
      const counts = shop.ask('sink.db', (db) =>
        db
          .prepare('select count(distinct n) from (select count(*) as n from added where day = ? group by id)')
          .pluck()
          .all(DAYS[2]),
      );
      expect(counts, 'every row of the last day was added equally often').toEqual([1]);
      expect(shop.ask('sink.db', (db) => db.pragma('integrity_check', { simple: true }))).toBe('ok');
      const places = shop.ask('sink.db', (db) =>
        db
          .prepare(`select count(*) from sqlite_schema where type = 'table' and name like 'wb\\_%' escape '\\'`)
          .pluck()
          .all(),
      );
      expect(places, 'places that are left: the newest load and one before').toEqual([2]);
    } finally {
      shop.close();
    }
  }, 240_000);
});
