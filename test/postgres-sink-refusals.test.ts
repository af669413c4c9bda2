import type { Client } from 'pg';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import type { Sink } from '../src/connectors/connector.ts';
import { NotAppliedError, RefusedError } from '../src/model/errors.ts';
import { testPermit } from '../src/testing/permit.ts';
import { Places, thrownBy } from './postgres-place.ts';

let places: Places;
const client = (): Client => places.client;
beforeAll(async () => {
  places = await Places.start();
});
afterAll(() => places?.stop());
afterEach(() => places.closeSinks());

describe('what the PostgreSQL sink does not write', () => {
  it('refuses a record that is written by key and left out by a trigger', async () => {
    const { sink, rows, table } = await places.make('n int primary key, name text', { key: ['n'] });
    await client().query(`create function ${table}_f() returns trigger language plpgsql as
        'begin if new.n = 3 then return null; end if; new.name := upper(new.name); return new; end';
      create trigger one before insert or update on ${table} for each row execute function ${table}_f()`);
    const record = (n: number) => ({ n, name: 'a' });
    const error = await thrownBy(sink.can.put!(testPermit({ records: [1, 2, 1, 3].map(record) })));
    expect(error).toMatchObject({ reason: 'rows-left-out', message: expect.stringContaining('record 4') });
    expect(await rows()).toEqual([]);
    // One that comes twice is written once, and what a trigger changes is its own affair.
    await sink.can.put!(testPermit({ records: [1, 2, 1].map(record) }));
    expect((await client().query(`select * from ${table} order by n`)).rows).toEqual([
      { n: 1, name: 'A' },
      { n: 2, name: 'A' },
    ]);
  });

  it('P32: refuses the record whose value the server refuses as if it were SQL; a trigger is no value', async () => {
    const { sink, rows, table } = await places.make('n int, query tsquery, place regclass');
    const good = { n: 1, query: 'a & b', place: 'pg_class' };
    const refusalOf = (bad: object) => thrownBy(sink.can.commitOnce!(testPermit({ records: [good, bad] })));
    const bad = { '42601': { ...good, query: 'a &' }, '42P01': { ...good, place: 'nowhere' } };
    for (const [reason, record] of Object.entries(bad)) {
      const message = expect.stringMatching(/^record 2 of the batch, column "(?:query|place)"/);
      expect(await refusalOf(record)).toMatchObject({ reason, about: 'content', message });
    }
    await client().query(`create function ${table}_f() returns trigger language plpgsql as
        'begin insert into nowhere values (1); return new; end';
      create trigger one before insert on ${table} for each row execute function ${table}_f()`);
    expect(await refusalOf({ ...good, query: "'7, query: x'" })).toMatchObject({ reason: '42P01', about: 'request' });
    expect(await rows()).toEqual([]);
  });

  it('P32: refuses a batch as a whole when its last row does not fit, and names record and column', async () => {
    const { sink, rows, markerSchema, table } = await places.make(`n int unique, name varchar(5) not null, price numeric
      check (price > 0), day date, "odd, ""line 7"" name" int`);
    const good = { n: 1, name: 'a', price: 1, day: '2026-11-19' };
    const refused = async (bad: object | string, reason: string, column?: string) => {
      const permit = testPermit({ records: [good, { ...good, n: 2 }, bad] });
      const error = await thrownBy(sink.can.commitOnce!(permit));
      expect(error).toBeInstanceOf(RefusedError);
      expect(error).toMatchObject({ reason, about: 'content', message: expect.stringContaining('record 3') });
      if (column !== undefined) expect((error as Error).message).toContain(JSON.stringify(column));
      expect(`${error}${JSON.stringify(error)}`).not.toContain('secret');
    };
    await refused({ ...good, n: 'secret' }, '22P02', 'n');
    await refused({ ...good, n: 3, name: 'secret' }, '22001', 'name');
    await refused({ ...good, n: 4, name: null }, '23502', 'name');
    await refused({ n: 5, price: 2 }, '23502', 'name');
    await refused({ ...good, n: 6, price: -1 }, '23514');
    await refused(good, '23505');
    await refused({ ...good, n: 7, day: 'secret' }, '22007', 'day');
    await refused({ ...good, n: 8, 'odd, "line 7" name': 'secret, n, COPY' }, '22P02', 'odd, "line 7" name');
    await refused({ ...good, n: 2 ** 40 }, '22003', 'n');
    await refused({ ...good, n: 9, name: 'a\0' }, 'TEXT_INVALID', 'name');
    await refused({ ...good, n: 9, elsewhere: 'secret' }, 'column-unknown', 'elsewhere');
    await refused({ ...good, n: [1] }, 'value-unfit', 'n');
    await refused('{"n":9,"name":"\\ud800"}', 'TEXT_INVALID', 'name');
    await refused('{"secret', 'JSON_INVALID');
    expect(await rows()).toEqual([]);
    expect((await client().query(`select * from ${markerSchema}.waybill_marker`)).rows).toEqual([]);
    await sink.can.commitOnce!(testPermit({ records: [good] }));
    expect(
      (await client().query(`select flow, lane, "window", records, fence from ${markerSchema}.waybill_marker`)).rows,
    ).toEqual([{ flow: 'test-flow', lane: 'test-lane', window: 'all', records: '1', fence: '1' }]);
    expect((await client().query(`select count(*)::int n from ${table}`)).rows).toEqual([{ n: 1 }]);
  });

  it('refuses at the commit what is checked only there', async () => {
    await client().query('create table if not exists parents (id int primary key)');
    const { sink, rows } = await places.make('n int references parents deferrable initially deferred');
    const error = await thrownBy(sink.can.commitOnce!(testPermit({ records: [{ n: 1 }] })));
    expect(error).toMatchObject({ code: 'REFUSED', reason: '23503', about: 'content' });
    expect(await rows()).toEqual([]);
  });

  it('refuses a batch of which a trigger leaves rows out', async () => {
    const { sink, rows, table } = await places.make('n int');
    await client().query(`create function ${table}_f() returns trigger language plpgsql as
        'begin if new.n = 2 then return null; end if; return new; end';
      create trigger one before insert on ${table} for each row execute function ${table}_f()`);
    const error = await thrownBy(sink.can.append!(testPermit({ records: [{ n: 1 }, { n: 2 }] })));
    expect(error).toMatchObject({ code: 'REFUSED', reason: 'rows-left-out', about: 'content' });
    expect(await rows()).toEqual([]);
  });

  it('writes into a view, and refuses a batch of which its trigger leaves rows out', async () => {
    const { table, rows, markerSchema } = await places.make("n int, name text default 'none'");
    await client().query(`create view ${table}_plain as select * from ${table} where n <> 7 with check option;
      create view ${table}_v as select * from ${table};
      create function ${table}_f() returns trigger language plpgsql as 'begin if new.n = 2 then return null; end if;
        insert into ${table} values (new.n, new.name); return new; end';
      create trigger one instead of insert on ${table}_v for each row execute function ${table}_f()`);
    const plain = places.open({ table: `${table}_plain`, markerSchema });
    await plain.can.commitOnce!(testPermit({ records: [{ n: 5 }, { n: 4, name: 'a' }] }));
    const unseen = plain.can.commitOnce!(testPermit({ records: [{ n: 6 }, { n: 7 }], batch: 2 }));
    expect(await thrownBy(unseen)).toMatchObject({ reason: '44000', about: 'content' });
    const view = places.open({ table: `${table}_v`, markerSchema });
    const left = view.can.commitOnce!(testPermit({ records: [{ n: 1 }, { n: 2 }], batch: 3 }));
    expect(await thrownBy(left)).toMatchObject({ reason: 'rows-left-out', about: 'content' });
    await view.can.append!(testPermit({ records: [{ n: 3, name: 'b' }], batch: 4 }));
    expect(await rows()).toEqual([
      [3, 'b'],
      [4, 'a'],
      [5, 'none'],
    ]);
  });

  it('writes where policies apply, and refuses the record that a policy refuses', async () => {
    const { table, rows, markerSchema } = await places.make('n int primary key');
    await client().query(`drop role if exists tenant; create role tenant login password 'test-password';
      grant create on database postgres to tenant; alter table ${table} enable row level security;
      create policy p on ${table} using (n < 100) with check (n <> 7);
      grant select, insert, update on ${table} to tenant`);
    for (const key of [undefined, ['n']]) {
      const schema = `${markerSchema}_${table}`;
      const sink = places.open({ table, markerSchema: schema, ...(key && { key }) }, { user: 'tenant' });
      const write = key === undefined ? sink.can.commitOnce! : sink.can.put!;
      await write(testPermit({ records: key === undefined ? [{ n: 1 }, { n: 8 }] : [{ n: 1 }, { n: 9 }] }));
      const refused = write(testPermit({ records: [{ n: 2 }, { n: 7 }], batch: 2 }));
      expect(await thrownBy(refused)).toMatchObject({ reason: '42501', about: 'content' });
    }
    expect(await rows()).toEqual([[1], [8], [9]]);
  });

  it.each([
    ['commitOnce', {}],
    ['put', { key: ['n'] }],
  ] as const)('blames no record for columns that were changed meanwhile (%s)', async (ability, settings) => {
    const { sink, rows, table } = await places.make('n int primary key, name text', settings);
    const write = (n: number) => sink.can[ability]!(testPermit({ records: [{ n, name: 'a' }], batch: n }));
    await write(1);
    await client().query(`alter table ${table} alter column name type jsonb using to_jsonb(name)`);
    expect(await thrownBy(write(2))).toMatchObject({ code: 'NOT_APPLIED' });
    await write(2);
    expect(await rows()).toEqual([
      [1, 'a'],
      [2, 'a'],
    ]);
  });

  it('says that there is no partition for a row', async () => {
    const { table, markerSchema } = await places.make('n int');
    await client().query(`create table ${table}_p (n int) partition by list (n);
      create table ${table}_p1 partition of ${table}_p for values in (1)`);
    const sink = places.open({ table: `${table}_p`, markerSchema });
    const error = await thrownBy(sink.can.commitOnce!(testPermit({ records: [{ n: 1 }, { n: 2 }] })));
    expect(error).toMatchObject({ reason: '23514', about: 'content' });
    expect((error as Error).message).toMatch(/record 2 .*no partition/);
  });

  it('says what stands in its way, and that nothing was written', async () => {
    const permit = testPermit({ records: [{ n: 1 }] });
    const refused = async (sink: Sink, reason: string, words: RegExp) => {
      const error = await thrownBy(sink.can.append!(permit));
      expect(error).toMatchObject({ code: 'REFUSED', about: 'request', reason });
      const { message, hint } = error as RefusedError;
      expect(`${message} ${hint}`).toMatch(words);
    };
    await refused(places.open({ table: 'nowhere' }), 'table-missing', /no table "nowhere".*create/);
    await client().query("drop role if exists poor; create role poor login password 'test-password'");
    const { table, markerSchema, sink } = await places.make('n int');
    await refused(places.open({ table, markerSchema }, { user: 'poor' }), '42501', /permission denied/);
    await sink.can.append!(permit);
    await refused(places.open({ table, markerSchema }, { user: 'poor' }), '42501', /permission denied/);
    // The right to make tables in a schema is enough where the schema is there.
    const own = `own_${table}`;
    await client().query(`create schema ${own} authorization poor; create table ${own}.t (n int);
      grant insert on ${own}.t to poor`);
    await places.open({ table: [own, 't'], markerSchema: own }, { user: 'poor' }).can.append!(permit);
    const wrong = places.open({ table: 'nowhere' }, { user: 'nobody' });
    await refused(wrong, '28P01', /password/);
    const noIndex = await places.make('n int, m int', { key: ['n'] });
    expect(await thrownBy(noIndex.sink.can.put!(permit))).toMatchObject({ reason: '42P10', hint: /unique index/ });
    const noColumn = await places.make('n int', { key: ['m'] });
    expect(await thrownBy(noColumn.sink.can.put!(permit))).toMatchObject({
      reason: 'column-unknown',
      about: 'request',
    });
    const away = places.open({ table: 't' }, { port: 1 });
    expect(await thrownBy(away.can.append!(permit))).toMatchObject({ code: 'NOT_APPLIED', sinkAway: true });
  });

  it('proves that nothing was applied when it is locked out', async () => {
    const { sink, table, rows } = await places.make('n int', { lockTimeoutSeconds: 1 });
    const permit = testPermit({ records: [{ n: 1 }] });
    const other = await places.server.client();
    await other.query(`begin; lock table ${table}`);
    expect(await thrownBy(sink.can.commitOnce!(permit))).toMatchObject({
      code: 'NOT_APPLIED',
      sinkAway: false,
      ids: { sqlState: '55P03' },
    });
    await other.query('rollback');
    await other.end();
    expect((await sink.can.commitOnce!(permit)) === 'already').toBe(false);
    expect(await rows()).toEqual([[1]]);
  });

  it('gives a transaction up at its deadline: the server is told, and nothing of it is applied', async () => {
    const { sink, table, rows } = await places.make('n int', { requestTimeoutSeconds: 2, lockTimeoutSeconds: 60 });
    const other = await places.server.client();
    await other.query(`begin; lock table ${table}`);
    const stop = new AbortController();
    const sending = sink.can.commitOnce!(testPermit({ records: [{ n: 1 }], signal: stop.signal }));
    const waiting = `select pid from pg_locks where relation = '${table}'::regclass and not granted`;
    await expect.poll(async () => (await client().query(waiting)).rowCount).toBe(1);
    stop.abort();
    expect(await thrownBy(sending)).toMatchObject({ code: 'NOT_APPLIED', message: /given up/ });
    await expect.poll(async () => (await client().query(waiting)).rowCount).toBe(0);
    const late = await thrownBy(sink.can.commitOnce!(testPermit({ records: [{ n: 1 }] })));
    expect(late).toBeInstanceOf(NotAppliedError);
    await other.query('rollback');
    await other.end();
    expect(await rows()).toEqual([]);
  });

  it('refuses a zombie of an older claim, whether it waits, sends or has been asleep', async () => {
    const { sink, rows, table, markerSchema } = await places.make('n int');
    const newer = places.open({ table, markerSchema });
    const shard = 'l/r1/lane/0';
    await sink.can.commitOnce!(testPermit({ records: [{ n: 1 }], shard, fence: 1 }));
    await newer.can.commitOnce!(testPermit({ records: [{ n: 2 }], batch: 2, shard, fence: 2 }));
    const zombie = sink.can.commitOnce!(testPermit({ records: [{ n: 3 }], batch: 3, shard, fence: 1 }));
    expect(await thrownBy(zombie)).toMatchObject({ code: 'REFUSED', reason: 'fenced', about: 'request' });
    // Another shard, and another run of the same lane, count their claims by themselves.
    await sink.can.commitOnce!(testPermit({ records: [{ n: 4 }], batch: 4, shard: 'l/r2/lane/0', fence: 1 }));
    expect(await rows()).toEqual([[1], [2], [4]]);
  });

  it('ends what an older claim is in the middle of: it commits no more and holds nobody up', async () => {
    const { sink, rows, table, markerSchema } = await places.make('n int', { lockTimeoutSeconds: 30 });
    const shard = 'l/r1/lane/0';
    await sink.can.commitOnce!(testPermit({ records: [{ n: 0 }], shard }));
    const other = await places.server.client();
    await other.query(`begin; lock table ${table}`);
    const older = thrownBy(sink.can.commitOnce!(testPermit({ records: [{ n: 1 }], batch: 2, shard })));
    const apart = thrownBy(sink.can.commitOnce!(testPermit({ records: [{ n: 2 }], batch: 3, shard: 'l/r2/lane/0' })));
    const waiting = "select 1 from pg_stat_activity where wait_event_type = 'Lock' and query like 'copy%'";
    await expect.poll(async () => (await client().query(waiting)).rowCount).toBe(2);
    await places.open({ table, markerSchema }).can.fence!(shard, 2);
    expect(await older).toMatchObject({ code: 'NOT_APPLIED', ids: { sqlState: '57P01' } });
    await other.query('rollback');
    await other.end();
    expect(await apart, 'another shard is left alone').toBeUndefined();
    expect(await rows()).toEqual([[0], [2]]);
    expect(await thrownBy(sink.can.append!(testPermit({ records: [{ n: 9 }], shard })))).toMatchObject({
      reason: 'fenced',
    });
  });
});
