import fc from 'fast-check';
import type { Client } from 'pg';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import type { Sink } from '../src/connectors/connector.ts';
import { postgres } from '../src/connectors/postgres/config.ts';
import { encodeRecord } from '../src/formats/encode.ts';
import { NotAppliedError, RefusedError } from '../src/model/errors.ts';
import { openContext } from '../src/testing/peer/open-context.ts';
import { testPayload, testPermit } from '../src/testing/permit.ts';
import { sinkSuite } from '../src/testing/suites/sink-suite.ts';
import { startPostgres, type TestPostgres } from './postgres.ts';

let server: TestPostgres;
let client: Client;
let places = 0;
const sinks: Sink[] = [];
beforeAll(async () => {
  server = await startPostgres();
  client = await server.client();
});
afterAll(async () => {
  await client?.end();
  await server?.stop();
});
afterEach(async () => {
  await Promise.all(sinks.splice(0).map((sink) => sink.close!()));
});

function open(settings: Record<string, unknown>, connection: Record<string, unknown> = {}): Sink {
  const { host, port, user, database, password } = server;
  const parsed = postgres.connection.parse({ host, port, user, database, password: 'env:TEST', ...connection });
  const sink = postgres.sink!.open(
    parsed,
    postgres.sink!.settings.parse(settings),
    openContext({ 'env:TEST': password }),
  );
  sinks.push(sink);
  return sink;
}

/** A table of its own with these columns, and a sink that writes to it and keeps its markers apart. */
async function place(columns: string, settings: Record<string, unknown> = {}) {
  const table = `t${++places}`;
  await client.query(`create table ${table} (${columns})`);
  const markerSchema = `books${places}`;
  const rows = async (select = '*'): Promise<unknown[][]> =>
    (await client.query({ text: `select ${select} from ${table} order by 1`, rowMode: 'array' })).rows as unknown[][];
  return { table, markerSchema, rows, sink: open({ table, markerSchema, ...settings }) };
}

const thrownBy = (sending: Promise<unknown>): Promise<unknown> =>
  sending.then(
    () => undefined,
    (thrown: unknown) => thrown,
  );

for (const columns of ['n int, version int', 'n int primary key, version int']) {
  const keyed = columns.includes('primary');
  sinkSuite(`a PostgreSQL table${keyed ? ' with a key' : ''}`, async () => {
    const { sink, rows } = await place(columns, keyed ? { key: ['n'] } : {});
    // The unique index that `put` needs would refuse the second append of a record.
    const { append: _append, commitOnce: _commitOnce, ...byKey } = sink.can;
    return {
      sink: keyed ? { ...sink, can: byKey } : sink,
      record: (n, version = 0) => ({ n, version }),
      held: async () => (await rows()).map(([n, version]) => (version === 0 ? `${n}` : `${n}v${version}`)),
    };
  });
}

