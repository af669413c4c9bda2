import { afterEach, describe, expect, it } from 'vitest';
import { counts, DAY, DailyJob, type DailyJobOptions, members } from './daily-job.ts';

let job: DailyJob;
afterEach(() => job.close());
const open = async (options: DailyJobOptions = {}): Promise<DailyJob> => {
  job = await DailyJob.open(options);
  return job;
};
const ECHOED = {
  receipt:
    '{ shape: echoed-record, path: data.unprocessedRecords, key: record.member_id, recordKey: member_id, ' +
    'error: error.message, code: error.code }',
};
const run = (...more: string[]) => job.cli(['run', 'roket-daily', '--for', DAY, ...more]);
const lane = async (): Promise<Record<string, number>> => {
  const { read } = await (await job.waybill()).ledger();
  const [first] = await read.runs({});
  return { ...(await read.balance(first!.id)).get('roket')! };
};
const records = async (state: string) =>
  (
    await job.json<{ records: { key?: string; code?: string; reason: string }[] }>([
      'records',
      'r1',
      '--state',
      state,
      '--limit',
      '500',
    ])
  ).records;

/** A run that was cancelled after its first batch: 100 of 250 records have arrived. */
async function cancelled(): Promise<void> {
  await open({
    sink: { inFlight: '1' },
    behaviour: { faults: [{ when: { from: 2 }, answer: { status: 429 }, apply: 'none' }] },
    flow: { retry: '{ attempts: 1, firstDelay: 20ms, maxDelay: 50ms, maxAge: 1s }' },
  });
  await run();
  expect(job.held()).toHaveLength(100);
  const ended = await job.cli(['cancel', 'r1', '--reason', 'wrong day', '--yes']);
  expect(ended.status, ended.stderr).toBe(0);
  job.peer.set({ faults: [] });
}

describe('a run that was cancelled', () => {
  it('sends nothing when it is started again, says that it was cancelled, and how to begin it again', async () => {
    await cancelled();
    const ended = await run();
    expect(ended.status, ended.stderr).toBe(0);
    expect(ended.stdout).toMatch(/cancelled: wrong day/);
    expect(ended.stdout).toMatch(new RegExp(`waybill run roket-daily --for ${DAY} --refresh`));
    expect(job.held()).toHaveLength(100);
  });

  it('is begun again by --refresh: what was given up is sent, what had arrived is not', async () => {
    await cancelled();
    const ended = await run('--refresh');
    expect(ended.status, ended.stderr).toBe(0);
    expect([...counts(job.held()).values()]).toEqual(Array.from({ length: 250 }, () => 1));
    expect(await lane()).toMatchObject({ read: 250, delivered: 250, skipped: 0, pending: 0 });
    expect(await records('superseded')).toHaveLength(150);
    const again = await run();
    expect(again.status, again.stderr).toBe(0);
    expect(again.stdout).toMatch(/nothing to send/);
    expect((await job.cli(['verify'])).status).toBe(0);
  });

  it('is begun again by --resend-all, which sends all of it', async () => {
    await cancelled();
    const ended = await run('--resend-all', '--reason', 'the API lost its disk', '--yes');
    expect(ended.status, ended.stderr).toBe(0);
    const held = counts(job.held());
    expect([held.size, held.get(1), held.get(250)]).toEqual([250, 2, 1]);
    expect(await lane()).toMatchObject({ read: 350, delivered: 350, skipped: 0 });
  });

  it('can be cancelled a second time after it was begun again', async () => {
    await cancelled();
    job.peer.set({ faults: [{ answer: { status: 429 }, apply: 'none' }] });
    expect((await run('--refresh')).status).toBe(5);
    const ended = await job.cli(['cancel', 'r1', '--yes']);
    expect(ended.status, ended.stderr).toBe(0);
    expect(await lane()).toMatchObject({ pending: 0, skipped: 150, delivered: 100 });
  });
});

describe('records that could not be sent, once the window is read again', () => {
  const long = (name: string) => members(60).map((one) => (one.member_id === 30 ? { ...one, name } : one));
  const small = { batch: '{ maxRecords: 100, maxBytes: 1000 }' };

  it('count no more when the data was mended, and are still listed as what they were', async () => {
    await open({ members: long('x'.repeat(3_000)), sink: small });
    expect((await run()).status).toBe(3);
    job.change("update members set name = 'short' where member_id = 30");
    const mended = await run('--refresh');
    expect(mended.status, mended.stderr).toBe(0);
    expect(await lane()).toMatchObject({ read: 60, delivered: 60, refused: 0 });
    expect(await records('refused')).toEqual([]);
    const [was] = await records('superseded');
    expect(was).toMatchObject({ code: 'RECORD_TOO_LARGE' });
    expect(was?.reason).toMatch(/later reading.*3,?\d\d\d bytes/);
    const trace = await job.cli(['trace', '30']);
    expect(trace.stdout).toMatch(/superseded/);
    expect(trace.stdout).toMatch(/delivered/);
    expect((await job.cli(['verify'])).status).toBe(0);
  });

  it('count once, however often the window is read with the same fault in it', async () => {
    await open({ members: long('x'.repeat(3_000)), sink: small });
    await run();
    for (let time = 0; time < 3; time++) expect((await run('--refresh')).status).toBe(3);
    expect(await lane()).toMatchObject({ read: 60, delivered: 59, refused: 1 });
  });

  it('count no more when the sink had refused them and the new version is taken', async () => {
    const reject = [{ path: 'name', values: ['member 30'], code: 'bad-name', message: 'no such name' }];
    await open({ members: members(60), sink: ECHOED, behaviour: { shape: 'rokt', reject } });
    expect((await run()).status).toBe(3);
    expect(await lane()).toMatchObject({ read: 60, delivered: 59, refused: 1 });
    expect((await run('--refresh')).status, 'unchanged, so it is not sent again').toBe(3);
    expect(await lane()).toMatchObject({ read: 60, delivered: 59, refused: 1 });
    job.change("update members set name = 'mended' where member_id = 30");
    const mended = await run('--refresh');
    expect(mended.status, mended.stderr).toBe(0);
    expect(await lane()).toMatchObject({ read: 60, delivered: 60, refused: 0 });
    const last = await run('--refresh');
    expect(last.stdout, 'what was superseded has not vanished').not.toMatch(/no longer in the source/);
    expect((await job.cli(['verify'])).status).toBe(0);
    expect(counts(job.held()).get(30)).toBe(1);
  });
});
