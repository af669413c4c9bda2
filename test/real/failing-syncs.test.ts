import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import type { RunSummary } from '../../src/engine/engine.ts';
import { DAY, DailyJob, members } from '../daily/daily-job.ts';
import { expectExact } from './account.ts';
import { runTraced, straceMissing, type Traced } from './strace.ts';

const missing = straceMissing();
const RECORDS = 200;
const BATCH = 50;
const ids = members(RECORDS).map((one) => one.member_id);
/** No run of this job has more calls of one kind; a loop that gets there has met one that never ends. */
const CALLS_MAX = 400;
/** No lease of this job is longer: 1.6 times the time-out of a request, and a second. */
const LEASE_MS = 3_900;

let job: DailyJob;
beforeEach(({ skip }) => skip(missing !== undefined, missing));
afterEach(async () => await job?.close());

async function tried(inject: string, flow = {}): Promise<Traced> {
  await job?.close();
  job = await DailyJob.open({
    members: members(RECORDS),
    sink: { batch: `{ maxRecords: ${BATCH}, maxBytes: 1MB }`, inFlight: '1', requestTimeout: '500ms' },
    flow: { lease: '3s', ...flow },
  });
  return await runTraced(job, ['run', 'roket-daily', '--for', DAY], inject);
}

/** What may not follow a failed sync: a request, unless a sync of the ledger has gone well in between. */
function expectNoCommit({ calls }: Traced, where: string): void {
  let waiting = false;
  for (const call of calls) {
    if (call.what === 'sync' && call.injected) waiting = true;
    else if (call.what === 'sync' && !call.failed && /ledger\.db/.test(call.path)) waiting = false;
    else if (call.what === 'request') expect(waiting, `${where}: a request after a failed sync`).toBe(false);
  }
}

/**
 * A commit whose sync failed may stand in the ledger all the same when it is opened anew: the frames were written. If
 * that was the release of the run, but not that of a shard, what is left of the shard's lease is waited for.
 */
async function runToEnd(): Promise<RunSummary> {
  const summary = await job.run();
  const { pending } = summary.lanes[0]!.balance;
  if (pending === 0 || summary.run.leaseUntilMs === undefined) return summary;
  const end = performance.now() + LEASE_MS;
  await job.until(() => performance.now() > end);
  return await job.run();
}

/** Each request that the API got is an attempt in the ledger, and the next start finishes what is left. */
async function expectMended(where: string, doubtsMax: number): Promise<void> {
  const sent = new Set(
    job.peer.received.map(({ headers }) => `${headers['x-waybill-attempt']} ${headers['x-waybill-digest']}`),
  );
  const { read } = await (await job.waybill()).ledger();
  const known = new Set<string>();
  for (const batch of await read.batches({ limit: 100 })) {
    for (const { attempt } of await read.attempts(batch.id)) known.add(`${attempt} ${batch.digest}`);
  }
  for (const one of sent) expect(known.has(one), `${where}: attempt ${one} has no intent`).toBe(true);
  const summary = await runToEnd();
  const account = await expectExact(job, summary.run.id, ids);
  expect(account.pending, where).toBe(0);
  expect(account.inDoubt, where).toBeLessThanOrEqual(doubtsMax);
}

describe('a sync that fails', () => {
  it.each(['whole-window', 'while-reading'])(
    'is never taken for a commit, whichever one of a run it is (%s), and the next start mends it',
    async (deliver) => {
      let met = 0;
      for (let nth = 1; nth <= CALLS_MAX; nth += deliver === 'while-reading' ? 6 : 1) {
        const where = `fsync ${nth}`;
        const ended = await tried(`fsync:error=EIO:when=${nth}`, {
          deliver: deliver === 'while-reading' ? deliver : undefined,
        });
        if (!ended.met) break;
        met++;
        expect([0, 4, 5], `${where}: ${ended.stderr}`).toContain(ended.status);
        if (ended.status === 5) {
          expect(ended.stderr, where).toMatch(/^ {2}code {2}(LEDGER|STAGING|JOURNAL)_WRITE \(exit 5\)/m);
          expect(ended.stderr, where).toMatch(/^ {2}do {4}.{10,}/m);
        }
        expectNoCommit(ended, where);
        await expectMended(where, BATCH);
      }
      console.info(`${met} syncs failed one by one (${deliver})`);
      expect(met).toBeGreaterThan(3);
    },
    400_000,
  );

  it('of staged bytes lets nothing be sent', async () => {
    const ended = await tried('fdatasync:error=EIO:when=1+');
    expect(ended.met).toBe(true);
    expect(ended.stderr).toContain('STAGING_WRITE (exit 5)');
    expect(job.peer.received).toEqual([]);
    await expectMended('staging', 0);
  });

  it('from some moment on for good stops the run, and what is known then is right', async () => {
    for (const nth of [8, 14, 18, 22]) {
      const ended = await tried(`fsync:error=EIO:when=${nth}+`);
      expect(ended.status, ended.stderr).toBe(5);
      expectNoCommit(ended, `fsync ${nth}+`);
      await expectMended(`fsync ${nth}+`, BATCH);
    }
  });
});

describe('a write that finds the disk full', () => {
  it('is never taken for a commit, at the beginning, in the middle and at the end of a run', async () => {
    let met = 0;
    for (let nth = 1; nth <= CALLS_MAX; nth += 23) {
      const ended = await tried(`pwrite64:error=ENOSPC:when=${nth}`);
      if (!ended.met) break;
      met++;
      expect([0, 4, 5], ended.stderr).toContain(ended.status);
      expectNoCommit(ended, `pwrite64 ${nth}`);
      await expectMended(`pwrite64 ${nth}`, BATCH);
    }
    console.info(`${met} writes found the disk full`);
    expect(met).toBeGreaterThan(5);
  }, 400_000);
});

describe('a process that is killed in a sync', () => {
  it('loses nothing, whichever one of a run it is', async () => {
    let met = 0;
    for (let nth = 1; nth <= CALLS_MAX; nth += 3) {
      const ended = await tried(`fsync:signal=KILL:when=${nth}`);
      if (!ended.met) break;
      met++;
      await expectMended(`killed in fsync ${nth}`, BATCH);
    }
    console.info(`${met} kills in a sync`);
    expect(met).toBeGreaterThan(5);
  }, 400_000);
});
