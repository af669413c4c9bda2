import type { Client } from 'pg';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import type { Sink } from '../src/connectors/connector.ts';
import { postgres } from '../src/connectors/postgres/config.ts';
import { NotAppliedError, WaybillError } from '../src/model/errors.ts';
import type { Cut } from '../src/testing/faults/cut.ts';
import { type CutProxy, openCutProxy } from '../src/testing/faults/cut-proxy.ts';
import { openContext } from '../src/testing/peer/open-context.ts';
import { testPermit } from '../src/testing/permit.ts';
import { startPostgres, type TestPostgres } from './postgres.ts';

let server: TestPostgres;
let client: Client;
let proxy: CutProxy;
let sink: Sink;
beforeAll(async () => {
  server = await startPostgres();
  client = await server.client();
});
afterAll(async () => {
  await client?.end();
  await server?.stop();
});

const open = (requestTimeoutSeconds: number, port = proxy.port): Sink => {
  const { host, user, database, password } = server;
  const connection = postgres.connection.parse({ host, port, user, database, password: 'env:TEST' });
  const settings = postgres.sink!.settings.parse({ table: 'items', key: ['n'], requestTimeoutSeconds });
  return postgres.sink!.open(connection, settings, openContext({ 'env:TEST': password }));
};
beforeEach(async () => {
  await client.query(`drop table if exists items; drop schema if exists waybill cascade;
    create table items (n int primary key, name text)`);
  proxy = await openCutProxy({ target: server });
  sink = open(30);
});
afterEach(async () => {
  proxy.release();
  await sink.close!();
  await proxy.close();
});

const records = Array.from({ length: 3000 }, (_, n) => ({ n, name: `canary-row ${n}` }));
let batch = 0;
/** The same batch, whenever it is sent: its marker tells. */
const permitOf = (nth: number, attempt = 1) => testPermit({ records, batch: nth, attempt });
const held = async (): Promise<number> => (await client.query('select count(*)::int n from items')).rows[0].n;

async function sendCut(ability: 'commitOnce' | 'put', cut: Cut): Promise<unknown> {
  proxy.set([cut]);
  const before = proxy.made.length;
  const error = await sink.can[ability]!(permitOf(batch)).then(
    () => undefined,
    (thrown: unknown) => thrown,
  );
  expect(proxy.made.length, `${JSON.stringify(cut)} was made`).toBe(before + 1);
  proxy.set([]);
  return error;
}

/** Sends the batch that was cut once more, as the engine does. */
const again = (ability: 'commitOnce' | 'put') => sink.can[ability]!(permitOf(batch, 2));

/** Everything that is asked before the commit, by what is in it. A new connection asks all of it. */
const BEFORE = {
  commitOnce: [
    'set_config',
    'to_regclass',
    'waybill_fence" as f',
    'pg_attribute',
    'begin',
    'for share',
    'waybill_marker',
    'copy "items"',
    'canary-row',
  ],
  put: ['set_config', 'temp table', 'begin', 'copy pg_temp', 'canary-row', 'is null', 'on conflict ("n")'],
} as const;

/** The whole message: the word alone is also in the name of a setting. */
const COMMIT = 'Q\0\0\0\vcommit\0';

