import { spawn } from 'node:child_process';
import { existsSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import Database from 'better-sqlite3';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { newFolder } from '../connectors/place.ts';
import { TestNats } from '../nats.ts';
import { TestRedis } from '../redis.ts';
import { missingProgram } from '../server.ts';
import { rowOf, TAP, TestTap } from '../singer/tap.ts';

// Many starts of a whole process.
vi.setConfig({ testTimeout: 300_000 });

const CLI = fileURLToPath(new URL('../../dist/cli/main.js', import.meta.url));
const RECORDS = 20_000;
const KILLS = 8;
const SEED = 7;

/** A flow that pulls from a stream into a table, started as a process. */
class Pulled {
  readonly #folder = newFolder('pulled-killed');

  constructor(connection: object, source: object) {
    const flow = {
      version: 1,
      connections: { stream: connection, out: { type: 'sqlite', file: 'sink.db' } },
      flows: {
        events: {
          window: 'pull',
          deliver: 'while-reading',
          source: { connection: 'stream', key: ['id'], ...source },
          sink: { connection: 'out', table: 'events', strategy: 'ledgered-append' },
        },
      },
    };
    writeFileSync(join(this.#folder, 'waybill.yaml'), JSON.stringify(flow));
    this.#ask((db) => db.exec('create table events (id integer, text text)'));
  }

  #ask<T>(work: (db: Database.Database) => T): T {
    const db = new Database(join(this.#folder, 'sink.db'));
    try {
      return work(db);
    } finally {
      db.close();
    }
  }

  ids(): readonly number[] {
    return this.#ask((db) => db.prepare('select id from events order by rowid').pluck().all() as number[]);
  }

  /** What a start comes to; one that is given a time is killed when that is over. */
  start(killAfterMs?: number): Promise<number | 'killed'> {
    return new Promise((resolve, reject) => {
      const child = spawn(process.execPath, [CLI, 'run', 'events'], { cwd: this.#folder, stdio: 'ignore' });
      const killing = killAfterMs === undefined ? undefined : setTimeout(() => child.kill('SIGKILL'), killAfterMs);
      child.once('error', reject);
      child.once('exit', (code) => {
        clearTimeout(killing);
        resolve(code ?? 'killed');
      });
    });
  }

  /** Kills starts at any moment of the time that one took, and lets the last one go on to its end. */
  async killMany(tookMs: number): Promise<number> {
    let [state, kills] = [SEED, 0];
    for (let kill = 0; kill < KILLS; kill++) {
      state = (state * 1_103_515_245 + 12_345) % 2_147_483_648;
      if ((await this.start(tookMs * (0.3 + 0.4 * (state / 2_147_483_648)))) === 'killed') kills += 1;
    }
    expect(await this.start()).toBe(0);
    return kills;
  }

  close(): void {
    rmSync(this.#folder, { recursive: true, force: true });
  }
}

const closing: (() => Promise<void> | void)[] = [];
afterEach(async () => {
  for (const close of closing.splice(0).reverse()) await close();
});

/** One flow to learn how long it takes, and one that is killed. */
async function pulledOnce(connection: object, source: object): Promise<void> {
  const [whole, killed] = [new Pulled(connection, source), new Pulled(connection, source)];
  closing.push(
    () => whole.close(),
    () => killed.close(),
  );
  const from = performance.now();
  expect(await whole.start()).toBe(0);
  const kills = await killed.killMany(performance.now() - from);
  console.info(`${kills} kills of ${KILLS + 1} starts, seed ${SEED}`);
  expect(kills).toBeGreaterThan(0);
  const expected = Array.from({ length: RECORDS }, (_, at) => at + 1);
  for (const one of [whole, killed]) expect([...one.ids()].sort((a, b) => a - b)).toEqual(expected);
}

const text = 'x'.repeat(200);

describe('a process that is killed while it pulls from a stream', () => {
  const programs = ['nats-server', 'redis-server', 'python3'].map(missingProgram);

  describe('of NATS', () => {
    beforeEach(({ skip }) => skip(programs[0] !== undefined, programs[0]));

    it('F06, F01: has brought every message once when it was started again', async () => {
      const nats = await TestNats.start();
      closing.push(() => nats.stop());
      await nats.stream('EVENTS', { subjects: ['events'] });
      for (let id = 1; id <= RECORDS; id++) nats.connection.publish('events', JSON.stringify({ id, text }));
      await nats.connection.flush();
      await pulledOnce({ type: 'nats', servers: [`127.0.0.1:${nats.server.port}`] }, { stream: 'EVENTS' });
    });
  });

  describe('of Redis', () => {
    beforeEach(({ skip }) => skip(programs[1] !== undefined, programs[1]));

    it('F06, F01: has brought every entry once when it was started again', async () => {
      const redis = await TestRedis.start();
      closing.push(() => redis.stop());
      const add = "for id = 1, ARGV[1] do redis.call('XADD', KEYS[1], id .. '-0', 'data', ARGV[2] .. id .. '}') end";
      await redis.ask('EVAL', add, '1', 'events', String(RECORDS), `{"text":"${text}","id":`);
      await pulledOnce(
        { type: 'redis', host: '127.0.0.1', port: redis.server.port },
        { stream: 'events', value: 'json' },
      );
    });
  });

  describe('of a tap', () => {
    beforeEach(({ skip }) => skip(programs[2] !== undefined, programs[2]));

    it('F06, F01: has brought every record once when it was started again, and leaves no tap behind', async () => {
      const tap = new TestTap(Array.from({ length: RECORDS }, (_, at) => rowOf(at + 1, 200)));
      closing.push(() => tap.remove());
      const config = { rows: tap.rows, every: 500 };
      await pulledOnce({ type: 'singer', command: ['python3', TAP], config }, { stream: 'items' });
      const files = () => readdirSync(tmpdir()).filter((name) => isOfTap(join(tmpdir(), name)));
      await expect.poll(files, { timeout: 10_000 }).toEqual([]);
    });
  });
});

/** A folder that a tap of this test was started with. */
const isOfTap = (path: string): boolean => /waybill-tap-[^/]+$/.test(path) && existsSync(join(path, 'config.json'));
