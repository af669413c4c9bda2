import { cpus } from 'node:os';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { addKills } from '../../src/testing/tally.ts';
import { startPostgres, type TestPostgres } from '../postgres.ts';
import { type Campaign, runKills } from './kill-campaign.ts';

/** `npm run kills -- --kills 200 --seed 7` says how many and which. */
const KILLS = Number(process.env.WAYBILL_KILLS ?? 30);
const SEED = Number(process.env.WAYBILL_SEED ?? 1);

let server: TestPostgres;
beforeAll(async () => {
  server = await startPostgres();
});
afterAll(() => server?.stop());

describe('a process of the command line that is killed with SIGKILL', () => {
  it(
    `${KILLS} times, at named points and at any moment, loses nothing and sends nothing twice`,
    async () => {
      const from = performance.now();
      const campaign = await runKills(server, { kills: KILLS, seed: SEED });
      print(campaign);
      tell(campaign, Math.round((performance.now() - from) / 1000));
      expect(campaign.violations).toEqual([]);
      expect(campaign.kills).toBe(KILLS);
      for (const [rung, account] of Object.entries(campaign.accounts)) {
        expect(account, rung).toMatchObject({ pending: 0, refused: 0 });
        if (rung !== 'none') expect(account.inDoubt, rung).toBe(0);
      }
      const { none, key, look } = campaign.accounts;
      const known = [none, key, look].reduce((sum, account) => sum + account.delivered + account.inDoubt, 0);
      expect(known, 'every record of every round is in a book').toBe(campaign.records);
    },
    60_000 + KILLS * 5_000,
  );
});

function print({ kills, rounds, records, byPoint, accounts, violations }: Campaign): void {
  const points = [...byPoint].sort(([, a], [, b]) => b - a).map(([name, count]) => `  ${count} ${name}`);
  const books = Object.entries(accounts).map(([rung, account]) => `  ${rung}: ${JSON.stringify(account)}`);
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