describe.each(['commitOnce', 'put'] as const)('a connection of the PostgreSQL sink that is cut, %s', (ability) => {
  beforeEach(() => {
    batch += 1;
  });

  it.each(['close', 'reset'] as const)('before the commit (%s) has proved that nothing was applied', async (act) => {
    for (const holds of BEFORE[ability]) {
      for (const place of [
        { side: 'request', at: 0 },
        { side: 'request', at: 7 },
        { side: 'answer', at: 0 },
        { side: 'answer', at: 3 },
      ] as const) {
        await sink.close!();
        sink = open(30);
        const error = await sendCut(ability, { ...place, act, when: { holds }, times: 1 });
        expect(error, `${holds} ${JSON.stringify(place)}`).toBeInstanceOf(NotAppliedError);
        expect(error).toMatchObject({ sinkAway: true });
        expect(await held(), `${holds} ${JSON.stringify(place)}`).toBe(0);
      }
    }
    expect(await again(ability)).toMatchObject({ receipt: {} });
    expect(await held()).toBe(records.length);
  });

  it('while it is being made costs one attempt, and the next one is made anew', async () => {
    for (const [nth, at] of [0, 5, 20].entries()) {
      await sink.close!();
      sink = open(30);
      const connection = [proxy.connections + 1];
      const error = await sendCut(ability, { side: 'request', at, act: 'reset', when: { connection }, times: 1 });
      expect(error, `at ${at}`).toMatchObject({ code: 'NOT_APPLIED', sinkAway: true });
      await again(ability);
      expect(await held(), `cut number ${nth + 1}`).toBe(records.length);
    }
  });

  it.each([
    [{ side: 'request', at: 0, act: 'reset' }, false],
    [{ side: 'request', at: 3, act: 'close' }, false],
    [{ side: 'answer', at: 0, act: 'close' }, true],
    [{ side: 'answer', at: 0, act: 'reset' }, true],
    [{ side: 'answer', at: 5, act: 'reset' }, true],
  ] as const)('at the commit (%j) proves nothing, and the repeat finds out', async (how, applied) => {
    const error = await sendCut(ability, { ...how, when: { holds: COMMIT }, times: 1 });
    expect(error).toBeInstanceOf(WaybillError);
    expect(error).toMatchObject({ code: 'SINK_FAILED', message: /answer to the commit was lost/ });
    // What the server still has in its hands is decided there, whatever this side knows of it.
    await expect.poll(held).toBe(applied ? records.length : 0);
    const repeated = await again(ability);
    expect(repeated === 'already').toBe(applied && ability === 'commitOnce');
    expect(await held()).toBe(records.length);
  });

  it('or held up longer than a request may take: before the commit it is void, even when it gets through', async () => {
    await sink.close!();
    sink = open(1);
    for (const holds of ['begin', 'canary-row']) {
      const error = await sendCut(ability, { side: 'request', at: 0, act: 'hold', when: { holds }, times: 1 });
      expect(error, holds).toMatchObject({ code: 'NOT_APPLIED', message: /took longer than 1000 ms/ });
      proxy.release();
      await expect
        .poll(
          async () =>
            (
              await client.query(
                "select 1 from pg_stat_activity where application_name like 'waybill%' and state <> 'idle'",
              )
            ).rowCount,
        )
        .toBe(0);
      expect(await held()).toBe(0);
    }
  });

  it('or held up longer than a request may take: at the commit its outcome is unknown', async () => {
    await sink.close!();
    sink = open(1);
    const error = await sendCut(ability, { side: 'answer', at: 0, act: 'hold', when: { holds: COMMIT }, times: 1 });
    expect(error).toMatchObject({ code: 'SINK_FAILED' });
    expect(await held()).toBe(records.length);
    expect((await again(ability)) === 'already').toBe(ability === 'commitOnce');
    expect(await held()).toBe(records.length);
  });
});

describe('a marker that is asked for after a lost answer', () => {
  /** By somebody whose connection nothing happens to. */
  let asking: Sink;
  beforeEach(() => {
    batch += 1;
    asking = open(2, server.port);
  });
  afterEach(() => asking.close!());
  const marked = (fence = 1) => asking.can.marked!(testPermit({ records, batch, fence }));

  it.each([
    [{ side: 'request', at: 0, act: 'reset' }, false],
    [{ side: 'request', at: 3, act: 'close' }, false],
    [{ side: 'answer', at: 0, act: 'close' }, true],
    [{ side: 'answer', at: 5, act: 'reset' }, true],
  ] as const)('tells what became of the commit (%j), for good', async (how, applied) => {
    const error = await sendCut('commitOnce', { ...how, when: { holds: COMMIT }, times: 1 });
    expect(error).toMatchObject({ code: 'SINK_FAILED' });
    expect(await marked()).toBe(applied);
    expect(await held()).toBe(applied ? records.length : 0);
    expect(await marked(2)).toBe(applied);
  });

  it('does not say no while a transaction that has put it is open', async () => {
    const { idempotencyKey, digest } = permitOf(batch).batch;
    await sink.can.commitOnce!(permitOf(batch));
    await client.query('delete from waybill.waybill_marker; truncate items');
    const other = await server.client();
    const put = `insert into waybill.waybill_marker (batch, flow, "window", lane, digest, records, fence)
      values ($1, 'f', 'w', 'l', $2, 1, 1)`;
    await other.query('begin');
    await other.query(put, [idempotencyKey, digest]);
    await expect(marked()).rejects.toMatchObject({ code: 'NOT_APPLIED' });
    await other.query('rollback; begin');
    expect(await marked()).toBe(false);
    await other.query(put, [idempotencyKey, digest]);
    const asked = marked();
    await expect.poll(async () => (await client.query(WAITING)).rowCount).toBe(1);
    await other.query('commit');
    expect(await asked).toBe(true);
    await other.end();
  });

  it('shuts out a commit that is on its way where a later claim asks', async () => {
    await sink.close!();
    sink = open(1);
    const hold = { side: 'request', at: 0, act: 'hold', when: { holds: COMMIT }, times: 1 } as const;
    expect(await sendCut('commitOnce', hold)).toMatchObject({ code: 'SINK_FAILED' });
    expect(await marked(2)).toBe(false);
    proxy.release();
    await expect.poll(async () => (await client.query(OPEN_ONES)).rowCount).toBe(0);
    expect(await held()).toBe(0);
    expect(await marked(2)).toBe(false);
  });
});

