import { spawnSync } from 'node:child_process';
import { closeSync, mkdirSync, openSync, rmSync, writeSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, describe, expect, it } from 'vitest';
import { counts, DAY, DailyJob, type DailyJobOptions, members } from '../daily/daily-job.ts';
import { expectError, start } from './processes.ts';

let job: DailyJob;
let mounted: string | undefined;

afterEach(async () => {
  if (mounted !== undefined) spawnSync('umount', [mounted]);
  mounted = undefined;
  await job.close();
});

/** A disk of its own for the ledger and the staged bytes. False where mounting is not allowed, with the reason told. */
async function open(size: string, options: DailyJobOptions): Promise<boolean> {
  job = await DailyJob.open(options);
  const folder = join(job.folder, '.waybill');
  mkdirSync(folder);
  const { status, stderr } = spawnSync('mount', ['-t', 'tmpfs', '-o', `size=${size}`, 'tmpfs', folder]);
  if (status === 0) mounted = folder;
  else console.warn(`SKIPPED: a disk of its own needs leave to mount one: ${String(stderr).trim()}`);
  return status === 0;
}

const remount = (options: string): void => {
  const { status, stderr } = spawnSync('mount', ['-o', `remount,${options}`, mounted!]);
  expect(status, String(stderr)).toBe(0);
};
const run = () => job.cli(['run', 'roket-daily', '--for', DAY]);

/** Writes until there is no room for one more byte. */
function fill(): string {
  const path = join(mounted!, 'filler');
  const file = openSync(path, 'w');
  const fits = (bytes: number): boolean => {
    try {
      return writeSync(file, Buffer.alloc(bytes)) > 0;
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code === 'ENOSPC') return false;
      throw error;
    }
  };
  for (let bytes = 1024 * 1024; bytes >= 1; bytes = Math.floor(bytes / 4)) while (fits(bytes));
  closeSync(file);
  return path;
}

/** The books against what the API holds: nothing twice, and nothing missing that is not listed. */
async function expectAccounted(records: number): Promise<void> {
  const held = counts(job.held());
  expect([...held.values()].filter((count) => count > 1)).toEqual([]);
  const { doubts } = await job.json<{ doubts: { records: number }[] }>(['doubts']);
  const inDoubt = doubts.reduce((sum, doubt) => sum + doubt.records, 0);
  const { runs } = await job.json<{ runs: { state: string }[] }>(['runs']);
  expect(runs.map((one) => one.state)).toEqual([inDoubt > 0 ? 'in-doubt' : 'complete']);
  expect(held.size).toBeGreaterThanOrEqual(records - inDoubt);
  expect(held.size).toBeLessThanOrEqual(records);
  const verified = await job.cli(['verify']);
  expect(verified.status, verified.stdout + verified.stderr).toBe(0);
}

describe('a disk that is full', () => {
  const wide = members(4_000).map((one) => ({ ...one, name: 'x'.repeat(1_000) }));

  it('while a window is read sends nothing and says so; with room the next start sends all of it once', async () => {
    if (!(await open('2m', { members: wide }))) return;
    const ended = await run();
    const code = /STAGING_WRITE|LEDGER_WRITE/.exec(ended.stderr)?.[0] ?? 'none of the two';
    const said = expectError(ended, code, 5);
    expect(said).toMatch(/make room/i);
    expect(said, 'the file that could not be written').toContain('.waybill');
    expect(job.peer.received).toHaveLength(0);
    const again = await run();
    expect(again.status, 'still full').toBe(5);
    expect(job.peer.received).toHaveLength(0);
    remount('size=64m');
    const mended = await run();
    expect(mended.status, mended.stderr).toBe(0);
    expect(counts(job.held()).size).toBe(4_000);
    await expectAccounted(4_000);
  });

  it('while batches are read and sent at once keeps what it knows, and the next start goes on', async () => {
    if (!(await open('2m', { members: wide, flow: { deliver: 'while-reading' } }))) return;
    const ended = await run();
    expect(ended.status, ended.stderr).toBe(5);
    expect(ended.stderr).toMatch(/make room/i);
    remount('size=64m');
    const mended = await run();
    expect([0, 4], mended.stderr).toContain(mended.status);
    await expectAccounted(4_000);
  });

  it('while batches are sent stops sending, loses no answer that it had, and goes on with room', async () => {
    if (!(await open('16m', { members: members(6_000), behaviour: { delayMs: 30 } }))) return;
    const running = start(job, ['run', 'roket-daily', '--for', DAY]);
    await job.until(() => job.peer.received.length >= 6);
    const filler = fill();
    const ended = await running.ended;
    const code = /LEDGER_WRITE|JOURNAL_WRITE|STAGING_WRITE/.exec(ended.stderr)?.[0] ?? 'none of the three';
    expectError(ended, code, 5);
    expect(ended.stderr).toMatch(/make room/i);
    expect(counts(job.held()).size, 'it stopped').toBeLessThan(6_000);
    const still = await run();
    expect(still.status, 'still full').toBe(5);
    rmSync(filler);
    const mended = await run();
    expect([0, 4], mended.stderr).toContain(mended.status);
    await expectAccounted(6_000);
    const { doubts } = await job.json<{ doubts: unknown[] }>(['doubts']);
    expect(doubts.length, 'no more than what was in flight, twice').toBeLessThanOrEqual(8);
  });
});

describe('a folder that is read-only', () => {
  it('is named before anything is read or sent, and the same command works once it can be written', async () => {
    if (!(await open('16m', { members: members(250) }))) return;
    remount('ro');
    const said = expectError(await run(), 'LEDGER_WRITE', 5);
    expect(said).toMatch(/read-only/);
    expect(said).toContain('.waybill');
    expect(said).toMatch(/writable/);
    expect(job.peer.received).toHaveLength(0);
    remount('rw');
    const mended = await run();
    expect(mended.status, mended.stderr).toBe(0);
    await expectAccounted(250);
  });

  it('with a ledger in it still says what happened, and starts nothing', async () => {
    if (!(await open('16m', { members: members(250) }))) return;
    await run();
    const before = (await job.cli(['trace', '7'])).stdout;
    remount('ro');
    expectError(await job.cli(['run', 'roket-daily', '--for', '2026-11-20']), 'LEDGER_WRITE', 5);
    expect(job.peer.received).toHaveLength(3);
    const trace = await job.cli(['trace', '7']);
    if (trace.status === 0) expect(trace.stdout).toBe(before);
    else expectError(trace, 'LEDGER_WRITE', 5);
    remount('rw');
    expect((await job.cli(['trace', '7'])).stdout).toBe(before);
  });
});
