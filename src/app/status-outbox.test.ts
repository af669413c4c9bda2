import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { conclude } from '../status/conclude.ts';
import { readLog } from '../status/emit-log.ts';
import { readStore } from '../status/emit-store.ts';
import type { StatusChange, StatusMessage } from '../status/status.ts';
import { type ApiPeer, openApiPeer } from '../testing/peer/api-peer.ts';
import { openWaybill } from './open.ts';
import type { RunOptions, Waybill } from './waybill.ts';

const DAY = '2026-11-19';
const TOKEN = 'canary-token-4711';
const never = new AbortController().signal;
const OPTIONS: RunOptions = { signals: { stop: never, abort: never }, correlationId: 'c-77' };

let folder: string;
let peer: ApiPeer;
let waybill: Waybill;
const logs = (): readonly StatusMessage[] => readLog(readFileSync(join(folder, 'status.log'), 'utf8'));
const changes = (): readonly StatusChange[] => logs().filter((one): one is StatusChange => one.kind === 'status');

/** Eight records in batches of two: record 3 is refused, the answer to the batch of record 5 is lost. */
beforeEach(async () => {
  folder = mkdtempSync(join(tmpdir(), 'waybill-statuses-'));
  peer = await openApiPeer({
    shape: 'rokt',
    auth: { bearer: TOKEN },
    reject: [{ path: 'id', values: [3], code: 'VALIDATION', message: 'the field note of canary-body-3 is wrong' }],
    faults: [{ when: { record: { path: 'id', values: [5] } }, times: 1, apply: 'all', answer: 'close' }],
  });
  const rows = Array.from({ length: 8 }, (_, at) => ({ id: at + 1, note: `canary-body-${at + 1}` }));
  writeFileSync(
    join(folder, 'waybill.yaml'),
    `version: 1
connections:
  mem: { type: memory }
  api: { type: http, url: "${peer.url}", auth: { bearer: \${TOKEN} } }
flows:
  daily:
    source: { connection: mem, rows: ${JSON.stringify(rows)}, key: id }
    sink:
      connection: api
      path: /v1/events
      batch: { maxRecords: 2 }
      inFlight: 1
      requestTimeout: 2s
      receipt: { shape: echoed-record, path: data.unprocessedRecords, recordKey: id, \
code: error.code, error: error.message }
    window: day
status: { log: status.log, store: status.db }
`,
  );
  waybill = await openWaybill({ cwd: folder, env: { TOKEN } });
});
afterEach(async () => {
  await waybill.close();
  await peer.close();
  rmSync(folder, { recursive: true, force: true });
});

describe('statuses of a flow with refusals and doubts', () => {
  it('S02 S14: tell every stage with start and end, and each record that was not simply delivered', async () => {
    const { run } = await waybill.run('daily', DAY, OPTIONS);
    expect(run.state).toBe('in-doubt');
    const told = changes().map(({ stage, status }) => `${stage} ${status}`);
    for (const expected of [
      'EXTRACT SUBMITTED',
      'EXTRACT IN_PROGRESS',
      'EXTRACT SUCCESS',
      'SEAL SUCCESS',
      'DELIVER IN_PROGRESS',
      'DELIVER SUCCESS',
      'DELIVER PARTIAL_SUCCESS',
    ])
      expect(told).toContain(expected);
    const records = changes().filter((one) => one.recordId !== null);
    expect(
      records.map(({ recordId, status, stage, recordIdVersion }) => [recordId, status, stage, recordIdVersion]),
    ).toEqual([
      ['3', 'FAILED', 'DELIVER', '1'],
      ['5', 'IN_PROGRESS', 'DELIVER', '1'],
      ['6', 'IN_PROGRESS', 'DELIVER', '1'],
    ]);
    expect(logs().find((one) => one.kind === 'datasetDetails')).toMatchObject({
      recordCount: 8,
      datasetId: `daily:${DAY}`,
    });
  });

  it('S13: carry the correlation id that the run was given', async () => {
    await waybill.run('daily', DAY, OPTIONS);
    expect(new Set(logs().map((one) => one.correlationId))).toEqual(new Set(['c-77']));
  });

  it('S18: do not call a success what is in doubt, and do when it was settled', async () => {
    const { run } = await waybill.run('daily', DAY, OPTIONS);
    expect(conclude(logs())).toMatchObject({ finished: false, status: 'IN_PROGRESS' });
    const doubt = changes().find((one) => one.message.startsWith('in doubt'))!.batch;
    expect(changes().filter((one) => one.batch === doubt && one.status === 'SUCCESS')).toEqual([]);
    await waybill.settle({ run: run.id, as: 'delivered', who: 'tester', evidence: 'seen in the access log' });
    await waybill.run('daily', DAY, OPTIONS);
    expect(conclude(logs())).toMatchObject({
      finished: true,
      status: 'PARTIAL_SUCCESS',
      reasons: expect.arrayContaining(['3: refused: VALIDATION']),
    });
  });

  it('S04: give the same answer from the log and from the store', async () => {
    await waybill.run('daily', DAY, OPTIONS);
    const stored = readStore(join(folder, 'status.db'), 'c-77');
    expect(stored.length).toBe(logs().length);
    expect(conclude(stored)).toEqual(conclude(logs()));
  });

  it('U23: hold neither the content of records nor the sink’s own words nor a secret', async () => {
    const { run } = await waybill.run('daily', DAY, OPTIONS);
    await waybill.settle({ run: run.id, as: 'skip', who: 'tester', evidence: 'none' });
    await waybill.run('daily', DAY, OPTIONS);
    expect(peer.received.length).toBeGreaterThan(0);
    const bytes = [
      readFileSync(join(folder, 'status.log'), 'latin1'),
      readFileSync(join(folder, 'status.db'), 'latin1'),
    ].join('');
    expect(bytes).toContain('VALIDATION');
    expect(bytes).not.toMatch(/canary/);
  });

  it('U23: leave the secret out of the ledger, the staged bytes and every answer of the API', async () => {
    await waybill.run('daily', DAY, OPTIONS);
    const seen = JSON.stringify(
      [
        waybill.flows(),
        await waybill.check(),
        await waybill.doctor(),
        await (await waybill.reader()).runs({}),
        await (await waybill.reader()).events({}),
      ],
      (_, value: unknown) => (typeof value === 'bigint' ? String(value) : value),
    );
    expect(seen).not.toContain(TOKEN);
    await waybill.close();
    for (const file of ['.waybill/ledger.db', 'status.log', 'status.db'])
      expect(readFileSync(join(folder, file), 'latin1')).not.toContain(TOKEN);
  });
});
