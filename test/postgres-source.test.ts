import { createServer } from 'node:net';
import fc from 'fast-check';
import type { Client } from 'pg';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { OpenContext, ReadRange } from '../src/connectors/connector.ts';
import { postgres } from '../src/connectors/postgres/config.ts';
import type { Chunk, Format } from '../src/model/chunk.ts';
import { describeError, WaybillError } from '../src/model/errors.ts';
import { ALL, type Parameters } from '../src/model/window.ts';
import { readAll, textsOf } from '../src/testing/suites/source-reading.ts';
import type { SourceSubject } from '../src/testing/suites/source-subject.ts';
import { sourceSuite } from '../src/testing/suites/source-suite.ts';
import { register } from '../src/testing/suites/suite.ts';
import { startPostgres, type TestPostgres } from './postgres.ts';

let server: TestPostgres;
let client: Client;
beforeAll(async () => {
  server = await startPostgres();
  client = await server.client();
  await client.query(`create table items (id int8 primary key, name text, price numeric);
    insert into items select i, 'item "' || i || E'"\\n ü', i / 4.0 from generate_series(1, 12000) i`);
});
afterAll(async () => {
  await client?.end();
  await server?.stop();
});

const MODES = ['copy', 'cursor'] as const;

function open(settings: Record<string, unknown>, connection: Record<string, unknown> = {}) {
  const { host, port, user, database, password } = server;
  const context = { folder: '.', secret: () => password } as unknown as OpenContext;
  const full = postgres.connection.parse({ host, port, user, database, password: 'env:TEST', ...connection });
  return postgres.source!.open(full, postgres.source!.settings.parse(settings), context);
}

const rangeOf = (parameters: Parameters = {}): ReadRange => ({ window: ALL, parameters });
const text = (value: string | null): Parameters => ({ p: { type: 'text', value } });

async function read(settings: Record<string, unknown>, parameters: Parameters = {}): Promise<readonly unknown[]> {
  return textsOf(await readAll(open(settings), rangeOf(parameters))).map((line) => JSON.parse(line) as unknown);
}
async function raw(query: string, mode: string): Promise<readonly string[]> {
  const chunks = await readAll(open({ query, mode }), rangeOf());
  return chunks.flatMap(({ bytes, spans, count }) =>
    Array.from({ length: count }, (_, at) => Buffer.from(bytes).toString('utf8', spans[at * 2], spans[at * 2 + 1])),
  );
}

for (const [mode, takes] of [...MODES.map((one) => [one, []] as const), ['copy', ['pgcopy']] as const]) {
  const opened = () => open({ query: 'select id, name from items order by id;', mode, count: true });
  const expected = Array.from({ length: 12_000 }, (_, at) => ({ id: at + 1, name: `item "${at + 1}"\n ü` }));
  const subject: SourceSubject = {
    name: `a PostgreSQL query by ${mode}${takes.length > 0 ? ', whose rows are handed on,' : ''}`,
    abilities: ['remaining'],
    open: () => ({ source: opened(), another: opened, range: { ...rangeOf(), takes }, expected }),
  };
  register({ describe, it }, sourceSuite(subject));
}

