import { describe, expect, it } from 'vitest';
import type { DoubtRow, ShardClaim } from '../ledger/ledger.ts';
import type { LostAttempt, Settlement } from '../strategies/strategy.ts';
import type { LaneRuntime } from './lane.ts';
import { settleDoubt } from './settle.ts';

const doubt = { id: 1, records: 2, doubtful: [1], attempt: { attempt: 1, notes: {} }, firstIntendedAtMs: 0 };
const claim = { run: 1, lane: 'api', shard: 0, fence: 1 } as ShardClaim;

/** A lane whose batches are made again from a source that says nothing more. */
function laneThat(settle: (request: LostAttempt) => Promise<Settlement>): LaneRuntime {
  const load = async (_batch: unknown, signal = new AbortController().signal): Promise<never> => {
    signal.throwIfAborted();
    return await new Promise((_resolve, reject) => {
      signal.addEventListener('abort', () => reject(signal.reason), { once: true });
    });
  };
  const has = (batch: unknown, signal?: AbortSignal): Promise<never> => load(batch, signal);
  const job = { name: 'api', strategy: { settle }, sink: { requestTimeoutMs: 1_000 }, onDoubt: 'resend' };
  const services = { ports: { wallMs: () => 1_000 } };
  const read = { run: async () => ({ flow: 'f' }) };
  const guarantee = { rung: 'look' };
  return {
    job,
    services,
    guarantee,
    payloads: { load, has },
    ledger: { read, identity: { id: 'l' } },
  } as unknown as LaneRuntime;
}

describe('a doubt whose batch has to be read again', () => {
  const settled = async (settlement: Settlement): Promise<Settlement> => settlement;
  it.each<[string, (request: LostAttempt) => Promise<Settlement>]>([
    ['to search the sink for its records', async ({ payload }) => (await payload()) as never],
    ['to see whether it can be', async ({ hasBytes }) => (await hasBytes()) as never],
    ['to see what was sent elsewhere', async ({ sentElsewhere }) => (await sentElsewhere()) as never],
    ['to send what did not arrive', () => settled({ kind: 'absent', evidence: '' })],
    ['to repeat it', () => settled({ kind: 'resend', evidence: '' })],
    ['to send it as the flow says', () => settled({ kind: 'undecided', evidence: '' })],
  ])('is given up at once when the run is told to end: %s', async (_why, settle) => {
    const ending = new AbortController();
    const settling = settleDoubt(doubt as unknown as DoubtRow, claim, laneThat(settle), ending.signal);
    ending.abort(new RangeError('told to end'));
    await expect(settling).rejects.toThrow('told to end');
  });
});