describe('the PostgreSQL sink', () => {
  it('writes every type without loss', async () => {
    const { sink, rows } = await place(`n int8 primary key, num numeric, f float8, t text, v varchar(20), b boolean,
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
    const { sink, rows } = await place('n int, t text, num numeric, f float8, j jsonb, ts text[], js json[]');
    const text = fc.string({ unit: 'binary', maxLength: 20 }).filter((one) => !one.includes('\0'));
    // A jsonb stores no NUL, in texts and names alike.
    const nested = fc.jsonValue({ stringUnit: 'binary' }).filter((one) => !JSON.stringify(one).includes('\\u0000'));
    const values = fc.record({
      t: fc.option(text),
      num: fc.bigInt({ min: -(10n ** 30n), max: 10n ** 30n }),
      f: fc.double({ noNaN: true, noDefaultInfinity: true }),
      j: nested,
      ts: fc.array(fc.option(text)),
      js: fc.array(nested),
    });
    await fc.assert(
      fc.asyncProperty(fc.array(values, { minLength: 1, maxLength: 8 }), async (some) => {
        const records = some.map((value, n) => encodeRecord({ n, ...value }));
        await client.query(`truncate t${places}`);
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
    const { sink, rows } = await place(
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

  it('P32: refuses a batch as a whole when its last row does not fit, and names record and column', async () => {
    const { sink, rows, markerSchema, table } = await place(`n int unique, name varchar(5) not null, price numeric
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
    expect((await client.query(`select * from ${markerSchema}.waybill_marker`)).rows).toEqual([]);
    await sink.can.commitOnce!(testPermit({ records: [good] }));
    expect(
      (await client.query(`select flow, lane, "window", records, fence from ${markerSchema}.waybill_marker`)).rows,
    ).toEqual([{ flow: 'test-flow', lane: 'test-lane', window: 'all', records: '1', fence: '1' }]);
    expect((await client.query(`select count(*)::int n from ${table}`)).rows).toEqual([{ n: 1 }]);
  });

  it('refuses at the commit what is checked only there', async () => {
    await client.query('create table if not exists parents (id int primary key)');
    const { sink, rows } = await place('n int references parents deferrable initially deferred');
    const error = await thrownBy(sink.can.commitOnce!(testPermit({ records: [{ n: 1 }] })));
    expect(error).toMatchObject({ code: 'REFUSED', reason: '23503', about: 'content' });
    expect(await rows()).toEqual([]);
  });

  it('refuses a batch of which a trigger leaves rows out', async () => {
    const { sink, rows, table } = await place('n int');
    await client.query(`create function ${table}_f() returns trigger language plpgsql as
        'begin if new.n = 2 then return null; end if; return new; end';
      create trigger one before insert on ${table} for each row execute function ${table}_f()`);
    const error = await thrownBy(sink.can.append!(testPermit({ records: [{ n: 1 }, { n: 2 }] })));
    expect(error).toMatchObject({ code: 'REFUSED', reason: 'rows-left-out', about: 'content' });
    expect(await rows()).toEqual([]);
  });

  it('P17: writes the last of several records with one key; fields that it does not have are left alone', async () => {
    const { sink, rows } = await place("k numeric, n int, a text default 'd', b text, primary key (k, n)", {
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
    const { sink } = await place('n int primary key, j json, f float8', { key: ['n'] });
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
    await client.query(`create table if not exists canary (n int); create schema ${quoted};
      create table ${quoted}.${quoted} (${quoted} int primary key, "x.y" text, "__proto__" text)`);
    const sink = open({ table: [odd, odd], key: [odd], markerSchema: `${odd} markers` });
    const record = `{"${odd.replaceAll('"', '\\"')}":1,"x.y":"'; drop table canary; --","__proto__":"p"}`;
    await sink.can.put!(testPermit({ records: [record] }));
    expect(
      await sink.can.commitOnce!(testPermit({ batch: 2, records: [`{"${odd.replaceAll('"', '\\"')}":2}`] })),
    ).toMatchObject({});
    const { rows } = await client.query({ text: `select * from ${quoted}.${quoted} order by 1`, rowMode: 'array' });
    expect(rows).toEqual([
      [1, "'; drop table canary; --", 'p'],
      [2, null, null],
    ]);
    expect((await client.query("select to_regclass('canary') is not null as there")).rows).toEqual([{ there: true }]);
  });

  it('sees columns that came and went since the run began', async () => {
    const { sink, rows, table } = await place('n int primary key, a int', { key: ['n'] });
    const put = (batch: number, record: object) => sink.can.put!(testPermit({ records: [record], batch }));
    await put(1, { n: 1, a: 1 });
    await client.query(`alter table ${table} drop column a, add column b int`);
    expect(await thrownBy(put(2, { n: 2, b: 2 }))).toMatchObject({ reason: 'column-unknown', about: 'content' });
    // The engine sends the batch in halves next.
    await put(3, { n: 2, b: 2 });
    expect(await rows('n, b')).toEqual([
      [1, null],
      [2, 2],
    ]);
  });

  it('is not led astray by a temporary table of the name of its own', async () => {
    await client.query('create table waybill_stage (n int primary key)');
    const sink = open({ table: 'waybill_stage', key: ['n'], markerSchema: `books${++places}` });
    await sink.can.put!(testPermit({ records: [{ n: 1 }] }));
    await sink.can.put!(testPermit({ records: [{ n: 2 }], batch: 2 }));
    expect((await client.query('select n from waybill_stage order by n')).rows).toEqual([{ n: 1 }, { n: 2 }]);
  });

  it('makes the table from what the flow says, once, also when two start together', async () => {
    const table = `made${++places}`;
    const create = { n: 'bigint', price: 'numeric(12,2)', at: 'timestamp with time zone', tags: 'text[]' };
    const settings = { table, create, key: ['n'], markerSchema: `books${places}` };
    const send = (batch: number) =>
      open(settings).can.commitOnce!(testPermit({ batch, records: [{ n: batch, price: 1.5, at: null, tags: ['a'] }] }));
    await Promise.all([1, 2, 3, 4].map(send));
    expect((await client.query(`select n, price, tags from ${table} order by n limit 1`)).rows).toEqual([
      { n: '1', price: '1.50', tags: ['a'] },
    ]);
    for (const type of ['int); drop table canary; --', "text default 'x'", 'int, b int', '']) {
      expect(postgres.sink!.settings.safeParse({ table, create: { n: type } }).success, type).toBe(false);
    }
  });

  it('says what stands in its way, and that nothing was written', async () => {
    const permit = testPermit({ records: [{ n: 1 }] });
    const refused = async (sink: Sink, reason: string, words: RegExp) => {
      const error = await thrownBy(sink.can.append!(permit));
      expect(error).toMatchObject({ code: 'REFUSED', about: 'request', reason });
      const { message, hint } = error as RefusedError;
      expect(`${message} ${hint}`).toMatch(words);
    };
    await refused(open({ table: 'nowhere' }), 'table-missing', /no table "nowhere".*create/);
    await client.query("drop role if exists poor; create role poor login password 'test-password'");
    const { table, markerSchema, sink } = await place('n int');
    await refused(open({ table, markerSchema }, { user: 'poor' }), '42501', /permission denied/);
    await sink.can.append!(permit);
    await refused(open({ table, markerSchema }, { user: 'poor' }), '42501', /permission denied/);
    const wrong = open({ table: 'nowhere' }, { user: 'nobody' });
    await refused(wrong, '28P01', /password/);
    const noIndex = await place('n int, m int', { key: ['n'] });
    expect(await thrownBy(noIndex.sink.can.put!(permit))).toMatchObject({ reason: '42P10', hint: /unique index/ });
    const noColumn = await place('n int', { key: ['m'] });
    expect(await thrownBy(noColumn.sink.can.put!(permit))).toMatchObject({
      reason: 'column-unknown',
      about: 'request',
    });
    const away = open({ table: 't' }, { port: 1 });
    expect(await thrownBy(away.can.append!(permit))).toMatchObject({ code: 'NOT_APPLIED', sinkAway: true });
  });

  it('proves that nothing was applied when it is locked out', async () => {
    const { sink, table, rows } = await place('n int', { lockTimeoutSeconds: 1 });
    const permit = testPermit({ records: [{ n: 1 }] });
    const other = await server.client();
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
    const { sink, table, rows } = await place('n int', { requestTimeoutSeconds: 2, lockTimeoutSeconds: 60 });
    const other = await server.client();
    await other.query(`begin; lock table ${table}`);
    const stop = new AbortController();
    const sending = sink.can.commitOnce!(testPermit({ records: [{ n: 1 }], signal: stop.signal }));
    const waiting = `select pid from pg_locks where relation = '${table}'::regclass and not granted`;
    await expect.poll(async () => (await client.query(waiting)).rowCount).toBe(1);
    stop.abort();
    expect(await thrownBy(sending)).toMatchObject({ code: 'NOT_APPLIED', message: /given up/ });
    await expect.poll(async () => (await client.query(waiting)).rowCount).toBe(0);
    const late = await thrownBy(sink.can.commitOnce!(testPermit({ records: [{ n: 1 }] })));
    expect(late).toBeInstanceOf(NotAppliedError);
    await other.query('rollback');
    await other.end();
    expect(await rows()).toEqual([]);
  });

  it('refuses a zombie of an older claim, whether it waits, sends or has been asleep', async () => {
    const { sink, rows, table, markerSchema } = await place('n int');
    const newer = open({ table, markerSchema });
    const shard = 'l/r1/lane/0';
    await sink.can.commitOnce!(testPermit({ records: [{ n: 1 }], shard, fence: 1 }));
    await newer.can.commitOnce!(testPermit({ records: [{ n: 2 }], batch: 2, shard, fence: 2 }));
    const zombie = sink.can.commitOnce!(testPermit({ records: [{ n: 3 }], batch: 3, shard, fence: 1 }));
    expect(await thrownBy(zombie)).toMatchObject({ code: 'REFUSED', reason: 'fenced', about: 'request' });
    // Another shard, and another run of the same lane, count their claims by themselves.
    await sink.can.commitOnce!(testPermit({ records: [{ n: 4 }], batch: 4, shard: 'l/r2/lane/0', fence: 1 }));
    expect(await rows()).toEqual([[1], [2], [4]]);
  });

  it('lets a newer claim wait for an older transaction that is under way, so that none commits behind it', async () => {
    const { sink, rows, table, markerSchema } = await place('n int', { lockTimeoutSeconds: 30 });
    const shard = 'l/r1/lane/0';
    await sink.can.commitOnce!(testPermit({ records: [{ n: 0 }], shard }));
    const other = await server.client();
    await other.query(`begin; lock table ${table}`);
    const older = sink.can.commitOnce!(testPermit({ records: [{ n: 1 }], batch: 2, shard }));
    const blocked = (on: string) =>
      expect
        .poll(
          async () =>
            (
              await client.query(
                'select count(*)::int n from pg_stat_activity where wait_event_type = $1 and query like $2',
                ['Lock', on],
              )
            ).rows[0].n,
        )
        .toBe(1);
    await blocked('copy%');
    const newer = open({ table, markerSchema });
    let raised = false;
    const raising = newer.can.fence!(shard, 2).then(() => {
      raised = true;
    });
    await blocked('insert into%');
    expect(raised).toBe(false);
    await other.query('rollback');
    await other.end();
    await older;
    await raising;
    expect(await rows()).toEqual([[0], [1]]);
    expect(await thrownBy(sink.can.append!(testPermit({ records: [{ n: 9 }], shard })))).toMatchObject({
      reason: 'fenced',
    });
  });
});
