import { spawn, spawnSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import Database from 'better-sqlite3';
import { openWaybill } from '../../src/app/open.ts';
import type { RunOptions, Waybill } from '../../src/app/waybill.ts';
import type { Notice, RunSummary } from '../../src/engine/engine.ts';
import { type ApiPeer, openApiPeer } from '../../src/testing/peer/api-peer.ts';
import type { Behaviour } from '../../src/testing/peer/behaviour.ts';

export const DAY = '2026-11-19';
const never = new AbortController().signal;
const cli = resolve(import.meta.dirname, '../../dist/cli/main.js');

export interface Member {
  readonly member_id: number;
  readonly name: string;
  readonly updated_on: string;
}

/** Members of one day, with ids from `first` on. */
export const members = (count: number, { first = 1, day = DAY }: { first?: number; day?: string } = {}): Member[] =>
  Array.from({ length: count }, (_, n) => ({ member_id: first + n, name: `member ${first + n}`, updated_on: day }));

/** Undefined leaves a usual line out. */
type Lines = Readonly<Record<string, string | undefined>>;

export interface DailyJobOptions {
  readonly members?: readonly Member[];
  readonly behaviour?: Partial<Behaviour>;
  /** Lines of YAML that replace or add to the usual ones, without indentation. */
  readonly sink?: Lines;
  readonly source?: Lines;
  readonly flow?: Lines;
  /** Whole connections, by name. */
  readonly connections?: Lines;
  readonly top?: string;
}

/** A day of work as a user has it: a flow file, a database to read, an API to send to, and a ledger between them. */
export class DailyJob {
  readonly folder = mkdtempSync(join(tmpdir(), 'waybill-daily-'));
  readonly peer: ApiPeer;
  readonly #options: DailyJobOptions;
  /** What the engine told of, over all starts in this process. */
  readonly notices: Notice[] = [];
  #open: Waybill | undefined;

  private constructor(peer: ApiPeer, options: DailyJobOptions) {
    this.peer = peer;
    this.#options = options;
    mkdirSync(this.folder, { recursive: true });
    this.#makeSource();
    this.configure({});
  }

  static async open(options: DailyJobOptions = {}): Promise<DailyJob> {
    return new DailyJob(await openApiPeer(options.behaviour ?? {}), options);
  }

  /** Writes the flow file again, with these lines changed. */
  configure(more: Pick<DailyJobOptions, 'sink' | 'source' | 'flow' | 'connections' | 'top'>): void {
    const sink = {
      connection: 'roket',
      path: '/v1/events',
      batch: '{ maxRecords: 100, maxBytes: 1MB }',
      inFlight: '4',
      requestTimeout: '5s',
      receipt: '{ shape: none }',
      ...this.#options.sink,
      ...more.sink,
    };
    const source = {
      connection: 'warehouse',
      query: '"select * from members where updated_on = :date order by member_id"',
      key: '[member_id]',
      ...this.#options.source,
      ...more.source,
    };
    const flow = {
      strategy: 'ledgered-append',
      window: 'day',
      onDoubt: 'hold',
      lease: '5s',
      retry: '{ attempts: 4, firstDelay: 20ms, maxDelay: 200ms, maxAge: 2s }',
      ...this.#options.flow,
      ...more.flow,
    };
    const connections = {
      warehouse: '{ type: sqlite, file: members.db }',
      roket: `{ type: http, url: "${this.peer.url}", auth: { bearer: "\${ROKET_TOKEN}" } }`,
      ...this.#options.connections,
      ...more.connections,
    };
    const lines = (block: object, indent: string) =>
      Object.entries(block).flatMap(([key, value]) => (value === undefined ? [] : [`${indent}${key}: ${value}`]));
    const text = [
      'version: 1',
      ...[more.top ?? this.#options.top ?? []].flat(),
      'connections:',
      ...lines(connections, '  '),
      'flows:',
      '  roket-daily:',
      '    source:',
      ...lines(source, '      '),
      '    sink:',
      ...lines(sink, '      '),
      ...lines(flow, '    '),
      '',
    ];
    writeFileSync(join(this.folder, 'waybill.yaml'), text.join('\n'));
  }

  /** A process of its own would open the ledger anew; so does this. */
  async waybill(): Promise<Waybill> {
    this.#open ??= await openWaybill({ cwd: this.folder, env: this.env });
    return this.#open;
  }

  async reopen(): Promise<Waybill> {
    await this.#open?.close();
    this.#open = undefined;
    return await this.waybill();
  }

  readonly env = { ...process.env, ROKET_TOKEN: 'canary-token-4711', WAREHOUSE: 'test-password', NO_COLOR: '1' };

  async run(window = DAY, options: Partial<RunOptions> = {}): Promise<RunSummary> {
    const waybill = await this.reopen();
    const notice = (one: Notice): void => void this.notices.push(one);
    return await waybill.run('roket-daily', window, { signals: { stop: never, abort: never }, notice, ...options });
  }

  /** Runs the command line as a process. Closes the ledger here first, so that it is that process's alone. */
  async cli(args: readonly string[]): Promise<{ status: number; stdout: string; stderr: string }> {
    await this.#open?.close();
    this.#open = undefined;
    const child = spawn(process.execPath, [cli, ...args], { cwd: this.folder, env: this.env });
    let [stdout, stderr] = ['', ''];
    child.stdout.on('data', (chunk) => (stdout += chunk));
    child.stderr.on('data', (chunk) => (stderr += chunk));
    const status = await new Promise<number>((end) => child.once('close', (code) => end(code ?? -1)));
    return { status, stdout, stderr };
  }

  async json<T>(args: readonly string[]): Promise<T> {
    const { stdout, stderr, status } = await this.cli([...args, '--output', 'json']);
    if (stdout === '') throw new RangeError(`waybill ${args.join(' ')} ended with ${status}: ${stderr}`);
    return JSON.parse(stdout) as T;
  }

  /** A run in a process of its own, to be killed. */
  spawnRun(args: readonly string[] = ['--for', DAY]) {
    return spawn(process.execPath, [cli, 'run', 'roket-daily', ...args], {
      cwd: this.folder,
      env: this.env,
      stdio: 'ignore',
    });
  }

  /** Ids of the members that the API holds, as often as it holds them. */
  held(): number[] {
    return this.peer.records().map((record) => (record as Member).member_id);
  }

  /** Waits for a condition, looking at it at every turn of the event loop that the timers allow. */
  async until(condition: () => boolean): Promise<void> {
    const end = performance.now() + 20_000;
    while (!condition()) {
      if (performance.now() > end) throw new RangeError('waited for 20 s in vain');
      await new Promise((resolve) => setTimeout(resolve, 2));
    }
  }

  change(sql: string): void {
    const db = new Database(join(this.folder, 'members.db'));
    db.exec(sql);
    db.close();
  }

  #makeSource(): void {
    const db = new Database(join(this.folder, 'members.db'));
    db.exec('create table members (member_id integer, name text, updated_on text)');
    const insert = db.prepare('insert into members values (@member_id, @name, @updated_on)');
    db.transaction(() => {
      for (const member of this.#options.members ?? members(250)) insert.run(member);
    })();
    db.close();
  }

  read(path: string): string {
    return readFileSync(join(this.folder, path), 'utf8');
  }

  async close(): Promise<void> {
    await this.#open?.close();
    await this.peer.close();
    rmSync(this.folder, { recursive: true, force: true });
  }
}

/** Every file below a folder, as one text: for searching it for what must not be there. */
export function everyByteBelow(folder: string): string {
  return spawnSync('sh', ['-c', `find ${JSON.stringify(folder)} -type f -exec cat {} +`], {
    encoding: 'latin1',
    maxBuffer: 512 * 1024 * 1024,
  }).stdout;
}

export const counts = (ids: readonly number[]): Map<number, number> => {
  const map = new Map<number, number>();
  for (const id of ids) map.set(id, (map.get(id) ?? 0) + 1);
  return map;
};
