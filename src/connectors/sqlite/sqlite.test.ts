import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import Database from 'better-sqlite3';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { NotAppliedError, RefusedError } from '../../model/errors.ts';
import type { Position } from '../../model/position.ts';
import type { Parameters } from '../../model/window.ts';
import { ALL } from '../../model/window.ts';
import { testPermit } from '../../testing/permit.ts';
import { readAll, textsOf } from '../../testing/suites/source-reading.ts';
import { sqlite } from './config.ts';
import { type SqliteSinkOptions, sqliteSink } from './sink.ts';
import { sqliteSource } from './source.ts';

let folder: string;
let nextFile = 0;
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'waybill-sqlite-'));
});
afterAll(() => rmSync(folder, { recursive: true, force: true }));

/** A new database file made by this SQL. */
function database(sql: string): string {
  nextFile += 1;
  const file = `db-${nextFile}.sqlite`;
  const db = new Database(join(folder, file));
  db.exec(sql);
  db.close();
  return file;
}

function change(file: string, sql: string): void {
  const db = new Database(join(folder, file));
  db.exec(sql);
  db.close();
}

function select(file: string, sql: string): unknown[] {
  const db = new Database(join(folder, file), { readonly: true });
  db.defaultSafeIntegers(true);
  try {
    return db.prepare(sql).raw(true).all();
  } finally {
    db.close();
  }
}

const clock = { wallMs: () => 5, monotonicMs: () => 5 };
const sinkOn = (file: string, more: Partial<SqliteSinkOptions> = {}) =>
  sqliteSink({ folder, file, table: 't', base64: [], recordsPerBatch: 100, clock, ...more });

const read = async (file: string, query: string, parameters: Parameters = {}): Promise<readonly string[]> =>
  textsOf(await readAll(sqliteSource({ folder, file, query, count: false }), { window: ALL, parameters }));

