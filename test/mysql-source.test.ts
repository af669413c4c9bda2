import fc from 'fast-check';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import type { OpenContext, Source } from '../src/connectors/connector.ts';
import { mysql } from '../src/connectors/mysql/config.ts';
import { ALL, type Parameters } from '../src/model/window.ts';
import { readAll, textsOf } from '../src/testing/suites/source-reading.ts';
import type { SourceSubject } from '../src/testing/suites/source-subject.ts';
import { sourceSuite } from '../src/testing/suites/source-suite.ts';
import { register } from '../src/testing/suites/suite.ts';
import { bringsEachVersionOnce } from './cursor-property.ts';
import { look, pull, rangeOf, valuesOf } from './cursor-pulls.ts';
import { noMysql, TestMysql } from './mysql.ts';

const missing = noMysql();
if (missing !== undefined) console.log(`SKIPPED: the MySQL source: ${missing}`);
beforeEach(({ skip }) => skip(missing !== undefined, missing));

let server: TestMysql;
beforeAll(async () => {
  if (missing !== undefined) return;
  server = await TestMysql.start();
  await server.run(
    `create table suite (id bigint primary key, name text, price decimal(12, 4));
    insert into suite select seq, concat('item "', seq, '"\\n ü'), seq / 8 from items_seq;`.replace(
      'items_seq',
      'seq_1_to_6000',
    ),
  );
});
afterAll(async () => {
  await server?.stop();
});

function open(settings: Record<string, unknown>, connection: Record<string, unknown> = {}): Source {
  const context = { folder: '.', secret: () => 'test-password' } as unknown as OpenContext;
  const place = { host: '127.0.0.1', port: server.server.port, database: 'items', user: 'waybill', password: 'env:P' };
  const full = mysql.connection.parse({ ...place, ...connection });
  return mysql.source!.open(full, mysql.source!.settings.parse(settings), context);
}

/** What the server is still at, although nobody listens to it any more. */
async function endAll(): Promise<void> {
  await server.run('kill user waybill@localhost');
  const left = () => server.run("select 1 from information_schema.processlist where user = 'waybill'");
  await expect.poll(left, { timeout: 10_000 }).toEqual([]);
}

const ids = (pulled: { readonly records: readonly Readonly<Record<string, unknown>>[] }): readonly number[] =>
  pulled.records.map(({ id }) => Number(id));

