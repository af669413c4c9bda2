import fc from 'fast-check';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import type { RefusedError } from '../src/model/errors.ts';
import type { MergeBy, StepReceipt } from '../src/model/load.ts';
import { LoadBench, type Rows } from './postgres-load-bench.ts';
import { Places, thrownBy } from './postgres-place.ts';

let places: Places;
beforeAll(async () => {
  places = await Places.start();
});
afterAll(() => places?.stop());
afterEach(() => places.closeSinks());

const BY: MergeBy = { key: ['id'] };
const REMOVING: MergeBy = { key: ['id'], deleted: { column: 'gone', values: [true], how: 'remove' } };
const MARKING: MergeBy = { key: ['id'], deleted: { column: 'gone', values: [true], how: 'mark' } };

const generations = new Map<string, number>();
/** Loads a day, as often as it is called: each time is a generation of its own. */
async function load(bench: LoadBench, day: number, rows: Rows, by = BY): Promise<StepReceipt> {
  const name = `${bench.table} ${day}`;
  const generation = (generations.get(name) ?? 0) + 1;
  generations.set(name, generation);
  const step = await bench.collect(rows, { day, generation });
  return await bench.can.mergeAt(step, by, step.load.window.start!);
}

describe('a history of loads in the PostgreSQL sink', () => {
  it('P20: keeps each load with the time that it was meant for, and what was there before', async () => {
    const bench = await LoadBench.make(places, 'id int, name text');
    await bench.client.query(`insert into ${bench.table} values (1, 'old')`);
    await load(bench, 16, [{ id: 2, name: 'b' }]);
    await load(bench, 17, [{ id: 1, name: 'new' }]);
    const history = await bench.rows('waybill_at::text, id, name', `${bench.table}_waybill_history`);
    expect(history).toEqual(
      [
        ['-infinity', 1, 'old'],
        ['2026-11-16 00:00:00+00', 2, 'b'],
        ['2026-11-17 00:00:00+00', 1, 'new'],
      ].sort(),
    );
    const entries = await bench.rows('at::text, load', `${bench.markerSchema}.waybill_history`);
    expect(entries.map(([, one]) => one)).toEqual(['baseline', bench.load({ day: 16 }).id, bench.load({ day: 17 }).id]);
  });

  it('P21: a window in its turn is merged, one that is loaded again finds what it found the first time', async () => {
    const bench = await LoadBench.make(places, 'id int, name text');
    expect((await load(bench, 16, [{ id: 1, name: '16' }])).facts).toMatchObject({ undoneLoads: 0, inserted: 1 });
    expect((await load(bench, 17, [{ id: 1, name: '17' }])).facts).toMatchObject({ undoneLoads: 0, updated: 1 });
    await load(bench, 18, [
      { id: 1, name: '18' },
      { id: 3, name: '18' },
    ]);
    const again = await load(bench, 17, [{ id: 2, name: '17 again' }]);
    expect(again.facts).toMatchObject({ undoneLoads: 2, putBack: 2, inserted: 1 });
    expect(again.summary).toMatch(/2 keys put back/);
    expect(await bench.rows()).toEqual([
      [1, '16'],
      [2, '17 again'],
    ]);
    // The one after it is an ordinary one again.
    expect((await load(bench, 18, [{ id: 3, name: '18' }])).facts).toMatchObject({ undoneLoads: 0 });
    expect(await bench.rows('id, name')).toEqual([
      [1, '16'],
      [2, '17 again'],
      [3, '18'],
    ]);
  });

  it('P21: what another flow has brought is not taken out', async () => {
    const bench = await LoadBench.make(places, 'id int, name text');
    await load(bench, 16, [{ id: 1, name: 'orders' }]);
    const step = await bench.collect([{ id: 2, name: 'returns' }], { day: 16, flow: 'returns', run: 2 });
    const merged = (): Promise<unknown> => bench.can.mergeAt(step, BY, step.load.window.start!);
    const refused = await thrownBy(merged());
    expect(refused).toMatchObject({ reason: 'flow-foreign', ids: { other: 'orders' } });
    expect(await bench.rows()).toEqual([[1, 'orders']]);
    // For who has renamed the flow: what is advised is what helps.
    await bench.client.query(/update .*$/.exec((refused as RefusedError).hint)![0]);
    await merged();
    expect(await bench.rows()).toEqual([[2, 'returns']]);
  });

  it('P21: types that the table has changed since are those of its history', async () => {
    const bench = await LoadBench.make(places, 'id int, n int, name text');
    await load(bench, 16, [{ id: 1, n: 1, name: '7' }]);
    await bench.client.query(
      `alter table ${bench.table} alter n type bigint, alter name type int using name::int, alter id type text`,
    );
    const wider = bench.another();
    await load(wider, 17, [{ id: '1', n: 3_000_000_000, name: 8 }]);
    expect(await bench.rows('id, n::text, name')).toEqual([['1', '3000000000', 8]]);
    await load(wider, 17, [{ id: '2', n: 2, name: 9 }]);
    expect(await bench.rows('id, n::text, name')).toEqual([
      ['1', '1', 7],
      ['2', '2', 9],
    ]);
  });

  it('P24: the first window of all, loaded again, finds what was there before any of them', async () => {
    const bench = await LoadBench.make(places, 'id int, name text, gone boolean');
    await bench.client.query(
      `insert into ${bench.table} values (1, 'old', false), (2, 'old', true), (3, 'kept', null)`,
    );
    await load(
      bench,
      16,
      [
        { id: 1, gone: true },
        { id: 2, gone: true },
      ],
      REMOVING,
    );
    await load(bench, 17, [{ id: 4, name: 'new', gone: false }], REMOVING);
    expect(await bench.rows('id, name')).toEqual([
      [3, 'kept'],
      [4, 'new'],
    ]);
    await load(bench, 16, [{ id: 1, name: 'changed', gone: false }], REMOVING);
    expect(await bench.rows()).toEqual([
      [1, 'changed', false],
      [2, 'old', true],
      [3, 'kept', null],
    ]);
  });

  it('P25: the latest window, loaded again with fewer rows, does not keep those that it no longer has', async () => {
    const bench = await LoadBench.make(places, 'id int, name text');
    await load(bench, 16, [{ id: 1, name: '16' }]);
    await load(bench, 17, [
      { id: 1, name: 'wrong' },
      { id: 2, name: 'wrong' },
    ]);
    await load(bench, 17, [{ id: 3, name: '17' }]);
    expect(await bench.rows()).toEqual([
      [1, '16'],
      [3, '17'],
    ]);
    await load(bench, 17, []);
    expect(await bench.rows()).toEqual([[1, '16']]);
  });

  it('P26: a step that is asked again changes nothing, and one that was broken off has changed nothing', async () => {
    const bench = await LoadBench.make(places, 'id int check (id < 100), name text');
    await load(bench, 16, [{ id: 1, name: '16' }]);
    await load(bench, 17, [{ id: 1, name: '17' }]);
    const before = await bench.rows('id, name, waybill_at::text', `${bench.table}_waybill_history`);
    const step = await bench.collect([{ id: 5, name: '16 again' }], { day: 16, generation: 2 });
    await bench.client.query(`alter table ${bench.table} add constraint no_five check (id <> 5)`);
    await expect(bench.can.mergeAt(step, BY, '2026-11-16T00:00:00Z')).rejects.toMatchObject({ reason: '23514' });
    expect(await bench.rows()).toEqual([[1, '17']]);
    expect(await bench.rows('id, name, waybill_at::text', `${bench.table}_waybill_history`)).toEqual(before);
    await bench.client.query(`alter table ${bench.table} drop constraint no_five`);
    const receipt = await bench.can.mergeAt(step, BY, '2026-11-16T00:00:00Z');
    expect(await bench.can.mergeAt(step, BY, '2026-11-16T00:00:00Z')).toEqual(receipt);
    expect(await bench.rows()).toEqual([[5, '16 again']]);
    expect(await bench.lying()).toEqual([]);
  });

  it('P24: follows a table that gets a column, and records that bring only some of them', async () => {
    const bench = await LoadBench.make(places, 'id int, name text');
    await load(bench, 16, [{ id: 1, name: 'a' }]);
    await bench.client.query(`alter table ${bench.table} add column price int default 5`);
    await load(bench, 17, [
      { id: 1, price: 17 },
      { id: 2, name: 'b' },
    ]);
    await load(bench, 18, [{ id: 1, name: 'c' }]);
    expect(await bench.rows()).toEqual([
      [1, 'c', 17],
      [2, 'b', 5],
    ]);
    await load(bench, 18, []);
    expect(await bench.rows()).toEqual([
      [1, 'a', 17],
      [2, 'b', 5],
    ]);
  });

  it('P24: is what a merge of the windows up to the last one would be, in whatever order they came', async () => {
    const row = fc.record(
      { id: fc.integer({ min: 1, max: 4 }), name: fc.constantFrom('x', 'y', null), gone: fc.boolean() },
      { requiredKeys: ['id', 'gone'] },
    );
    const rows = fc.uniqueArray(row, { selector: ({ id }) => id, maxLength: 4 });
    const loads = fc.array(fc.record({ day: fc.integer({ min: 11, max: 14 }), rows }), { maxLength: 6 });
    await fc.assert(
      fc.asyncProperty(loads, fc.constantFrom(BY, REMOVING, MARKING), async (all, by) => {
        const bench = await LoadBench.make(places, `id int, name text default 'none', gone boolean`);
        await bench.client.query(`insert into ${bench.table} values (1, 'old', false), (2, 'old', true)`);
        for (const one of all) await load(bench, one.day, one.rows, by);
        expect(await bench.rows()).toEqual(expected(all, by));
        await places.closeSinks();
      }),
      { numRuns: 60 },
    );
  });

  it.each(['on delete cascade', 'on delete set null', ''])(
    'P21: what refers to a row that stays is left alone, with a foreign key that says %j',
    async (deletes) => {
      const bench = await LoadBench.make(places, 'id int primary key, nth int generated always as identity, name text');
      const { table, client } = bench;
      await client.query(`create table ${table}_kids (kid int, parent int references ${table} ${deletes})`);
      await load(bench, 16, [{ id: 1, name: '16' }]);
      await load(
        bench,
        17,
        [1, 2, 3].map((id) => ({ id, name: '17' })),
      );
      await client.query(`insert into ${table}_kids values (1, 1), (2, 2)`);
      const numbers = await bench.rows('id, nth');
      await load(bench, 17, [{ id: 2, name: '17 again' }]);
      expect(await bench.rows('id, name')).toEqual([
        [1, '16'],
        [2, '17 again'],
      ]);
      expect(await bench.rows('kid, parent', `${table}_kids`)).toEqual([
        [1, 1],
        [2, 2],
      ]);
      // What the table gave a row itself is no more the load's to take than what refers to it.
      expect(await bench.rows('id, nth')).toEqual(numbers.slice(0, 2));
    },
  );

  it('P21: a column that only the load had brought which is taken out is empty again', async () => {
    const bench = await LoadBench.make(places, `id int primary key, name text default 'none', price int`);
    await load(bench, 16, [{ id: 1, price: 5 }]);
    await load(bench, 17, [{ id: 1, name: '17' }]);
    await load(bench, 17, [{ id: 1, price: 6 }]);
    expect(await bench.rows()).toEqual([[1, 'none', 6]]);
    await load(bench, 17, []);
    expect(await bench.rows()).toEqual([[1, 'none', 5]]);
  });

  it('P21: publishes nothing where a trigger keeps a row that is to be taken out', async () => {
    const bench = await LoadBench.make(places, 'id int, name text');
    const { table, client } = bench;
    await load(bench, 16, [{ id: 1, name: '16' }]);
    await load(bench, 17, [{ id: 2, name: '17' }]);
    await client.query(`create function ${table}_f() returns trigger language plpgsql as 'begin return null; end';
      create trigger one before delete on ${table} for each row execute function ${table}_f()`);
    expect(await thrownBy(load(bench, 17, [{ id: 3, name: '17' }]))).toMatchObject({ reason: 'rows-kept' });
    expect(await bench.rows('id, name')).toEqual([
      [1, '16'],
      [2, '17'],
    ]);
  });
});

interface Row {
  readonly id: number;
  readonly name?: string | null;
  readonly gone: boolean;
}
type Loaded = readonly { readonly day: number; readonly rows: readonly Row[] }[];

/** What is left of the loads: a later one takes out those of its day and of later days. */
function expected(all: Loaded, by: MergeBy): unknown[][] {
  const left = all.reduce<Loaded>((kept, one) => [...kept.filter(({ day }) => day < one.day), one], []);
  const table = new Map<number, Required<Row>>([
    [1, { id: 1, name: 'old', gone: false }],
    [2, { id: 2, name: 'old', gone: true }],
  ]);
  for (const row of left.flatMap(({ rows }) => rows)) {
    const there = table.get(row.id);
    const gone = by.deleted !== undefined && row.gone;
    if (there !== undefined && gone && by.deleted?.how === 'remove') table.delete(row.id);
    else if (there !== undefined) table.set(row.id, { ...there, ...row });
    else if (!gone) table.set(row.id, { name: 'none', ...row });
  }
  return [...table.values()].sort((a, b) => a.id - b.id).map(({ id, name, gone }) => [id, name, gone]);
}