describe('the PostgreSQL source', () => {
  const formatsOf = async (query: string, takes: readonly Format[], mode = 'copy'): Promise<readonly string[]> => {
    const chunks = await readAll(open({ query, mode }), { ...rangeOf(), takes });
    return [...new Set(chunks.map(({ format }) => format))];
  };
  it('hands rows on where every lane takes them, with the types of their columns', async () => {
    const [chunk] = await readAll(
      open({
        query: 'select id, price::numeric(12,2), array[name] as names, null::varchar(3) as v from items limit 3',
      }),
      { ...rangeOf(), takes: ['ndjson', 'pgcopy'] },
    );
    expect(chunk!.format).toBe('pgcopy');
    expect(chunk!.types).toEqual([
      { name: 'id', type: { kind: 'int64' }, nullable: true },
      { name: 'price', type: { kind: 'decimal', precision: 12, scale: 2 }, nullable: true },
      { name: 'names', type: { kind: 'text', array: true }, nullable: true },
      { name: 'v', type: { kind: 'text' }, nullable: true },
    ]);
  });
  it('gives JSON to lanes that do not, for types that only PostgreSQL knows, and by a cursor', async () => {
    expect(await formatsOf('select id from items', ['ndjson'])).toEqual(['ndjson']);
    expect(await formatsOf("select id, interval '1 day' as i from items", ['pgcopy'])).toEqual(['ndjson']);
    expect(await formatsOf('select id, array[name::varchar] as v from items', ['pgcopy'])).toEqual(['ndjson']);
    expect(await formatsOf('select id from items', ['pgcopy'], 'cursor')).toEqual(['ndjson']);
    expect(open({ table: 'items', mode: 'cursor' }).emits).toEqual(['ndjson']);
  });
  it('gives the same rows either way, those that are longer than a block as well', async () => {
    const query =
      'select id, repeat(name, case when id % 4000 = 7 then 60000 else 1 end) as name from items order by id';
    const [rows, json] = await Promise.all(
      [['pgcopy'] as const, undefined].map((takes) =>
        readAll(open({ query }), { ...rangeOf(), ...(takes === undefined ? {} : { takes }) }),
      ),
    );
    expect(rows!.every(({ format }) => format === 'pgcopy')).toBe(true);
    expect(textsOf(rows!)).toEqual(textsOf(json!));
  });
  it('brings rows of many lengths by a cursor, and says which one is longer than any text', async () => {
    const query =
      "select i, repeat('x', case when i % 100 = 60 then 3000000 else 1 end) as t from generate_series(1, 900) i";
    const found = (await read({ query, mode: 'cursor' })) as { i: number; t: string }[];
    expect(found.map(({ i }) => i)).toEqual(Array.from({ length: 900 }, (_, at) => at + 1));
    expect(found.filter(({ t }) => t.length > 1)).toHaveLength(9);
    const long = "select repeat('x', 1 + 500000000 * (i / 2)) as t from generate_series(1, 2) i";
    await expect(read({ query: long, mode: 'cursor' })).rejects.toThrow('row 2 makes more than 500000000 bytes');
  });
  it('says that the server failed in the middle of the rows', async () => {
    const query = 'select id, 1 / (id - 9000) as x from items order by id';
    const reading = readAll(open({ query }), { ...rangeOf(), takes: ['pgcopy'] });
    await expect(reading).rejects.toMatchObject({ code: 'SOURCE_FAILED' });
    await expect(reading).rejects.toThrow('22012');
  });
});

