import type { TestPostgres } from '../postgres.ts';
import type { Account } from './account.ts';
import { HTTP_SORTS, type HttpSort, HttpWorld, type WorldOptions } from './kill-http.ts';
import { chances, type Roll } from './kill-points.ts';
import { Killer, type KillWorld, type Round } from './kill-round.ts';
import { TABLE_SORTS, type TableSort, TableWorld } from './kill-tables.ts';
import { makeMembers, withClient } from './warehouse.ts';

/** So many rounds lie in one ledger; then another one is begun: each round is followed by a look at all of it. */
const ROUNDS_OF_A_WORLD = 6;
const FIRST_DAY = Date.UTC(2001, 0, 1);

export type Sort = HttpSort | TableSort;
export const SORTS: readonly Sort[] = [...HTTP_SORTS, ...TABLE_SORTS];

export interface CampaignOptions {
  readonly kills: number;
  /** Rounds go on until so many records have been moved, too. */
  readonly records: number;
  readonly recordsOfAWindow: number;
  readonly seed: number;
  /** So many worlds side by side. */
  readonly width: number;
  readonly sorts?: readonly Sort[];
  readonly program?: string;
  /** Ends with the first violation. */
  readonly untilFound?: boolean;
  /** Hears how far it is, after each round. */
  tell?(progress: Pick<Campaign, 'kills' | 'records' | 'violations'>): void;
}

export interface Campaign {
  readonly kills: number;
  readonly rounds: number;
  readonly windows: number;
  readonly records: number;
  readonly byPoint: ReadonlyMap<string, number>;
  /** How many died in each sort of world. */
  readonly bySort: ReadonlyMap<Sort, number>;
  readonly accounts: ReadonlyMap<Sort, Account>;
  /** One line for each round whose books differ from what the sink holds. */
  readonly violations: readonly string[];
}

/**
 * Kills real processes of the command line, between a real PostgreSQL and APIs over real sockets or tables, until there
 * have been so many; after one to five kills a round is run to its end and held against what the sink got. The
 * choices of a world follow the seed; when exactly a signal strikes does not.
 */
export async function runKills(server: TestPostgres, options: CampaignOptions): Promise<Campaign> {
  await makeMembers(server, 0);
  await withClient(server, (client) =>
    client.query('create index if not exists members_by_day on members (updated_on)'),
  );
  const campaign = new Sums(server, options);
  await Promise.all(Array.from({ length: options.width }, () => campaign.work()));
  return campaign;
}

class Sums implements Campaign {
  readonly #server: TestPostgres;
  readonly #options: CampaignOptions;
  readonly #sorts: readonly Sort[];
  readonly byPoint = new Map<string, number>();
  readonly bySort = new Map<Sort, number>();
  readonly accounts = new Map<Sort, Account>();
  readonly violations: string[] = [];
  #worlds = 0;
  #begun = 0;
  #days = 0;
  kills = 0;
  rounds = 0;
  windows = 0;

  constructor(server: TestPostgres, options: CampaignOptions) {
    this.#server = server;
    this.#options = options;
    this.#sorts = options.sorts ?? SORTS;
  }

  get records(): number {
    return this.windows * this.#options.recordsOfAWindow;
  }

  /** Opens world after world, of one sort after the other, until there is enough. */
  async work(): Promise<void> {
    while (this.#goesOn()) {
      const nth = this.#worlds++;
      const roll = chances(this.#options.seed * 1_000_003 + nth);
      const world = await this.#open(this.#sorts[nth % this.#sorts.length]!);
      const killer = new Killer(world, roll);
      try {
        for (let round = 0; round < ROUNDS_OF_A_WORLD && this.#goesOn(); round++)
          await this.#round(world, killer, roll);
      } finally {
        await world.close();
      }
    }
  }

  /** A process may end before it gets to its point; so the rounds are bounded, too. */
  #goesOn(): boolean {
    const { kills, records, untilFound = false } = this.#options;
    if (untilFound && this.violations.length > 0) return false;
    return (this.kills < kills || this.records < records) && this.#begun < kills * 3 + 10;
  }

  async #round(world: KillWorld, killer: Killer, roll: Roll): Promise<void> {
    this.#begun++;
    const days = Array.from({ length: roll(0, 4) === 0 ? 2 : 1 }, () => this.#day());
    const round = await killer.round(days, roll(1, 6));
    this.#add(world.sort as Sort, days.length, round);
  }

  #day(): string {
    return new Date(FIRST_DAY + 86_400_000 * this.#days++).toISOString().slice(0, 10);
  }

  #add(sort: Sort, windows: number, { points, accounts, violation }: Round): void {
    this.rounds++;
    this.windows += windows;
    this.kills += points.length;
    this.bySort.set(sort, (this.bySort.get(sort) ?? 0) + points.length);
    for (const point of points) this.byPoint.set(point, (this.byPoint.get(point) ?? 0) + 1);
    for (const account of accounts) this.accounts.set(sort, sumOf(this.accounts.get(sort) ?? NOTHING, account));
    if (violation !== undefined) this.violations.push(violation);
    this.#options.tell?.(this);
  }

  #open(sort: Sort): Promise<KillWorld> {
    const { recordsOfAWindow: records, program } = this.#options;
    const options: WorldOptions = { server: this.#server, records, ...(program === undefined ? {} : { program }) };
    return isTable(sort) ? TableWorld.open(sort, options) : HttpWorld.open(sort, options);
  }
}

const isTable = (sort: Sort): sort is TableSort => (TABLE_SORTS as readonly Sort[]).includes(sort);

const NOTHING: Account = { delivered: 0, inDoubt: 0, inDoubtHeld: 0, pending: 0, refused: 0 };
const sumOf = (a: Account, b: Account): Account => ({
  delivered: a.delivered + b.delivered,
  inDoubt: a.inDoubt + b.inDoubt,
  inDoubtHeld: a.inDoubtHeld + b.inDoubtHeld,
  pending: a.pending + b.pending,
  refused: a.refused + b.refused,
});
