import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { RefusedError } from '../src/model/errors.ts';
import type { LoadStep, Scope, StepReceipt } from '../src/model/load.ts';
import { LoadBench, numbered, Poller } from './postgres-load-bench.ts';
import { Places, thrownBy } from './postgres-place.ts';

let places: Places;
beforeAll(async () => {
  places = await Places.start();
});
afterAll(() => places?.stop());
afterEach(() => places.closeSinks());

const DAY: Scope = {
  kind: 'range',
  column: 'day',
  from: '2026-11-18T23:00:00Z',
  to: '2026-11-19T23:00:00Z',
  days: { from: '2026-11-19', to: '2026-11-20' },
};
const by =
  (bench: LoadBench, scope: Scope) =>
  (step: LoadStep): Promise<StepReceipt> =>
    bench.can.replace(step, scope);

describe('overwriting in the PostgreSQL sink', () => {
  it.each([
    ['date', '2026-11-18', '2026-11-19', '2026-11-20'],
    ['timestamp', '2026-11-18 23:59:59.999999', '2026-11-19 00:00:00', '2026-11-20 00:00:00'],
    ['text', '2026-11-18', '2026-11-19', '2026-11-20'],
    ['timestamptz', '2026-11-18T22:59:59.999999Z', '2026-11-18T23:00:00Z', '2026-11-19T23:00:00Z'],
  ])(
    'P10: replaces exactly the rows of the window, by a column of the type %s',
    async (type, before, inside, after) => {
      const bench = await LoadBench.make(places, `id int, day ${type}`);
      const { table, client } = bench;
      await client.query(
        `insert into ${table} values (1, '${before}'), (2, '${inside}'), (3, '${inside}'), (4, '${after}')`,
      );
      const rows = [5, 6].map((id) => ({ id, day: inside }));
      for (const generation of [1, 2]) {
        const receipt = await bench.run(rows, by(bench, DAY), { generation });
        expect(receipt).toMatchObject({ facts: { inserted: 2, replaced: 2 } });
      }
      expect(await bench.rows('id, 0')).toEqual([1, 4, 5, 6].map((id) => [id, 0]));
    },
  );

  it('P11: replaces the whole table, or the rows with one value', async () => {
    const bench = await LoadBench.make(places, 'id int, shop text');
    await bench.client.query(`insert into ${bench.table} values (1, 'a'), (2, 'b')`);
    await bench.run([{ id: 3, shop: 'b' }], by(bench, { kind: 'equals', column: 'shop', value: 'b' }));
    expect(await bench.rows()).toEqual([
      [1, 'a'],
      [3, 'b'],
    ]);
    await bench.run([{ id: 9, shop: 'c' }], by(bench, { kind: 'all' }), { day: 20 });
    expect(await bench.rows()).toEqual([[9, 'c']]);
    // A window without a single row leaves nothing of what was there.
    await bench.run([], by(bench, { kind: 'all' }), { day: 21 });
    expect(await bench.rows()).toEqual([]);
  });

  it('P10: refuses rows that lie outside of the window, and says how many and by which column', async () => {
    const bench = await LoadBench.make(places, 'id int, day date');
    await bench.client.query(`insert into ${bench.table} values (1, '2026-11-19')`);
    const rows = [
      { id: 2, day: '2026-11-19' },
      { id: 3, day: '2026-11-20' },
      { id: 4, day: null },
    ];
    const step = await bench.collect(rows);
    const error = await thrownBy(bench.can.replace(step, DAY));
    expect(error).toBeInstanceOf(RefusedError);
    expect(error).toMatchObject({ reason: 'outside-scope', ids: { column: 'day', rows: 2 } });
    expect(await bench.rows('id, 0')).toEqual([[1, 0]]);
  });

  it('P22: who may not even look says nothing of a try that had no answer', async () => {
    const bench = await LoadBench.make(places, 'id int, day date');
    const step = await bench.collect([{ id: 2, day: '2026-11-19' }]);
    await bench.can.replace(step, DAY);
    const error = await thrownBy(bench.another({}, { user: 'nobody_of_that_name' }).can.replace(step, DAY));
    expect(error).toMatchObject({ code: 'NOT_APPLIED', cause: { code: 'REFUSED' } });
  });

  it('P10: refuses a scope that the table does not know or cannot compare, before anything is changed', async () => {
    const bench = await LoadBench.make(places, 'id int, day date, flag boolean');
    const step = await bench.collect([{ id: 1, day: '2026-11-19' }]);
    const refusal = (scope: Scope): Promise<unknown> => thrownBy(bench.can.replace(step, scope));
    expect(await refusal({ ...DAY, column: 'dai' })).toMatchObject({ reason: 'column-unknown', about: 'request' });
    expect(await refusal({ ...DAY, column: 'id' })).toMatchObject({ reason: 'scope-unfit', ids: { column: 'id' } });
    const { days: _, ...hour } = DAY;
    expect(await refusal(hour)).toMatchObject({ reason: 'scope-unfit', message: /no whole day/ });
    const value = { kind: 'equals', column: 'flag', value: 'perhaps' } as const;
    expect(await refusal(value)).toMatchObject({ reason: 'scope-unfit', ids: { column: 'flag' } });
    expect(await bench.can.replace(step, DAY)).toMatchObject({ facts: { inserted: 1 } });
  });

  it('P12: a reader who looks all the time never sees the window empty or by half', async () => {
    const bench = await LoadBench.make(places, 'id int, version int');
    await bench.run(numbered(1, 2000, { version: 0 }), by(bench, { kind: 'all' }));
    const poller = await Poller.start<string>(
      places,
      `select concat_ws(' ', count(*), min(version), max(version)) from ${bench.table}`,
    );
    for (let version = 1; version <= 5; version++) {
      await bench.run(numbered(1, 2000, { version }), by(bench, { kind: 'all' }), { generation: version + 1 });
    }
    const seen = new Set(await poller.stop());
    expect(seen.size).toBeGreaterThan(1);
    for (const one of seen) expect(one).toMatch(/^2000 (\d) \1$/);
  });

  it('P13: tells what is dead now, and how the room comes back', async () => {
    const bench = await LoadBench.make(places, 'id int');
    await bench.run(numbered(1, 10), by(bench, { kind: 'all' }));
    const { summary, facts } = await bench.run(numbered(1, 4), by(bench, { kind: 'all' }), { generation: 2 });
    expect(facts).toEqual({ inserted: 4, replaced: 10, dead: 10 });
    const command = /`(VACUUM [^`]+)`/.exec(summary)?.[1];
    await bench.client.query(command!);
    const { rows } = await bench.client.query(
      `select n_dead_tup::int as dead from pg_stat_all_tables where relname = $1`,
      [bench.table],
    );
    expect(rows).toEqual([{ dead: 0 }]);
  });

  it('P12: two windows that are replaced at the same time do not harm one another', async () => {
    const bench = await LoadBench.make(places, 'id int, day date');
    const days = [11, 12, 13, 14];
    const load = async (day: number, generation: number): Promise<StepReceipt> => {
      const text = `2026-11-${day}`;
      const scope: Scope = { ...DAY, days: { from: text, to: `2026-11-${day + 1}` } };
      return await bench.run(numbered(day * 100, day * 100 + 49, { day: text }), by(bench, scope), { day, generation });
    };
    for (const generation of [1, 2]) await Promise.all(days.map((day) => load(day, generation)));
    expect((await bench.rows('count(*)::int, count(distinct id)::int'))[0]).toEqual([200, 200]);
  });

  it.each([
    [
      'a trigger keeps',
      (table: string) => `create function ${table}_f() returns trigger language plpgsql as
          'begin return null; end';
        create trigger one before delete on ${table} for each row execute function ${table}_f()`,
    ],
    ['a rule keeps', (table: string) => `create rule one as on delete to ${table} do instead nothing`],
    [
      'a policy keeps',
      (table: string) => `alter table ${table} enable row level security, force row level security,
          owner to replacer;
        create policy seen on ${table} for select using (true);
        create policy added on ${table} for insert with check (true);
        create policy deleted on ${table} for delete using (false)`,
    ],
  ])('P10: adds nothing beside rows that %s', async (_, keeps) => {
    await places.client.query(
      `do $$ begin create role replacer login password '${places.server.password}'; exception
        when duplicate_object then null; end $$; grant all on database postgres to replacer;
        grant all on schema public to replacer`,
    );
    const bench = await LoadBench.make(places, 'id int, day date');
    await bench.client.query(`insert into ${bench.table} values (1, '2026-11-19'), (2, '2026-11-20');
      grant all on ${bench.table} to replacer; ${keeps(bench.table)}`);
    const user = bench.another({}, { user: 'replacer' });
    const step = await user.collect([{ id: 1, day: '2026-11-19' }]);
    expect(await thrownBy(user.can.replace(step, DAY))).toMatchObject({ reason: 'rows-kept', ids: { rows: 1 } });
    expect(await bench.rows('id')).toEqual([[1], [2]]);
  });
});
