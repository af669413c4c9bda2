import { describe, expect, it } from 'vitest';
import type { Ledger } from '../ledger/ledger.ts';
import { WaybillError } from '../model/errors.ts';
import { ownerOf } from './owner.ts';
import { withTakeover } from './takeover.ts';

/** This very process: it lives, so nobody may take over. */
const owner = ownerOf({ id: () => 'itself' });
const until = Date.UTC(2026, 10, 19, 6);
const nothing = {} as Ledger;

async function refusal(message: string, ids: Record<string, unknown>): Promise<WaybillError> {
  const held = new WaybillError('LEASE_HELD', message, { ids: { owner, ...ids } });
  const refused = withTakeover(nothing, () => Promise.reject(held));
  return await refused.then(
    () => expect.unreachable('it is held'),
    (error: WaybillError) => error,
  );
}

describe('a lease that somebody alive holds', () => {
  it.each([
    [{ flow: 'daily', window: '2026-11-19', run: 'r3', leaseUntilMs: until }, 'daily for 2026-11-19 (r3)'],
    [{ batch: 'b7', leaseUntilMs: until }, 'batch b7'],
    [{ run: 'r3', leaseUntilMs: until }, 'run r3'],
    [{ leaseUntilMs: until }, 'what this needs'],
  ])('is named by the ids of the refusal, however the ledger words it: %o', async (ids, what) => {
    const messages = ['something is held', `in other words, by ${owner}, ${owner} it is held`];
    for (const message of messages) {
      const error = await refusal(message, ids);
      expect(error.message).toMatch(
        / is held by process \d+ on .+, until 2026-11-19T06:00:00.000Z unless it renews it$/,
      );
      expect(error.message.startsWith(`${what} is held by process ${process.pid} on `)).toBe(true);
      expect(error.ids).toMatchObject(ids);
    }
  });
});
