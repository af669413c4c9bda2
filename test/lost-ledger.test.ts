import { spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import Database from 'better-sqlite3';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import type { Sink } from '../src/connectors/connector.ts';
import { sqlite } from '../src/connectors/sqlite/config.ts';
import type { RefusedError } from '../src/model/errors.ts';
import { openContext } from '../src/testing/peer/open-context.ts';
import { testPermit } from '../src/testing/permit.ts';
import { LoadBench } from './postgres-load-bench.ts';
import { Places, thrownBy } from './postgres-place.ts';

const RECORDS = [{ n: 1 }, { n: 2 }];
let number = 0;

/** As a run of another ledger sends it: the same records, with another key. */
const send = (sink: Sink, ledger: string, more: { flow?: string; window?: string } = {}) =>
  sink.can.commitOnce!(testPermit({ records: RECORDS, ledger, batch: ++number, shard: `${ledger}/r1`, ...more }));

async function refused(sending: Promise<unknown>): Promise<RefusedError> {
  const error = await thrownBy(sending);
  expect(error).toMatchObject({ code: 'REFUSED', reason: 'other-ledger', about: 'request', ids: { ledger: 'one' } });
  return error as RefusedError;
}

/** The statement that the error gives at its end. */
const toForget = ({ hint }: RefusedError): string => hint!.slice(hint!.indexOf('delete from'));

describe('PostgreSQL, asked by a ledger that knows nothing of what another one has delivered', () => {
  let places: Places;
  beforeAll(async () => {
    places = await Places.start();
  });
  afterAll(async () => {
    await places?.closeSinks();
    await places?.stop();
  });

  it('refuses to take it once more, and says how it could', async () => {
    const { sink, table, markerSchema, rows } = await places.make('n int');
    await send(sink, 'one');
    const other = places.open({ table: `public.${table}`, markerSchema });
    const error = await refused(send(other, 'two'));
    expect(error.message).toContain(`another ledger (one) has delivered all of test-flow to public.${table} (2`);
    await refused(send(sink, 'two'));
    expect(await rows()).toEqual([[1], [2]]);
    await send(sink, 'one');
    expect(await rows('count(*)')).toEqual([['4']]);
    await places.client.query(toForget(error));
    await send(other, 'two');
    await send(other, 'two');
    expect(await rows('count(*)')).toEqual([['8']]);
  });

  it('takes other windows and flows, what goes elsewhere, and what is gone from the table', async () => {
    const { sink, table, markerSchema, rows } = await places.make('n int');
    await send(sink, 'one');
    await send(sink, 'two', { window: '2026-11-20' });
    await send(sink, 'two', { flow: 'other' });
    const elsewhere = await places.make('n int', { markerSchema });
    await send(elsewhere.sink, 'two');
    await refused(send(sink, 'three'));
    await places.client.query(`truncate ${table}`);
    await send(sink, 'three');
    expect(await rows()).toEqual([[1], [2]]);
  });

  it('notes nothing of a batch that was not committed', async () => {
    const { sink, table, markerSchema } = await places.make('n int check (n < 2)');
    await expect(send(sink, 'one')).rejects.toMatchObject({ code: 'REFUSED' });
    await places.client.query(`alter table ${table} drop constraint ${table}_n_check; insert into ${table} values (7)`);
    await send(sink, 'two');
    const { rows } = await places.client.query(
      `select target, flow, "window", ledger from ${markerSchema}.waybill_delivery`,
    );
    expect(rows).toEqual([{ target: `public.${table}`, flow: 'test-flow', window: 'all', ledger: 'two' }]);
  });

  it('takes what is sent where the user may not make the table for it', async () => {
    const { sink, markerSchema, table, rows } = await places.make('n int');
    await send(sink, 'one');
    await places.client.query(`drop table ${markerSchema}.waybill_delivery;
      create role poor login password '${places.server.password}';
      grant usage on schema ${markerSchema} to poor; grant all on all tables in schema ${markerSchema} to poor;
      grant insert on ${table} to poor`);
    const context = { user: 'poor', password: 'env:TEST' };
    const poor = places.open({ table, markerSchema }, context);
    await send(poor, 'two');
    expect(await rows('count(*)')).toEqual([['4']]);
  });

  it('refuses a load that adds, and takes one that replaces', async () => {
    const bench = await LoadBench.make(places, 'n int');
    const add = (ledger: string, run: number) =>
      bench.run(RECORDS, (step) => bench.can.appendLoad(step), { ledger, run });
    await add('one', 1);
    const error = await refused(add('two', 2));
    await bench.run(RECORDS, (step) => bench.can.replace(step, { kind: 'all' }), { ledger: 'two', run: 3 });
    expect(await bench.rows()).toEqual([[1], [2]]);
    await places.client.query(toForget(error));
    await bench.can.appendLoad(bench.step({ ledger: 'two', run: 2 }));
    expect(await bench.rows('count(*)')).toEqual([['4']]);
  });
});

describe('SQLite, asked by a ledger that knows nothing of what another one has delivered', () => {
  let folder: string;
  let file: string;
  let database: Database.Database;
  beforeEach(() => {
    folder = mkdtempSync(join(tmpdir(), 'waybill-lost-'));
    file = join(folder, 'shop.db');
    database = new Database(file);
    database.exec(`create table "it's" (n integer); create table items (n integer)`);
  });
  afterEach(() => {
    database.close();
    rmSync(folder, { recursive: true, force: true });
  });
  const count = (table: string): unknown => database.prepare(`select count(*) from "${table}"`).pluck().get();
  const open = (table: string): Sink =>
    sqlite.sink!.open({ file }, sqlite.sink!.settings.parse({ table }), { ...openContext({}), folder });

  it('refuses to take it once more, and says how it could', async () => {
    const sink = open("it's");
    await send(sink, 'one');
    const error = await refused(send(sink, 'two'));
    await refused(send(open("IT'S"), 'two'));
    await send(sink, 'one');
    await send(sink, 'two', { window: '2026-11-20' });
    await send(open('items'), 'two');
    expect([count("it's"), count('items')]).toEqual([6, 2]);
    database.exec(toForget(error));
    await send(sink, 'two');
    expect(count("it's")).toBe(8);
    await expect(send(open('items'), 'three')).rejects.toMatchObject({ ids: { ledger: 'two' } });
    database.exec('delete from items');
    await send(open('items'), 'three');
    expect(count('items')).toBe(2);
  });

  it('stops a run whose ledger was thrown away before it doubles a table', () => {
    database.exec('insert into items values (1), (2); create table copies (n integer)');
    writeFileSync(
      join(folder, 'waybill.yaml'),
      `version: 1
connections:
  shop: { type: sqlite, file: shop.db }
flows:
  copy: { source: { connection: shop, table: items, key: [n] }, sink: { connection: shop, table: copies } }
`,
    );
    const cli = fileURLToPath(new URL('../dist/cli/main.js', import.meta.url));
    const run = () => spawnSync(process.execPath, [cli, 'run', 'copy'], { cwd: folder, encoding: 'utf8' });
    expect(run().status).toBe(0);
    expect(run().stdout).toContain('nothing to send');
    rmSync(join(folder, '.waybill'), { recursive: true });
    const again = run();
    expect(again.status).not.toBe(0);
    expect(again.stdout).toMatch(/another ledger \(.{36}\) has delivered all of copy to copies/);
    expect(again.stdout.replaceAll(/\s+/g, ' ')).toContain('Go on with that ledger');
    expect(count('copies')).toBe(2);
  });
});
