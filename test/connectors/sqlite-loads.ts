import { copyFileSync, existsSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { Worker } from 'node:worker_threads';
import Database from 'better-sqlite3';
import { sqliteSink } from '../../src/connectors/sqlite/sink.ts';
import type { LoadAbility, LoadFixture, LoadRecord, LoadSubject } from '../../src/testing/suites/load-subject.ts';
import type { Losing } from '../../src/testing/suites/sink-subject.ts';
import { newFolder } from './place.ts';
import { SQLITE_LOADS } from './sqlite.ts';

const FILE = 'db.sqlite';
const COLUMNS = { n: 'integer', version: 'integer', day: 'text', gone: 'integer' };
/** Ways to publish that make the name that readers use themselves: a view. */
const VIEWED: ReadonlySet<LoadAbility> = new Set(['addToPeriod', 'publish']);

type Row = readonly [number, number, string, number];
const asRecord = ([n, version, day, gone]: Row): LoadRecord => ({ n, version, day, gone: gone === 1 });

/** A database whose files are as they were when the process died, and not as it left them when it went on. */
class KilledInTheMiddle {
  readonly #path: string;
  #taken = false;
  #armed = false;

  constructor(path: string) {
    this.#path = path;
  }

  /** The sink asks for the time when all is written and nothing is committed. */
  readonly clock = {
    monotonicMs: () => 5,
    wallMs: () => {
      if (this.#armed) this.#take();
      return 5;
    },
  };

  readonly breakOff: Losing = async (call) => {
    this.#armed = true;
    this.#taken = false;
    const [called] = await Promise.allSettled([call()]);
    this.#armed = false;
    // Then the suite learns that nothing was broken off.
    if (!this.#taken && called!.status === 'fulfilled') return called!.value;
    for (const end of ['', '-journal']) {
      rmSync(`${this.#path}${end}`, { force: true });
      if (existsSync(`${this.#path}.killed${end}`)) copyFileSync(`${this.#path}.killed${end}`, `${this.#path}${end}`);
    }
    throw new Error('the process was killed');
  };

  #take(): void {
    this.#taken = true;
    for (const end of ['', '-journal']) {
      rmSync(`${this.#path}.killed${end}`, { force: true });
      if (existsSync(`${this.#path}${end}`)) copyFileSync(`${this.#path}${end}`, `${this.#path}.killed${end}`);
    }
  }
}

const WATCHER = `
  const { parentPort, workerData } = require('node:worker_threads');
  const Database = require('better-sqlite3');
  const db = new Database(workerData.path, { readonly: true, timeout: 5000 });
  const states = new Map();
  let stopped = false;
  parentPort.once('message', () => { stopped = true; });
  const look = () => {
    const rows = db.prepare('select n, version, day, gone from t').raw(true).all();
    states.set(JSON.stringify(rows), rows);
    if (!stopped) return setImmediate(look);
    db.close();
    parentPort.postMessage([...states.values()]);
  };
  look();
  parentPort.postMessage('looking');
`;

/** Another thread, with a connection of its own, that does nothing but read. */
async function watch(path: string): ReturnType<NonNullable<LoadFixture['watch']>> {
  const worker = new Worker(WATCHER, { eval: true, workerData: { path } });
  const heard = <T>(): Promise<T> =>
    new Promise((resolve, reject) => {
      worker.once('message', resolve);
      worker.once('error', reject);
    });
  await heard();
  return {
    async stop() {
      const seen = heard<readonly (readonly Row[])[]>();
      worker.postMessage('stop');
      const states = await seen;
      await worker.terminate();
      return states.map((rows) => rows.map(asRecord));
    },
  };
}

export function sqliteLoadFixture(about: LoadAbility): LoadFixture {
  const folder = newFolder('sqlite-loads');
  const path = join(folder, FILE);
  const list = Object.entries(COLUMNS).map(([name, type]) => `${name} ${type}`);
  const ask = <T>(work: (database: Database.Database) => T, readonly = true): T => {
    const opened = new Database(path, { readonly });
    try {
      return work(opened);
    } finally {
      opened.close();
    }
  };
  const made = new Database(path);
  made.exec(VIEWED.has(about) ? 'vacuum' : `create table t (${list.join(', ')})`);
  made.close();
  const killed = new KilledInTheMiddle(path);
  const open = () =>
    sqliteSink({
      folder,
      file: FILE,
      table: 't',
      base64: [],
      columns: COLUMNS,
      recordsPerBatch: 100,
      clock: killed.clock,
    });
  const tables = (database: Database.Database): readonly string[] =>
    database.prepare(`select name from sqlite_schema where type in ('table', 'view')`).pluck().all() as string[];
  return {
    sink: open(),
    another: open,
    seen: async () =>
      ask((database) => {
        if (!tables(database).includes('t')) return [];
        return (database.prepare('select n, version, day, gone from t').raw(true).all() as Row[]).map(asRecord);
      }),
    places: async () => ask((database) => tables(database).filter((name) => name.startsWith('wb_suite_'))),
    refused: { record: { n: 99, unheard: 1 } },
    breakOff: killed.breakOff,
    watch: () => watch(path),
    tamper: async ({ id }) => ask((database) => database.exec(`update "${id}" set version = 99`), false),
    close: () => rmSync(folder, { recursive: true, force: true }),
  };
}

export const sqliteLoads: LoadSubject = { name: 'an SQLite file', abilities: SQLITE_LOADS, open: sqliteLoadFixture };
