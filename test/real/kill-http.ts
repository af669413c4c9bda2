import { statSync } from 'node:fs';
import { join } from 'node:path';
import { openCutProxy } from '../../src/testing/faults/cut-proxy.ts';
import { DailyJob, type DailyJobOptions } from '../daily/daily-job.ts';
import { type Started, start } from '../hard/processes.ts';
import type { TestPostgres } from '../postgres.ts';
import { addressOf } from '../postgres-ledger/bench.ts';
import { type Account, expectExact } from './account.ts';
import type { Kind, Proxies } from './kill-points.ts';
import type { KillWorld } from './kill-round.ts';
import { makeMembers, removeMembers, warehouse } from './warehouse.ts';

const BATCH = 100;

/** What the API offers against doubts; each has a ledger, an API and windows of its own. */
const SORTS = {
  none: { sink: { inFlight: '4' } },
  key: {
    sink: { inFlight: '8', idempotencyKey: '{ horizon: 24h }' },
    behaviour: { idempotency: { header: 'idempotency-key', horizonMs: 86_400_000, storesErrors: false } },
  },
  look: {
    sink: {
      inFlight: '4',
      requestTimeout: '1500ms',
      lookup: '{ path: "/lookup", method: POST, recordId: member_id, results: results, visibilityLag: 20ms }',
    },
    behaviour: { idAt: 'member_id' },
  },
  /** As `none`, with the books in PostgreSQL. */
  shared: { sink: { inFlight: '4' } },
} as const satisfies Readonly<Record<string, DailyJobOptions>>;
export type HttpSort = keyof typeof SORTS;
export const HTTP_SORTS = Object.keys(SORTS) as readonly HttpSort[];

export interface WorldOptions {
  readonly server: TestPostgres;
  /** Of each window. */
  readonly records: number;
  /** A command line other than the built one. */
  readonly program?: string;
}

/** PostgreSQL to an API over real sockets, with the source, the API and a shared ledger behind proxies. */
export class HttpWorld implements KillWorld {
  readonly sort: HttpSort;
  readonly proxies: Proxies;
  readonly doubtsPerDeath: number;
  readonly #options: WorldOptions;
  readonly #job: DailyJob;
  readonly #days = new Map<string, readonly number[]>();
  readonly #known = new Set<number>();
  #next = 1;

  private constructor(sort: HttpSort, options: WorldOptions, job: DailyJob, proxies: Proxies) {
    this.sort = sort;
    this.#options = options;
    this.#job = job;
    this.proxies = proxies;
    this.doubtsPerDeath = sort === 'none' || sort === 'shared' ? Number(SORTS[sort].sink.inFlight) * BATCH : 0;
  }

  static async open(sort: HttpSort, options: WorldOptions): Promise<HttpWorld> {
    const { behaviour = {} }: DailyJobOptions = SORTS[sort];
    const job = await DailyJob.open({ members: [], behaviour: { ...behaviour, delayMs: 5 } });
    const api = await openCutProxy({ target: { port: Number(new URL(job.peer.url).port) }, framing: 'http' });
    const source = await openCutProxy({ target: options.server });
    if (sort !== 'shared') return new HttpWorld(sort, options, job, { api, warehouse: source });
    const ledger = await openCutProxy({ target: options.server });
    Object.assign(job.env, { WAYBILL_LEDGER: addressOf(options.server, { port: ledger.port }) });
    return new HttpWorld(sort, options, job, { api, warehouse: source, ledger });
  }

  async fill(days: readonly string[], mode: Kind['mode']): Promise<void> {
    const { server, records } = this.#options;
    for (const day of days) {
      const first = this.#next;
      await makeMembers(server, records, { first, day });
      const ids = Array.from({ length: records }, (_, at) => first + at);
      this.#days.set(day, ids);
      this.#next += records;
      // Of the other window as well: the API holds what is sent there.
      for (const id of ids) this.#known.add(id);
    }
    this.#job.configure({
      connections: {
        roket: `{ type: http, url: "http://127.0.0.1:${this.proxies.api!.port}" }`,
        warehouse: warehouse({ ...server, port: this.proxies.warehouse!.port }),
      },
      source: { mode },
      sink: { batch: `{ maxRecords: ${BATCH}, maxBytes: 1MB }`, ...SORTS[this.sort].sink },
    });
  }

  start(day: string): Started {
    return start(this.#job, ['run', 'roket-daily', '--for', day], {}, this.#options.program);
  }

  booksChange(): string | undefined {
    if (this.sort === 'shared') return undefined;
    const files = [
      join(this.#job.folder, '.waybill', 'ledger.db-wal'),
      join(this.#job.folder, '.waybill', 'ledger.db'),
    ];
    return files.map((path) => statSync(path, { throwIfNoEntry: false })?.mtimeMs ?? 0).join(' ');
  }

  async arrive(): Promise<void> {
    const before = this.#job.peer.received.length;
    if (this.proxies.api!.release() === 0) return;
    await this.#job.until(() => this.#job.peer.received.length > before);
  }

  async account(day: string): Promise<Account> {
    const job = this.#job;
    await job.until(() => job.peer.received.every((request) => request.status !== undefined));
    const { read } = await (await job.reopen()).ledger();
    const [run] = await read.runs({ window: day });
    return await expectExact(job, run!.id, this.#days.get(day)!, this.#known);
  }

  clear(days: readonly string[]): Promise<void> {
    return removeMembers(this.#options.server, days);
  }

  async close(): Promise<void> {
    await removeMembers(this.#options.server, [...this.#days.keys()]);
    for (const proxy of Object.values(this.proxies)) await proxy.close();
    await this.#job.close();
  }
}
