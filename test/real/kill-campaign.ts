import { describeError } from '../../src/model/errors.ts';
import { openCutProxy } from '../../src/testing/faults/cut-proxy.ts';
import { DailyJob, type DailyJobOptions } from '../daily/daily-job.ts';
import { start } from '../hard/processes.ts';
import type { TestPostgres } from '../postgres.ts';
import { type Account, expectExact } from './account.ts';
import { chances, KILL_POINTS, type KillPoint, type Kind, type Proxies, type Roll } from './kill-points.ts';
import { makeMembers, warehouse } from './warehouse.ts';

const RECORDS = 1_500;
const BATCH = 50;
/** So many windows lie in one ledger; then another one is begun, since each window is followed by a look at all. */
const ROUNDS_OF_A_LEDGER = 12;
const ANY_MOMENT = 'at any moment';
/** About as long as a process of this job takes. */
const LIFE_MS = 1_200;

/** What the sink offers against doubts; each has a ledger, an API and windows of its own. */
const CLASSES = {
  none: { sink: { inFlight: '4' } },
  key: {
    sink: { inFlight: '8', idempotencyKey: '{ horizon: 24h }' },
    behaviour: { idempotency: { header: 'idempotency-key', horizonMs: 86_400_000, storesErrors: false } },
  },
  look: {
    sink: {
      inFlight: '4',
      requestTimeout: '600ms',
      lookup: '{ path: "/lookup", method: POST, recordId: member_id, results: results, visibilityLag: 20ms }',
    },
    behaviour: { idAt: 'member_id' },
  },
} as const satisfies Readonly<Record<string, DailyJobOptions>>;
type Class = keyof typeof CLASSES;

export interface Campaign {
  readonly kills: number;
  readonly rounds: number;
  readonly records: number;
  readonly byPoint: ReadonlyMap<string, number>;
  readonly accounts: Readonly<Record<Class, Account>>;
  /** One line for each round whose books differ from what the API holds. */
  readonly violations: readonly string[];
}

/**
 * Kills real processes of the command line, between a real PostgreSQL and an API over real sockets, until there have
 * been so many; after one to three kills a window is run to its end and held against what the API got. The choices
 * follow the seed; when exactly the signal strikes does not.
 */
export async function runKills(server: TestPostgres, options: { kills: number; seed: number }): Promise<Campaign> {
  const roll = chances(options.seed);
  const names = Object.keys(CLASSES) as Class[];
  const accounts: Record<Class, Account> = { none: NOTHING, key: NOTHING, look: NOTHING };
  const byPoint = new Map<string, number>();
  const violations: string[] = [];
  const worlds: Partial<Record<Class, World>> = {};
  let [kills, rounds] = [0, 0];
  try {
    // A process may end before it gets to its point; so the rounds are bounded, too.
    while (kills < options.kills && rounds < options.kills * 3 + 10) {
      const name = names[rounds % names.length]!;
      const world = worlds[name] ?? (await World.open(name, server));
      worlds[name] = world;
      const round = await world.round(++rounds, Math.min(roll(1, 4), options.kills - kills), roll);
      for (const point of round.points) byPoint.set(point, (byPoint.get(point) ?? 0) + 1);
      kills += round.points.length;
      if (round.account !== undefined) accounts[name] = sumOf(accounts[name], round.account);
      if (round.violation !== undefined) violations.push(round.violation);
      if (world.rounds < ROUNDS_OF_A_LEDGER) continue;
      delete worlds[name];
      await world.close();
    }
  } finally {
    for (const world of Object.values(worlds)) await world.close();
  }
  return { kills, rounds, records: rounds * RECORDS, byPoint, accounts, violations };
}

interface Round {
  /** Where the process was killed, kill by kill. */
  readonly points: readonly string[];
  readonly account?: Account;
  readonly violation?: string;
}

const NOTHING: Account = { delivered: 0, inDoubt: 0, inDoubtHeld: 0, pending: 0, refused: 0 };
const sumOf = (a: Account, b: Account): Account => ({
  delivered: a.delivered + b.delivered,
  inDoubt: a.inDoubt + b.inDoubt,
  inDoubtHeld: a.inDoubtHeld + b.inDoubtHeld,
  pending: a.pending + b.pending,
  refused: a.refused + b.refused,
});

/** One class of sink with its ledger, in which round after round is a window of its own. */
class World {
  readonly #class: Class;
  readonly #server: TestPostgres;
  readonly #job: DailyJob;
  readonly #proxies: Proxies;
  readonly #known = new Set<number>();
  rounds = 0;

  private constructor(name: Class, server: TestPostgres, job: DailyJob, proxies: Proxies) {
    this.#class = name;
    this.#server = server;
    this.#job = job;
    this.#proxies = proxies;
  }

