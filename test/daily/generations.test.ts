import { afterEach, describe, expect, it } from 'vitest';
import { asRunId } from '../../src/model/ids.ts';
import { counts, DAY, DailyJob, type DailyJobOptions, members } from './daily-job.ts';

let job: DailyJob;
afterEach(() => job.close());
const open = async (options: DailyJobOptions = {}): Promise<DailyJob> => {
  job = await DailyJob.open(options);
  return job;
};
const CHANGES = `
  update members set name = 'renamed' where member_id in (10, 20, 30);
  delete from members where member_id in (40, 50);
  insert into members values (1000, 'new', '${DAY}'), (1001, 'new', '${DAY}')`;

describe('a window that is read again', () => {
  it('U19: leaves what was staged as it is, sends new rows in new batches, reports changed and vanished', async () => {
    await open();
    await job.run();
    job.change(CHANGES);
    const before = job.peer.received.length;
    const summary = await job.run(DAY, { refresh: true });
    expect(job.peer.received.slice(before).map((request) => request.records)).toEqual([
      [
        { member_id: 1000, name: 'new', updated_on: DAY },
        { member_id: 1001, name: 'new', updated_on: DAY },
      ],
    ]);
    expect(summary.generation?.lanes[0]).toMatchObject({ read: 250, same: 245, changed: 3, vanished: 2 });
    expect(summary.lanes[0]?.balance).toMatchObject({ delivered: 252, skipped: 3, pending: 0 });
    const { records } = await (await job.waybill()).ledger().then(({ read }) => read.records({ states: ['skipped'] }));
    expect(records.map((record) => record.code)).toEqual(['CHANGED_HELD', 'CHANGED_HELD', 'CHANGED_HELD']);
    expect([...counts(job.held()).values()].every((count) => count === 1)).toBe(true);
    const told = job.notices.find((notice) => notice.kind === 'generation-compared');
    expect(told?.message).toMatch(/245 same, 2 new, 3 changed, 2 vanished/);
  });

  it('U19: sends a changed row as a new record where the flow says so', async () => {
    await open({ sink: { onChanged: 'append' } });
    await job.run();
    job.change(CHANGES);
    await job.run(DAY, { refresh: true });
    expect(counts(job.held()).get(10)).toBe(2);
    expect(counts(job.held()).get(11)).toBe(1);
    // Once sent, the new version is what the next reading is compared with.
    const third = await job.run(DAY, { refresh: true });
    expect(third.generation?.lanes[0]).toMatchObject({ read: 250, same: 250, changed: 0 });
    expect(counts(job.held()).get(10)).toBe(2);
  });

  it('U19: holds back a changed row whose first version is in doubt, until that is settled', async () => {
    await open({
      behaviour: { faults: [{ when: { nth: [1] }, answer: 'close', apply: 'all' }] },
      sink: { inFlight: '1', onChanged: 'append' },
    });
    await job.run();
    job.change("update members set name = 'renamed' where member_id = 10");
    const summary = await job.run(DAY, { refresh: true });
    expect(counts(job.held()).get(10)).toBe(1);
    expect(summary.lanes[0]?.balance).toMatchObject({ inDoubt: 100, skipped: 1 });
  });

  it('U19: plan shows what reading again would find, and sends and writes nothing', async () => {
    await open();
    await job.run();
    job.change(CHANGES);
    const before = job.peer.received.length;
    const shown = await job.cli(['plan', 'roket-daily', '--for', DAY, '--refresh']);
    expect(shown.status, shown.stderr).toBe(0);
    const plan = await job.json<{ lanes: { compared: object }[] }>(['plan', 'roket-daily', '--for', DAY, '--refresh']);
    expect(plan.lanes[0]?.compared).toEqual({ same: 245, changed: 3, vanished: 2, fresh: 2 });
    expect(job.peer.received.length).toBe(before);
    const { read } = await (await job.waybill()).ledger();
    expect(await read.generations(asRunId(1))).toHaveLength(1);
  });

  it('sends two equal rows without a key as two, and a third one only when it appears', async () => {
    const twins = [...members(3), ...members(3)];
    await open({ members: twins });
    job.configure({ source: { key: undefined } });
    await job.run();
    expect([...counts(job.held()).values()]).toEqual([2, 2, 2]);
    job.change(`insert into members values (1, 'member 1', '${DAY}')`);
    const summary = await job.run(DAY, { refresh: true });
    expect(summary.generation?.lanes[0]).toMatchObject({ read: 7, same: 6 });
    expect(counts(job.held()).get(1)).toBe(3);
    expect(counts(job.held()).get(2)).toBe(2);
  });
});

