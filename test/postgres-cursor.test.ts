import type { Client } from 'pg';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { OpenContext, Source } from '../src/connectors/connector.ts';
import { postgres } from '../src/connectors/postgres/config.ts';
import type { SourceSubject } from '../src/testing/suites/source-subject.ts';
import { sourceSuite } from '../src/testing/suites/source-suite.ts';
import { register } from '../src/testing/suites/suite.ts';
import { bringsEachVersionOnce } from './cursor-property.ts';
import { look, pull, rangeOf, valuesOf } from './cursor-pulls.ts';
import { startPostgres, type TestPostgres } from './postgres.ts';

let server: TestPostgres;
let client: Client;
beforeAll(async () => {
  server = await startPostgres({ flags: ['-c', 'max_prepared_transactions=2'] });
  client = await server.client();
  await client.query(`create table suite (id int8 primary key, name text, at timestamptz(6));
    insert into suite select i, 'item "' || i || E'"\\n ü', '2026-01-01'::timestamptz + (i / 3) * interval '1 second'
      from generate_series(1, 12000) i`);
});
afterAll(async () => {
  await client?.end();
  await server?.stop();
});

function open(settings: Record<string, unknown>, user = server.user): Source {
  const { host, port, database, password } = server;
  const context = { folder: '.', secret: () => password } as unknown as OpenContext;
  const full = postgres.connection.parse({ host, port, user, database, password: 'env:TEST' });
  return postgres.source!.open(full, postgres.source!.settings.parse(settings), context);
}

for (const [mode, takes] of [
  ['copy', []],
  ['cursor', []],
  ['copy', ['pgcopy']],
] as const) {
  const opened = () => open({ query: 'select id, name, at from suite', cursor: 'id', mode, count: true });
  const expected = Array.from({ length: 12_000 }, (_, at) => ({ id: at + 1, name: `item "${at + 1}"\n ü` })).map(
    (row) => ({
      ...row,
      at: new Date(Date.UTC(2026, 0, 1) + Math.floor(row.id / 3) * 1000).toISOString().replace('.000Z', '+00:00'),
    }),
  );
  const subject: SourceSubject = {
    name: `a PostgreSQL table by its cursor, by ${mode}${takes.length > 0 ? ', whose rows are handed on,' : ''}`,
    abilities: ['resume', 'remaining', 'pull'],
    open: () => ({
      source: opened(),
      another: opened,
      range: rangeOf({ takes }),
      expected,
      pull: {
        unreadable: [{ sourceName: 'suite', kind: 'waybill/cursor', value: '{"columns":["id"]}' }],
        async grow() {
          await client.query("insert into suite values (12001, 'new', '2026-11-01 00:00:00.000001+00')");
          return [{ id: 12_001, name: 'new', at: '2026-11-01T00:00:00.000001+00:00' }];
        },
      },
      close: async () => void (await client.query('delete from suite where id > 12000')),
    }),
  };
  register({ describe, it }, sourceSuite(subject));
}

const ids = (pulled: { readonly records: readonly Readonly<Record<string, unknown>>[] }): readonly number[] =>
  pulled.records.map(({ id }) => Number(id));