describe('MySQL, on a real server', () => {
  const expected = Array.from({ length: 6000 }, (_, at) => ({
    id: at + 1,
    name: `item "${at + 1}"\n ü`,
    price: (at + 1) / 8,
  }));
  const plain = () => open({ query: 'select * from suite order by id;', count: true });
  const byCursor = () => open({ table: 'suite', cursor: ['price', 'id'], count: true });
  const subjects: readonly SourceSubject[] = [
    {
      name: 'a MySQL query',
      abilities: ['remaining'],
      open: () => ({ source: plain(), another: plain, range: { window: ALL, parameters: {} }, expected }),
    },
    {
      name: 'a MySQL table by its cursor',
      abilities: ['resume', 'remaining', 'pull'],
      open: () => ({
        source: byCursor(),
        another: byCursor,
        range: rangeOf({}),
        expected,
        pull: {
          unreadable: [{ sourceName: 'suite', kind: 'waybill/cursor', value: '{"columns":["id"]}' }],
          async grow() {
            await server.run("insert into suite values (6001, 'new', 750.5)");
            return [{ id: 6001, name: 'new', price: 750.5 }];
          },
        },
        close: async () => void (await server.run('delete from suite where id > 6000')),
      }),
    },
  ];
  for (const subject of subjects) register({ describe, it }, sourceSuite(subject));

  describe('the MySQL source', () => {
    const read = async (query: string, parameters: Parameters = {}): Promise<readonly unknown[]> => {
      const chunks = await readAll(open({ query }), { window: ALL, parameters });
      return textsOf(chunks).map((line) => JSON.parse(line) as unknown);
    };
    const text = (value: string | null): Parameters => ({ p: { type: 'text', value } });

    it('U01: binds parameters as values, whatever they hold', async () => {
      await fc.assert(
        fc.asyncProperty(fc.string({ unit: 'binary', maxLength: 50 }), async (value) => {
          expect(await read('select :p as p', text(value))).toEqual([{ p: value }]);
        }),
        { numRuns: 30 },
      );
      for (const hostile of ["'; drop table suite; --", "\\' or 1=1 -- ", '?', ':p', '`', '"', '#', '/*', '\\']) {
        expect(await read("select id from suite where name = :p or id = 3 /* :q */ -- :r '", text(hostile))).toEqual([
          { id: 3 },
        ]);
        expect(await read("select :p as p, 'a'':x\\':y' as t, \":z\" as `:w`", text(hostile))).toEqual([
          { p: hostile, t: "a':x':y", ':w': ':z' },
        ]);
      }
      expect(await server.run('select count(*) as n from suite')).toEqual([{ n: 6000 }]);
    });

    it('binds each type of parameter as its own type, and nulls', async () => {
      const parameters: Parameters = {
        d: { type: 'date', value: '2026-11-19' },
        t: { type: 'timestamp', value: '2026-11-19T05:00:00.5+01:00' },
        s: { type: 'text', value: null },
        i: { type: 'integer', value: 9007199254740991 },
        n: { type: 'number', value: 0.1 },
        b: { type: 'boolean', value: true },
      };
      const query = 'select :d + interval 1 day as d, :t as t, :s as s, :i + 2 as i, :n * 3 = 0.3 as n, :b as b';
      const [row] = textsOf(await readAll(open({ query }), { window: ALL, parameters }));
      expect(row).toBe('{"d":"2026-11-20","t":"2026-11-19T04:00:00.500000","s":null,"i":9007199254740993,"n":1,"b":1}');
      await expect(read('select :unknown')).rejects.toThrow('the query asks for :unknown');
      await expect(read('select ?')).rejects.toMatchObject({ code: 'SOURCE_INVALID' });
    });

    it('keeps every value: digits, microseconds, bytes, JSON and characters', async () => {
      const query = `select 9223372036854775807 as big, cast(18446744073709551615 as unsigned) as bigger,
        cast('12345678901234567890.12345' as decimal(30, 5)) as exact, 0.1e0 as dbl, cast(1.5 as float) as flt,
        timestamp'2026-11-19 05:00:00.123456' as at, date'0001-01-01' as d, time'25:00:00' as t,
        x'00ff' as b, '😀' as face, null as nothing, json_extract('{"a":[12345678901234567890]}', '$.a') as j`;
      const [row] = textsOf(await readAll(open({ query }), { window: ALL, parameters: {} }));
      expect(row).toContain(
        '{"big":9223372036854775807,"bigger":18446744073709551615,"exact":12345678901234567890.12345,' +
          '"dbl":0.1,"flt":1.5,"at":"2026-11-19T05:00:00.123456","d":"0001-01-01","t":"25:00:00",' +
          '"b":"AP8=","face":"😀","nothing":null,"j":',
      );
    });

    it('keeps what columns of every type hold, whatever the time zone of the server', async () => {
      await server.run(`drop table if exists kinds; create table kinds (id int primary key, d decimal(65, 30),
        u bigint unsigned, i bigint, dt datetime(6), ts timestamp(3) null, day date, t time(6), y year, b bit(10),
        bin binary(4), vb varbinary(10), bl blob, j json, e enum('x', 'y'), s set('a', 'b'), tx text collate latin1_bin,
        flag bool) character set utf8mb4`);
      await server.run(`set time_zone = '+05:30'; insert into kinds values
        (1, -12345678901234567890123456789012345.123456789012345678901234567890, 18446744073709551615,
         -9223372036854775808, '2026-03-29 02:30:00.000001', '2026-03-29 02:30:00.123', '9999-12-31', '-838:59:59.5',
         2155, b'1000000001', x'00ff', x'', x'80', '{"n": 12345678901234567890.5, "t": "\\\\u00fc"}', 'y', 'a,b',
         'ü', true);
        insert into kinds (id) values (2); set time_zone = 'SYSTEM'`);
      const lines = textsOf(await readAll(open({ table: 'kinds', cursor: 'id' }), rangeOf({})));
      expect(lines).toEqual([
        '{"id":1,"d":-12345678901234567890123456789012345.123456789012345678901234567890,"u":18446744073709551615,' +
          '"i":-9223372036854775808,"dt":"2026-03-29T02:30:00.000001","ts":"2026-03-28T21:00:00.123+00:00",' +
          '"day":"9999-12-31","t":"-838:59:59.5","y":2155,"b":"AgE=","bin":"AP8AAA==","vb":"","bl":"gA==",' +
          '"j":{"n":12345678901234567890.5,"t":"ü"},"e":"y","s":"a,b","tx":"ü","flag":1}',
        `{"id":2,${['d', 'u', 'i', 'dt', 'ts', 'day', 't', 'y', 'b', 'bin', 'vb', 'bl', 'j', 'e', 's', 'tx', 'flag']
          .map((name) => `"${name}":null`)
          .join(',')}}`,
      ]);
    });

    it('tells geometries of one list of points apart', async () => {
      await server.run(`drop table if exists places; create table places (id int primary key, g geometry);
        insert into places values (1, st_geomfromtext('LINESTRING(1 2,3 4)')), (2, null),
        (3, st_geomfromtext('MULTIPOINT(1 2,3 4)', 4326))`);
      const lines = textsOf(await readAll(open({ table: 'places' }), rangeOf({})));
      expect(lines).toEqual([
        '{"id":1,"g":{"type":"LineString","coordinates":[[1,2],[3,4]]}}',
        '{"id":2,"g":null}',
        '{"id":3,"g":{"type":"MultiPoint","coordinates":[[1,2],[3,4]],' +
          '"crs":{"type":"name","properties":{"name":"EPSG:4326"}}}}',
      ]);
    });

    it('says what is wrong with a query, an address, or the way there', async () => {
      await server.run('drop table if exists t; create table t (`__proto__` int)');
      await expect(readAll(open({ table: 't' }), rangeOf({}))).rejects.toThrow(/broke off: .*__proto__/);
      await expect(read('select from')).rejects.toMatchObject({
        code: 'SOURCE_INVALID',
        message: expect.stringContaining('ER_PARSE_ERROR'),
      });
      await expect(read('select 1 as a, 2 as a')).rejects.toMatchObject({ code: 'SOURCE_INVALID' });
      await expect(read('select * from nothing')).rejects.toMatchObject({ code: 'SOURCE_INVALID' });
      const nowhere = open({ query: 'select 1' }, { port: 1 });
      await expect(readAll(nowhere, { window: ALL, parameters: {} })).rejects.toMatchObject({ code: 'SOURCE_FAILED' });
      const other = open({ query: 'select 1' }, { user: 'other' });
      const refused = readAll(other, { window: ALL, parameters: {} });
      await expect(refused).rejects.toThrow('as other (ER_ACCESS_DENIED_ERROR)');
      await expect(refused).rejects.not.toThrow('test-password');
    });
  });

  describe('a MySQL source by its cursor', () => {
    it.each([
      ['datetime(6)', "timestamp'2020-01-01 00:00:00' + interval ? microsecond", ['at'], false],
      ['timestamp(6)', "timestamp'2020-01-01 00:00:00' + interval ? microsecond", ['at'], false],
      ['bigint unsigned', '18446744073709000000 + ?', ['at'], false],
      ['decimal(20, 6)', '? / 8', ['at'], false],
      ['date', "date'2020-01-01' + interval ? day", ['at', 'id'], true],
    ] as const)('brings each version of a row once, by %s', async (type, at, cursor, tickAfterPull) => {
      await server.run(
        `drop table if exists t; create table t (id int primary key, v int, at ${type}, filler longtext)`,
      );
      const source = open({ table: 't', cursor });
      await bringsEachVersionOnce({
        numRuns: 5,
        tickAfterPull,
        open: async () => {
          await server.run('delete from t');
          return {
            source,
            takes: [],
            // Long rows, so that a chunk holds few of them.
            write: async ({ id, v, tick }) =>
              void (await server.run(`replace into t values (?, ?, ${at}, repeat('x', 120000))`, [id, v, tick])),
            remove: async (id) => void (await server.run('delete from t where id = ?', [id])),
          };
        },
      });
    });

    it('F06: goes on behind ties and nulls: equal values once, none of them lost', async () => {
      await server.run(`drop table if exists t; create table t (id int primary key, at datetime(6) null);
        insert into t select seq, timestamp'2026-01-01 00:00:00' + interval floor(seq / 700) second from seq_1_to_2500;
        insert into t values (9001, null), (9002, null)`);
      const source = open({ table: 't', cursor: 'at' });
      const first = await pull(source);
      expect([...ids(first)].sort((a, b) => a - b)).toEqual(Array.from({ length: 2500 }, (_, at) => at + 1));
      expect((await look(source, { from: first.position })).notices).toMatchObject([{ kind: 'cursor-null' }]);
      // One more with the newest value, one with a value that was passed over long ago, and a null that got one.
      await server.run(`insert into t select 2501, max(at) from t; insert into t values (2502, '2026-01-01');
        set @newest = (select max(at) from t); update t set at = @newest + interval 1 second where id = 9001`);
      expect(ids(await pull(source, { from: first.position }))).toEqual([2501, 9001]);
    });

    it('ends at once when it is told to stop while it connects, or before it asks', async () => {
      const query = 'select 1 as id union all select sleep(5)';
      for (const turns of [0, 1, 2, 5, 10, 20, 50]) {
        const stop = new AbortController();
        const reading = readAll(open({ query, cursor: 'id' }), rangeOf({}), stop.signal);
        for (let turn = 0; turn < turns; turn++) await new Promise((resolve) => setImmediate(resolve));
        stop.abort(new DOMException('told to stop', 'AbortError'));
        await expect(reading).rejects.toMatchObject({ name: 'AbortError' });
      }
      await endAll();
    });

    it('sees one state of the database, whatever is committed meanwhile', async () => {
      await server.run('drop table if exists t; create table t (id int, filler longtext)');
      await server.run("insert into t select seq, repeat('x', 100000) from seq_1_to_60");
      let count = 0;
      for await (const chunk of open({ table: 't', cursor: 'id' }).read(rangeOf({}), new AbortController().signal)) {
        await server.run("insert into t select max(id) + 1, '' from t; delete from t where id = 60");
        count += chunk.count;
      }
      expect(count).toBe(60);
    });

    it('stops at once when it is told to, while the server is still at work', async () => {
      const query = 'select seq as id, sleep(5) as s from seq_1_to_100';
      for (const [made, range] of [
        [open({ query }), { window: ALL, parameters: {} }],
        [open({ query, cursor: 'id' }), rangeOf({})],
      ] as const) {
        const stop = new AbortController();
        const reading = (async () => {
          for await (const _ of made.read(range, stop.signal)) throw new RangeError('a chunk');
        })();
        await expect
          .poll(
            async () =>
              (
                await server.run(
                  "select 1 from information_schema.processlist where info like '%sleep(5)%' and user = 'waybill'",
                )
              ).length,
          )
          .toBe(1);
        stop.abort(new DOMException('told to stop', 'AbortError'));
        await expect(reading).rejects.toMatchObject({ name: 'AbortError' });
        await endAll();
      }
    });

    it('reads a query with its parameters, and the cursor around it', async () => {
      await server.run(`drop table if exists t; create table t (id int, kind text, \`the \`\`n\` int);
        insert into t values (1, 'a', 1), (2, 'b', 2), (3, 'a', 3), (9, 'a', null)`);
      const source = open({ query: 'select * from t where kind = :kind', cursor: ['the `n', 'id'] });
      const parameters = { kind: { type: 'text' as const, value: 'a' } };
      const first = await pull(source, { parameters });
      expect(ids(first)).toEqual([1, 3]);
      expect((await look(source, { parameters })).notices).toMatchObject([{ kind: 'cursor-null' }]);
      await server.run("insert into t values (4, 'b', 4), (5, 'a', 5), (2, 'a', 3), (4, 'a', 3)");
      expect(ids(await pull(source, { parameters, from: first.position }))).toEqual([4, 5]);
    });

    it.each(['TRADITIONAL', 'ANSI', 'ORACLE', 'STRICT_ALL_TABLES,NO_BACKSLASH_ESCAPES'])(
      'goes on behind dates that are none of the calendar, on a server that is set up as %s',
      async (mode) => {
        const add = async (values: string) => await server.run(`insert into t values ${values}`);
        await server.run(`set @before = @@global.sql_mode; set global sql_mode = '${mode}';
          set session sql_mode = 'ALLOW_INVALID_DATES'; drop table if exists t;
          create table t (id int, day date not null, at datetime not null) engine=MyISAM`);
        try {
          for (const cursor of ['day', 'at']) {
            await server.run('truncate t');
            await add("(1, '0000-00-00', 0)");
            const query = 'select id, day, at, "it\\\'s" as said from t';
            const first = await pull(open({ query, cursor }));
            await add("(2, '2024-00-00', '2024-02-00 10:00:00')");
            const second = await pull(open({ query, cursor }), { from: first.position });
            await add("(3, '2024-02-30', '2024-02-30')");
            const third = await pull(open({ query, cursor }), { from: second.position });
            await add("(4, '2024-03-01', '2024-03-01')");
            const last = await pull(open({ query, cursor }), { from: third.position });
            expect([first, second, third, last].map(ids)).toEqual([[1], [2], [3], [4]]);
            expect(last.records).toMatchObject([{ day: '2024-03-01', said: "it's" }]);
          }
        } finally {
          await server.run('set global sql_mode = @before; set session sql_mode = @before');
        }
      },
    );

    it('leaves rows for later whose time has not come, and stays behind as it is told', async () => {
      await server.run(`drop table if exists t; create table t (id int, at datetime(3), ts timestamp(6) null);
        insert into t values (1, utc_timestamp() - interval 1 hour, now(6)),
          (5, utc_timestamp() - interval 1 minute, now(6)),
          (10, utc_timestamp() + interval 1 hour, now(6) + interval 1 hour)`);
      expect(ids(await pull(open({ table: 't', cursor: 'at' })))).toEqual([1, 5]);
      expect((await look(open({ table: 't', cursor: 'at' }))).notices).toMatchObject([{ kind: 'cursor-ahead' }]);
      expect(ids(await pull(open({ table: 't', cursor: 'at', timeZone: '+02:00' })))).toEqual([1, 5, 10]);
      expect(ids(await pull(open({ table: 't', cursor: ['ts', 'id'] })))).toEqual([1, 5]);
      expect(ids(await pull(open({ table: 't', cursor: 'at', lag: '30m' })))).toEqual([1]);
      expect(ids(await pull(open({ table: 't', cursor: 'id', lag: 4.5 })))).toEqual([1, 5]);
      await expect(pull(open({ table: 't', cursor: 'id', lag: '5m' }))).rejects.toThrow('it can be a number');
    });

    it('says what is wrong with a cursor or a position', async () => {
      await server.run("drop table if exists t; create table t (id int, name text); insert into t values (1, 'a')");
      await expect(look(open({ table: 't', cursor: 'at' }))).rejects.toThrow('no column "at"');
      await expect(look(open({ table: 't', cursor: 'name' }))).rejects.toThrow('of a type that is no cursor');
      const source = open({ table: 't', cursor: 'id' });
      const { position } = await pull(source);
      const wrong = { ...position!, value: '{"columns":["id"],"values":["yesterday"]}' };
      await expect(look(source, { from: wrong })).rejects.toThrow('that is no integer');
      await server.run('alter table t modify id decimal(10, 2)');
      await expect(look(source, { from: position })).rejects.toThrow('is now of the type decimal');
    });

    it('fails when the server goes away in the middle, and goes on from the last position', async () => {
      await server.run('drop table if exists t; create table t (id int primary key, filler longtext)');
      await server.run("insert into t select seq, repeat('x', 100000) from seq_1_to_300");
      const source = open({ table: 't', cursor: 'id' });
      let [count, from] = [0, {}];
      const reading = async () => {
        for await (const chunk of source.read(rangeOf({}), new AbortController().signal)) {
          count += chunk.count;
          from = { from: chunk.end };
          const running = await server.run("select id from information_schema.processlist where user = 'waybill'");
          for (const { id } of running) await server.run(`kill ${Number(id)}`);
        }
      };
      await expect(reading()).rejects.toMatchObject({ code: 'SOURCE_FAILED' });
      const rest = await pull(source, from);
      expect(count).toBeGreaterThan(0);
      expect(count + rest.records.length).toBe(300);
      expect(valuesOf(rest.position)).toEqual(['300']);
    });
  });
});