describe.each(MODES)('the PostgreSQL source by %s', (mode) => {
  it('U01: binds parameters as values, whatever they hold', async () => {
    const query = 'select id from items where name = :p or id = :id order by id';
    for (const hostile of [
      "'; drop table items; --",
      "x' or '1'='1",
      '$1',
      ':p',
      '\\',
      "\\'",
      '$$',
      '"',
      '',
      ' ',
      '%s',
      '\n',
    ]) {
      const parameters: Parameters = { ...text(hostile), id: { type: 'integer', value: 3 } };
      expect(await read({ query, mode }, parameters)).toEqual([{ id: 3 }]);
      expect(await read({ query: 'select :p as p', mode }, text(hostile))).toEqual([{ p: hostile }]);
    }
    expect((await client.query('select count(*) from items')).rows).toEqual([{ count: '12000' }]);
  });

  it('gives back any text that it was bound to', async () => {
    await fc.assert(
      fc.asyncProperty(fc.string({ unit: 'binary', maxLength: 50 }), async (value) => {
        fc.pre(!value.includes('\0'));
        expect(await read({ query: 'select :p as p', mode }, text(value))).toEqual([{ p: value }]);
      }),
      { numRuns: 15 },
    );
  });

  it('binds each type of parameter as its own type, and nulls', async () => {
    const parameters: Parameters = {
      d: { type: 'date', value: '2026-11-19' },
      t: { type: 'timestamp', value: '2026-11-19T05:00:00Z' },
      s: { type: 'text', value: null },
      i: { type: 'integer', value: 9007199254740991 },
      n: { type: 'number', value: 0.1 },
      b: { type: 'boolean', value: false },
      z: { type: 'date', value: null },
    };
    const query = `select pg_typeof(:d)::text || :d d, pg_typeof(:t)::text || (:t at time zone 'UTC') t, :s is null s,
      pg_typeof(:i)::text || :i i, pg_typeof(:n)::text || :n n, pg_typeof(:b)::text || :b b, coalesce(:z, :d::date) z`;
    expect(await read({ query, mode }, parameters)).toEqual([
      {
        d: 'date2026-11-19',
        t: 'timestamp with time zone2026-11-19 05:00:00',
        s: true,
        i: 'bigint9007199254740991',
        n: 'numeric0.1',
        b: 'booleanfalse',
        z: '2026-11-19',
      },
    ]);
  });

  it('keeps every type without loss', async () => {
    const query = `select '9223372036854775807'::int8 big, '-9223372036854775808'::int8 small,
      '12345678901234567890.12345678901234567890'::numeric(60, 20) num, 1e-7::float8 tiny, 'NaN'::numeric nan,
      'Infinity'::float8 inf, 0.1::float4 f4, E'a"b\\\\c\\n\\t\\u00fc\\U0001F600' t, null::text none,
      '2026-11-19 05:06:07.123456+02'::timestamptz tz, '2026-11-19 05:06:07'::timestamp ts, '2026-11-19'::date d,
      array[1, null, 3] arr, array[['a', 'b']] grid, '{"a" : 1}'::jsonb jb, '\\x00ff10'::bytea bytes, true yes,
      row(1, 'x') comp, '1 day 02:00'::interval iv, '5b30857f-0bfa-48b5-ac0b-5c64e28078d1'::uuid id`;
    expect(await raw(query, mode)).toEqual([
      '{"big":9223372036854775807,"small":-9223372036854775808,"num":12345678901234567890.12345678901234567890,' +
        '"tiny":1e-07,"nan":"NaN","inf":"Infinity","f4":0.1,"t":"a\\"b\\\\c\\n\\tü😀","none":null,' +
        '"tz":"2026-11-19T03:06:07.123456+00:00","ts":"2026-11-19T05:06:07","d":"2026-11-19","arr":[1,null,3],' +
        '"grid":[["a","b"]],"jb":{"a": 1},"bytes":"\\\\x00ff10","yes":true,"comp":{"f1":1,"f2":"x"},' +
        '"iv":"P1DT2H","id":"5b30857f-0bfa-48b5-ac0b-5c64e28078d1"}',
    ]);
  });

  it('keeps a column of JSON with line ends in it on one line', async () => {
    const query = `select '{\n  "a": "x\\n y",\r\n  "b": [1,\n 2]\n}'::json j, i from generate_series(1, 3) i`;
    const lines = await raw(query, mode);
    expect(lines).toHaveLength(3);
    expect(lines.join('')).not.toMatch(/[\r\n]/);
    expect(JSON.parse(lines[2]!)).toEqual({ j: { a: 'x\n y', b: [1, 2] }, i: 3 });
  });

  it('reads records that are larger than a chunk, and none at all', async () => {
    const big = await read({ query: `select i, repeat('ü', 600000) t from generate_series(1, 3) i`, mode });
    expect(big.map((row) => (row as { t: string }).t.length)).toEqual([600_000, 600_000, 600_000]);
    expect(await read({ query: 'select 1 as a where false', mode })).toEqual([]);
  });

  it('reads a table by any name, and a column that is called like the row', async () => {
    await client.query(
      'create schema if not exists "s.x"; create table if not exists "s.x"."a "":b; --" (waybill_row int)',
    );
    await client.query('truncate "s.x"."a "":b; --"; insert into "s.x"."a "":b; --" values (7)');
    expect(await read({ table: ['s.x', 'a ":b; --'], mode })).toEqual([{ waybill_row: 7 }]);
    expect((await read({ table: 'public.items', mode })).length).toBe(12_000);
  });

  it('fails half-way with the state of the server, after what it had read, and names no content', async () => {
    const query = `select i, (case when i < 60000 then '1' else 'secret-' || i end)::int as n
      from generate_series(1, 70000) i`;
    const seen: Chunk[] = [];
    const reading = async () => {
      for await (const chunk of open({ query, mode }).read(rangeOf(), new AbortController().signal)) seen.push(chunk);
    };
    const error = await reading().then(
      () => undefined,
      (thrown: unknown) => thrown,
    );
    expect(error).toMatchObject({ code: 'SOURCE_FAILED', ids: { sqlState: '22P02' } });
    expect(describeError(error)).not.toMatch(/secret|test-password/);
    expect(seen.length).toBeGreaterThan(0);
  });

  it('says that the query is wrong when it is, and that it may not change anything', async () => {
    const refused = async (query: string, state: string, message: RegExp) =>
      expect(read({ query, mode })).rejects.toMatchObject({
        code: 'SOURCE_INVALID',
        ids: { sqlState: state },
        message: expect.stringMatching(message),
      });
    await refused('select * from nowhere', '42P01', /"nowhere" does not exist/);
    await refused('selec 1', '42601', /syntax error/);
    await refused("select nextval('pg_catalog.nothing')", '42P01', /does not exist/);
    await client.query('create sequence if not exists counter');
    await refused("select nextval('counter')", '25006', /read-only/);
    await expect(read({ query: 'select 1 as a, 2 as a', mode })).rejects.toMatchObject({ code: 'SOURCE_INVALID' });
    await expect(read({ query: 'select 1) as x; drop table items; select (1', mode })).rejects.toMatchObject({
      code: 'SOURCE_INVALID',
    });
    expect((await client.query('select count(*) from items')).rows).toEqual([{ count: '12000' }]);
  });

  it('sees one state of the database, however long it reads', async () => {
    await client.query(
      `create table if not exists moving (id int); truncate moving;
        insert into moving select generate_series(1, 50000)`,
    );
    let seen = 0;
    for await (const chunk of open({ query: "select id, repeat('x', 50) t from moving", mode }).read(
      rangeOf(),
      new AbortController().signal,
    )) {
      if (seen === 0) await client.query('delete from moving');
      seen += chunk.count;
    }
    expect(seen).toBe(50_000);
  });

  it('lets the server go when it is stopped, and when the server cuts the line', async () => {
    const query = `select i, pg_backend_pid() pid, repeat('x', 100) t from (select generate_series(1, 100000000) i) s`;
    const stop = new AbortController();
    const reading = async (act: (pid: number) => Promise<void> | void) => {
      for await (const chunk of open({ query, mode }).read(rangeOf(), stop.signal)) {
        const [first] = textsOf([chunk]);
        await act((JSON.parse(first!) as { pid: number }).pid);
      }
    };
    const cut = reading(async (pid) => void (await client.query('select pg_terminate_backend($1)', [pid])));
    await expect(cut).rejects.toMatchObject({ code: 'SOURCE_FAILED' });
    await expect(reading(() => stop.abort(new DOMException('stop', 'AbortError')))).rejects.toMatchObject({
      name: 'AbortError',
    });
    const others =
      "select count(*)::int n from pg_stat_activity where application_name = 'waybill' and state = 'active'";
    await expect.poll(async () => (await client.query(others)).rows[0].n, { timeout: 10_000 }).toBe(0);
  });
});

