import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { NotAppliedError, RefusedError } from '../src/model/errors.ts';
import { LoadBench, numbered, Poller } from './postgres-load-bench.ts';
import { Places, thrownBy } from './postgres-place.ts';

let places: Places;
beforeAll(async () => {
  places = await Places.start();
});
afterAll(() => places?.stop());
afterEach(() => places.closeSinks());

describe('a load of the PostgreSQL sink', () => {
  it('P32: is invisible until it is published, then all of it is there, once', async () => {
    const bench = await LoadBench.make(places, 'id int, day text');
    const poller = await Poller.start<number>(places, `select count(*)::int from ${bench.table}`);
    const step = await bench.collect(numbered(1, 5000), { perBatch: 500 });
    const before = poller.seen.length;
    const receipt = await bench.can.appendLoad(step);
    expect(await bench.can.appendLoad(step)).toEqual(receipt);
    const seen = new Set(await poller.stop());
    expect(before).toBeGreaterThan(3);
    expect([...seen].sort((a, b) => a - b)).toEqual(seen.has(5000) ? [0, 5000] : [0]);
    expect(receipt).toMatchObject({ facts: { inserted: 5000 } });
    expect((await bench.rows('count(*), count(distinct id)'))[0]).toEqual(['5000', '5000']);
    expect(await bench.lying()).toEqual([]);
  });

  it('P34: takes each batch once, also from two processes at once and after it was published', async () => {
    const bench = await LoadBench.make(places, 'id int');
    const other = bench.another();
    await bench.can.load.open(bench.step());
    const permit = bench.permit(numbered(1, 100));
    const both = await Promise.all([bench.can.load.add(permit), other.can.load.add(permit)]);
    expect(both.filter((one) => one === 'already')).toHaveLength(1);
    expect(await other.can.load.add(permit)).toBe('already');
    // Opened once more, by a process that has just started, it keeps what it holds.
    await other.can.load.open(other.step({ fence: 2 }));
    await other.can.appendLoad(other.step({ fence: 2 }));
    const late = await thrownBy(other.can.load.add(bench.permit(numbered(200, 210), 2)));
    expect(late).toBeInstanceOf(RefusedError);
    expect(late).toMatchObject({ about: 'request', reason: 'load-published' });
    expect(await bench.rows('count(*)::int, 0')).toEqual([[100, 0]]);
    expect(await other.can.load.open(other.step({ fence: 2 }))).toMatchObject({ summary: /collects in/ });
  });

  it('P32: a value too long in the last batch is refused with its row and column, and nothing is seen', async () => {
    const bench = await LoadBench.make(places, 'id int, name varchar(5), amount numeric check (amount > 0)');
    await bench.can.load.open(bench.step());
    await bench.can.load.add(bench.permit(numbered(1, 50, { name: 'short', amount: 1 })));
    const rows = [...numbered(51, 60, { name: 'short', amount: 1 }), { id: 61, name: 'much too long', amount: 1 }];
    expect(await thrownBy(bench.can.load.add(bench.permit(rows, 2)))).toMatchObject({
      code: 'REFUSED',
      about: 'content',
      reason: '22001',
      ids: { record: 11, column: 'name' },
    });
    const checked = bench.permit([{ id: 1, name: 'a', amount: -1 }], 3);
    expect(await thrownBy(bench.can.load.add(checked))).toMatchObject({ about: 'content', reason: '23514' });
    expect(await bench.rows()).toEqual([]);
    // What the engine sends of it in the end makes the load whole.
    await bench.can.load.add(bench.permit(rows.slice(0, 10), 4));
    await bench.can.appendLoad(bench.step());
    expect(await bench.rows('count(*)::int, 0')).toEqual([[60, 0]]);
  });

  it('P32: what the table itself refuses when the load is published leaves it untouched', async () => {
    const bench = await LoadBench.make(places, 'id int primary key');
    await bench.run(numbered(1, 3), bench.can.appendLoad);
    const step = await bench.collect(numbered(3, 5), { day: 20 });
    const error = await thrownBy(bench.can.appendLoad(step));
    expect(error).toBeInstanceOf(RefusedError);
    expect(error).toMatchObject({ reason: '23505' });
    expect(await bench.rows('id, 0')).toEqual([1, 2, 3].map((id) => [id, 0]));
    await bench.client.query(`delete from ${bench.table} where id = 3`);
    await bench.can.appendLoad(step);
    expect(await bench.rows('count(*)::int, 0')).toEqual([[5, 0]]);
  });

  it('P35: a step that takes longer than it may is cancelled, and nothing of it counts as done', async () => {
    const bench = await LoadBench.make(places, 'id int', { stepTimeoutSeconds: 1 });
    await bench.client.query(`create function slow_${bench.table}() returns trigger language plpgsql as
      $$ begin perform pg_sleep(3); return null; end $$;
      create trigger slow after insert on ${bench.table} execute function slow_${bench.table}()`);
    const step = await bench.collect(numbered(1, 3));
    expect(await thrownBy(bench.can.appendLoad(step))).toBeInstanceOf(NotAppliedError);
    expect(await bench.rows('*, 0')).toEqual([]);
    await bench.client.query(`drop trigger slow on ${bench.table}`);
    await bench.can.appendLoad(step);
    expect(await bench.rows('count(*)::int, 0')).toEqual([[3, 0]]);
  });

  it('P33: waits for another load of the same table however long that takes, and not for strangers', async () => {
    const bench = await LoadBench.make(places, 'id int', { lockTimeoutSeconds: 1 });
    await bench.client.query(`create function slow_${bench.table}() returns trigger language plpgsql as
      $$ begin perform pg_sleep(2); return null; end $$;
      create trigger slow after insert on ${bench.table} execute function slow_${bench.table}()`);
    const steps = await Promise.all([16, 17].map((day) => bench.collect(numbered(day, day), { day })));
    await Promise.all(
      steps.map((step) =>
        bench.can.replace(step, { kind: 'equals', column: 'id', value: step.load.window.name.slice(8) }),
      ),
    );
    expect(await bench.rows('id, 0')).toEqual([16, 17].map((id) => [id, 0]));
  });

  it('of a stalled process cannot be opened, filled or published any more when a later one has begun', async () => {
    const bench = await LoadBench.make(places, 'id int');
    const later = bench.another();
    const stalled = await bench.collect(numbered(1, 3));
    await later.can.load.open(later.step({ generation: 2, fence: 2 }));
    expect(await bench.lying()).toEqual([later.load({ generation: 2 }).id]);
    const fenced = { code: 'REFUSED', reason: 'fenced', about: 'request' };
    expect(await thrownBy(bench.can.appendLoad(stalled))).toMatchObject(fenced);
    expect(await thrownBy(bench.can.load.open(stalled))).toMatchObject(fenced);
    const add = bench.can.load.add(bench.permit(numbered(4, 6), 2));
    expect(await thrownBy(add)).toMatchObject({ code: 'REFUSED', reason: 'load-given-up' });
    await later.can.load.add(later.permit(numbered(7, 8), 1, { generation: 2, fence: 2 }));
    await later.can.appendLoad(later.step({ generation: 2, fence: 2 }));
    expect(await bench.rows('id, 0')).toEqual([7, 8].map((id) => [id, 0]));
  });

  it('whose place is gone or was emptied by a crash of the server is refused, and nothing is published', async () => {
    for (const harm of ['drop table', 'truncate']) {
      const bench = await LoadBench.make(places, 'id int', { places: 'fast' });
      const step = await bench.collect(numbered(1, 10));
      await bench.client.query(`${harm} ${bench.markerSchema}.${step.load.id}`);
      expect(await thrownBy(bench.can.appendLoad(step)), harm).toMatchObject({ reason: 'load-lost', about: 'request' });
      expect(await bench.rows('*, 0')).toEqual([]);
    }
    const bench = await LoadBench.make(places, 'id int');
    expect(await thrownBy(bench.can.appendLoad(bench.step()))).toMatchObject({ reason: 'load-lost' });
  });

  it('leaves what the server fills in to the server: defaults, identities, computed columns', async () => {
    const bench = await LoadBench.make(
      places,
      `no int generated always as identity, id int, twice int generated always as (id * 2) stored,
       word text default 'none', at timestamptz not null default now()`,
    );
    const rows = [{ id: 1 }, { id: 2, word: 'two' }, { id: 3, word: null }];
    await bench.run(rows, bench.can.appendLoad);
    expect(await bench.rows('id, no, twice, word')).toEqual([
      [1, 1, 2, 'none'],
      [2, 2, 4, 'two'],
      [3, 3, 6, null],
    ]);
    await bench.client.query(`insert into ${bench.table} (id) values (4)`);
    expect((await bench.rows('max(no), 0'))[0]).toEqual([4, 0]);
  });

  it('makes the table where there is none, with `create`, and says what is missing without', async () => {
    const bench = new LoadBench(places, { create: { id: 'int', name: 'text' }, key: ['id'] });
    await bench.run([{ id: 1, name: 'a' }], bench.can.appendLoad);
    expect(await bench.rows()).toEqual([[1, 'a']]);
    const bare = new LoadBench(places);
    expect(await thrownBy(bare.can.load.open(bare.step()))).toMatchObject({
      reason: 'table-missing',
      about: 'request',
    });
  });

  it('whose column the table has lost since is refused by name', async () => {
    const bench = await LoadBench.make(places, 'id int, name text');
    const step = await bench.collect([{ id: 1, name: 'a' }]);
    await bench.client.query(`alter table ${bench.table} drop column name`);
    expect(await thrownBy(bench.can.appendLoad(step))).toMatchObject({
      reason: 'column-gone',
      about: 'request',
      ids: { column: 'name' },
    });
    expect(await bench.rows('id, 0')).toEqual([]);
  });

  it('waits for a lock no longer than it may, and is proved not published then', async () => {
    const bench = await LoadBench.make(places, 'id int', { lockTimeoutSeconds: 1 });
    const step = await bench.collect(numbered(1, 3));
    const other = await places.server.client();
    await other.query(`begin; lock table ${bench.table}`);
    const error = await thrownBy(bench.can.appendLoad(step));
    expect(error).toBeInstanceOf(NotAppliedError);
    expect(error).toMatchObject({ ids: { sqlState: '55P03' }, sinkAway: false });
    await other.query('rollback');
    await other.end();
    await bench.can.appendLoad(step);
    expect(await bench.rows('count(*)::int, 0')).toEqual([[3, 0]]);
  });
});