describe('sqliteSource', () => {
  it('U01: binds parameters as values, whatever they hold', async () => {
    const file = database(
      "create table t (day text, n integer); insert into t values ('2026-11-19', 1), ('2026-11-20', 2)",
    );
    const text = (value: string): Parameters => ({ date: { type: 'date', value } });
    expect(await read(file, 'select n from t where day = :date', text('2026-11-19'))).toEqual(['{"n":1}']);
    for (const hostile of ["'; drop table t; --", "2026-11-19' or '1'='1", '":date"', '\\0', ':date']) {
      expect(await read(file, 'select n from t where day = :date', text(hostile))).toEqual([]);
      const [only] = await read(file, 'select :date as d', text(hostile));
      expect(JSON.parse(only!)).toEqual({ d: hostile });
    }
    expect(select(file, 'select count(*) from t')).toEqual([[2n]]);
  });

  it('binds each type as the database compares it', async () => {
    const file = database("create table t (a text, b integer); insert into t values ('5', 9007199254740993)");
    const parameters: Parameters = {
      whole: { type: 'integer', value: 5 },
      yes: { type: 'boolean', value: true },
      none: { type: 'text', value: null },
      half: { type: 'number', value: 0.5 },
    };
    expect(await read(file, 'select a from t where a = :whole', parameters)).toEqual(['{"a":"5"}']);
    expect(await read(file, 'select typeof(:yes) y, :none n, typeof(:half) h', parameters)).toEqual([
      '{"y":"integer","n":null,"h":"real"}',
    ]);
  });

  it('keeps all 64 bits of integers, and bytes as base64', async () => {
    const file = database(`create table t (a integer, b blob, "__proto__" text);
      insert into t values (9223372036854775807, x'00ff10', 'p'), (-9223372036854775808, null, 'q')`);
    expect(await read(file, 'select * from t')).toEqual([
      '{"a":9223372036854775807,"b":"AP8Q","__proto__":"p"}',
      '{"a":-9223372036854775808,"b":null,"__proto__":"q"}',
    ]);
  });

  it('names what is wrong with the source', async () => {
    const file = database('create table t (a integer)');
    const bad = async (query: string, message: RegExp, code = 'SOURCE_INVALID') =>
      expect(read(file, query)).rejects.toMatchObject({ code, message: expect.stringMatching(message) });
    await bad('select * from nowhere', /no such table: nowhere/);
    await bad('selec 1', /syntax error/);
    await bad('select 1 as a, 2 as a', /two columns the name "a"/);
    await bad('delete from t returning a', /would change/);
    await bad('create table u (a)', /no rows/);
    await bad('select :missing', /asks for :missing, and the flow has no parameters/);
    const lost = sqliteSource({ folder, file: 'lost.sqlite', table: 't', count: false });
    await expect(readAll(lost, { window: ALL, parameters: {} })).rejects.toMatchObject({ code: 'SOURCE_FAILED' });
  });

  it.each([
    ['a table', undefined],
    ['a query', "select id, v, 'x' as v2, :date as day from t order by id desc; "],
    ['a cursor', 'id'],
  ])('rejects rows with texts that are not UTF-8, and no others, of %s', async (what, said) => {
    const file = database(`create table t (id integer primary key, v text);
      insert into t values (1, 'text');
      insert into t values (2, cast(x'4ae472' as text)), (3, 'a genuine \ufffd'), (4, x'ff'), (5, 'ä' || char(0)),
        (6, cast(x'efbfbdff' as text)), (7, '\ufffd\ufffd'), (8, cast(x'eda080' as text)), (9, 'z')`);
    const more =
      what === 'a query' ? { query: said! } : { table: 't', ...(said === undefined ? {} : { cursor: [said] }) };
    const source = sqliteSource({ folder, file, count: false, ...more });
    const parameters: Parameters = what === 'a query' ? { date: { type: 'date', value: '2026-11-19' } } : {};
    const chunks = await readAll(source, { window: ALL, parameters });
    const ids = textsOf(chunks).map((text) => Number(/"id":(\d)/.exec(text)![1]));
    expect(ids.sort()).toEqual([1, 3, 4, 5, 7, 9]);
    const rejects = chunks.flatMap((chunk) => chunk.rejects ?? []);
    const rows = what === 'a query' ? [2, 4, 8] : [2, 6, 8];
    expect(rejects).toEqual(
      rows.map((row) => ({ row, code: 'TEXT_INVALID', message: 'a text of the record is not UTF-8' })),
    );
  });

  it('stands where it stood when a pull meets nothing but texts that are not UTF-8', async () => {
    const bad = (id: number) => `insert into t values (${id}, cast(x'ff' as text));`;
    const file = database(`create table t (id integer primary key, v text); ${bad(1)}`);
    const source = sqliteSource({ folder, file, table: 't', cursor: ['id'], count: false });
    const pull = (from?: Position) =>
      readAll(source, {
        window: ALL,
        parameters: {},
        pull: { taken: async () => new Set(), downloads: '' },
        ...(from === undefined ? {} : { from }),
      });
    await expect(pull()).rejects.toMatchObject({
      code: 'SOURCE_INVALID',
      hint: expect.stringContaining('Correct one'),
    });
    change(file, `insert into t values (2, 'b'); ${bad(3)}`);
    const first = await pull();
    expect(textsOf(first)).toEqual(['{"id":2,"v":"b"}']);
    const second = await pull(first.at(-1)!.end!);
    expect(second.flatMap((chunk) => chunk.rejects ?? [])).toHaveLength(1);
    expect(second.at(-1)!.end).toEqual(first.at(-1)!.end);
    change(file, "update t set v = 'c' where id = 3");
    expect(textsOf(await pull(second.at(-1)!.end!))).toEqual(['{"id":3,"v":"c"}']);
  });

  it('takes the mark for what it is in a file that keeps UTF-16', async () => {
    const file = database(`pragma encoding = 'UTF-16le'; create table t (v text); insert into t values ('\ufffd')`);
    expect(await read(file, 'select v from t')).toEqual(['{"v":"\ufffd"}']);
  });

  it('says that a query is two', async () => {
    const file = database('create table t (v text)');
    await expect(read(file, 'select * from t; delete from t')).rejects.toMatchObject({
      code: 'SOURCE_INVALID',
      message: expect.stringContaining('more than one statement'),
    });
  });

  it('reads a table by any name that a table can have', async () => {
    const name = 'a "b"; drop table t; --';
    const quoted = `"${name.replaceAll('"', '""')}"`;
    const file = database(`create table t (a); create table ${quoted} (a); insert into ${quoted} values (1)`);
    const source = sqliteSource({ folder, file, table: name, count: true });
    const range = { window: ALL, parameters: {} };
    expect(textsOf(await readAll(source, range))).toEqual(['{"a":1}']);
    expect(await source.remaining!(range, new AbortController().signal)).toEqual({ records: 1 });
    expect(select(file, 'select count(*) from t')).toEqual([[0n]]);
  });
});

