import fc from 'fast-check';
import type { Client } from 'pg';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import type { Sink } from '../src/connectors/connector.ts';
import { postgres } from '../src/connectors/postgres/config.ts';
import { encodeRecord } from '../src/formats/encode.ts';
import { testPayload, testPermit } from '../src/testing/permit.ts';
import type { Ability, SchemaFixture, SinkFixture, SinkSubject } from '../src/testing/suites/sink-subject.ts';
import { sinkSuite } from '../src/testing/suites/sink-suite.ts';
import { register } from '../src/testing/suites/suite.ts';
import { Places, thrownBy } from './postgres-place.ts';

let places: Places;
const client = (): Client => places.client;
beforeAll(async () => {
  places = await Places.start();
});
afterAll(() => places?.stop());
afterEach(() => places.closeSinks());

const KEYED = ['put', 'find', 'fence'] as const;
const APPENDING = ['commitOnce', 'marked', 'append', 'fence'] as const;

/** A table that shows these abilities: the index that `put` needs would refuse the second append of a record. */
async function fixture(columns: string, abilities: readonly Ability[]): Promise<SinkFixture> {
  const key = abilities.includes('put') ? { key: ['n'] } : {};
  const { sink, rows, table, markerSchema } = await places.make(columns, key);
  const narrow = (whole: Sink): Sink => {
    const can = Object.fromEntries(abilities.map((name) => [name, whole.can[name]]));
    return { ...whole, can };
  };
  return {
    sink: narrow(sink),
    another: () => narrow(places.open({ table, markerSchema, ...key })),
    record: (n, version = 0) => ({ n, version }),
    refused: { record: { n: 99, version: 'none' } },
    held: async () => (await rows()).map(([n, version]) => (version === 0 ? `${n}` : `${n}v${version}`)),
    lose: { 'half-applied': { never: 'a batch is one transaction of the database' } },
  };
}
/** A table that is not there yet. */
function withoutTable(key: readonly string[] | undefined): SchemaFixture {
  const table = places.name();
  const settings = { table, markerSchema: `books_${table}`, ...(key === undefined ? {} : { key }) };
  return { sink: places.open(settings), another: () => places.open(settings) };
}
const subjects: readonly SinkSubject[] = [
  {
    name: 'a PostgreSQL table',
    abilities: APPENDING,
    schema: { open: () => withoutTable(undefined) },
    open: () => fixture('n int, version int', APPENDING),
  },
  {
    name: 'a PostgreSQL table with a key',
    abilities: KEYED,
    schema: { open: () => withoutTable(['id']) },
    open: () => fixture('n int primary key, version int', KEYED),
  },
];
for (const subject of subjects) register({ describe, it }, sinkSuite(subject));

