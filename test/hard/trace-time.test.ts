import { closeSync, openSync, writeFileSync, writeSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { DailyJob } from '../daily/daily-job.ts';
import { start } from './processes.ts';

const RECORDS = 1_000_000;
/** One record is larger than a batch may be. */
const TOO_LARGE = 777_777;

let job: DailyJob;
beforeAll(async () => {
  job = await DailyJob.open({ members: [] });
  writeFileSync(
    join(job.folder, 'waybill.yaml'),
    [
      'version: 1',
      'flows:',
      '  members:',
      '    source: { connection: files, path: in.ndjson, key: [id] }',
      '    sink: { connection: files, path: out.ndjson, recordsPerBatch: 1000, bytesPerBatch: 100000 }',
      '',
    ].join('\n'),
  );
  const file = openSync(join(job.folder, 'in.ndjson'), 'w');
  for (let from = 1; from <= RECORDS; from += 10_000) {
    const lines = Array.from({ length: 10_000 }, (_, n) =>
      from + n === TOO_LARGE ? `{"id":${from + n},"n":"${'x'.repeat(120_000)}"}\n` : `{"id":${from + n},"n":"m${n}"}\n`,
    );
    writeSync(file, lines.join(''));
  }
  closeSync(file);
  const ended = await job.cli(['run', 'members']);
  expect(ended.status, ended.stderr).toBe(3);
});
afterAll(() => job.close());

const LIMIT_MS = 1_000;
const TRIES_MAX = 6;

/**
 * As a person waits for it: from the start of the process to its end. On a machine that does much else it is asked
 * again: what one answer out of a few shows is how long it takes, the others show the neighbours.
 */
async function timed(args: readonly string[], expected = 0): Promise<{ said: string; tookMs: number }> {
  let quickest = { said: '', tookMs: Number.POSITIVE_INFINITY };
  for (let tries = 0; tries < TRIES_MAX && quickest.tookMs >= LIMIT_MS; tries++) {
    const process = start(job, args);
    const { status, stdout, stderr } = await process.ended;
    expect(status, stderr).toBe(expected);
    const tookMs = process.tookMs();
    if (tookMs < quickest.tookMs) quickest = { said: stdout + stderr, tookMs };
  }
  return quickest;
}

describe('a ledger of a million records', () => {
  it('A02: where is record R, and why, answers in under a second at 1,000,000 records', async () => {
    const took: number[] = [];
    for (const id of [1, 2, 500_000, 654_321, 999_999, RECORDS]) {
      const { said, tookMs } = await timed(['trace', String(id)]);
      expect(said).toMatch(new RegExp(`^${id}: delivered since `));
      expect(said).toMatch(/run r1, lane files/);
      expect(said).toMatch(/b\d+ delivered: record [\d,]+ of [\d,]+/);
      took.push(tookMs);
    }
    const refused = await timed(['trace', String(TOO_LARGE)]);
    expect(refused.said).toMatch(/777777: refused since/);
    expect(refused.said, 'why').toMatch(/reason: .*100,?000.*RECORD_TOO_LARGE/);
    took.push(refused.tookMs);
    console.log(`trace at ${RECORDS} records: ${took.map((ms) => Math.round(ms)).join(', ')} ms`);
    expect(Math.max(...took)).toBeLessThan(LIMIT_MS);
  });

  it('A02: a key that is nowhere is said to be nowhere as fast, and the refused are listed as fast', async () => {
    const nowhere = await timed(['trace', '1000001'], 2);
    expect(nowhere.said).toMatch(/no record has the key "1000001"/);
    expect(nowhere.tookMs).toBeLessThan(LIMIT_MS);
    const { said, tookMs } = await timed(['records', 'r1', '--state', 'refused']);
    expect(said).toMatch(/RECORD_TOO_LARGE|100,?000/);
    expect(tookMs).toBeLessThan(LIMIT_MS);
  });
});