describe('connecting to PostgreSQL', () => {
  it('says where it cannot connect to, and never with which password', async () => {
    const failing = async (connection: Record<string, unknown>) => {
      const error = await readAll(open({ query: 'select 1' }, connection), rangeOf()).then(
        () => undefined,
        (thrown: unknown) => thrown,
      );
      expect(error).toBeInstanceOf(WaybillError);
      expect(error).toMatchObject({ code: 'SOURCE_FAILED' });
      expect(describeError(error) + JSON.stringify(error)).not.toContain(server.password);
      return describeError(error);
    };
    const closed = createServer();
    await new Promise<void>((resolve) => closed.listen(0, '127.0.0.1', resolve));
    const { port } = closed.address() as { port: number };
    await new Promise((resolve) => closed.close(resolve));
    expect(await failing({ port })).toMatch(new RegExp(`127.0.0.1:${port}.*: connect ECONNREFUSED`));
    expect(await failing({ database: 'nowhere' })).toMatch(/3D000.*"nowhere" does not exist/);
    expect(await failing({ user: 'nobody' })).toContain('28P01');
    expect(await failing({ tls: 'verify' })).toMatch(/SSL/);
  });

  it('takes a whole address by reference, and says what is wrong with it without showing it', async () => {
    const through = async (url: string) => {
      const settings = postgres.source!.settings.parse({ query: 'select 1 as one' });
      const context = { ...({} as OpenContext), secret: () => url };
      const source = postgres.source!.open(postgres.connection.parse({ url: 'env:URL' }), settings, context);
      return textsOf(await readAll(source, rangeOf()));
    };
    const { host, port, user, password, database } = server;
    const url = `postgres://${user}:${encodeURIComponent(password)}@${host}:${port}/${database}`;
    expect(await through(url)).toEqual(['{"one":1}']);
    for (const wrong of ['hunter2', 'mysql://u:hunter2@h/d', 'postgres://u:hunter2@h']) {
      await expect(through(wrong)).rejects.toMatchObject({ code: 'CONFIG_INVALID' });
      await expect(through(wrong)).rejects.not.toThrow(/hunter2/);
    }
  });

  it('takes a password only by reference, and checks certificates of servers that are not local', () => {
    const parse = (more: Record<string, unknown>) =>
      postgres.connection.safeParse({ database: 'd', user: 'u', ...more });
    expect(parse({ password: 'hunter2' }).success).toBe(false);
    expect(parse({ password: 'env:PG' }).success).toBe(true);
    expect(parse({ tls: 'require' }).success).toBe(false);
    expect(parse({ url: 'env:WAREHOUSE_URL' }).success).toBe(false);
    expect(postgres.connection.safeParse({ url: 'env:WAREHOUSE_URL' }).success).toBe(true);
    expect(postgres.connection.safeParse({ database: 'd' }).success).toBe(false);
  });

  it('reads for as long as it takes and writes values in one way, whatever limits and ways the role has', async () => {
    const limits = ['statement_timeout', 'idle_in_transaction_session_timeout', 'transaction_timeout'];
    await client.query(`drop role if exists limited; create role limited login password '${server.password}'`);
    for (const name of limits) await client.query(`alter role limited set ${name} = '200ms'`);
    await client.query("alter role limited set lc_monetary = 'POSIX'");
    const query = `select current_setting('lc_monetary') as money, n from generate_series(1, 3) n, pg_sleep(0.1 * n)`;
    for (const mode of MODES) {
      const lines = textsOf(await readAll(open({ query, mode }, { user: 'limited' }), rangeOf()));
      expect(lines.map((line) => JSON.parse(line) as unknown)).toEqual([1, 2, 3].map((n) => ({ money: 'C', n })));
    }
  });

  it('does not read past rows that a policy hides, unless it is told to', async () => {
    await client.query(`drop table if exists tenants; create table tenants (id int primary key, tenant text);
      insert into tenants select n, 't' || n % 2 from generate_series(1, 10) n;
      drop role if exists tenant; create role tenant login password '${server.password}';
      grant select on tenants to tenant; alter table tenants enable row level security;
      create policy own on tenants for select to tenant using (tenant = 't1')`);
    for (const more of [...MODES.map((mode) => ({ mode })), { cursor: 'id' }, { mode: 'copy', count: true }]) {
      const ways = { table: 'tenants', ...more };
      await expect(readAll(open(ways, { user: 'tenant' }), rangeOf())).rejects.toMatchObject({
        code: 'SOURCE_INVALID',
        ids: { sqlState: '42501' },
        hint: expect.stringContaining('`rowSecurity: true`'),
      });
      const shown = await readAll(open({ ...ways, rowSecurity: true }, { user: 'tenant' }), rangeOf());
      expect(textsOf(shown)).toHaveLength(5);
      // Policies are not for who owns the table.
      expect(textsOf(await readAll(open(ways), rangeOf()))).toHaveLength(10);
    }
    await client.query('drop table tenants; drop role tenant');
  });

  it('says that somebody else holds a lock instead of waiting for ever', async () => {
    await client.query('begin; lock table items in access exclusive mode');
    try {
      for (const more of [...MODES.map((mode) => ({ mode })), { cursor: 'id' }]) {
        const ways = { table: 'items', lockTimeoutSeconds: 1, ...more };
        await expect(readAll(open(ways), rangeOf())).rejects.toMatchObject({
          code: 'SOURCE_FAILED',
          ids: { sqlState: '55P03' },
          hint: expect.stringContaining('pg_locks'),
        });
      }
    } finally {
      await client.query('rollback');
    }
    expect(await read({ table: 'items', lockTimeoutSeconds: 1 })).toHaveLength(12_000);
  });
});
