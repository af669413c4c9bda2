import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { RefusedError } from '../src/model/errors.ts';
import type { LoadStep, MergeBy, StepReceipt } from '../src/model/load.ts';
import { LoadBench, numbered, Poller } from './postgres-load-bench.ts';
import { Places, thrownBy } from './postgres-place.ts';

let places: Places;
beforeAll(async () => {
  places = await Places.start();
});
afterAll(() => places?.stop());
afterEach(() => places.closeSinks());

const BY: MergeBy = { key: ['id'] };
const REMOVING: MergeBy = { key: ['id'], deleted: { column: 'op', values: ['D', 'X'], how: 'remove' } };
const MARKING: MergeBy = { key: ['id'], deleted: { column: 'gone', values: [true], how: 'mark' } };
const by =
  (bench: LoadBench, how: MergeBy) =>
  (step: LoadStep): Promise<StepReceipt> =>
    bench.can.merge(step, how);

describe('merging in the PostgreSQL sink', () => {
  it('P14: inserts what is new, updates what is there and leaves the rest alone, without a unique index', async () => {
    const bench = await LoadBench.make(places, 'id int, name text, price numeric');
    await bench.client.query(`insert into ${bench.table} values (1, 'a', 1), (2, 'b', 2)`);
    const rows = [
      { id: 2, name: 'B', price: 20 },
      { id: 3, name: 'C', price: 30 },
    ];
    const receipt = await bench.run(rows, by(bench, BY));
    expect(receipt.facts).toEqual({ inserted: 1, updated: 1, deleted: 0, rows: 2 });
    expect(await bench.rows('id, name, price::float8')).toEqual([
      [1, 'a', 1],
      [2, 'B', 20],
      [3, 'C', 30],
    ]);
    expect(await bench.lying()).toEqual([]);
  });

  it('P14: does not pass over rows that a trigger leaves out, nor keeps', async () => {
    const bench = await LoadBench.make(places, 'id int, name text, op text');
    const { table, client } = bench;
    await client.query(`insert into ${table} values (1, 'kept'), (2, 'b');
      create function ${table}_f() returns trigger language plpgsql as
        'begin if tg_op = ''DELETE'' then return case when old.id = 1 then null else old end; end if;
          new.name := upper(new.name); return case when new.id = 7 then null else new end; end';
      create trigger one before insert or update or delete on ${table} for each row execute function ${table}_f()`);
    const leftOut = { reason: 'rows-left-out', message: expect.stringMatching(/^1 rows? of the load/) };
    const one = await bench.collect([{ id: 7, name: 'a' }, ...numbered(2, 3, { name: 'n' })], { day: 16 });
    expect(await thrownBy(bench.can.merge(one, BY))).toMatchObject(leftOut);
    const two = await bench.collect(
      [1, 2, 9].map((id) => ({ id, op: 'D' })),
      { day: 17 },
    );
    expect(await thrownBy(bench.can.merge(two, REMOVING))).toMatchObject(leftOut);
    expect(await bench.rows('id, name')).toEqual([
      [1, 'kept'],
      [2, 'b'],
    ]);
    // What it changes is its own affair, and a deletion of what is not there leaves nothing out.
    const changes = [...numbered(2, 3, { name: 'n' }), { id: 9, op: 'D' }];
    await bench.run(changes, by(bench, REMOVING), { day: 18 });
    expect(await bench.rows('id, name')).toEqual([
      [1, 'kept'],
      [2, 'N'],
      [3, 'N'],
    ]);
  });

  it('P14: finds rows by several columns of any type', async () => {
    const bench = await LoadBench.make(places, '"Shop Id" uuid, day date, "n""o" numeric, value int');
    const shop = '5b30857f-0bfa-48b5-ac0b-5c64e28078d1';
    const row = (day: string, no: string, value: number) =>
      `{"Shop Id":"${shop}","day":"${day}","n\\"o":${no},"value":${value}}`;
    const key = ['Shop Id', 'day', 'n"o'];
    await bench.run([row('2026-11-19', '1.0', 1), row('2026-11-20', '1.0', 2)], by(bench, { key }));
    await bench.run([row('2026-11-19', '1.00', 3)], by(bench, { key }), { day: 20 });
    expect(await bench.rows('value, 0')).toEqual([2, 3].map((value) => [value, 0]));
  });

  it('P15: removes what is flagged as deleted, and never inserts it, on the first run either', async () => {
    const bench = await LoadBench.make(places, 'id int, name text, op text');
    const first = [
      { id: 1, name: 'a', op: 'I' },
      { id: 2, name: 'b', op: 'D' },
      { id: 3, name: 'c', op: null },
    ];
    expect((await bench.run(first, by(bench, REMOVING))).facts).toMatchObject({ inserted: 2, deleted: 0 });
    const second = [
      { id: 1, name: 'a', op: 'X' },
      { id: 9, name: 'z', op: 'D' },
    ];
    expect((await bench.run(second, by(bench, REMOVING), { day: 20 })).facts).toMatchObject({
      inserted: 0,
      deleted: 1,
    });
    expect(await bench.rows('id, op')).toEqual([[3, null]]);
  });

  it('P15: a deletion needs no more than its key, where other columns are required', async () => {
    const bench = await LoadBench.make(places, `id int primary key, "it's" text not null, op text`);
    await bench.client.query(`insert into ${bench.table} values (1, 'a', null), (2, 'b', null)`);
    await bench.run(
      [
        { id: 1, op: 'D' },
        { id: 2, op: 'U' },
        { id: 3, "it's": 'c', op: 'I' },
      ],
      by(bench, REMOVING),
    );
    expect(await bench.rows()).toEqual([
      [2, 'b', 'U'],
      [3, 'c', 'I'],
    ]);
    await bench.can.load.open(bench.step({ day: 20 }));
    const empty = bench.permit([{ id: 4, "it's": null, op: 'I' }], 1, { day: 20 });
    expect(await thrownBy(bench.can.load.add(empty))).toMatchObject({ about: 'content', ids: { record: 1 } });
    const lacking = await bench.collect([{ id: 5, op: 'I' }], { day: 21 });
    expect(await thrownBy(bench.can.merge(lacking, REMOVING))).toMatchObject({
      reason: '23502',
      ids: { column: "it's" },
    });
    expect(await bench.rows('id, op')).toHaveLength(2);
  });

  it('P15: a check of whole rows is asked of the table, not of what a change or a deletion brings', async () => {
    const bench = await LoadBench.make(
      places,
      `id int primary key, a int, b int, op text, constraint one check ((a is null) <> (b is null)),
       constraint low check (b < 100), constraint either check (a is not null or b is not null)`,
    );
    await bench.client.query(`insert into ${bench.table} values (1, 1, null), (2, null, 2), (3, 3, null)`);
    const rows = [
      { id: 1, op: 'D' },
      { id: 2, op: 'U' },
      { id: 3, a: 30 },
      { id: 4, b: 4 },
    ];
    await bench.run(rows, by(bench, REMOVING));
    expect(await bench.rows()).toEqual([
      [2, null, 2, 'U'],
      [3, 30, null, null],
      [4, null, 4, null],
    ]);
    // What a record brings itself is refused with its record, and what comes of it in the table when it is published.
    await bench.can.load.open(bench.step({ day: 20 }));
    const high = bench.permit([{ id: 4, b: 100 }], 1, { day: 20 });
    expect(await thrownBy(bench.can.load.add(high))).toMatchObject({ about: 'content', ids: { constraint: 'low' } });
    const both = await bench.collect([{ id: 4, a: 1 }], { day: 21 });
    expect(await thrownBy(bench.can.merge(both, REMOVING))).toMatchObject({
      reason: '23514',
      ids: { constraint: 'one' },
    });
    expect(await bench.rows('id, a, b')).toEqual([
      [2, null, 2],
      [3, 30, null],
      [4, null, 4],
    ]);
  });

  it('P15: marks what is flagged as deleted, where it is there', async () => {
    const bench = await LoadBench.make(places, 'id int, name text, gone boolean');
    const first = [
      { id: 1, name: 'a', gone: false },
      { id: 2, name: 'b', gone: true },
    ];
    await bench.run(first, by(bench, MARKING));
    const second = [
      { id: 1, name: 'a', gone: true },
      { id: 3, name: 'c', gone: null },
    ];
    expect((await bench.run(second, by(bench, MARKING), { day: 20 })).facts).toMatchObject({ inserted: 1, updated: 1 });
    expect(await bench.rows('id, gone')).toEqual([
      [1, true],
      [3, null],
    ]);
  });

  it('P16: a column that a record does not bring is left as it is, record by record', async () => {
    const bench = await LoadBench.make(places, `id int, name text default 'new', price int default 7`);
    await bench.client.query(`insert into ${bench.table} values (1, 'a', 1), (2, 'b', 2), (3, 'c', 3)`);
    const rows = [{ id: 1, name: 'A' }, { id: 2, price: 20 }, { id: 4, price: 40 }, { id: 5 }];
    await bench.run(rows, by(bench, BY), { perBatch: 2 });
    expect(await bench.rows()).toEqual([
      [1, 'A', 1],
      [2, 'b', 20],
      [3, 'c', 3],
      [4, 'new', 40],
      [5, 'new', 7],
    ]);
  });

  it('P17: equal rows of one key count as one', async () => {
    const bench = await LoadBench.make(places, 'id int, doc json');
    const rows = [1, 1, 2, 1].map((id) => ({ id, doc: { of: id } }));
    expect((await bench.run(rows, by(bench, BY))).facts).toMatchObject({ inserted: 2, rows: 2 });
    expect(await bench.rows()).toEqual([
      [1, { of: 1 }],
      [2, { of: 2 }],
    ]);
  });

  it('P17: different rows of one key are refused, unless a column tells which is the latest', async () => {
    const bench = await LoadBench.make(places, 'id int, name text, at timestamptz');
    await bench.client.query(`insert into ${bench.table} values (1, 'before')`);
    const rows = [
      { id: 1, name: 'late', at: '2026-11-19T10:00:00Z' },
      { id: 1, name: 'early', at: '2026-11-19T09:00:00Z' },
      { id: 1, name: 'never', at: null },
      { id: 2, name: 'same', at: null },
      { id: 2, name: 'same', at: null },
    ];
    const step = await bench.collect(rows);
    const error = await thrownBy(bench.can.merge(step, BY));
    expect(error).toBeInstanceOf(RefusedError);
    expect(error).toMatchObject({ reason: 'key-repeated', about: 'content', ids: { keys: 1 } });
    expect(await bench.rows('id, name')).toEqual([[1, 'before']]);
    await bench.can.merge(step, { ...BY, latestBy: 'at' });
    expect(await bench.rows('id, name')).toEqual([
      [1, 'late'],
      [2, 'same'],
    ]);
    const tied = [
      { id: 3, name: 'one', at: '2026-11-19T10:00:00Z' },
      { id: 3, name: 'two', at: '2026-11-19T10:00:00Z' },
    ];
    const undecided = await bench.collect(tied, { day: 20 });
    const refusal = await thrownBy(bench.can.merge(undecided, { ...BY, latestBy: 'at' }));
    expect(refusal).toMatchObject({ reason: 'key-repeated', message: /"at", of which the largest counts/ });
  });

  it('P17: a row without a value in the key is refused, and so are columns that are not there', async () => {
    const bench = await LoadBench.make(places, 'id int, name text, op int');
    const step = await bench.collect([{ id: 1 }, { id: null }, { id: null }]);
    expect(await thrownBy(bench.can.merge(step, BY))).toMatchObject({
      reason: 'key-missing',
      ids: { column: 'id', rows: 2 },
    });
    expect(await thrownBy(bench.can.merge(step, { key: ['name'] }))).toMatchObject({ reason: 'key-missing' });
    const unknown = { reason: 'column-unknown', about: 'request' };
    expect(await thrownBy(bench.can.merge(step, { key: ['no'] }))).toMatchObject(unknown);
    expect(await thrownBy(bench.can.merge(step, { ...BY, latestBy: 'no' }))).toMatchObject(unknown);
    const deleted = { column: 'no', values: ['D'], how: 'remove' } as const;
    expect(await thrownBy(bench.can.merge(step, { ...BY, deleted }))).toMatchObject(unknown);
    const letters = await thrownBy(bench.can.merge(step, { ...BY, deleted: { ...deleted, column: 'op' } }));
    expect(letters).toMatchObject({ reason: 'deleted-unfit', about: 'request' });
    expect(await bench.rows()).toEqual([]);
  });

  it('P17: another number than an identity has that is generated always is refused, not dropped', async () => {
    const columns = 'id int primary key, no int generated always as identity, name text, op text';
    const bench = await LoadBench.make(places, columns);
    await bench.run(
      [1, 2, 3].map((id) => ({ id, no: id * 10 })),
      by(bench, BY),
    );
    const rows = [
      { id: 1, no: 10, name: 'same' },
      { id: 2, name: 'none brought' },
      { id: 3, no: 31, op: 'D' },
      { id: 4, no: 40 },
    ];
    await bench.run(rows, by(bench, REMOVING), { day: 20 });
    const kept = [
      [1, 10, 'same'],
      [2, 20, 'none brought'],
      [4, 40, null],
    ];
    expect(await bench.rows('id, no, name')).toEqual(kept);
    const step = await bench.collect(
      [
        { id: 1, no: 11 },
        { id: 2, no: 20 },
        { id: 4, no: 41 },
      ],
      { day: 21 },
    );
    for (const how of [BY, REMOVING])
      expect(await thrownBy(bench.can.merge(step, how))).toMatchObject({
        reason: 'identity-fixed',
        ids: { rows: 2 },
        message: expect.stringContaining('"no"'),
      });
    expect(await bench.rows('id, no, name')).toEqual(kept);
  });

  it('P17: a key that the table holds in several rows is refused', async () => {
    const bench = await LoadBench.make(places, 'id int, name text');
    await bench.client.query(`insert into ${bench.table} values (1, 'a'), (1, 'b')`);
    const step = await bench.collect([{ id: 1, name: 'c' }]);
    expect(await thrownBy(bench.can.merge(step, BY))).toMatchObject({ reason: 'key-not-unique', about: 'request' });
    expect(await bench.rows()).toEqual([
      [1, 'a'],
      [1, 'b'],
    ]);
  });

  it('P18: a corrected increment repairs the rows that it names', async () => {
    const bench = await LoadBench.make(places, 'id int primary key, name text');
    await bench.run(
      [
        { id: 1, name: 'wrong' },
        { id: 2, name: 'right' },
      ],
      by(bench, BY),
    );
    await bench.run([{ id: 1, name: 'right' }], by(bench, BY), { generation: 2 });
    expect(await bench.rows()).toEqual([
      [1, 'right'],
      [2, 'right'],
    ]);
  });

  it('P14: changes all rows at once for a reader who looks all the time', async () => {
    const bench = await LoadBench.make(places, 'id int primary key, version int');
    await bench.run(numbered(1, 2000, { version: 0 }), by(bench, BY));
    const text = `select concat_ws(' ', count(*), min(version), max(version)) from ${bench.table}`;
    const poller = await Poller.start<string>(places, text);
    for (let version = 1; version <= 5; version++) {
      await bench.run(numbered(1, 2000, { version }), by(bench, BY), { generation: version + 1 });
    }
    const seen = new Set(await poller.stop());
    expect(seen.size).toBeGreaterThan(1);
    for (const one of seen) expect(one).toMatch(/^2000 (\d) \1$/);
  });

  it('P02: two merges of one key at the same time leave it there once, without a unique index', async () => {
    const bench = await LoadBench.make(places, 'id int, version int');
    const steps = await Promise.all(
      [11, 12, 13, 14].map((day) => bench.collect(numbered(1, 500, { version: day }), { day })),
    );
    await Promise.all(steps.map((step) => bench.can.merge(step, BY)));
    expect((await bench.rows('count(*)::int, count(distinct id)::int'))[0]).toEqual([500, 500]);
    expect((await bench.rows('count(distinct version)::int, 0'))[0]).toEqual([1, 0]);
  });

  it('P14: merges into a table in partitions, and counts what was done there', async () => {
    const bench = new LoadBench(places);
    await bench.client.query(`create table ${bench.table} (id int, name text) partition by range (id);
      create table ${bench.table}_low partition of ${bench.table} for values from (0) to (10);
      create table ${bench.table}_high partition of ${bench.table} for values from (10) to (20)`);
    await bench.run(numbered(5, 12, { name: 'a' }), by(bench, BY));
    const { facts } = await bench.run(numbered(9, 13, { name: 'b' }), by(bench, BY), { day: 20 });
    expect(facts).toMatchObject({ inserted: 1, updated: 4, deleted: 0 });
    const outside = await bench.collect([{ id: 99, name: 'c' }], { day: 21 });
    expect(await thrownBy(bench.can.merge(outside, BY))).toMatchObject({ code: 'REFUSED', reason: '23514' });
    expect((await bench.rows('count(*)::int, 0'))[0]).toEqual([9, 0]);
  });

  it.each(['s', 'text', 'times', 'rank', 'k'])(
    'P17: two rows of one key are told apart in a table that has a column called %s',
    async (name) => {
      const bench = await LoadBench.make(places, `id int, "${name}" int, value text`);
      const row = (value: string) => ({ id: 1, [name]: 1, value });
      const merging = bench.run([row('a'), row('b')], by(bench, { key: ['id'] }));
      expect(await thrownBy(merging)).toMatchObject({ reason: 'key-repeated', ids: { keys: 1 } });
      await bench.run([row('a'), row('a')], by(bench, { key: ['id', name] }), { day: 20 });
      expect(await bench.rows()).toEqual([[1, 1, 'a']]);
    },
  );

  it('P15: makes its own checks beside those of the table, whatever they are called', async () => {
    const check = `constraint name_required check (name <> '')`;
    const bench = await LoadBench.make(places, `id int primary key, name text not null ${check}`);
    await bench.run([{ id: 1, name: 'a' }], by(bench, BY));
    expect(await bench.rows()).toEqual([[1, 'a']]);
  });
});