describe('the PostgreSQL sink', () => {
  it('writes every type without loss', async () => {
    const { sink, rows } =
      await places.make(`n int8 primary key, num numeric, f float8, t text, v varchar(20), b boolean,
      ts timestamptz, d date, j json, jb jsonb, bytes bytea, ints int[], texts text[], grid int[], js jsonb[],
      id uuid, small int2, parts bytea[]`);
    const full = [
      '"n":9223372036854775807',
      '"num":12345678901234567890.12345678901234567890',
      '"f":1e-07',
      String.raw`"t":"a\"b\\c\n\t\u00fc\ud83d\ude00/\/"`,
      '"v":""',
      '"b":true',
      '"ts":"2026-11-19T03:06:07.123456+00:00"',
      '"d":"2026-11-19"',
      String.raw`"j":{"a" : "x\"\\y\n", "b":[1,null]}`,
      '"jb":{"a": 1.10}',
      String.raw`"bytes":"\\x00ff10"`,
      '"ints":[1,null,3]',
      String.raw`"texts":["a\"b\\c",null,"NULL","","{x,y}"]`,
      '"grid":[[1,2],[3,4]]',
      '"js":[{"a":[1,"x"]},[2],null]',
      '"id":"5b30857f-0bfa-48b5-ac0b-5c64e28078d1"',
      '"small":1.0',
      String.raw`"parts":["AP8Q","\\x01"]`,
    ];
    const sparse = [
      String.raw`"n":-1,"num":1.10,"f":"NaN","t":null,"v":"\\N","b":false,"ts":null,"d":null,"j":"text","jb":[]`,
      '"bytes":"AP8Q","ints":[],"texts":"{plain}","grid":null,"js":null,"id":null,"small":3e2,"parts":null',
    ];
    const spaced = '{"num":"Infinity", "n": 7 , "t":12.50, "v": true, "j": null, "f": -0.5e1}';
    const records = [`{${full}}`, `{${sparse}}`, spaced];
    await sink.can.append!(testPermit({ records }));
    const read = await rows(`n::text, num::text, f::text, t, v, b, ts::text, d::text, j::text, jb::text,
      encode(bytes, 'hex'), ints::text, texts::text, grid::text, js::text, id::text, small, parts::text`);
    expect(read.map((row) => row[0]).sort()).toEqual(['-1', '7', '9223372036854775807']);
    expect(read.find((row) => row[0] === '9223372036854775807')).toEqual([
      '9223372036854775807',
      '12345678901234567890.12345678901234567890',
      '1e-07',
      'a"b\\c\n\tü😀//',
      '',
      true,
      expect.stringContaining('2026-11-19'),
      '2026-11-19',
      '{"a" : "x\\"\\\\y\\n", "b":[1,null]}',
      '{"a": 1.10}',
      '00ff10',
      '{1,NULL,3}',
      '{"a\\"b\\\\c",NULL,"NULL","","{x,y}"}',
      '{{1,2},{3,4}}',
      '{"{\\"a\\": [1, \\"x\\"]}",[2],NULL}',
      '5b30857f-0bfa-48b5-ac0b-5c64e28078d1',
      1,
      '{"\\\\x00ff10","\\\\x01"}',
    ]);
    expect(read.find((row) => row[0] === '-1')).toEqual(
      ['-1', '1.10', 'NaN', null, '\\N', false, null, null, '"text"', '[]', '00ff10', '{}', '{plain}', null].concat([
        null,
        null,
        300 as never,
        null,
      ]),
    );
    expect(read.find((row) => row[0] === '7')!.slice(1, 6)).toEqual(['Infinity', '-5', '12.50', 'true', null]);
  });

  it('gives back any text, number and nested value that it was handed', async () => {
    const { sink, rows, table } = await places.make(
      'n int, t text, num numeric, f float8, j jsonb, ts text[], js json[]',
    );
    const text = fc.string({ unit: 'binary', maxLength: 20 }).filter((one) => !one.includes('\0'));
    // A jsonb stores no NUL, in texts and names alike.
    const nested = fc
      .jsonValue({ stringUnit: 'binary' })
      .filter((one) => !JSON.stringify(one).includes('\\u0000'))
      // JSON writes a negative zero without its sign.
      .map((one) => JSON.parse(JSON.stringify(one)) as unknown);
    const values = fc.record({
      t: fc.option(text),
      num: fc.bigInt({ min: -(10n ** 30n), max: 10n ** 30n }),
      // JSON.stringify writes -0 as 0, so the sink is never handed one here.
      f: fc.double({ noNaN: true, noDefaultInfinity: true }).filter((value) => !Object.is(value, -0)),
      j: nested,
      ts: fc.array(fc.option(text)),
      js: fc.array(nested),
    });
    await fc.assert(
      fc.asyncProperty(fc.array(values, { minLength: 1, maxLength: 8 }), async (some) => {
        const records = some.map((value, n) => encodeRecord({ n, ...value }));
        await client().query(`truncate ${table}`);
        await sink.can.append!(testPermit({ records }));
        const read = await rows('n, t, num::text, f, j, ts, js');
        expect(read).toEqual(
          some.map(({ t, num, f, j, ts, js }, n) => [
            n,
            t,
            String(num),
            f,
            j,
            ts,
            // A null in an array is one of the array, not one of JSON; both are read as null.
            js,
          ]),
        );
      }),
      { numRuns: 30 },
    );
  });

  it('gives a missing field the default of its column, whatever the records around it have', async () => {
    const { sink, rows } = await places.make(
      "n int, a text default 'none', b int, c text default 'x', g int generated always as (n + 1) stored",
    );
    const records = [
      { n: 1 },
      { n: 2, a: 'given' },
      { b: 5, n: 3 },
      { c: 'y', a: null, n: 4 },
      { n: 5, a: 'again', b: 6 },
      {},
    ];
    await sink.can.commitOnce!(testPermit({ records }));
    expect(await rows('n, a, b, c, g')).toEqual([
      [1, 'none', null, 'x', 2],
      [2, 'given', null, 'x', 3],
      [3, 'none', 5, 'x', 4],
      [4, null, null, 'y', 5],
      [5, 'again', 6, 'x', 6],
      [null, 'none', null, 'x', null],
    ]);
    expect(await thrownBy(sink.can.append!(testPermit({ records: [{ n: 1, g: 2 }] })))).toMatchObject({
      code: 'REFUSED',
      reason: 'column-generated',
    });
  });

  it('P30: writes the last of several records with one key; fields that it does not have are left alone', async () => {
    const { sink, rows } = await places.make("k numeric, n int, a text default 'd', b text, primary key (k, n)", {
      key: ['k', 'n'],
    });
    const put = (...records: object[]) => sink.can.put!(testPermit({ records }));
    await put({ k: 1, n: 1, a: 'first' }, { k: 2, n: 1, a: 'x', b: 'y' }, { k: '1.0', n: 1, a: 'second' });
    expect(await rows('k::text, n, a, b')).toEqual([
      ['1.0', 1, 'second', null],
      ['2', 1, 'x', 'y'],
    ]);
    await put({ n: 1, k: 2, b: 'z' }, { k: 3, n: 1 }, { k: 3, n: 1, b: 'last' }, { k: 1, n: 1 });
    expect(await rows('k::float, n, a, b')).toEqual([
      [1, 1, 'second', null],
      [2, 1, 'x', 'z'],
      [3, 1, 'd', 'last'],
    ]);
    expect(await thrownBy(put({ k: 9, n: 1 }, { k: null, n: 1 }))).toMatchObject({
      reason: 'key-missing',
      ids: { record: 2 },
    });
    expect(await thrownBy(put({ k: 9, n: 1 }, { n: 1 }))).toMatchObject({ reason: 'key-missing' });
    expect(await rows('count(*)::int')).toEqual([[3]]);
  });

  it('finds records by key, and does not take one with other values for the same', async () => {
    const { sink } = await places.make('n int primary key, j json, f float8', { key: ['n'] });
    await sink.can.append!(
      testPermit({
        records: [
          { n: 1, j: { a: 1 }, f: 0.1 },
          { n: 2, j: null, f: 5 },
        ],
      }),
    );
    const look = {
      records: [
        { n: 1, j: { a: 1 }, f: 0.1 },
        { f: 5, n: 2 },
        { n: 2, f: 6 },
        { n: 3, f: 1 },
      ],
    };
    const found = await sink.can.find!(testPermit(look).batch, testPayload(look));
    expect(found.records).toEqual(['applied', 'applied', 'unknown', 'absent']);
    expect(found.evidence).toMatch(/2 as sent, 1 not there, 1 with other values/);
  });

  it('takes names of any kind, and lets none of them end a statement', async () => {
    const odd = 'a "b"; drop table canary; --';
    const quoted = `"${odd.replaceAll('"', '""')}"`;
    await client().query(`create table if not exists canary (n int); create schema ${quoted};
      create table ${quoted}.${quoted} (${quoted} int primary key, "x.y" text, "__proto__" text)`);
    const sink = places.open({ table: [odd, odd], key: [odd], markerSchema: `${odd} markers` });
    const record = `{"${odd.replaceAll('"', '\\"')}":1,"x.y":"'; drop table canary; --","__proto__":"p"}`;
    await sink.can.put!(testPermit({ records: [record] }));
    expect(
      await sink.can.commitOnce!(testPermit({ batch: 2, records: [`{"${odd.replaceAll('"', '\\"')}":2}`] })),
    ).toMatchObject({});
    const { rows } = await client().query({ text: `select * from ${quoted}.${quoted} order by 1`, rowMode: 'array' });
    expect(rows).toEqual([
      [1, "'; drop table canary; --", 'p'],
      [2, null, null],
    ]);
    expect((await client().query("select to_regclass('canary') is not null as there")).rows).toEqual([{ there: true }]);
  });

  it('sees columns that came and went since the run began', async () => {
    const { sink, rows, table } = await places.make('n int primary key, a int', { key: ['n'] });
    const put = (batch: number, record: object) => sink.can.put!(testPermit({ records: [record], batch }));
    await put(1, { n: 1, a: 1 });
    await client().query(`alter table ${table} drop column a, add column b int`);
    expect(await thrownBy(put(2, { n: 2, b: 2 }))).toMatchObject({ code: 'NOT_APPLIED' });
    await put(2, { n: 2, b: 2 });
    expect(await thrownBy(put(3, { n: 3, a: 1 }))).toMatchObject({ reason: 'column-unknown', about: 'content' });
    expect(await rows('n, b')).toEqual([
      [1, null],
      [2, 2],
    ]);
  });

  it('is not led astray by a temporary table of the name of its own', async () => {
    await client().query('create table waybill_stage (n int primary key)');
    const sink = places.open({ table: 'waybill_stage', key: ['n'], markerSchema: `books_${places.name()}` });
    await sink.can.put!(testPermit({ records: [{ n: 1 }] }));
    await sink.can.put!(testPermit({ records: [{ n: 2 }], batch: 2 }));
    expect((await client().query('select n from waybill_stage order by n')).rows).toEqual([{ n: 1 }, { n: 2 }]);
  });

  it('makes the table from what the flow says, once, also when two start together', async () => {
    const table = `made_${places.name()}`;
    const create = { n: 'bigint', price: 'numeric(12,2)', at: 'timestamp with time zone', tags: 'text[]' };
    const settings = { table, create, key: ['n'], markerSchema: `books_${table}` };
    const send = (batch: number) =>
      places.open(settings).can.commitOnce!(
        testPermit({ batch, records: [{ n: batch, price: 1.5, at: null, tags: ['a'] }] }),
      );
    await Promise.all([1, 2, 3, 4].map(send));
    expect((await client().query(`select n, price, tags from ${table} order by n limit 1`)).rows).toEqual([
      { n: '1', price: '1.50', tags: ['a'] },
    ]);
    for (const type of ['int); drop table canary; --', "text default 'x'", 'int, b int', '']) {
      expect(postgres.sink!.settings.safeParse({ table, create: { n: type } }).success, type).toBe(false);
    }
  });

  it('takes objects for hstore and composite types, and what CSV spells in JSON, as the values they are', async () => {
    const { client } = places;
    await client.query(`create extension hstore; create type pair as (a int, "B c" text);
      create type nest as (p pair, list text[], day date); create domain pairs as pair`);
    const { sink, rows } = await places.make(
      'n int, h hstore, hs hstore[], p pair, ps pair[], d pairs, x nest, list int[], bounds int[]',
    );
    const values = {
      h: { 'a b': '1', 'c"\\': null, '': 'x=>y, "z"' },
      hs: [{ a: '1' }, null],
      p: { 'B c': 'é, "(\\)', a: 7 },
      ps: [{ a: null, 'B c': '' }, null, { 'B c': 'null' }],
      d: { a: 1, 'B c': null },
      x: { p: { a: 1, 'B c': 'q"' }, list: ['a,b', null, '"'], day: '2026-11-23' },
      list: [1, null],
    };
    const spelled = Object.fromEntries(Object.entries(values).map(([name, value]) => [name, JSON.stringify(value)]));
    const known = {
      h: '"a"=>"1"',
      hs: '{}',
      p: '(1,x)',
      ps: '{}',
      d: '(,)',
      x: null,
      list: '{4}',
      bounds: '[0:1]={5,6}',
    };
    const records = [
      { n: 1, ...values },
      { n: 2, ...spelled },
      { n: 3, ...known },
      { n: 4, p: {} },
    ];
    await sink.can.commitOnce!(testPermit({ records }));
    const json = 'h::json, to_json(hs), to_json(p), to_json(ps), to_json(d), to_json(x), to_json(list)';
    const whole = [
      values.h,
      values.hs,
      { a: 7, 'B c': values.p['B c'] },
      [{ a: null, 'B c': '' }, null, { a: null, 'B c': 'null' }],
      values.d,
      values.x,
      values.list,
    ];
    expect((await rows(`n, ${json}, bounds::text`)).map(([, ...row]) => row)).toEqual([
      [...whole, null],
      [...whole, null],
      [{ a: '1' }, [], { a: 1, 'B c': 'x' }, [], { a: null, 'B c': null }, null, [4], '[0:1]={5,6}'],
      [null, null, { a: null, 'B c': null }, null, null, null, null, null],
    ]);
    const unknown = await thrownBy(sink.can.commitOnce!(testPermit({ batch: 2, records: [{ n: 5, p: { z: 1 } }] })));
    expect(unknown).toMatchObject({ reason: 'value-unfit', message: expect.stringContaining('no field "z"') });
  });

  it('writes arrays of domains as those of what they are made from, and of boxes with semicolons', async () => {
    await places.client.query(`create domain positive as int check (value > 0); create domain tree as jsonb;
      create type spot as (x int, t text); create domain place as spot; create domain spots as place[];
      create domain raw as bytea`);
    const { sink, rows } = await places.make(
      'n int, ints positive[], trees tree[], ps place[], deep spots, raws raw[], boxes box[]',
    );
    const values = {
      ints: [1.0, null, 3],
      trees: [{ a: [1] }, [1, [2]], 7],
      ps: [{ x: 1, t: 'a,"b"' }, null],
      deep: [{ x: 2, t: null }],
      raws: ['\\x00ff', 'AP8='],
      boxes: ['(1,1),(0,0)', null, '(2,2),(1,1)'],
    };
    const spelled = Object.fromEntries(Object.entries(values).map(([name, value]) => [name, JSON.stringify(value)]));
    await sink.can.commitOnce!(
      testPermit({
        records: [
          { n: 1, ...values },
          { n: 2, ...spelled },
        ],
      }),
    );
    const expected = [
      [1, null, 3],
      values.trees,
      values.ps,
      values.deep,
      ['\\x00ff', '\\x00ff'],
      '{(1,1),(0,0);NULL;(2,2),(1,1)}',
    ];
    const select = 'to_json(ints), to_json(trees), to_json(ps), to_json(deep), to_json(raws), boxes::text';
    expect(await rows(`n, ${select}`)).toEqual([
      [1, ...expected],
      [2, ...expected],
    ]);
  });

  it('puts rows with an identity that is generated always, and refuses another number where one is', async () => {
    const { sink, rows } = await places.make('id int primary key, nth int generated always as identity, v text', {
      key: ['id'],
    });
    const records = [
      { id: 1, nth: 70, v: 'a' },
      { id: 2, nth: 71, v: 'b' },
    ];
    await sink.can.put!(testPermit({ records }));
    await sink.can.put!(testPermit({ batch: 2, records: records.map((record) => ({ ...record, v: 'c' })) }));
    const other = await thrownBy(
      sink.can.put!(
        testPermit({
          batch: 3,
          records: [
            { id: 1, nth: 70, v: 'd' },
            { id: 2, nth: 5, v: 'd' },
          ],
        }),
      ),
    );
    expect(other).toMatchObject({ about: 'content', reason: 'identity-fixed', ids: { record: 2 } });
    expect(await rows()).toEqual([
      [1, 70, 'c'],
      [2, 71, 'c'],
    ]);
  });

  it('reads values as it does anywhere, however the role is set up', async () => {
    const { client, server } = places;
    const odd = Object.entries({
      array_nulls: 'off',
      standard_conforming_strings: 'off',
      DateStyle: 'SQL, DMY',
      IntervalStyle: 'sql_standard',
      client_encoding: 'LATIN1',
      default_transaction_isolation: 'serializable',
      default_transaction_read_only: 'on',
      xmloption: 'document',
      lc_monetary: 'POSIX',
      transaction_timeout: '1s',
    });
    await client.query(`create role odd superuser login password '${server.password}'`);
    for (const [name, value] of odd) await client.query(`alter role odd set ${name} = ${client.escapeLiteral(value)}`);
    const { table, markerSchema, rows } = await places.make(
      `id int, list text[], day date, "interval" interval, name text, part xml,
       money text default current_setting('lc_monetary'), "limit" text default current_setting('transaction_timeout')`,
    );
    const sink = places.open({ table, markerSchema }, { user: 'odd' });
    const record = { id: 1, list: ['x', null], day: '2026-02-03', interval: 'P1DT-2H', name: 'é \\n €', part: 'a<b/>' };
    await sink.can.commitOnce!(testPermit({ records: [record], idempotencyKey: 'odd' }));
    expect(await rows(`id, list, day::text, "interval"::text, name, part::text, money, "limit"`)).toEqual([
      [1, record.list, record.day, '1 day -02:00:00', record.name, record.part, 'C', '0'],
    ]);
  });
});
