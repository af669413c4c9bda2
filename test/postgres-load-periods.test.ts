import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import type { Period, StepReceipt } from '../src/model/load.ts';
import { type LoadAsk, LoadBench, numbered, Poller, type Rows } from './postgres-load-bench.ts';
import { Places, thrownBy } from './postgres-place.ts';

let places: Places;
beforeAll(async () => {
  places = await Places.start();
});
afterAll(() => places?.stop());
afterEach(() => places.closeSinks());

const month = (nth: number): Period => {
  const two = String(nth).padStart(2, '0');
  return { name: `2026_${two}`, firstDay: `2026-${two}-01`, lastDay: `2026-${two}-28` };
};
const CREATE = { create: { id: 'int', name: 'text' } };

interface PeriodAsk extends LoadAsk {
  readonly fresh?: boolean;
}
let day = 0;
/** Each call is a load of its own. */
async function add(bench: LoadBench, period: Period, rows: Rows, ask: PeriodAsk = {}): Promise<StepReceipt> {
  const { fresh = false, ...rest } = ask;
  const step = await bench.collect(rows, { day: ++day, ...rest });
  return await bench.can.addToPeriod(step, period, fresh);
}

const isTable = async (bench: LoadBench, name: string): Promise<string | undefined> =>
  (await bench.client.query<{ relkind: string }>('select relkind from pg_class where oid = to_regclass($1)', [name]))
    .rows[0]?.relkind;

