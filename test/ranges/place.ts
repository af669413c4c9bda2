import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import Database from 'better-sqlite3';
import { expect } from 'vitest';
import { type Ended, type Started, start } from '../hard/processes.ts';

/** In every record: it may be in no file of the staging folder where batches are ranges. */
export const CANARY = 'canary-of-ranges';

export interface Member {
  readonly id: number;
  readonly name: string;
}

export const members = (from: number, to: number): readonly Member[] =>
  Array.from({ length: to - from + 1 }, (_, at) => ({ id: from + at, name: `${CANARY} ${from + at}` }));

export const ndjson = (rows: readonly object[]): string => rows.map((row) => `${JSON.stringify(row)}\n`).join('');
export const csv = (rows: readonly Member[]): string =>
  `id,name\r\n${rows.map(({ id, name }) => `${id},"${name}"\r\n`).join('')}`;

export interface PlaceOptions {
  /** Lines of the flow, below `source` and `sink`. */
  readonly flow?: string;
  readonly source: string;
  readonly connections?: string;
  readonly records?: number;
  readonly env?: Readonly<Record<string, string>>;
}

/** A folder with a flow file that writes to a table of SQLite, which holds whatever comes, twice if it comes twice. */
export class RangePlace {
  readonly folder = mkdtempSync(join(tmpdir(), 'waybill-ranges-'));
  readonly #started: Started[] = [];
  readonly #env: Readonly<Record<string, string>>;

  constructor({ source, flow = '', connections = '', records = 10, env = {} }: PlaceOptions) {
    this.#env = env;
    this.#sql('create table copy (id integer, name text)');
    this.flowFile(`version: 1
connections:
  here: { type: files }
  db: { type: sqlite, file: copy.db }
${connections}flows:
  members:
    source: { ${source}, key: id }
    sink: { connection: db, table: copy, recordsPerBatch: ${records} }
    staging: range
    lease: 5s
${flow}`);
  }

  flowFile(text: string): void {
    this.write('waybill.yaml', text);
  }

  edit(change: (text: string) => string): void {
    this.flowFile(change(readFileSync(join(this.folder, 'waybill.yaml'), 'utf8')));
  }

  write(name: string, content: string | Uint8Array): void {
    writeFileSync(join(this.folder, name), content);
  }

  remove(name: string): void {
    rmSync(join(this.folder, name));
  }

  start(args: readonly string[]): Started {
    const child = start({ folder: this.folder, env: {} }, args, { ...process.env, NO_COLOR: '1', ...this.#env });
    this.#started.push(child);
    return child;
  }

  async cli(args: readonly string[], status = 0): Promise<Ended> {
    const ended = await this.start(args).ended;
    expect(ended.status, `${args.join(' ')}\n${ended.stdout}\n${ended.stderr}`).toBe(status);
    return ended;
  }

  async json<T>(args: readonly string[]): Promise<T> {
    return JSON.parse((await this.cli([...args, '--output', 'json'])).stdout) as T;
  }

  /** Runs, and is killed as soon as so many records more are there. */
  async killedAfter(records: number, args: readonly string[] = ['run', 'members']): Promise<void> {
    const wanted = this.ids().length + records;
    const child = this.start(args);
    while (!child.hasEnded() && this.ids().length < wanted) await new Promise((turn) => setImmediate(turn));
    child.kill('SIGKILL');
    expect((await child.ended).status, 'it was killed on its way').toBe(-1);
  }

  ids(): readonly number[] {
    return this.rows().map(({ id }) => id);
  }

  rows(): readonly Member[] {
    const db = new Database(join(this.folder, 'copy.db'), { readonly: true, timeout: 5_000 });
    try {
      return db.prepare('select id, name from copy order by id, name').all() as Member[];
    } finally {
      db.close();
    }
  }

  /** All files of the staging folder, one behind the other. */
  staged(): Buffer {
    const folder = join(this.folder, '.waybill', 'staging');
    const names = readdirSync(folder, { recursive: true, encoding: 'utf8' }).filter((name) => name.endsWith('.seg'));
    return Buffer.concat(names.map((name) => readFileSync(join(folder, name))));
  }

  async close(): Promise<void> {
    for (const child of this.#started) {
      child.kill('SIGKILL');
      await child.ended;
    }
    rmSync(this.folder, { recursive: true, force: true });
  }

  #sql(text: string): void {
    const db = new Database(join(this.folder, 'copy.db'));
    db.pragma('journal_mode = wal');
    db.exec(text);
    db.close();
  }
}
