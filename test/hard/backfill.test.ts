import { afterEach, describe, expect, it } from 'vitest';
import { OUTPUTS } from '../../src/cli/output-schemas.ts';
import { counts, DailyJob, members } from '../daily/daily-job.ts';
import { start } from './processes.ts';

const DAYS = Array.from({ length: 8 }, (_, n) => `2026-03-0${n + 1}`);
const PER_DAY = 30;
const command = ['backfill', 'roket-daily', '--from', '2026-03-01', '--to', '2026-03-09', '--output', 'json'];

let job: DailyJob;
afterEach(() => job.close());

async function open(delayMs: number): Promise<void> {
  job = await DailyJob.open({
    members: DAYS.flatMap((day, nth) => members(PER_DAY, { first: 1 + nth * PER_DAY, day })),
    behaviour: { delayMs, idempotency: { header: 'idempotency-key', horizonMs: 60_000, storesErrors: false } },
    sink: { batch: '{ maxRecords: 10 }', inFlight: '1', idempotencyKey: '{ horizon: 24h }' },
  });
}

const documentOf = (stdout: string) => OUTPUTS.backfill.parse(JSON.parse(stdout));
const expectOnce = (): void => {
  const times = counts(job.held());
  expect(times.size).toBe(DAYS.length * PER_DAY);
  expect([...times.values()].filter((count) => count > 1)).toEqual([]);
};

describe('a backfill among processes', () => {
  it('goes on after a kill with the same command, and begins nothing twice', async () => {
    await open(40);
    const first = start(job, command);
    await job.until(() => job.peer.received.length >= 7);
    first.kill('SIGKILL');
    await first.ended;
    const second = await start(job, command).ended;
    const document = documentOf(second.stdout);
    expect(second.status, second.stderr).toBe(0);
    expect(document.windows.map(({ state }) => state)).toEqual(DAYS.map(() => 'complete'));
    // The days that were complete were left alone; the one that was cut off was gone on with.
    expect(document.steps.length).toBeGreaterThan(0);
    expect(document.steps.length).toBeLessThan(DAYS.length);
    expect(document.steps).toEqual(DAYS.slice(DAYS.length - document.steps.length));
    expectOnce();
  });

  it('is shared by several processes, each window done by one', async () => {
    await open(20);
    const ends = await Promise.all([1, 2, 3].map(() => start(job, [...command, '--parallel', '2']).ended));
    for (const end of ends) expect([0, 6], end.stderr).toContain(end.status);
    const run = ends.flatMap(({ stdout }) =>
      documentOf(stdout).results.filter((result) => result.lanes.some((lane) => lane.attempts > 0)),
    );
    expect(run.map(({ window }) => window).sort()).toEqual(DAYS);
    expectOnce();
    const last = documentOf((await start(job, command).ended).stdout);
    expect(last).toMatchObject({ exitCode: 0, steps: [] });
  });
});