describe('sqliteSink', () => {
  let file: string;
  beforeEach(() => {
    file = database('create table t (n integer primary key, name text not null, part blob, big)');
  });

  it('writes values without loss', async () => {
    const sink = sinkOn(file, { base64: ['part'] });
    const records = [
      '{"n":9223372036854775807,"name":"ü\\n","part":"AP8Q","big":12345678901234567890.5}',
      '{"n":1,"name":"","big":[1,{"a":2}]}',
    ];
    await sink.can.append!(testPermit({ records }));
    expect(select(file, 'select n, name, hex(part), big from t order by n')).toEqual([
      [1n, '', '', '[1,{"a":2}]'],
      [9223372036854775807n, 'ü\n', '00FF10', '12345678901234567890.5'],
    ]);
    await sink.close!();
  });

  it('refuses texts that it would store as other ones: half a surrogate pair, and what is no base64', async () => {
    const sink = sinkOn(file, { base64: ['part'] });
    const bad = ['"name":"\\ud83d"', '"name":"a","part":"AP8Q!"', '"name":"a","part":"A"', '"name":"a","part":"ÄP8Q"'];
    for (const fields of bad) {
      const sending = sink.can.append!(testPermit({ records: [`{"n":1,${fields}}`] }));
      await expect(sending, fields).rejects.toBeInstanceOf(RefusedError);
    }
    const good = ['{"n":1,"name":"\\ud83d\\ude00","part":"_w"}', '{"n":2,"name":"","part":"AP8Q\\r\\nAA=="}'];
    await sink.can.append!(testPermit({ records: good }));
    expect(select(file, 'select name, hex(part) from t order by n')).toEqual([
      ['😀', 'FF'],
      ['', '00FF1000'],
    ]);
    await sink.close!();
  });

  it('takes a whole number with an exponent for the double that it is', async () => {
    const sink = sinkOn(file);
    await sink.can.append!(testPermit({ records: ['{"n":1,"name":"a","big":1e20}'] }));
    expect(select(file, 'select typeof(big), big from t')).toEqual([['real', 1e20]]);
    await sink.close!();
  });

  it('refuses a batch as a whole, with the place of the record and without its content', async () => {
    const sink = sinkOn(file);
    const good = { n: 1, name: 'a' };
    const refused = async (bad: object | string, reason: string) => {
      const sending = sink.can.commitOnce!(testPermit({ records: [good, bad] }));
      const error = await sending.then(
        () => undefined,
        (thrown: unknown) => thrown,
      );
      expect(error).toBeInstanceOf(RefusedError);
      expect(error).toMatchObject({ reason, message: expect.stringContaining('record 2') });
      expect((error as Error).message).not.toContain('secret');
    };
    await refused({ n: 1, name: 'secret' }, 'SQLITE_CONSTRAINT_PRIMARYKEY');
    await refused({ n: 2, name: null }, 'SQLITE_CONSTRAINT_NOTNULL');
    await refused({ n: 2, name: 'b', elsewhere: 'secret' }, 'column-unknown');
    await refused('{"n":9223372036854775808,"name":"secret"}', 'out-of-range');
    await refused('{"secret', 'JSON_INVALID');
    expect(select(file, 'select count(*) from t')).toEqual([[0n]]);
    expect(select(file, "select count(*) from sqlite_schema where name = 'waybill_marker'")).toEqual([[0n]]);
    await sink.can.commitOnce!(testPermit({ records: [good] }));
    expect(select(file, 'select fence, at from waybill_marker')).toEqual([[1n, 5n]]);
    await sink.close!();
  });

  it.each([
    ['numeric', '12345678901234567.25'],
    ['decimal(38,10)', '"12345678901234567.25"'],
    ['integer', '"18446744073709551617"'],
    ['int', '" 9007199254740993.0 "'],
    ['date', '9007199254740993e0'],
    ['real', '1e400'],
    ['double precision', '"-1e400"'],
  ])('refuses a number that a column of type %s would keep as another one: %s', async (type, value) => {
    const typed = database(`create table typed (v ${type})`);
    const sink = sinkOn(typed, { table: 'typed' });
    const sending = sink.can.commitOnce!(testPermit({ records: [`{"v":${value}}`] }));
    await expect(sending).rejects.toMatchObject({ code: 'REFUSED', reason: 'out-of-range' });
    await expect(sending).rejects.not.toMatchObject({ message: expect.stringContaining('00719') });
    expect(select(typed, 'select count(*) from typed')).toEqual([[0n]]);
    await sink.close!();
  });

  it('keeps all digits of numbers in texts, and in others what fits', async () => {
    const typed = database('create table typed (t text, n numeric, r real, b)');
    const sink = sinkOn(typed, { table: 'typed' });
    const kept = [
      ['18446744073709551617', '9223372036854775807', '9007199254740993', '1e400'],
      ['1e400', '"-9223372036854775808"', '0.1234567890123456789', '"1e400"'],
      ['"007"', '"1e5 "', '"0x10"', '12345678901234567.25'],
      ['0.1', '"100000000000000000000000"', '1e308', '"secret"'],
      ['1', '"0.10000000000000001"', '1', '1'],
      ['1', '-0.00100000000000000002', '1', '1'],
      ['1', '"1234567890.1234567"', '1', '1'],
    ];
    const records = kept.map(([t, n, r, b]) => `{"t":${t},"n":${n},"r":${r},"b":${b}}`);
    await sink.can.commitOnce!(testPermit({ records }));
    expect(select(typed, 'select * from typed')).toEqual([
      ['18446744073709551617', 9223372036854775807n, 9007199254740992, '1e400'],
      ['1e400', -9223372036854775808n, 0.12345678901234568, '1e400'],
      ['007', 100000n, '0x10', '12345678901234567.25'],
      ['0.1', 1e23, 1e308, 'secret'],
      ['1', 0.1, 1, 1n],
      ['1', -0.001, 1, 1n],
      ['1', 1234567890.1234567, 1, 1n],
    ]);
    await sink.close!();
  });

  it('proves that nothing was applied when the file is locked, and writes once it is free', async () => {
    const sink = sinkOn(file);
    const other = new Database(join(folder, file));
    other.exec('begin immediate');
    const permit = testPermit({ records: [{ n: 1, name: 'a' }] });
    await expect(sink.can.append!(permit)).rejects.toMatchObject({ code: 'NOT_APPLIED', sinkAway: false });
    other.exec('rollback');
    other.close();
    await sink.can.append!(permit);
    expect(select(file, 'select n from t')).toEqual([[1n]]);
    await sink.close!();
  });

  it('proves that nothing was applied when a reader keeps the commit from being carried out', async () => {
    const sink = sinkOn(file);
    const reader = new Database(join(folder, file));
    reader.exec('begin; select * from t');
    const reading = reader.prepare('select 1 from t union all select 2').iterate();
    reading.next();
    const permit = testPermit({ records: [{ n: 1, name: 'a' }] });
    await expect(sink.can.append!(permit)).rejects.toBeInstanceOf(NotAppliedError);
    reading.return?.();
    reader.close();
    await sink.can.append!(permit);
    expect(select(file, 'select n from t')).toEqual([[1n]]);
    await sink.close!();
  });

  it('refuses at the commit what is checked only there', async () => {
    const deferred = database(`create table p (id integer primary key);
      create table t (n integer references p (id) deferrable initially deferred)`);
    const sink = sinkOn(deferred);
    await expect(sink.can.append!(testPermit({ records: [{ n: 1 }] }))).rejects.toBeInstanceOf(RefusedError);
    expect(select(deferred, 'select count(*) from t')).toEqual([[0n]]);
    await sink.close!();
  });

  it('says what is missing: the file, the table, the index of the key', async () => {
    const permit = testPermit({ records: [{ n: 1, name: 'a' }] });
    // It helps nobody to try that again for an hour.
    const settled = (hint: string) => ({ about: 'request', hint: expect.stringContaining(hint) });
    await expect(sinkOn('lost.sqlite').can.append!(permit)).rejects.toMatchObject(settled('`file`'));
    await expect(sinkOn(file, { table: 'lost' }).can.append!(permit)).rejects.toMatchObject(settled('`table`'));
    const noIndex = sinkOn(file, { key: ['name'] });
    await expect(noIndex.can.put!(permit)).rejects.toMatchObject(settled('unique index'));
    await noIndex.close!();
    writeFileSync(join(folder, 'text.sqlite'), 'id,name\n1,a\n'.repeat(100));
    await expect(sinkOn('text.sqlite').can.append!(permit)).rejects.toMatchObject(settled('the connection'));
  });
});

describe('the sqlite connector', () => {
  it('opens nothing before it is used', () => {
    const context = { folder, ports: clock } as never;
    const source = sqlite.source!.open({ file: 'lost' }, sqlite.source!.settings.parse({ query: 'select 1' }), context);
    const sink = sqlite.sink!.open({ file: 'lost' }, sqlite.sink!.settings.parse({ table: 't', key: ['n'] }), context);
    expect(source.resumable).toBe(false);
    expect(Object.keys(sink.can).slice(0, 4)).toEqual(['commitOnce', 'append', 'put', 'load']);
    expect(sqlite.source!.settings.safeParse({ query: 'select 1', table: 't' }).success).toBe(false);
  });
});
