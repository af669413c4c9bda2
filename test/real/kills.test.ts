import { cpus } from 'node:os';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { addKills } from '../../src/testing/tally.ts';
import { startPostgres, type TestPostgres } from '../postgres.ts';
import { tellFigure } from './figures.ts';
import { type Campaign, runKills, SORTS } from './kill-campaign.ts';
import { PLANTS, planted } from './kill-plants.ts';

/** `npm run kills -- --kills 500 --records 1000000 --seed 7` says how many and which. */
const KILLS = Number(process.env.WAYBILL_KILLS ?? 30);
const RECORDS = Number(process.env.WAYBILL_KILLS_RECORDS ?? KILLS * 2_000);
const SEED = Number(process.env.WAYBILL_SEED ?? 1);
/** A process that is killed waits for much: so there are more of them than cores. */
const WIDTH = Number(process.env.WAYBILL_KILLS_WIDTH ?? 3);
/** A mistake has to be found within so many. */
const PLANTED_KILLS = 400;
const WANTED = SORTS.filter((sort) => process.env.WAYBILL_KILLS_SORTS?.split(',').includes(sort) ?? true);

let server: TestPostgres;
beforeAll(async () => {
  server = await startPostgres();
});
afterAll(() => server?.stop());

describe('a process of the command line that is killed with SIGKILL', () => {
  it(
    `G10: ${KILLS} times, at named points and at any moment, loses nothing and sends nothing twice`,
    async () => {
      const from = performance.now();
      const recordsOfAWindow = Math.ceil((RECORDS / KILLS) * 2.2);
      const options = {
        kills: KILLS,
        records: RECORDS,
        recordsOfAWindow,
        seed: SEED,
        width: WIDTH,
        sorts: WANTED,
        tell: progress(),
      };
      const campaign = await runKills(server, options);
      print(campaign);
      tell(campaign, Math.round((performance.now() - from) / 1000));
      expect(campaign.violations).toEqual([]);
      expect(campaign.kills).toBeGreaterThanOrEqual(KILLS);
      expect(campaign.records).toBeGreaterThanOrEqual(RECORDS);
      let known = 0;
      for (const [sort, account] of campaign.accounts) {
        known += account.delivered + account.inDoubt;
        if (sort !== 'none' && sort !== 'shared') expect(account.inDoubt, sort).toBe(0);
      }
      expect(known, 'every record of every round is in a book').toBe(campaign.records);
      if (KILLS >= SORTS.length * 30) expect([...campaign.accounts.keys()].sort()).toEqual([...WANTED].sort());
      tellFigure('G10', 'processes killed, with exact counts in tables and over HTTP', campaign.kills);
      tellFigure('G10', 'records in those rounds', campaign.records);
      const blind = (campaign.bySort.get('none') ?? 0) + (campaign.bySort.get('shared') ?? 0);
      tellFigure('G12', 'deaths over a sink that can be asked nothing', blind, inDoubt(campaign));
    },
    60_000 + KILLS * 15_000,
  );
});

describe('a program with a mistake in it', () => {
  it.each(PLANTS)(
    'is found out: $name',
    async (plant) => {
      const { program, remove } = planted(plant);
      try {
        const options = { recordsOfAWindow: 2_000, records: 0, seed: SEED, width: WIDTH, sorts: [plant.sort] };
        const found = await runKills(server, { ...options, kills: PLANTED_KILLS, program, untilFound: true });
        console.info(`after ${found.kills} kills: ${found.violations[0]?.slice(0, 900)}`);
        expect(found.violations[0]).toMatch(plant.says);
      } finally {
        remove();
      }
    },
    600_000,
  );
});

function inDoubt({ accounts }: Campaign): string {
  const all = [...accounts.values()].reduce((sum, account) => sum + account.inDoubt, 0);
  return `${all} records in doubt, all of them listed`;
}

/** A line for every fifty kills. */
function progress(): (now: Pick<Campaign, 'kills' | 'records' | 'violations'>) => void {
  let next = 50;
  const from = performance.now();
  let told = 0;
  return ({ kills, records, violations }) => {
    // At once: a campaign that is ended from outside must not take with it what it has found.
    for (; told < violations.length; told++) console.info(violations[told]);
    if (kills < next) return;
    next = kills - (kills % 50) + 50;
    console.info(`${kills} kills, ${records} records after ${Math.round((performance.now() - from) / 1000)} s`);
  };
}

function print({ kills, rounds, records, byPoint, bySort, accounts, violations }: Campaign): void {
  const points = [...byPoint].sort(([, a], [, b]) => b - a).map(([name, count]) => `  ${count} ${name}`);
  const books = [...accounts].map(([sort, one]) => `  ${sort}, ${bySort.get(sort)} kills: ${JSON.stringify(one)}`);
  const tried = `${kills} kills in ${rounds} rounds of ${records} records, seed ${SEED}`;
  const head = `${tried}: ${violations.length} violations`;
  console.info([head, ...points, ...books, ...violations].join('\n'));
}

function tell({ kills, rounds, records, violations }: Campaign, seconds: number): void {
  const { WAYBILL_TALLY: file, WAYBILL_COMMIT: commit = 'unknown' } = process.env;
  if (file === undefined) return;
  const machine = `${cpus().length} cores, ${process.arch}, Node ${process.versions.node}`;
  const date = new Date().toISOString().slice(0, 10);
  const figures = { kills, rounds, records, seconds, violations: violations.length };
  addKills(file, { date, commit, machine, seed: SEED, ...figures });
}
