import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import type { RunSummary } from '../../src/engine/engine.ts';
import { WaybillError } from '../../src/model/errors.ts';
import type { Cut } from '../../src/testing/faults/cut.ts';
import { type CutProxy, openCutProxy } from '../../src/testing/faults/cut-proxy.ts';
import { DailyJob, type DailyJobOptions } from '../daily/daily-job.ts';
import { startPostgres, type TestPostgres } from '../postgres.ts';
import { expectExact } from './account.ts';
import { makeMembers, warehouse } from './warehouse.ts';

const RECORDS = 8_000;
const ids = Array.from({ length: RECORDS }, (_, at) => at + 1);
const MODES = ['copy', 'cursor'] as const;

let server: TestPostgres;
beforeAll(async () => {
  server = await startPostgres();
  await makeMembers(server, RECORDS);
});
afterAll(() => server?.stop());

let job: DailyJob;
let proxy: CutProxy;
afterEach(async () => {
  await job.close();
  await proxy.close();
});

async function open(mode: (typeof MODES)[number], flow: DailyJobOptions['flow'] = {}): Promise<void> {
  proxy = await openCutProxy({ target: server });
  job = await DailyJob.open({
    members: [],
    source: { query: '"select * from members where updated_on = :date order by member_id"', mode },
    sink: { batch: '{ maxRecords: 1000, maxBytes: 1MB }' },
    connections: { warehouse: warehouse({ ...server, port: proxy.port }) },
    flow: { ...flow },
  });
}

/** A run through the cut, and one without. Undefined for the first where it failed as it should. */
async function runCut(cut: Cut): Promise<RunSummary | undefined> {
  proxy.set([cut]);
  try {
    return await job.run();
  } catch (error) {
    expect(error).toBeInstanceOf(WaybillError);
    expect(error).toMatchObject({ code: 'SOURCE_FAILED' });
    return undefined;
  } finally {
    proxy.set([]);
  }
}

/** The queries that a reading asks, by what is in them; each is cut before it, in it, behind it and in its answer. */
const ASKED = {
  copy: ['begin isolation', 'set_config', 'copy (', 'commit'],
  cursor: ['begin isolation', 'set_config', 'declare', 'fetch', 'commit'],
} as const;
const PLACES: readonly Pick<Cut, 'side' | 'at'>[] = [
  { side: 'request', at: 0 },
  { side: 'request', at: 7 },
  { side: 'answer', at: 0 },
  { side: 'answer', at: 3 },
];
/** Places in the answer that carries the rows, in bytes; a row is about 60. */
const IN_THE_ROWS = [30, 61, 4_096, 65_536, 65_537, 200_000] as const;

describe.each(MODES)('a connection to PostgreSQL, read by %s, that is cut', (mode) => {
  it.each(['close', 'reset'] as const)(
    '(%s) sends nothing of what it has read, and the next start all',
    async (act) => {
      await open(mode);
      let cuts = 0;
      for (const holds of ASKED[mode]) {
        for (const place of PLACES) {
          const cut = { ...place, act, when: { holds }, times: 1 };
          expect(await runCut(cut), JSON.stringify(cut)).toBeUndefined();
          expect(proxy.made.length, JSON.stringify(cut)).toBe(++cuts);
          expect(job.peer.received, 'sent of a window that was not read to its end').toEqual([]);
        }
      }
      const summary = await job.run();
      expect(await expectExact(job, summary.run.id, ids)).toMatchObject({ delivered: RECORDS });
      expect(job.peer.received).toHaveLength(RECORDS / 1000);
    },
  );

  it.each(['whole-window', 'while-reading'])(
    'among the rows (%s) loses no record and sends none twice',
    async (way) => {
      const rows = mode === 'copy' ? 'copy (' : 'fetch';
      for (const at of mode === 'copy' ? IN_THE_ROWS : IN_THE_ROWS.slice(0, 5)) {
        await open(mode, way === 'while-reading' ? { deliver: 'while-reading' } : {});
        const nth = mode === 'copy' ? 1 : 3;
        const cut: Cut = { side: 'answer', at, act: 'reset', when: { holds: rows, every: nth }, times: 1 };
        expect(await runCut(cut), `at ${at}`).toBeUndefined();
        expect(proxy.made).toHaveLength(1);
        if (way === 'whole-window') expect(job.peer.received).toEqual([]);
        const summary = await job.run();
        expect(summary.run.state).toBe('complete');
        expect(await expectExact(job, summary.run.id, ids)).toMatchObject({ delivered: RECORDS, inDoubt: 0 });
        await job.close();
        await proxy.close();
      }
    },
  );

  it('while it is being made is an error that names the server, and the next start goes on', async () => {
    await open(mode);
    expect(await runCut({ side: 'request', at: 0, act: 'close', when: { connection: [1] }, times: 1 })).toBeUndefined();
    for (const at of [0, 1, 9]) {
      // The second message of the client is the answer to the question for a password.
      const cut: Cut = { side: 'answer', at, act: 'reset', times: 1, when: { every: 2 } };
      expect(await runCut(cut), `at ${at}`).toBeUndefined();
    }
    const summary = await job.run();
    expect(await expectExact(job, summary.run.id, ids)).toMatchObject({ delivered: RECORDS });
  });

  it('by nobody, but held up, goes on where it was once it is let go', async () => {
    await open(mode);
    proxy.set([
      { side: 'answer', at: 100, act: 'hold', when: { holds: mode === 'copy' ? 'copy (' : 'fetch' }, times: 1 },
    ]);
    const running = job.run();
    await job.until(() => proxy.made.length === 1);
    expect(proxy.release()).toBe(1);
    const summary = await running;
    expect(await expectExact(job, summary.run.id, ids)).toMatchObject({ delivered: RECORDS });
  });
});
