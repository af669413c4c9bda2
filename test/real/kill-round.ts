import { readFileSync } from 'node:fs';
import { describeError } from '../../src/model/errors.ts';
import type { Ended, Started } from '../hard/processes.ts';
import type { Account } from './account.ts';
import { type KillPoint, type Kind, type Proxies, pointsFor, type Roll } from './kill-points.ts';

/** A sink, a source and the books of one of the ways to move records, in which round after round is killed. */
export interface KillWorld {
  /** What the sink offers against doubts. */
  readonly sort: string;
  readonly proxies: Proxies;
  /** Most records in doubt that one process may leave behind when it dies. */
  readonly doubtsPerDeath: number;
  /** Makes the records of these days in the source. */
  fill(days: readonly string[], mode: Kind['mode']): Promise<void>;
  /** A process that works on the window of a day. */
  start(day: string): Started;
  /** Changes whenever a process writes to the books; undefined where that cannot be seen from here. */
  booksChange(): string | undefined;
  /** When all are dead: what was on the wire gets to the sink before anybody asks it. */
  arrive(): Promise<void>;
  /** Holds the books of a day against what the sink has, record by record; throws what differs. */
  account(day: string): Promise<Account>;
  /** Takes the records of the days out of the source. */
  clear(days: readonly string[]): Promise<void>;
  close(): Promise<void>;
}

export interface Round {
  /** Where each process was killed, kill by kill. */
  readonly points: readonly string[];
  readonly accounts: readonly Account[];
  /** How the books differ from what the sink holds. */
  readonly violation?: string;
}

export const ANY_MOMENT = 'at any moment';
export const RECOVERING = 'when it has just opened the books of a process that was killed';
/** A process of a campaign takes about so long; what it really takes is learned from those that end. */
const FIRST_LIFE_MS = 1_000;
/** So often a process is started that says it has not finished. */
const AGAIN_MAX = 5;
/** What a process says that had too little time: of its lease, of an answer, of a request, of itself. */
const LATE =
  /lease.* has run out|holds the lease|in time|is over|at its deadline|stood still|away for too long|timeout/;
/** Of two windows that were killed together, one may have to wait for what becomes of the other. */
const OTHER_FIRST = /has to be found out first/;
/** A process on a machine that does much else may take long to come to its point; one that hangs takes for ever. */
const PATIENCE_MS = 180_000;

/** Resolves with whether the condition came to hold. */
async function until(condition: () => boolean, everyMs = 2): Promise<boolean> {
  const end = performance.now() + PATIENCE_MS;
  while (!condition()) {
    if (performance.now() > end) return false;
    await new Promise((resolve) => setTimeout(resolve, everyMs));
  }
  return true;
}

/** Kills in a world, round after round; a round is one window, or two that two processes of one flow work on. */
export class Killer {
  readonly #world: KillWorld;
  readonly #roll: Roll;
  #lifeMs = FIRST_LIFE_MS;
  /** What the last process that came to its end has said. */
  #said = '';

  constructor(world: KillWorld, roll: Roll) {
    this.#world = world;
    this.#roll = roll;
  }

  async round(days: readonly string[], killsMax: number): Promise<Round> {
    const world = this.#world;
    const mode = this.#roll(0, 2) === 0 ? 'copy' : 'cursor';
    const points: string[] = [];
    const accounts: Account[] = [];
    let deaths = 0;
    try {
      await world.fill(days, mode);
      for (let ended = false; !ended && points.length < killsMax; ) {
        const met = await this.#strike(days, { mode, sort: world.sort, kills: points.length });
        points.push(...met.points);
        deaths += met.deaths;
        ended = met.points.length === 0;
      }
      deaths += await this.#finish(days);
      for (const day of days) accounts.push(await world.account(day));
      expectFew(accounts, deaths * world.doubtsPerDeath);
      await world.clear(days);
      return { points, accounts };
    } catch (error) {
      const said = error instanceof Error ? error.message : describeError(error);
      const where = `${days.join(' and ')}, ${world.sort}`;
      return {
        points,
        accounts,
        violation: `${where}, killed ${points.join(', ')}: ${said}; last said: ${this.#said}`,
      };
    }
  }

