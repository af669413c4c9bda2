import { mkdtempSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { openWaybill } from '../../src/app/open.ts';
import type { Waybill } from '../../src/app/waybill.ts';
import { balances } from '../../src/model/states.ts';
import { openCutProxy } from '../../src/testing/faults/cut-proxy.ts';
import { type Started, start } from '../hard/processes.ts';
import type { Account } from './account.ts';
import type { WorldOptions } from './kill-http.ts';
import type { Kind, Proxies } from './kill-points.ts';
import type { KillWorld } from './kill-round.ts';
import { makeMembers, removeMembers, warehouse, withClient } from './warehouse.ts';

/** Which rows of `members` a lane's table holds after some days. */
type Held = (days: string) => string;
const all: Held = (days) => `select * from members where updated_on = any(${days})`;
const newest: Held = (days) =>
  `select distinct on (member_id) * from members where updated_on = any(${days}) order by member_id, updated_on desc`;

interface Lane {
  readonly name: string;
  readonly strategy: string;
  readonly more?: string;
  readonly held: Held;
}

const SORTS = {
  /** Each batch with its marker in one transaction. */
  rows: [{ name: 'appended', strategy: 'ledgered-append', held: all }],
  /** Windows that readers see as a whole, by three strategies at once. */
  loads: [
    { name: 'added', strategy: 'transactional-writer', held: all },
    {
      name: 'replaced',
      strategy: 'data-overwrite',
      more: '        load: { scope: { column: updated_on } }\n',
      held: all,
    },
    { name: 'merged', strategy: 'merger', held: newest },
  ],
} as const satisfies Readonly<Record<string, readonly Lane[]>>;
export type TableSort = keyof typeof SORTS;
export const TABLE_SORTS = Object.keys(SORTS) as readonly TableSort[];

let worlds = 0;

/** PostgreSQL to tables of PostgreSQL, with both behind proxies. */
export class TableWorld implements KillWorld {
  readonly sort: TableSort;
  readonly proxies: Proxies;
  /** A sink that keeps a marker leaves no doubt. */
  readonly doubtsPerDeath = 0;
  readonly #options: WorldOptions;
  readonly #folder = mkdtempSync(join(tmpdir(), 'waybill-kills-'));
  readonly #env: NodeJS.ProcessEnv;
  readonly #nth = ++worlds;
  readonly #lanes: readonly Lane[];
  readonly #days: string[] = [];
  #next = 1;

  private constructor(sort: TableSort, options: WorldOptions, proxies: Proxies) {
    this.sort = sort;
    this.#options = options;
    this.proxies = proxies;
    this.#lanes = SORTS[sort];
    this.#env = { ...process.env, WAREHOUSE: options.server.password, NO_COLOR: '1' };
  }

  static async open(sort: TableSort, options: WorldOptions): Promise<TableWorld> {
    const source = await openCutProxy({ target: options.server });
    const table = await openCutProxy({ target: options.server });
    const world = new TableWorld(sort, options, { warehouse: source, table });
    await withClient(options.server, async (client) => {
      for (const lane of world.#lanes) await client.query(`create table ${world.#table(lane.name)} (like members)`);
    });
    return world;
  }

  #table(lane: string): string {
    return `${lane}_${this.#nth}`;
  }

  async fill(days: readonly string[], mode: Kind['mode']): Promise<void> {
    const { server, records } = this.#options;
    // Half of the ids have come before, on an earlier day: those are what a merger has to find.
    this.#next = Math.max(1, this.#next - Math.floor(records / 2));
    for (const day of days) {
      await makeMembers(server, records, { first: this.#next, day });
      this.#next += records;
    }
    this.#days.push(...days);
    writeFileSync(join(this.#folder, 'waybill.yaml'), this.#flow(mode));
  }

  #flow(mode: Kind['mode']): string {
    const { server } = this.#options;
    const table = ({ name, strategy, more = '' }: Lane): string => `      ${name}:
        connection: out
        strategy: ${strategy}
        table: ${this.#table(name)}
        markerSchema: books_${this.#nth}
        requestTimeoutSeconds: 5
        batch: { maxRecords: 200 }
${more}`;
    return `version: 1
connections:
  in: ${warehouse({ ...server, port: this.proxies.warehouse!.port })}
  out: ${warehouse({ ...server, port: this.proxies.table!.port })}
flows:
  copy:
    window: day
    lease: 5s
    source:
      connection: in
      query: "select * from members where updated_on = :date order by member_id"
      key: [member_id]
      mode: ${mode}
    sinks:
${this.#lanes.map(table).join('')}`;
  }

  start(day: string): Started {
    return start({ folder: this.#folder, env: this.#env }, ['run', 'copy', '--for', day], {}, this.#options.program);
  }

  booksChange(): string | undefined {
    const files = [join(this.#folder, '.waybill', 'ledger.db-wal'), join(this.#folder, '.waybill', 'ledger.db')];
    return files.map((path) => statSync(path, { throwIfNoEntry: false })?.mtimeMs ?? 0).join(' ');
  }

  async arrive(): Promise<void> {}

  async account(day: string): Promise<Account> {
    const waybill = await openWaybill({ cwd: this.#folder, env: this.#env });
    try {
      await this.#expectBooks(waybill, day);
    } finally {
      await waybill.close();
    }
    for (const lane of this.#lanes) await this.#expectRows(lane);
    return { delivered: this.#options.records, inDoubt: 0, inDoubtHeld: 0, pending: 0, refused: 0 };
  }

  /** Every lane has delivered every record of the day, and says so of each. */
  async #expectBooks(waybill: Waybill, day: string): Promise<void> {
    const { records } = this.#options;
    const { read } = await waybill.ledger();
    const [run] = await read.runs({ window: day });
    const lanes = await read.balance(run!.id);
    for (const [lane, balance] of lanes) {
      if (balances(balance) && balance.read === records && balance.delivered === records) continue;
      throw new RangeError(`the books of ${lane}: ${JSON.stringify(balance)}`);
    }
    const broken = await read.verify();
    if (lanes.size !== this.#lanes.length || broken.length > 0) throw new RangeError(JSON.stringify(broken));
  }

  /** The table holds what it should, as often as it should, and nothing else. */
  async #expectRows(lane: Lane): Promise<void> {
    const table = this.#table(lane.name);
    const should = lane.held(`array[${this.#days.map((day) => `'${day}'`).join(', ')}]::date[]`);
    const { rows } = await withClient(this.#options.server, (client) =>
      client.query<{ lost: number; more: number }>(`with should as (${should}) select
        (select count(*)::int from (select * from should except all select * from ${table}) l) as lost,
        (select count(*)::int from (select * from ${table} except all select * from should) m) as more`),
    );
    const { lost, more } = rows[0]!;
    if (lost + more > 0) throw new RangeError(`${lane.strategy}: ${lost} rows are missing, ${more} are too many`);
  }

  /** Later days are held against all that came before. */
  async clear(): Promise<void> {}

  async close(): Promise<void> {
    for (const proxy of Object.values(this.proxies)) await proxy.close();
    // The tables go with the server: sessions of the dead may still have locks on them.
    await removeMembers(this.#options.server, this.#days);
    rmSync(this.#folder, { recursive: true, force: true });
  }
}
