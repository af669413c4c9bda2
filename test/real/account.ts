import { expect } from 'vitest';
import type { RunId } from '../../src/model/ids.ts';
import { balances } from '../../src/model/states.ts';
import { counts, type DailyJob, type Member } from '../daily/daily-job.ts';

/** What became of the records of a run, by the ledger and by what the API really holds. */
export interface Account {
  readonly delivered: number;
  readonly inDoubt: number;
  /** Of those in doubt, how many the API holds all the same. */
  readonly inDoubtHeld: number;
  readonly pending: number;
  readonly refused: number;
}

/** How often the peer applied each member, over all runs. */
export const heldBy = (job: DailyJob): Map<number, number> =>
  counts(job.peer.applied().map((one) => (one.record as Member).member_id));

/**
 * Holds the ledger against the API, record by record: what is delivered is there once, what is in doubt is there at
 * most once, what is pending is not there, and nothing else is there at all. Throws at the first record that differs.
 * `others`: records of other runs, which the same API may hold.
 */
export async function expectExact(
  job: DailyJob,
  run: RunId,
  ids: readonly number[],
  others: ReadonlySet<number> = new Set(),
): Promise<Account> {
  const held = heldBy(job);
  const sum = { delivered: 0, inDoubt: 0, inDoubtHeld: 0, pending: 0, refused: 0 };
  const waybill = await job.waybill();
  const { read } = await waybill.ledger();
  const listed = new Set<number>();
  for (let after: string | undefined; ; ) {
    const page = await read.records({ run, limit: 1_000, ...(after === undefined ? {} : { after }) });
    for (const record of page.records) {
      const id = Number(waybill.showKey(record));
      const times = held.get(id) ?? 0;
      if (listed.has(id)) throw new RangeError(`${id} is listed twice`);
      listed.add(id);
      addTo(sum, record.state, times, id);
    }
    after = page.cursor;
    if (after === undefined) break;
  }
  expect([...listed].sort((a, b) => a - b)).toEqual([...ids].sort((a, b) => a - b));
  const strangers = [...held.keys()].filter((id) => !listed.has(id) && !others.has(id));
  expect(strangers, 'held by the API, and in no book').toEqual([]);
  for (const [, balance] of await read.balance(run)) expect(balances(balance), JSON.stringify(balance)).toBe(true);
  expect(await read.verify()).toEqual([]);
  return sum;
}

/** A million of these are looked at in a campaign: an assertion for each would take longer than what it looks at. */
function addTo(sum: { -readonly [Name in keyof Account]: Account[Name] }, state: string, times: number, id: number) {
  switch (state) {
    case 'delivered':
      if (times !== 1) throw new RangeError(`${id} is delivered, and is there ${times} times`);
      sum.delivered++;
      return;
    case 'in-doubt':
      if (times > 1) throw new RangeError(`${id} is in doubt, and is there ${times} times`);
      sum.inDoubt++;
      sum.inDoubtHeld += times;
      return;
    case 'pending':
    case 'refused':
      if (times !== 0) throw new RangeError(`${id} is ${state}, and is there ${times} times`);
      sum[state]++;
      return;
    default:
      throw new RangeError(`${id} is ${state}`);
  }
}