describe('periods in the PostgreSQL sink', () => {
  it('P03: each has a table of its own, and the name shows every row of all of them once', async () => {
    const bench = new LoadBench(places, { ...CREATE, key: ['id'] });
    await add(bench, month(1), numbered(1, 3, { name: 'jan' }), { fresh: true });
    await add(bench, month(2), numbered(4, 5, { name: 'feb' }), { fresh: true });
    const { facts } = await add(bench, month(1), numbered(6, 6, { name: 'jan' }));
    expect(facts).toMatchObject({ rows: 1, tables: 2, emptied: 0 });
    expect(await isTable(bench, bench.table)).toBe('v');
    expect(await bench.rows('id, 0', `${bench.table}_2026_01`)).toEqual([1, 2, 3, 6].map((id) => [id, 0]));
    expect(await bench.rows('id, 0', `${bench.table}_2026_02`)).toEqual([4, 5].map((id) => [id, 0]));
    expect(await bench.rows('count(*)::int, count(distinct id)::int')).toEqual([[6, 6]]);
    expect(await bench.lying()).toEqual([]);
    // The key is one within a period; it goes on with every new table.
    const again = await bench.collect(numbered(4, 4), { day: 28 });
    expect(await thrownBy(bench.can.addToPeriod(again, month(2), false))).toMatchObject({ reason: '23505' });
  });

  it('P04: emptying one reads nothing of the others and leaves their files alone', async () => {
    const bench = new LoadBench(places, CREATE);
    const { client, table } = bench;
    await add(bench, month(1), numbered(1, 2), { fresh: true });
    await add(bench, month(2), numbered(1, 2), { fresh: true });
    await client.query(`insert into ${table}_2026_01 select n, 'other' from generate_series(1, 100000) n`);
    await client.query(`insert into ${table}_2026_02 select n, 'own' from generate_series(1, 100000) n`);
    const touched = async (name: string): Promise<unknown> => {
      const { rows } = await client.query(
        `select pg_stat_force_next_flush(), seq_scan, seq_tup_read, n_tup_del, pg_relation_filenode(relid) as file
          from pg_stat_user_tables where relname = $1`,
        [name],
      );
      return rows[0];
    };
    await client.query('select pg_stat_clear_snapshot()');
    const other = await touched(`${table}_2026_01`);
    const file = (await client.query('select pg_relation_filenode($1) as file', [`${table}_2026_02`])).rows[0].file;
    const receipt = await add(bench, month(2), numbered(7, 8), { fresh: true });
    expect(receipt.facts).toMatchObject({ emptied: 1, rows: 2 });
    await bench.sink.close!();
    expect(await touched(`${table}_2026_01`)).toEqual(other);
    expect((await client.query('select pg_relation_filenode($1) as file', [`${table}_2026_02`])).rows[0].file).not.toBe(
      file,
    );
    expect(await bench.rows('id, 0', `${table}_2026_02`)).toEqual([7, 8].map((id) => [id, 0]));
  });

  it('P06: readers who look all the time find the view, and each row in it once', async () => {
    const bench = new LoadBench(places, CREATE);
    await add(bench, month(1), numbered(1, 1000, { name: '0' }), { fresh: true });
    await add(bench, month(2), numbered(1, 1000, { name: '0' }), { fresh: true });
    const text = `select concat_ws(' ', count(*), count(distinct name)) from ${bench.table} where id <= 1000`;
    const pollers = [await Poller.start<string>(places, text), await Poller.start<string>(places, text)];
    for (let version = 1; version <= 4; version++) {
      await add(bench, month(2), numbered(1, 1000, { name: `${version}` }), { fresh: true });
      await add(bench, month(2 + version), numbered(2000, 2100, { name: 'n' }), { fresh: true });
    }
    for (const poller of pollers) {
      const seen = new Set(await poller.stop());
      expect([...seen].sort()).toEqual(seen.has('2000 1') ? ['2000 1', '2000 2'] : ['2000 2']);
    }
  });

  it('P07: a period that begins again holds what it is given now and nothing of before', async () => {
    const bench = new LoadBench(places, CREATE);
    await add(bench, month(1), numbered(1, 9), { fresh: true });
    await add(bench, month(1), numbered(10, 12));
    await bench.client.query(`create index on ${bench.table}_2026_01 (name)`);
    await add(bench, month(1), numbered(1, 2), { fresh: true });
    expect(await bench.rows('id, 0')).toEqual([1, 2].map((id) => [id, 0]));
    const { rows } = await bench.client.query('select count(*)::int as n from pg_indexes where tablename = $1', [
      `${bench.table}_2026_01`,
    ]);
    expect(rows, 'its indexes').toEqual([{ n: 1 }]);
  });

  it('P08: a new column is shown although there is one period only', async () => {
    const bench = new LoadBench(places, CREATE);
    await add(bench, month(1), numbered(1, 1), { fresh: true });
    const wider = bench.another({ create: { ...CREATE.create, price: 'numeric(8,2)' } });
    await add(wider, month(1), [{ id: 2, price: 1.5 }]);
    expect(await bench.rows('id, price::text')).toEqual([
      [1, null],
      [2, '1.50'],
    ]);
  });

  it('P08: a wider type reaches the period that the load joins, and the view keeps readers and options', async () => {
    const bench = new LoadBench(places, { create: { id: 'int', amount: 'numeric(4,2)', name: 'text' } });
    await add(bench, month(1), [{ id: 1, amount: 1 }], { fresh: true });
    await add(bench, month(2), [{ id: 2, amount: 2 }], { fresh: true });
    const role = `reader_${bench.table}`;
    await bench.client.query(`create role ${role}; grant select on ${bench.table} to ${role}`);
    await bench.client.query(`alter view ${bench.table} set (security_barrier = true)`);
    const wider = bench.another({ create: { id: 'bigint', amount: 'numeric(8,2)', name: 'text' } });
    await add(wider, month(2), [{ id: 3_000_000_000, amount: 123456.5 }]);
    await add(wider, month(1), [{ id: 3_000_000_001, amount: 1 }]);
    await add(wider, month(3), [{ id: 3_000_000_002, amount: 1 }], { fresh: true });
    expect(await bench.rows('id::text, amount::float8')).toEqual([
      ['1', 1],
      ['2', 2],
      ['3000000000', 123456.5],
      ['3000000001', 1],
      ['3000000002', 1],
    ]);
    const right = await bench.client.query("select has_table_privilege($1, $2, 'select') as held", [role, bench.table]);
    expect(right.rows).toEqual([{ held: true }]);
    const said = await bench.client.query('select reloptions from pg_class where oid = to_regclass($1)', [bench.table]);
    expect(said.rows).toEqual([{ reloptions: ['security_barrier=true'] }]);
    await bench.client.query(`drop owned by ${role}; drop role ${role}`);
  });

  it('P05: a period that another flow has filled is not begun again', async () => {
    const bench = new LoadBench(places, CREATE);
    await add(bench, month(1), numbered(1, 2), { fresh: true });
    const step = await bench.collect(numbered(3, 4), { day: ++day, flow: 'returns' });
    expect(await thrownBy(bench.can.addToPeriod(step, month(1), true))).toMatchObject({
      reason: 'flow-foreign',
      ids: { other: 'orders' },
    });
    expect(await bench.rows('id, 0')).toEqual([1, 2].map((id) => [id, 0]));
    // Nothing is lost by adding, nor by a period that nobody else has filled.
    await bench.can.addToPeriod(step, month(1), false);
    await add(bench, month(2), numbered(5, 5), { fresh: true, flow: 'returns' });
    expect(await thrownBy(add(bench, month(1), numbered(1, 2), { fresh: true }))).toMatchObject({
      reason: 'flow-foreign',
      ids: { other: 'returns' },
    });
    expect(await bench.rows('id, 0')).toEqual([1, 2, 3, 4, 5].map((id) => [id, 0]));
  });

  it('P08: warns when the view has as many tables as it should have at most', async () => {
    const bench = new LoadBench(places, { ...CREATE, periodTablesMax: 3 });
    for (const nth of [1, 2]) {
      expect((await add(bench, month(nth), numbered(nth, nth), { fresh: true })).summary).not.toMatch(/WARNING/);
    }
    expect((await add(bench, month(3), numbered(3, 3), { fresh: true })).summary).toMatch(/WARNING: 3 tables/);
  });

  it('P08: old periods can be frozen in one table, and take no loads any more', async () => {
    const bench = new LoadBench(places, CREATE);
    const { table, markerSchema, client } = bench;
    for (const nth of [1, 2, 3]) await add(bench, month(nth), numbered(nth, nth), { fresh: true });
    await client.query(`begin;
      create table ${table}_frozen as select * from ${table}_2026_01 union all select * from ${table}_2026_02;
      update ${markerSchema}.waybill_period set frozen = true, place = 'public.${table}_frozen'
        where target = '"public"."${table}"' and last_day < '2026-03-01';
      create or replace view ${table} as select id, name from ${table}_frozen
        union all select id, name from ${table}_2026_03;
      drop table ${table}_2026_01, ${table}_2026_02; commit`);
    const step = await bench.collect(numbered(1, 1), { day: 28 });
    const error = await thrownBy(bench.can.addToPeriod(step, month(2), true));
    expect(error).toMatchObject({ reason: 'period-frozen', about: 'request', ids: { period: '2026_02' } });
    const { facts } = await add(bench, month(4), numbered(4, 4), { fresh: true });
    expect(facts).toMatchObject({ tables: 3 });
    expect(await bench.rows('id, 0')).toEqual([1, 2, 3, 4].map((id) => [id, 0]));
  });

  it('P08: a new optional column reaches the old tables, a required one asks for a replay', async () => {
    const bench = new LoadBench(places, CREATE);
    await add(bench, month(1), numbered(1, 1, { name: 'a' }), { fresh: true });
    await add(bench, month(2), numbered(2, 2, { name: 'b' }), { fresh: true });
    const wider = bench.another({ create: { id: 'int', name: 'text', price: 'numeric(8,2)' } });
    const receipt = await add(wider, month(3), [{ id: 3, name: 'c', price: 1.5 }], { fresh: true });
    expect(receipt.summary).toMatch(/the column price is new, and empty in 2 older periods/);
    expect(await bench.rows('id, name, price::text')).toEqual([
      [1, 'a', null],
      [2, 'b', null],
      [3, 'c', '1.50'],
    ]);
    const required = bench.another({
      create: { id: 'int', name: 'text', price: 'numeric(8,2)', shop: 'text not null' },
    });
    const second = await add(required, month(3), [{ id: 4, shop: 's' }]);
    expect(second.summary).toMatch(
      /the column shop is required and 2 older periods have no value in it: load them again/,
    );
    expect(await bench.rows('id, shop')).toEqual([
      [1, null],
      [2, null],
      [3, null],
      [4, 's'],
    ]);
    // One without the column goes on, and so does the view.
    await add(bench, month(4), numbered(5, 5, { name: 'd' }), { fresh: true });
    expect(await bench.rows('id, price::text, shop')).toEqual([
      [1, null, null],
      [2, null, null],
      [3, '1.50', null],
      [4, null, 's'],
      [5, null, null],
    ]);
  });

  it('P03: keeps names of periods apart that PostgreSQL would cut to the same', async () => {
    const table = `long_${'x'.repeat(58)}`;
    const bench = new LoadBench(places, { ...CREATE, table, markerSchema: 'books_long' });
    const loadOf = (nth: number) => ({
      ...bench.step(),
      load: { ...bench.load(), id: `wb_long_${nth}`, family: `wb_long_${nth}` },
    });
    for (const nth of [1, 2]) {
      const step = loadOf(nth);
      await bench.can.load.open(step);
      await bench.can.load.add({ ...bench.permit(numbered(nth, nth), nth), load: step.load });
      await bench.can.addToPeriod(step, month(nth), true);
    }
    expect(await bench.rows('id, 0')).toEqual([1, 2].map((id) => [id, 0]));
  });

  it('P06: a table of the same name is not touched, and it is said how to get it out of the way', async () => {
    const bench = await LoadBench.make(places, 'id int, name text');
    await bench.client.query(`insert into ${bench.table} values (1, 'old')`);
    const step = await bench.collect(numbered(2, 3));
    const error = await thrownBy(bench.can.addToPeriod(step, month(1), true));
    expect(error).toMatchObject({ reason: 'table-in-the-way', about: 'request' });
    expect(await bench.rows()).toEqual([[1, 'old']]);
    const hint = (error as { hint: string }).hint;
    await bench.client.query(/alter table [^;]+/.exec(hint)![0]);
    await bench.can.addToPeriod(step, month(1), true);
    expect(await bench.rows('id, name')).toEqual([2, 3].map((id) => [id, null]));
    const foreign = new LoadBench(places, CREATE);
    await bench.client.query(`create view ${foreign.table} as select 1 as id, 'a' as name`);
    const other = await foreign.collect(numbered(2, 3));
    expect(await thrownBy(foreign.can.addToPeriod(other, month(1), true))).toMatchObject({ reason: 'view-foreign' });
    await bench.client.query(`drop view ${foreign.table}; create table ${foreign.table}_2026_01 (id int)`);
    const taken = await thrownBy(foreign.can.addToPeriod(other, month(1), true));
    expect(taken).toMatchObject({ reason: 'period-in-the-way', about: 'request' });
  });

  it('P06: two periods that are loaded at the same time are both there', async () => {
    const bench = new LoadBench(places, CREATE);
    const other = bench.another();
    await Promise.all([
      add(bench, month(1), numbered(1, 100), { fresh: true }),
      add(other, month(2), numbered(101, 200), { fresh: true }),
      add(bench, month(3), numbered(201, 300), { fresh: true }),
    ]);
    expect(await bench.rows('count(*)::int, count(distinct id)::int')).toEqual([[300, 300]]);
  });
});
