import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { openWaybill } from '../../src/app/open.ts';
import { type ApiPeer, openApiPeer } from '../../src/testing/peer/api-peer.ts';
import { startPostgres, type TestPostgres } from '../postgres.ts';
import { everyByteBelow, type Member } from './daily-job.ts';

let server: TestPostgres;
let peer: ApiPeer;
const folder = mkdtempSync(join(tmpdir(), 'waybill-warehouse-'));
const never = new AbortController().signal;

/** The flow file of the first use, as a person writes it. */
const flowFile = (mode: 'copy' | 'cursor', url: string): string => `version: 1
connections:
  warehouse: { type: postgres, url: \${WAREHOUSE_URL} }
  roket:     { type: http, url: ${url}/v1/events, auth: { bearer: \${ROKET_TOKEN} } }
flows:
  roket-daily:
    source: { connection: warehouse, mode: ${mode}, query: "select * from members where updated_on = :date", \
key: [member_id] }
    sink:   { connection: roket, batch: { maxRecords: 100, maxBytes: 1MB }, \
receipt: { shape: echoed-record, path: data.unprocessedRecords, key: record.member_id, error: error.message } }
    strategy: ledgered-append
    window: day
    schedule: "0 6 * * *"
    onDoubt: hold
`;

beforeAll(async () => {
  server = await startPostgres();
  peer = await openApiPeer({ shape: 'rokt' });
  const client = await server.client();
  await client.query('create table members (member_id bigint primary key, name text, updated_on date)');
  await client.query(`insert into members select 9007199254740993 + n, 'member ' || n,
    date '2026-11-19' - (n % 3)::int from generate_series(1, 900) n`);
  await client.end();
});
afterAll(async () => {
  await peer.close();
  await server.stop();
  rmSync(folder, { recursive: true, force: true });
});

describe('the daily job from a warehouse to an API', () => {
  it.each(['copy', 'cursor'] as const)(
    'U01: sends exactly the rows of its date from PostgreSQL, by %s',
    async (mode) => {
      const day = mode === 'copy' ? '2026-11-19' : '2026-11-18';
      const before = peer.records().length;
      writeFileSync(join(folder, 'waybill.yaml'), flowFile(mode, peer.url));
      const { user, password, host, port, database } = server;
      const url = `postgres://${user}:${encodeURIComponent(password)}@${host}:${port}/${database}`;
      const env = { WAREHOUSE_URL: url, ROKET_TOKEN: 'canary-token' };
      const waybill = await openWaybill({ cwd: folder, env });
      try {
        expect((await waybill.check()).filter((finding) => finding.level === 'error')).toEqual([]);
        const summary = await waybill.run('roket-daily', day, { signals: { stop: never, abort: never } });
        expect(summary.run.state).toBe('complete');
        expect(summary.lanes[0]?.balance).toMatchObject({ read: 300, delivered: 300 });
        // 2^53 + 1 and more: digits that a double cannot hold arrive as they are.
        const traces = await waybill.trace(['9007199254740996'], { flow: 'roket-daily' });
        expect(traces.map((trace) => trace.record.window)).toEqual(['2026-11-19']);
      } finally {
        await waybill.close();
      }
      const sent = peer.records().slice(before) as Member[];
      expect(sent).toHaveLength(300);
      expect(new Set(sent.map((member) => member.updated_on))).toEqual(new Set([day]));
      const kept = everyByteBelow(join(folder, '.waybill'));
      for (const secret of [password, encodeURIComponent(password), 'canary-token'])
        expect(kept.includes(secret)).toBe(false);
    },
  );
});