  static async open(name: Class, server: TestPostgres): Promise<World> {
    const { behaviour = {} }: DailyJobOptions = CLASSES[name];
    const job = await DailyJob.open({ members: [], behaviour: { ...behaviour, delayMs: 5 } });
    const api = await openCutProxy({ target: { port: Number(new URL(job.peer.url).port) }, framing: 'http' });
    return new World(name, server, job, { api, warehouse: await openCutProxy({ target: server }) });
  }

  async close(): Promise<void> {
    await this.#proxies.api.close();
    await this.#proxies.warehouse.close();
    await this.#job.close();
  }

  async round(nth: number, killsMax: number, roll: Roll): Promise<Round> {
    const day = new Date(Date.UTC(2026, 0, nth)).toISOString().slice(0, 10);
    const first = nth * 100_000;
    await makeMembers(this.#server, RECORDS, { first, day });
    const mode = roll(0, 2) === 0 ? 'copy' : 'cursor';
    this.#configure(mode);
    const points: string[] = [];
    const ids = Array.from({ length: RECORDS }, (_, at) => first + at);
    try {
      for (let ended = false; !ended && points.length < killsMax; ) {
        const kind: Kind = { mode, rung: this.#class, kills: points.length };
        const fitting = KILL_POINTS.filter((one) => one.fits?.(kind) ?? true);
        const point = roll(0, 4) === 0 ? undefined : fitting[roll(0, fitting.length)]!;
        if (await this.#kill(day, point, roll, kind)) points.push(point?.name ?? ANY_MOMENT);
        else ended = true;
      }
      return { points, account: await this.#finish(day, ids, points.length) };
    } catch (error) {
      const said = error instanceof Error ? error.message : describeError(error);
      return { points, violation: `round ${nth}, ${this.#class}, killed ${points.join(', ')}: ${said}` };
    } finally {
      for (const id of ids) this.#known.add(id);
      this.rounds++;
    }
  }

  #configure(mode: 'copy' | 'cursor'): void {
    const { api, warehouse: source } = this.#proxies;
    this.#job.configure({
      connections: {
        roket: `{ type: http, url: "http://127.0.0.1:${api.port}" }`,
        warehouse: warehouse({ ...this.#server, port: source.port }),
      },
      source: { mode },
      sink: { batch: `{ maxRecords: ${BATCH}, maxBytes: 1MB }`, ...CLASSES[this.#class].sink },
    });
  }

  /** Starts a process and kills it; false when it had ended by itself before. */
  async #kill(day: string, point: KillPoint | undefined, roll: Roll, kind: Kind): Promise<boolean> {
    const { api, warehouse: source } = this.#proxies;
    const proxy = point === undefined ? undefined : this.#proxies[point.through];
    proxy?.set([point!.cut(roll, kind)]);
    const made = proxy?.made.length ?? 0;
    const arrived = api.made.length;
    const afterMs = performance.now() + roll(0, LIFE_MS);
    const child = start(this.#job, ['run', 'roket-daily', '--for', day]);
    let over = false;
    const ended = child.ended.then(() => {
      over = true;
    });
    const reached = (): boolean => (proxy === undefined ? performance.now() > afterMs : proxy.made.length > made);
    try {
      await this.#job.until(() => over || reached());
    } catch (error) {
      child.kill('SIGKILL');
      throw new RangeError(`neither ended nor came to "${point?.name ?? ANY_MOMENT}"`, { cause: error });
    }
    const inTime = !over;
    child.kill('SIGKILL');
    await ended;
    api.set([]);
    source.set([]);
    if (api.made.slice(arrived).some(({ cut }) => cut.act === 'late')) await this.#arriveLate();
    return inTime && (await child.ended).status === -1;
  }

  /** What was on the wire when its sender died reaches the API, before anybody asks it. */
  async #arriveLate(): Promise<void> {
    const before = this.#job.peer.received.length;
    if (this.#proxies.api.release() === 0) return;
    await this.#job.until(() => this.#job.peer.received.length > before);
  }

  async #finish(day: string, ids: readonly number[], kills: number): Promise<Account> {
    const job = this.#job;
    const ended = await start(job, ['run', 'roket-daily', '--for', day]).ended;
    if (ended.status !== 0 && ended.status !== 4) throw new RangeError(`ended with ${ended.status}: ${ended.stderr}`);
    await job.until(() => job.peer.received.every((request) => request.status !== undefined));
    const { read } = await (await job.reopen()).ledger();
    const [run] = await read.runs({ window: day });
    const account = await expectExact(job, run!.id, ids, this.#known);
    if (account.pending > 0) throw new RangeError(`${account.pending} records are pending after a whole run`);
    const most = this.#class === 'none' ? kills * Number(CLASSES.none.sink.inFlight) * BATCH : 0;
    if (account.inDoubt > most)
      throw new RangeError(`${account.inDoubt} records in doubt, ${most} at most were expected`);
    return account;
  }
}