describe.each([['ndjson'], ['pgcopy']] as const)('a PostgreSQL source by its cursor, whose lanes take %s', (format) => {
  const takes = [format];
  it.each([
    ['timestamptz', "timestamptz 'epoch' + $3 * interval '1 microsecond'", 'copy', ['at'], false],
    ['timestamp', "timestamp 'epoch' + $3 * interval '1 microsecond'", 'cursor', ['at'], false],
    ['bigint', '9007199254740993 + $3::bigint', 'copy', ['at'], false],
    ['numeric', '$3::numeric / 4', 'copy', ['at'], false],
    ['text', "lpad($3::text, 9, '0')", 'copy', ['at'], false],
    ['date', "date '2020-01-01' + $3::int", 'copy', ['at', 'id'], true],
  ] as const)('brings each version of a row once, by %s', async (type, at, mode, cursor, tickAfterPull) => {
    await client.query(`drop table if exists t;
      create table t (id int primary key, v int, at ${type}, filler text)`);
    const source = open({ table: 't', cursor, mode });
    await bringsEachVersionOnce({
      numRuns: 5,
      tickAfterPull,
      open: async () => {
        await client.query('truncate t');
        return {
          source,
          takes,
          write: async ({ id, v, tick }) => {
            // Long rows, so that a chunk holds few of them.
            const text = `insert into t values ($1, $2, ${at}, repeat('x', 90000))
              on conflict (id) do update set v = excluded.v, at = excluded.at`;
            await client.query(text, [id, v, tick]);
          },
          remove: async (id) => void (await client.query('delete from t where id = $1', [id])),
        };
      },
    });
  });

  it('reads what is new, once, however many rows share a time', async () => {
    await client.query(`drop table if exists t; create table t (id int8 primary key, v int, at timestamptz(0));
      insert into t select i, 1, '2026-01-01 00:00:00+00' from generate_series(1, 10) i`);
    const source = open({ table: 't', cursor: 'at' });
    const first = await pull(source, { takes });
    expect(first.records).toHaveLength(10);
    expect(await look(source, { takes, from: first.position })).toMatchObject({ kind: 'unchanged' });
    expect((await pull(source, { takes, from: first.position })).chunks).toEqual([]);
    await client.query(`insert into t values (11, 1, '2026-01-01'), (12, 1, '2026-01-02');
      update t set v = 2 where id = 3`);
    expect(await look(source, { takes, from: first.position })).toMatchObject({ kind: 'new' });
    const second = await pull(source, { takes, from: first.position });
    expect(ids(second).toSorted((a, b) => a - b)).toEqual([3, 11, 12]);
    expect((await pull(source, { takes, from: second.position })).chunks).toEqual([]);
  });

  it('knows the rows of an equal value again when the lanes take another format today', async () => {
    await client.query(`drop table if exists t; create table t (id int, n numeric, b bytea, at timestamptz);
      insert into t values (1, 1.50, 'x', '2026-01-01 00:00:00.123456+00')`);
    const source = open({ table: 't', cursor: 'at', timeZone: 'Europe/Berlin' });
    const { position } = await pull(source, { takes });
    const others = format === 'pgcopy' ? (['ndjson'] as const) : (['pgcopy'] as const);
    expect((await pull(source, { takes: others, from: position })).chunks).toEqual([]);
    await client.query("insert into t values (2, 7, 'y', '2026-01-01 00:00:00.123456+00')");
    const second = await pull(source, { takes: others, from: position });
    expect(ids(second)).toEqual([2]);
    expect(second.chunks.map((chunk) => chunk.format)).toEqual(['ndjson']);
    expect((await pull(source, { takes, from: second.position })).chunks).toEqual([]);
  });

  it('takes numbers of equal value for equal, however many digits they have', async () => {
    await client.query(`drop table if exists t; create table t (id int, at numeric);
      insert into t values (1, 1.5), (2, 1.50), (3, 1.500)`);
    const source = open({ table: 't', cursor: 'at' });
    const { position } = await pull(source, { takes });
    await client.query('insert into t values (4, 1.5000)');
    expect(ids(await pull(source, { takes, from: position }))).toEqual([4]);
  });
});

