import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { type ApiPeer, openApiPeer } from '../../src/testing/peer/api-peer.ts';
import { counts, DAY, DailyJob, members } from '../daily/daily-job.ts';

let job: DailyJob;
let other: ApiPeer;
const run = () => job.cli(['run', 'roket-daily', '--for', DAY]);

/** One read, two sinks: an API (`crm`) and another one (`mail`), each a lane of its own. */
function configure(crm: string, mail: string): void {
  const sink = (connection: string): readonly string[] => [
    `      ${connection}:`,
    `        connection: ${connection}`,
    '        path: /v1/events',
    '        batch: { maxRecords: 100, maxBytes: 1MB }',
    '        requestTimeout: 2s',
    '        receipt: { shape: none }',
    '        retry: { attempts: 2, firstDelay: 20ms, maxDelay: 50ms, maxAge: 400ms }',
  ];
  const lines = [
    'version: 1',
    'connections:',
    '  warehouse: { type: sqlite, file: members.db }',
    `  crm: { type: http, url: "${crm}" }`,
    `  mail: { type: http, url: "${mail}" }`,
    'flows:',
    '  roket-daily:',
    '    window: day',
    '    source:',
    '      connection: warehouse',
    '      query: "select * from members where updated_on = :date order by member_id"',
    '      key: [member_id]',
    '    sinks:',
    ...sink('crm'),
    ...sink('mail'),
    '',
  ];
  writeFileSync(join(job.folder, 'waybill.yaml'), lines.join('\n'));
}

beforeEach(async () => {
  job = await DailyJob.open({ members: members(500) });
  other = await openApiPeer({});
  configure(job.peer.url, other.url);
});
afterEach(async () => {
  await other.close();
  await job.close();
});

const heldBy = (peer: ApiPeer): Map<number, number> =>
  counts(peer.records().map((record) => (record as { member_id: number }).member_id));
const onceEach = (peer: ApiPeer, wanted: number): void => {
  const held = heldBy(peer);
  expect(held.size).toBe(wanted);
  expect([...held.values()].filter((count) => count > 1)).toEqual([]);
};

describe('several lanes from one read', () => {
  it('go on without one another: a sink that is down stops its own lane; a rerun sends to it only', async () => {
    const port = Number(new URL(other.url).port);
    await other.close();
    const first = await run();
    expect(first.status, first.stderr).toBe(5);
    expect(first.stdout).toMatch(/mail has stopped for now/);
    onceEach(job.peer, 500);
    const requests = job.peer.received.length;
    other = await openApiPeer({}, { port });
    const second = await run();
    expect(second.status, second.stderr).toBe(0);
    onceEach(other, 500);
    expect(job.peer.received, 'the lane that had all of it is left alone').toHaveLength(requests);
    const third = await run();
    expect(third.stdout).toMatch(/nothing to send/);
    expect(other.received).toHaveLength(5);
  });

  it('send the same rows, although the table has changed between the starts', async () => {
    other.set({ faults: [{ apply: 'none', answer: { status: 429 } }] });
    expect((await run()).status).toBe(5);
    job.change("delete from members where member_id <= 250; update members set name = 'other'");
    other.set({ faults: [] });
    const second = await run();
    expect(second.status, second.stderr).toBe(0);
    onceEach(other, 500);
    expect(new Set(other.received.filter((one) => one.status === 204).map((one) => one.body))).toEqual(
      new Set(job.peer.received.map((one) => one.body)),
    );
  });

  it('keep a doubt of one lane out of the other, and pause one by one', async () => {
    other.set({ faults: [{ when: { nth: [2] }, apply: 'all', answer: 'close' }] });
    const ended = await run();
    expect(ended.status, ended.stderr).toBe(4);
    onceEach(job.peer, 500);
    onceEach(other, 500);
    const { doubts } = await job.json<{ doubts: { lane: string; records: number }[] }>(['doubts']);
    expect(doubts).toMatchObject([{ lane: 'mail', records: 100 }]);
    const trace = await job.json<{ traces: { record: { lane: string; state: string } }[] }>(['trace', '7']);
    expect(trace.traces.map(({ record }) => record.lane).sort()).toEqual(['crm', 'mail']);
    const paused = await job.cli(['pause', 'r1', '--lane', 'mail', '--reason', 'upgrade']);
    expect(paused.status, paused.stderr).toBe(0);
    const wrong = await job.cli(['pause', 'r1', '--lane', 'male']);
    expect(wrong.status, wrong.stdout).toBe(2);
    expect(wrong.stderr).toMatch(/male/);
  });
});
