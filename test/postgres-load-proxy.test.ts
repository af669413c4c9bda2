import type { Client } from 'pg';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { bookTables } from '../src/connectors/postgres/books.ts';
import { loadTables } from '../src/connectors/postgres/load-books.ts';
import type { StepReceipt } from '../src/model/load.ts';
import { type LoadAsk, LoadBench, numbered, Poller, type Rows } from './postgres-load-bench.ts';
import { Places, thrownBy } from './postgres-place.ts';

let places: Places;
beforeAll(async () => {
  places = await Places.start();
});
afterAll(() => places?.stop());
afterEach(() => places.closeSinks());

const CREATE = { create: { id: 'int', name: 'text' } };
const show = async (bench: LoadBench, rows: Rows, ask: LoadAsk, keep = 1000): Promise<StepReceipt> =>
  await bench.can.publish(await bench.collect(rows, ask), keep);
const tableOf = ({ facts }: StepReceipt): string => String(facts!.table);

describe('the proxy in the PostgreSQL sink', () => {
  it('P36: gives each load a table of its own, and earlier ones stay readable', async () => {
    const bench = new LoadBench(places, CREATE);
    const first = await show(bench, [{ id: 1, name: 'a' }], { day: 16 });
    const second = await show(bench, [{ id: 2, name: 'b' }], { day: 17 });
    expect(tableOf(first)).not.toBe(tableOf(second));
    expect(await bench.rows()).toEqual([[2, 'b']]);
    expect(await bench.rows('*', tableOf(first))).toEqual([[1, 'a']]);
    expect(await bench.can.publish(bench.step({ day: 16 }), 1000)).toEqual(first);
    expect(await bench.rows(), 'an answer that is asked for again changes nothing').toEqual([[2, 'b']]);
  });

  it('P37: readers who look all the time see one complete load or the next', async () => {
    const bench = new LoadBench(places, CREATE);
    await show(bench, numbered(1, 2000, { name: '0' }), { day: 1 });
    const text = `select concat_ws(' ', count(*), min(name), max(name)) from ${bench.table}`;
    const pollers = [await Poller.start<string>(places, text), await Poller.start<string>(places, text)];
    for (let version = 1; version <= 6; version++) {
      await show(bench, numbered(1, 2000, { name: `${version}` }), { day: 1 + version }, 1);
    }
    for (const poller of pollers) {
      const seen = new Set(await poller.stop());
      expect(seen.size).toBeGreaterThan(1);
      for (const one of seen) expect(one).toMatch(/^2000 (\d) \1$/);
    }
  });

  it('P38: what was never published is shown to nobody, and the next generation cleans it up', async () => {
    const bench = new LoadBench(places, CREATE);
    await show(bench, [{ id: 1, name: 'a' }], { day: 16 });
    await bench.collect([{ id: 2, name: 'half' }], { day: 17 });
    expect(await bench.rows()).toEqual([[1, 'a']]);
    expect(await bench.lying()).toEqual([bench.load({ day: 17 }).id]);
    const { facts } = await bench.can.load.open(bench.step({ day: 17, generation: 2 }));
    expect(facts).toMatchObject({ removed: 1 });
    expect(await bench.lying()).toEqual([bench.load({ day: 17, generation: 2 }).id]);
  });

  it('P38: when publishing fails, only that is done again', async () => {
    const bench = new LoadBench(places, { ...CREATE, lockTimeoutSeconds: 1 });
    await show(bench, [{ id: 1, name: 'a' }], { day: 16 });
    const step = await bench.collect([{ id: 2, name: 'b' }], { day: 17 });
    const reader = await places.server.client();
    await reader.query(`begin; select * from ${bench.table}`);
    expect(await thrownBy(bench.can.publish(step, 5))).toMatchObject({ code: 'NOT_APPLIED', sinkAway: false });
    await reader.query('rollback');
    await reader.end();
    await bench.can.publish(step, 5);
    expect(await bench.rows()).toEqual([[2, 'b']]);
  });

  it('P39: an attempt to change a published load fails, for a superuser and in any mode too', async () => {
    const bench = new LoadBench(places, CREATE);
    const first = tableOf(await show(bench, [{ id: 1, name: 'a' }], { day: 16 }));
    const second = tableOf(await show(bench, [{ id: 2, name: 'b' }], { day: 17 }));
    for (const mode of ['origin', 'replica']) {
      await bench.client.query(`set session_replication_role = ${mode}`);
      for (const table of [first, second, bench.table]) {
        for (const change of [
          `insert into ${table} values (3, 'c')`,
          `update ${table} set name = 'x'`,
          `delete from ${table}`,
          ...(table === bench.table ? [] : [`truncate ${table}`]),
        ]) {
          expect(await thrownBy(bench.client.query(change)), change).toMatchObject({ code: '42501' });
        }
      }
    }
    await bench.client.query('reset session_replication_role');
    const late = await thrownBy(bench.can.load.add(bench.permit(numbered(5, 6), 9, { day: 16 })));
    expect(late).toMatchObject({ code: 'REFUSED', about: 'request', reason: 'load-shown' });
    expect(await bench.rows('*', first)).toEqual([[1, 'a']]);
  });

  it('P39: works with a role that may only create, and that role cannot change what it has published', async () => {
    const { client, server } = places;
    const table = places.name();
    const own = `schema_${table}`;
    await client.query(`create role ${table} login password 'test-password' nosuperuser;
      revoke create on database postgres from public;
      create schema ${own}; create schema books_${table};
      grant usage, create on schema ${own}, books_${table} to ${table};
      ${bookTables(`books_${table}`)}; ${loadTables(`books_${table}`)};
      grant select, insert, update, delete on all tables in schema books_${table} to ${table}`);
    expect(server.password).toBe('test-password');
    const settings = { ...CREATE, table: `${own}.loads`, markerSchema: `books_${table}` };
    const bench = new LoadBench(places, settings, { user: table });
    const load = (day: number) => ({
      ...bench.load({ day }),
      id: `wb_${table}_d${day}`,
      family: `wb_${table}_d${day}`,
    });
    let published: StepReceipt | undefined;
    for (const day of [16, 17, 18]) {
      const step = { ...bench.step({ day }), load: load(day) };
      await bench.can.load.open(step);
      await bench.can.load.add({ ...bench.permit([{ id: day, name: 'a' }], day), load: step.load });
      published = await bench.can.publish(step, 1);
    }
    expect(await bench.rows('*', `${own}.loads`)).toEqual([[18, 'a']]);
    expect(published!.facts).toMatchObject({ kept: 1, removed: 1 });
    const role: Client = await server.client();
    await role.query(`set role ${table}`);
    for (const change of ["insert into $ values (1, 'b')", 'update $ set id = 1', 'delete from $', 'truncate $']) {
      const error = await thrownBy(role.query(change.replace('$', tableOf(published!))));
      expect(error, change).toMatchObject({ code: '42501', message: /permission denied/ });
    }
    await role.end();
  });

  it('P36: keeps as many earlier loads as it is told to, and waits for nobody who still reads one', async () => {
    const bench = new LoadBench(places, CREATE);
    const tables: string[] = [];
    for (const day of [11, 12, 13]) tables.push(tableOf(await show(bench, [{ id: day, name: 'a' }], { day }, 2)));
    const reader = await places.server.client();
    await reader.query(`begin; select * from ${tables[0]}`);
    const held = await show(bench, [{ id: 14, name: 'a' }], { day: 14 }, 2);
    expect(held.facts).toMatchObject({ kept: 3, removed: 0 });
    expect(held.summary).toContain(tables[0]);
    await reader.query('rollback');
    await reader.end();
    const freed = await show(bench, [{ id: 15, name: 'a' }], { day: 15 }, 2);
    expect(freed.facts).toMatchObject({ kept: 2, removed: 2 });
    const { rows } = await bench.client.query(
      'select to_regclass($1) as one, to_regclass($2) as two',
      tables.slice(0, 2),
    );
    expect(rows).toEqual([{ one: null, two: null }]);
    expect(await bench.rows('id, name', tables[2])).toEqual([[13, 'a']]);
  });

  it('P37: columns that come, go or change their type change the view, and readers keep their rights', async () => {
    const bench = new LoadBench(places, CREATE);
    await show(bench, [{ id: 1, name: 'a' }], { day: 16 });
    await bench.client.query(
      `create role reader_${bench.table}; grant select on ${bench.table} to reader_${bench.table}`,
    );
    const other = bench.another({ create: { id: 'bigint', price: 'numeric(6,2)' } });
    const receipt = await show(other, [{ id: 9_000_000_000, price: 1 }], { day: 17 });
    const reader = await places.server.client();
    await reader.query(`set role reader_${bench.table}`);
    expect((await reader.query(`select price::text from ${bench.table}`)).rows).toEqual([{ price: '1.00' }]);
    expect((await reader.query(`select price::text from ${tableOf(receipt)}`)).rows).toEqual([{ price: '1.00' }]);
    await reader.end();
  });

  it('P37: the options of the view are kept by each load, also where it has to be made anew', async () => {
    const bench = new LoadBench(places, CREATE);
    await show(bench, [{ id: 1, name: 'a' }], { day: 1 });
    const options = async (): Promise<unknown> =>
      (await bench.client.query('select reloptions from pg_class where oid = to_regclass($1)', [bench.table])).rows[0];
    await bench.client.query(`alter view ${bench.table} set (security_invoker = on, security_barrier = true)`);
    const said = { reloptions: ['security_invoker=on', 'security_barrier=true'] };
    expect(await options()).toEqual(said);
    await show(bench, [{ id: 2, name: 'b' }], { day: 2 });
    expect(await options()).toEqual(said);
    const other = bench.another({ create: { id: 'bigint' } });
    await show(other, [{ id: 3 }], { day: 3 });
    expect(await options()).toEqual(said);
  });

  it('P37: another view that rests on a column that went away is not broken: the load is refused', async () => {
    const bench = new LoadBench(places, CREATE);
    await show(bench, [{ id: 1, name: 'a' }], { day: 16 });
    await bench.client.query(`create view ${bench.table}_names as select name from ${bench.table}`);
    const other = bench.another({ create: { id: 'int' } });
    const step = await other.collect([{ id: 2 }], { day: 17 });
    const error = await thrownBy(other.can.publish(step, 5));
    expect(error).toMatchObject({ reason: 'view-needed', about: 'request', ids: { columns: ['name'] } });
    expect(await bench.rows('*', `${bench.table}_names`)).toEqual([['a']]);
    await bench.client.query(`drop view ${bench.table}_names`);
    await other.can.publish(step, 5);
    expect(await bench.rows('*, 0')).toEqual([[2, 0]]);
  });

  it('P36: a load that was collected in a fast place is safe from a crash once it is published', async () => {
    const bench = new LoadBench(places, { ...CREATE, places: 'fast', key: ['id'] });
    const table = tableOf(await show(bench, numbered(1, 50, { name: 'a' }), { day: 16 }));
    const { rows } = await bench.client.query('select relpersistence from pg_class where oid = to_regclass($1)', [
      table,
    ]);
    expect(rows).toEqual([{ relpersistence: 'p' }]);
    expect(await bench.rows('count(*)::int, 0')).toEqual([[50, 0]]);
  });

  it('P37: a table of the same name is not touched, and merging into the view is refused', async () => {
    const bench = await LoadBench.make(places, 'id int, name text');
    const step = await bench.collect(numbered(1, 1));
    expect(await thrownBy(bench.can.publish(step, 1))).toMatchObject({ reason: 'table-in-the-way', about: 'request' });
    const shown = new LoadBench(places, CREATE);
    await show(shown, [{ id: 1, name: 'a' }], { day: 16 });
    const merge = await shown.collect([{ id: 2, name: 'b' }], { day: 17 });
    const refused = await thrownBy(shown.can.merge(merge, { key: ['id'] }));
    expect(refused).toMatchObject({ reason: 'table-missing', about: 'request', message: /is no table/ });
  });
});