describe('a PostgreSQL source by its cursor', () => {
  const table = async (columns: string, rows: string): Promise<void> => {
    await client.query(`drop table if exists t; create table t (${columns}); insert into t values ${rows}`);
  };

  it('reads a query with its parameters, and the cursor around it', async () => {
    await table('id int, kind text, "the ""n" int', "(1, 'a', 1), (2, 'b', 2), (3, 'a', 3)");
    for (const mode of ['copy', 'cursor']) {
      await client.query('delete from t where id > 3');
      const query = 'select t.*, 1 as waybill_row from t where kind = :kind order by id desc limit 100; ';
      const source = open({ query, cursor: 'the "n', mode, count: true });
      const parameters = { kind: { type: 'text' as const, value: 'a' } };
      const first = await pull(source, { parameters });
      expect(ids(first)).toEqual([1, 3]);
      await client.query("insert into t values (4, 'b', 4), (5, 'a', 5)");
      const asked = { parameters, from: first.position };
      expect(await source.remaining!(rangeOf(asked), new AbortController().signal)).toEqual({ records: 1 });
      expect(ids(await pull(source, asked))).toEqual([5]);
    }
  });

  it('sees one state of the database, whatever is committed meanwhile', async () => {
    await table('id int, filler text', "(0, '')");
    await client.query("insert into t select i, repeat('x', 60000) from generate_series(1, 60) i");
    const source = open({ table: 't', cursor: 'id' });
    let count = 0;
    for await (const chunk of source.read(rangeOf({}), new AbortController().signal)) {
      await client.query('insert into t select max(id) + 1 from t; delete from t where id = 60');
      count += chunk.count;
    }
    expect(count).toBe(61);
  });

  it('leaves rows for later whose time has not come, and says so', async () => {
    await table(
      'id int, at timestamptz',
      "(1, now() - interval '1 h'), (2, now() + interval '1 h'), (3, 'infinity'), (4, null)",
    );
    const source = open({ table: 't', cursor: 'at' });
    const { notices } = await look(source);
    expect(notices?.map(({ kind, message }) => [kind, message.slice(0, 10)])).toEqual([
      ['cursor-null', '1 row is w'],
      ['cursor-ahead', '2 rows are'],
    ]);
    const first = await pull(source);
    expect(ids(first)).toEqual([1]);
    await client.query('update t set at = now() where id = 2');
    expect(ids(await pull(source, { from: first.position }))).toEqual([2]);
  });

  it('stays behind the clock, or the newest number, by as much as it is told', async () => {
    await table('id int, at timestamp', "(1, now() - interval '1 h'), (5, now() - interval '1 min'), (10, now())");
    expect(ids(await pull(open({ table: 't', cursor: 'at', lag: '30m' })))).toEqual([1]);
    expect(ids(await pull(open({ table: 't', cursor: 'at', lag: '30s' })))).toEqual([1, 5]);
    expect(ids(await pull(open({ table: 't', cursor: 'id', lag: 4.5 })))).toEqual([1, 5]);
    expect(ids(await pull(open({ table: 't', cursor: 'id', lag: 5 })))).toEqual([1, 5]);
    await expect(pull(open({ table: 't', cursor: 'id', lag: '5m' }))).rejects.toThrow(
      '`lag` is a duration, and for id',
    );
    await expect(pull(open({ table: 't', cursor: 'at', lag: 5 }))).rejects.toThrow('it can be a duration or auto');
    await expect(pull(open({ table: 't', cursor: 'id', lag: 'auto' }))).rejects.toMatchObject({
      code: 'SOURCE_INVALID',
    });
  });

  it('passes over what commits late without a lag, and with `lag: auto` over nothing', async () => {
    await table('id int, at timestamptz default clock_timestamp()', '(0)');
    const [late, source] = [await server.client(), open({ table: 't', cursor: 'at', lag: 'auto' })];
    const careless = open({ table: 't', cursor: 'at' });
    try {
      await late.query('begin');
      await late.query('insert into t values (1)');
      await client.query('insert into t values (2)');
      const [passed, waited] = [await pull(careless), await pull(source)];
      expect(ids(passed)).toEqual([0, 2]);
      expect(ids(waited)).not.toContain(2);
      await late.query('commit');
      // What this test is about: the row that commits behind the position is lost to whoever does not stay behind.
      expect(ids(await pull(careless, { from: passed.position }))).toEqual([]);
      await expect.poll(async () => ids(await pull(source)), { timeout: 20_000, interval: 200 }).toEqual([0, 1, 2]);
      const rest = await pull(source, { from: waited.position });
      expect([...ids(waited), ...ids(rest)]).toEqual([0, 1, 2]);
    } finally {
      await late.end();
    }
  });

  it('waits for a transaction that has begun and not written yet', async () => {
    await table('id int, at timestamptz default now()', '(0)');
    const [late, source] = [await server.client(), open({ table: 't', cursor: 'at', lag: 'auto' })];
    try {
      await late.query('begin');
      await client.query('insert into t values (2)');
      const first = await pull(source);
      expect(ids(first)).not.toContain(2);
      await late.query('insert into t values (1); commit');
      await expect
        .poll(async () => [...ids(first), ...ids(await pull(source, { from: first.position }))], { timeout: 20_000 })
        .toEqual([0, 1, 2]);
    } finally {
      await late.end();
    }
  });

  it('stays below every transaction that is open, by a column of their numbers', async () => {
    await client.query(`drop table if exists t;
      create table t (id int, tx xid8 default pg_current_xact_id()); insert into t values (0)`);
    const [late, source] = [await server.client(), open({ table: 't', cursor: 'tx' })];
    try {
      await late.query('begin; insert into t values (1)');
      await client.query('insert into t values (2)');
      const first = await pull(source);
      expect(ids(first)).toEqual([0]);
      await late.query('commit');
      const second = await pull(source, { from: first.position });
      expect(ids(second)).toEqual([1, 2]);
      await client.query('insert into t select i from generate_series(3, 5000) i');
      const third = await pull(source, { from: second.position });
      expect(third.records).toHaveLength(4998);
      expect((await pull(source, { from: third.position })).chunks).toEqual([]);
    } finally {
      await late.end();
    }
  });

  it('refuses `lag: auto` where it cannot see all that runs', async () => {
    await table('id int, at timestamptz', '(0, now())');
    await client.query(`drop role if exists nobody; create role nobody login password '${server.password}';
      grant select on t to nobody`);
    const source = open({ table: 't', cursor: 'at', lag: 'auto' }, 'nobody');
    await expect(pull(source)).rejects.toMatchObject({
      code: 'SOURCE_INVALID',
      hint: expect.stringContaining('pg_read_all_stats'),
    });
    await client.query('grant pg_read_all_stats to nobody');
    expect(await look(source)).toBeDefined();
    await client.query("begin; insert into t values (1, now()); prepare transaction 'open'");
    try {
      await expect(look(source)).rejects.toMatchObject({
        code: 'SOURCE_FAILED',
        message: expect.stringContaining('prepared'),
      });
    } finally {
      await client.query("rollback prepared 'open'");
    }
    expect(await look(source)).toBeDefined();
  });

  it.each([
    ['a column that is not there', 'select 1 as id', 'no column "at"'],
    ['a type without an order', "select '{}'::jsonb as at", 'of a type that is no cursor'],
    ['what is not a number', "select 'NaN'::numeric as at", 'holds NaN'],
    ['text that is equal to other text', 'select at from texts', 'takes different texts for the same'],
  ])('refuses %s as a cursor, and says what to do', async (_, query, why) => {
    await client.query(`create collation if not exists blurred (provider = icu, locale = 'und-u-ks-level2',
      deterministic = false); create table if not exists texts (at text collate blurred)`);
    const source = open({ query, cursor: 'at' });
    await expect(pull(source)).rejects.toMatchObject({ code: 'SOURCE_INVALID', hint: expect.anything() });
    await expect(look(source)).rejects.toThrow(why);
  });

  it('says what to do when the type of the column has changed, or the position is no value of it', async () => {
    await table('id int, at timestamp', "(1, '2026-01-01')");
    const source = open({ table: 't', cursor: 'at' });
    const { position } = await pull(source);
    const wrong = { ...position!, value: '{"columns":["at"],"values":["yesterday noon"]}' };
    await expect(look(source, { from: wrong })).rejects.toThrow('that is no timestamp');
    await client.query("alter table t alter at type timestamptz using at at time zone 'UTC'");
    await expect(look(source, { from: position })).rejects.toThrow('is now of the type timestamptz');
    await client.query('alter table t rename at to changed_at');
    await expect(look(source, { from: position })).rejects.toMatchObject({
      code: 'SOURCE_INVALID',
      hint: expect.stringContaining('changed_at'),
    });
    const byId = open({ table: 't', cursor: 'id' });
    const { position: at } = await pull(byId);
    await client.query('alter table t alter id type bigint; insert into t values (9007199254740993)');
    expect(valuesOf((await pull(byId, { from: at })).position)).toEqual(['9007199254740993']);
  });

  it('takes a position that was set by hand', async () => {
    await table('id int, at timestamptz', "(1, '2026-01-01'), (2, '2026-01-02 05:00:00.000001'), (3, '2026-01-03')");
    const source = open({ table: 't', cursor: ['at', 'id'] });
    const value = '{"columns":["at","id"],"values":["2026-01-02T05:00:00.000001Z",1]}';
    const from = { sourceName: 't', kind: 'waybill/cursor', value };
    expect(source.pulls!.refuses(from)).toBeUndefined();
    expect(ids(await pull(source, { from }))).toEqual([2, 3]);
  });

  it('fails when the server goes away in the middle, and goes on from the last position', async () => {
    await table('id int, filler text', "(0, '')");
    await client.query("insert into t select i, repeat('x', 60000) from generate_series(1, 400) i");
    const source = open({ table: 't', cursor: 'id' });
    const brought: number[] = [];
    let from: Parameters<typeof pull>[1] = {};
    const reading = async () => {
      for await (const chunk of source.read(rangeOf({}), new AbortController().signal)) {
        brought.push(chunk.count);
        from = { from: chunk.end };
        await client.query("select pg_terminate_backend(pid) from pg_stat_activity where query like 'copy (%'");
      }
    };
    await expect(reading()).rejects.toMatchObject({ code: 'SOURCE_FAILED' });
    const rest = await pull(source, from);
    expect(brought.length).toBeGreaterThan(0);
    expect(brought.reduce((sum, count) => sum + count, 0) + rest.records.length).toBe(401);
  });
});