  /** Starts a process for each day, and now and then one more that wants the same; kills them, all or all but one. */
  async #strike(days: readonly string[], kind: Kind): Promise<{ points: string[]; deaths: number }> {
    const roll = this.#roll;
    const aim = this.#aim(kind);
    const racing = roll(0, 6) === 0;
    const children = [...days, ...(racing ? [days[0]!] : [])].map((day) => watch(this.#world.start(day)));
    const arrived = this.#world.proxies.api?.made.length ?? 0;
    const survivor = children.length > 1 && roll(0, 3) === 0 ? children[roll(0, children.length)] : undefined;
    try {
      const met = await until(() => children.every(({ over }) => over()) || aim.reached());
      if (!met) throw new RangeError(`neither ended nor came to "${aim.name}": ${children.map(stateOf).join('; ')}`);
      for (const child of children) if (child !== survivor) child.kill();
      this.#letGo(survivor !== undefined);
      const ended = await Promise.all(children.map(({ ended }) => ended));
      const killed = ended.filter(({ status }) => status === -1).length;
      if (survivor !== undefined) expectRight(await survivor.ended, [0, 4, 5, 6]);
      if (this.#world.proxies.api?.made.slice(arrived).some(({ cut }) => cut.act === 'late'))
        await this.#world.arrive();
      // One that is cut off from its sink and lives may be left in doubt as well as one that died.
      return { points: Array.from({ length: killed }, () => aim.name), deaths: children.length };
    } finally {
      for (const child of children) child.kill();
      this.#letGo(false);
    }
  }

  /**
   * What a dead process has said to a server arrives, and the server hears of its death. What it has said to the API
   * never does, unless it is late: that is for the world to decide, and soon. Half a request that came to its end when
   * the next process had already found out that it is not there would be sent twice by this campaign and nobody else.
   */
  #letGo(alsoApi: boolean): void {
    for (const [way, proxy] of Object.entries(this.#world.proxies)) {
      proxy.set([]);
      if (way !== 'api' || alsoApi) proxy.release();
      else proxy.discard();
    }
  }

  /** What to wait for before the signal. */
  #aim(kind: Kind): { readonly name: string; reached(): boolean } {
    const roll = this.#roll;
    const { proxies } = this.#world;
    const choice = roll(0, 8);
    if (choice < 2) {
      const atMs = performance.now() + roll(0, Math.ceil(this.#lifeMs));
      return { name: ANY_MOMENT, reached: () => performance.now() > atMs };
    }
    const before = this.#world.booksChange();
    if (choice < 4 && kind.kills > 0 && before !== undefined) {
      const delayMs = roll(0, 30);
      let changedMs = Number.POSITIVE_INFINITY;
      const reached = (): boolean => {
        if (changedMs === Number.POSITIVE_INFINITY && this.#world.booksChange() !== before)
          changedMs = performance.now();
        return performance.now() >= changedMs + delayMs;
      };
      return { name: RECOVERING, reached };
    }
    const fitting = pointsFor(kind, proxies);
    const point: KillPoint = fitting[roll(0, fitting.length)]!;
    const proxy = proxies[point.through]!;
    proxy.set([point.cut(roll, kind)]);
    const made = proxy.made.length;
    return { name: point.name, reached: () => proxy.made.length > made };
  }

  /** Runs every window to its end. Resolves with how often one was started again: each may leave doubts behind. */
  async #finish(days: readonly string[]): Promise<number> {
    const again = await Promise.all(days.map((day) => this.#toTheEnd(day)));
    return again.reduce((sum, times) => sum + times, 0);
  }

  /**
   * A machine that is busy may starve a process past its lease, or past the time in which the sink has to answer: it
   * says that it has not finished, and what the next start will do; so it is started again. The last one has no excuse.
   */
  async #toTheEnd(day: string): Promise<number> {
    for (let again = 0; ; again++) {
      const child = this.#world.start(day);
      const ended = await child.ended;
      this.#said = `${ended.status}: ${ended.stdout}${ended.stderr}`;
      if (again < AGAIN_MAX && this.#mayGoOn(ended)) continue;
      expectRight(ended, [0, 4]);
      this.#lifeMs = this.#lifeMs * 0.8 + child.tookMs() * 0.2;
      return again;
    }
  }

  /** Whether it was only too early, or had too little time: any other reason would be hidden by another start. */
  #mayGoOn({ status, stdout, stderr }: Ended): boolean {
    if (![LATE, OTHER_FIRST].some((reason) => reason.test(stdout + stderr))) return false;
    // In doubt over a sink that tells what became of a batch: it could not be asked in time.
    const undecided = this.#world.doubtsPerDeath === 0 || stdout.includes(': not finished, in ');
    return status === 5 || status === 6 || (status === 4 && undecided);
  }
}

interface Watched {
  readonly pid: number;
  readonly ended: Promise<Ended>;
  over(): boolean;
  said(): string;
  kill(): void;
}

function watch(child: Started): Watched {
  let over = false;
  const ended = child.ended.finally(() => {
    over = true;
  });
  const { pid, said } = child;
  return { pid, ended, said, over: () => over, kill: () => (over ? undefined : child.kill('SIGKILL')) };
}

/** A process that hangs has had its turns; one that is starved has not: so the time it has had is told. */
function stateOf({ pid, over, said }: Watched): string {
  if (over()) return `${pid} has ended`;
  // Behind the name, which may hold blanks: the state first, then user and system time as the 12th and the 13th.
  const fields = readFileSync(`/proc/${pid}/stat`, 'utf8').split(') ')[1]!.split(' ');
  const cpuMs = (Number(fields[11]) + Number(fields[12])) * 10;
  return `${pid} has used ${cpuMs} ms of CPU in ${PATIENCE_MS} ms, state ${fields[0]}, said: ${said()}`;
}

function expectRight({ status, stdout, stderr }: Ended, right: readonly number[]): void {
  if (!right.includes(status)) throw new RangeError(`ended with ${status}: ${stdout}${stderr}`);
}

function expectFew(accounts: readonly Account[], doubtsMax: number): void {
  const sum = (name: keyof Account): number => accounts.reduce((all, one) => all + one[name], 0);
  if (sum('pending') > 0) throw new RangeError(`${sum('pending')} records are pending after a whole run`);
  if (sum('refused') > 0) throw new RangeError(`${sum('refused')} records were refused`);
  if (sum('inDoubt') <= doubtsMax) return;
  throw new RangeError(`${sum('inDoubt')} records in doubt, ${doubtsMax} at most were expected`);
}
