import { mkdirSync, statfsSync, statSync, symlinkSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { DAY, DailyJob, type DailyJobOptions, members } from '../daily/daily-job.ts';
import { expectError, start } from '../hard/processes.ts';
import { type Account, expectExact } from './account.ts';
import { failed, Mounts } from './disks.ts';

const RECORDS = 1_000;
const BATCH = 50;
const wide = members(RECORDS).map((one) => ({ ...one, name: 'x'.repeat(400) }));
const ids = wide.map((one) => one.member_id);
const RUN = ['run', 'roket-daily', '--for', DAY];
/** One batch in flight, and time enough for its answer on a machine that does much else. */
const USUAL = { batch: `{ maxRecords: ${BATCH}, maxBytes: 1MB }`, inFlight: '1', requestTimeout: '30s' };
const WRITE = /(?:STAGING|LEDGER|JOURNAL)_WRITE/;

const mounts = new Mounts();
let job: DailyJob | undefined;
const missing = mountMissing();

beforeEach(({ skip }) => skip(missing !== undefined, missing));
afterEach(async () => {
  await (await job?.waybill())?.close();
  mounts.undoAll();
  await job?.close();
  job = undefined;
});

function mountMissing(): string | undefined {
  const said = failed('unshare', '--mount', 'mount', '-t', 'tmpfs', '-o', 'size=64k', 'tmpfs', '/mnt');
  return said === undefined ? undefined : `a disk of its own cannot be mounted: ${said}`;
}

async function open(options: DailyJobOptions = {}): Promise<DailyJob> {
  job = await DailyJob.open({
    members: wide,
    ...options,
    sink: { ...USUAL, ...options.sink },
  });
  mkdirSync(join(job.folder, '.waybill'));
  return job;
}

function mount(folder: string, size: string): string {
  const place = join(job!.folder, folder);
  expect(mounts.tmpfs(place, size)).toBeUndefined();
  return place;
}

/** The books as they are after the run that has room again. */
async function mended(): Promise<Account> {
  const ended = await start(job!, RUN).ended;
  expect([0, 4], ended.stderr).toContain(ended.status);
  const { read } = await (await job!.reopen()).ledger();
  const [run] = await read.runs({});
  const account = await expectExact(job!, run!.id, ids);
  expect(account).toMatchObject({ pending: 0, refused: 0 });
  return account;
}

const fullAt = async (): Promise<string> => {
  const ended = await start(job!, RUN).ended;
  return expectError(ended, WRITE.exec(ended.stderr)?.[0] ?? 'no such code', 5);
};

describe('a disk of the staged bytes that is full', () => {
  it.each(['8k', '128k', '384k'])('at %s sends nothing, says which file, and is mended', async (size) => {
    await open();
    const place = mount('.waybill/staging', size);
    const said = await fullAt();
    expect(said).toContain('STAGING_WRITE');
    expect(said).toContain('staging');
    expect(job!.peer.received).toEqual([]);
    mounts.resize(place, '16m');
    expect(await mended()).toMatchObject({ delivered: RECORDS });
  });

  it('while batches are sent as they are read keeps what was sent, and goes on from there', async () => {
    await open({ flow: { deliver: 'while-reading' } });
    const place = mount('.waybill/staging', '256k');
    expect(await fullAt()).toContain('STAGING_WRITE');
    const sent = job!.peer.received.length;
    mounts.resize(place, '16m');
    const { delivered, inDoubt } = await mended();
    expect(delivered + inDoubt).toBe(RECORDS);
    expect(inDoubt).toBeLessThanOrEqual(BATCH);
    expect(job!.peer.received.length).toBeGreaterThanOrEqual(sent);
  });
});

describe('a disk of the ledger that is full', () => {
  it.each(['16k', '96k', '224k', '352k', '448k'])('at %s loses no answer and doubles nothing', async (size) => {
    await open();
    const place = mount('.waybill', size);
    mount('.waybill/staging', '16m');
    const ended = await start(job!, RUN).ended;
    if (ended.status !== 0) expectError(ended, WRITE.exec(ended.stderr)?.[0] ?? 'no such code', 5);
    mounts.resize(place, '16m');
    const { delivered, inDoubt } = await mended();
    expect(delivered + inDoubt).toBe(RECORDS);
    expect(inDoubt, 'what was in flight when there was no room for its answer').toBeLessThanOrEqual(BATCH);
  });

  it.each([
    ['loses no answer that was heard', false],
    ['leaves no doubt even if the process is killed while it waits for room', true],
  ])('in the middle of the sending, with room for the journal on another disk, %s', async (_, killed) => {
    await open({ behaviour: { delayMs: 30 } });
    const place = mount('.waybill', '16m');
    mount('.waybill/staging', '16m');
    const journal = join(mount('journal', '1m'), 'journal');
    symlinkSync(journal, join(place, 'ledger.db.journal'));
    const running = start(job!, RUN);
    await job!.until(() => job!.peer.received.length === 4);
    // What is used now is all there will be.
    mounts.resize(place, `${usedKiB(place)}k`);
    await job!.until(() => (statSync(journal, { throwIfNoEntry: false })?.size ?? 0) > 0);
    const heard = job!.peer.received.length;
    if (killed) running.kill('SIGKILL');
    mounts.resize(place, '16m');
    const { status, stderr } = await running.ended;
    // Whether it waits for room or gives up first depends on what it wanted to write next; neither loses the answer.
    expect(killed ? [-1] : [0, 5], stderr).toContain(status);
    if (killed) expect(job!.peer.received.length, 'it did not go on without its books').toBe(heard);
    expect(await mended()).toMatchObject({ delivered: RECORDS, inDoubt: 0 });
  });

  it('and of the journal, too, leaves at most what was in flight in doubt, and says so', async () => {
    await open({ behaviour: { delayMs: 30 } });
    const place = mount('.waybill', '16m');
    mount('.waybill/staging', '16m');
    const running = start(job!, RUN);
    await job!.until(() => job!.peer.received.length === 4);
    mounts.resize(place, `${usedKiB(place)}k`);
    expectError(await running.ended, 'LEDGER_WRITE', 5);
    mounts.resize(place, '16m');
    const { delivered, inDoubt } = await mended();
    expect(delivered + inDoubt).toBe(RECORDS);
    expect(inDoubt).toBeLessThanOrEqual(BATCH);
  });
});

/** KiB that are used on a disk, whole pages of it. */
function usedKiB(place: string): number {
  const { blocks, bfree, bsize } = statfsSync(place);
  return ((blocks - bfree) * bsize) / 1024;
}