describe('rows with the same key in one extraction', () => {
  const doubled = [...members(120), { member_id: 7, name: 'again', updated_on: DAY }];
  const source = { query: '"select * from members where updated_on = :date"' };

  it('U20: are both sent and reported, unless the flow says otherwise', async () => {
    await open({ members: doubled, source });
    const summary = await job.run();
    expect(summary.generation?.lanes[0]).toMatchObject({ read: 121, duplicates: 1 });
    expect(counts(job.held()).get(7)).toBe(2);
    expect(job.notices.map((notice) => notice.kind)).toContain('duplicate-keys');
    const { traces } = await job.json<{ traces: unknown[] }>(['trace', '7']);
    expect(traces).toHaveLength(2);
  });

  it('U20: are dropped after the first and listed, where the flow says `drop`', async () => {
    await open({ members: doubled, source: { ...source, onDuplicate: 'drop' } });
    const summary = await job.run();
    expect(summary.lanes[0]?.balance).toMatchObject({ read: 121, delivered: 120, skipped: 1 });
    const { records } = await (await job.waybill()).ledger().then(({ read }) => read.records({ states: ['skipped'] }));
    expect(records).toMatchObject([{ code: 'DUPLICATE_KEY', row: 121 }]);
    expect(counts(job.held()).get(7)).toBe(1);
  });

  it('U20: stop the run before anything is sent, where the flow says `fail`', async () => {
    await open({ members: doubled, source: { ...source, onDuplicate: 'fail' } });
    await expect(job.run()).rejects.toMatchObject({ code: 'DUPLICATE_KEY' });
    expect(job.peer.received).toEqual([]);
  });
});

describe('windows that are due', () => {
  it('U18: run once each, oldest first, a missed day is caught up, and two starts do not both send', async () => {
    const days = ['2026-11-17', '2026-11-18', DAY].flatMap((day, at) => members(120, { first: at * 1_000 + 1, day }));
    await open({ members: days, flow: { schedule: '"0 6 * * *"', start: '"2026-11-17"' } });
    const waybill = await job.waybill();
    const due = (await waybill.due('roket-daily')).map(({ window }) => window.name);
    expect(due.slice(0, 3)).toEqual(['2026-11-17', '2026-11-18', DAY]);
    const both = await Promise.all([job.cli(['run', '--due']), job.cli(['run', '--due'])]);
    expect(
      both.map(({ status }) => status).every((status) => [0, 6].includes(status)),
      JSON.stringify(both),
    ).toBe(true);
    await job.cli(['run', '--due']);
    expect([...counts(job.held()).values()].every((count) => count === 1)).toBe(true);
    expect(counts(job.held()).size).toBe(360);
    expect(await (await job.waybill()).due('roket-daily')).toEqual([]);
    const requests = job.peer.received.length;
    const again = await job.cli(['run', '--due', '--empty-exit-code', '99']);
    expect(again.status).toBe(99);
    expect(job.peer.received.length).toBe(requests);
  });

  it('U18: a second start of one window while the first is at work ends at once with its own exit code', async () => {
    await open({ members: members(1_000), behaviour: { delayMs: 600 } });
    const first = job.spawnRun();
    await job.until(() => job.peer.received.length > 0);
    const second = await job.cli(['run', 'roket-daily', '--for', DAY]);
    expect(second.status).toBe(6);
    expect(second.stderr).toMatch(/another|holds|lease/i);
    await new Promise((resolve) => first.once('exit', resolve));
    expect([...counts(job.held()).values()].every((count) => count === 1)).toBe(true);
    expect(counts(job.held()).size).toBe(1_000);
  });
});