const WAITING = "select 1 from pg_stat_activity where application_name like 'waybill%' and wait_event_type = 'Lock'";
const OPEN_ONES = "select 1 from pg_stat_activity where application_name like 'waybill%' and state <> 'idle'";

describe('a server that ends the session', () => {
  it('before the commit has applied nothing, and costs one attempt at most', async () => {
    batch += 1;
    const other = await server.client();
    await other.query('begin; lock table items');
    const sending = sink.can.commitOnce!(permitOf(batch)).catch((error: unknown) => error);
    const waiting =
      "select pid from pg_stat_activity where application_name like 'waybill%' and wait_event_type = 'Lock'";
    await expect.poll(async () => (await client.query(waiting)).rowCount).toBe(1);
    await client.query(`select pg_terminate_backend(pid) from (${waiting}) s`);
    expect(await sending).toMatchObject({ code: 'NOT_APPLIED', sinkAway: true });
    await other.query('rollback');
    await other.end();
    expect(await held()).toBe(0);
    await sink.can.commitOnce!(permitOf(batch, 2));
    // An idle connection that is ended is noticed when the news arrives, and until then costs an attempt at most.
    await client.query("select pg_terminate_backend(pid) from pg_stat_activity where application_name like 'waybill%'");
    const third = await sink.can.commitOnce!(permitOf(batch, 3)).catch((error: unknown) => error);
    if (third !== 'already') expect(third).toMatchObject({ code: 'NOT_APPLIED', sinkAway: true });
    expect(await sink.can.commitOnce!(permitOf(batch, 4))).toBe('already');
    expect(await held()).toBe(records.length);
  });

  it('in the middle of a deadlock: the one that is rolled back is proved not applied', async () => {
    batch += 1;
    await client.query('create table if not exists locked (n int)');
    await sink.can.put!(
      testPermit({
        records: [
          { n: 1, name: 'a' },
          { n: 2, name: 'b' },
        ],
        batch: 1000,
      }),
    );
    const other = await server.client();
    await other.query("set deadlock_timeout = '10s'; begin; update items set name = 'other' where n = 2");
    const sending = sink.can.put!(
      testPermit({
        records: [
          { n: 1, name: 'c' },
          { n: 2, name: 'd' },
        ],
        batch: 1001,
      }),
    ).catch((error: unknown) => error);
    const waiting =
      "select 1 from pg_stat_activity where application_name like 'waybill%' and wait_event_type = 'Lock'";
    await expect.poll(async () => (await client.query(waiting)).rowCount).toBe(1);
    const blocked = other.query("update items set name = 'other' where n = 1");
    expect(await sending).toMatchObject({ code: 'NOT_APPLIED', sinkAway: false, ids: { sqlState: '40P01' } });
    await blocked;
    await other.query('rollback');
    await other.end();
    expect((await client.query('select name from items order by n')).rows).toEqual([{ name: 'a' }, { name: 'b' }]);
  });
});
