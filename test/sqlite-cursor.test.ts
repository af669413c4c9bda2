import { rmSync } from 'node:fs';
import { join } from 'node:path';
import Database from 'better-sqlite3';
import { afterEach, describe, expect, it } from 'vitest';
import type { OpenContext, Source } from '../src/connectors/connector.ts';
import { sqlite } from '../src/connectors/sqlite/config.ts';
import type { Position } from '../src/model/position.ts';
import { newFolder } from './connectors/place.ts';
import { bringsEachVersionOnce } from './cursor-property.ts';
import { look, pull, valuesOf } from './cursor-pulls.ts';

const made: { readonly folder: string; readonly db: Database.Database }[] = [];
afterEach(() => {
  for (const { folder, db } of made.splice(0)) {
    db.close();
    rmSync(folder, { recursive: true, force: true });
  }
});

function place(sql: string): { readonly db: Database.Database; open(settings: Record<string, unknown>): Source } {
  const folder = newFolder('sqlite-cursor');
  const db = new Database(join(folder, 'db.sqlite'));
  made.push({ folder, db });
  db.exec(sql);
  const context = { folder } as unknown as OpenContext;
  const open = (settings: Record<string, unknown>): Source =>
    sqlite.source!.open({ file: 'db.sqlite' }, sqlite.source!.settings.parse(settings), context);
  return { db, open };
}

const ids = (pulled: { readonly records: readonly Readonly<Record<string, unknown>>[] }): readonly unknown[] =>
  pulled.records.map(({ id }) => id);

describe('an SQLite source by its cursor', () => {
  it.each([
    ['integers', 'integer', (tick: number) => 9_007_199_254_740_993n + BigInt(tick), ['at'], false],
    ['real numbers', 'real', (tick: number) => tick / 3, ['at'], false],
    ['texts', 'text', (tick: number) => `2026-11-19 05:00:00.${String(tick).padStart(6, '0')}`, ['at'], false],
    ['two columns', 'integer', (tick: number) => BigInt(tick), ['at', 'id'], true],
  ] as const)('brings each version of a row once, by %s', async (_, type, at, cursor, tickAfterPull) => {
    const { db, open } = place(`create table t (id integer primary key, v integer, at ${type}, filler text)`);
    // Long rows, so that a chunk holds few of them.
    const put = db.prepare('insert or replace into t values (?, ?, ?, hex(zeroblob(60000)))');
    const source = open({ table: 't', cursor });
    await bringsEachVersionOnce({
      numRuns: 12,
      tickAfterPull,
      open: () => {
        db.exec('delete from t');
        return {
          source,
          takes: [],
          write: ({ id, v, tick }) => void put.run(id, v, at(tick)),
          remove: (id) => void db.prepare('delete from t where id = ?').run(id),
        };
      },
    });
  });

  it('reads a query with its parameters, and the cursor around it', async () => {
    const { db, open } = place(`create table t (id integer primary key, kind text, n integer);
      insert into t values (1, 'a', 1), (2, 'b', 2), (3, 'a', 3)`);
    const source = open({
      query: 'select id, n as "the \'n""" from t where kind = :kind order by id desc;',
      cursor: 'the \'n"',
    });
    const parameters = { kind: { type: 'text' as const, value: 'a' } };
    const first = await pull(source, { parameters });
    expect(ids(first)).toEqual([1, 3]);
    db.exec("insert into t values (4, 'b', 4), (5, 'a', 5)");
    expect(ids(await pull(source, { parameters, from: first.position }))).toEqual([5]);
  });

  it('sees one state of the database, whatever is written meanwhile', async () => {
    const { db, open } = place(`pragma journal_mode = wal;
      create table t (id integer primary key, filler text);
      with recursive n(i) as (select 1 union all select i + 1 from n where i < 40)
      insert into t select i, hex(zeroblob(60000)) from n`);
    const source = open({ table: 't', cursor: 'id' });
    const reading = source.read(
      { window: { name: 'all' }, parameters: {}, pull: { taken: async () => new Set(), downloads: '' } },
      new AbortController().signal,
    );
    let count = 0;
    let end: Position | undefined;
    for await (const chunk of reading) {
      db.exec('insert into t select max(id) + 1, 0 from t; delete from t where id = 40');
      count += chunk.count;
      end = chunk.end;
    }
    expect(count).toBe(40);
    expect(valuesOf(end)).toEqual(['40']);
    expect(ids(await pull(source, { from: end })).length).toBeGreaterThan(1);
  });

  it('compares texts by their bytes, whatever the collation of the column', async () => {
    const { db, open } = place(
      "create table t (id integer, at text collate nocase); insert into t values (1, 'a'), (2, 'B')",
    );
    const source = open({ table: 't', cursor: 'at' });
    const first = await pull(source);
    expect(ids(first)).toEqual([2, 1]);
    db.exec("insert into t values (3, 'A'), (4, 'a'), (5, 'b')");
    expect(ids(await pull(source, { from: first.position }))).toEqual([4, 5]);
  });

  it('never reads rows without a value, and tells how many there are', async () => {
    const { open } = place("create table t (id integer, at text); insert into t values (1, null), (2, 'x'), (3, null)");
    const source = open({ table: 't', cursor: 'at' });
    expect(ids(await pull(source))).toEqual([2]);
    const notices = [{ kind: 'cursor-null', message: '2 rows are without a value in at and never read' }];
    expect(await look(source)).toEqual({ kind: 'new', notices });
  });

  it('reads all of the rows where it is no pull, those without a value as well', async () => {
    const { open } = place("create table t (id integer, at text); insert into t values (1, null), (2, 'x')");
    const chunks = [];
    const source = open({ table: 't', cursor: 'at' });
    for await (const chunk of source.read({ window: { name: 'all' }, parameters: {} }, new AbortController().signal))
      chunks.push(chunk);
    expect(chunks.map(({ count, end }) => [count, end])).toEqual([[2, undefined]]);
  });

  it('has nothing to say of an empty table, and reads what comes', async () => {
    const { db, open } = place('create table t (id integer)');
    const source = open({ table: 't', cursor: 'id' });
    expect(await look(source)).toEqual({ kind: 'unchanged', why: 'it holds no row yet' });
    expect((await pull(source)).chunks).toEqual([]);
    db.exec('insert into t values (7)');
    const first = await pull(source);
    expect(ids(first)).toEqual([7]);
    db.exec('delete from t');
    expect(await look(source, { from: first.position })).toMatchObject({ kind: 'unchanged' });
  });

  it('stays behind the newest number by as much as it is told', async () => {
    const { db, open } = place('create table t (id integer); insert into t values (1), (5), (10)');
    const source = open({ table: 't', cursor: 'id', lag: 5 });
    const first = await pull(source);
    expect(ids(first)).toEqual([1, 5]);
    db.exec('insert into t values (7), (12)');
    expect(ids(await pull(source, { from: first.position }))).toEqual([7]);
  });

  it('stays behind the clock by as much as it is told, in the spelling of the column', async () => {
    for (const [format, ago] of [
      ['%Y-%m-%d %H:%M:%S', '1 hour'],
      ['%Y-%m-%dT%H:%M:%fZ', '1 hour'],
      ['%Y-%m-%d', '3 days'],
    ]) {
      const { open } = place(`create table t (id integer, at text);
        insert into t values (1, strftime('${format}', 'now', '-${ago}')), (2, strftime('${format}', 'now'))`);
      expect(ids(await pull(open({ table: 't', cursor: 'at', lag: '30m' })))).toContain(1);
      expect(ids(await pull(open({ table: 't', cursor: 'at', lag: '2d' })))).toEqual(ago === '3 days' ? [1] : []);
    }
    const { open } = place("create table t (id integer, at text); insert into t values (1, 'abc')");
    await expect(pull(open({ table: 't', cursor: 'at', lag: '1s' }))).rejects.toThrow('no time as ISO 8601');
    await expect(pull(open({ table: 't', cursor: 'at', lag: 1 }))).rejects.toThrow(
      '`lag` is a number, and at is a text',
    );
  });

  it.each([
    ['a column that is not there', 'create table t (id integer)', 'no column "at"'],
    ['blobs', "create table t (at blob); insert into t values (x'00')", 'holds blobs'],
    ['numbers and texts', "create table t (at); insert into t values (1), ('x')", 'holds numbers and texts'],
  ])('refuses %s as a cursor', async (_, sql, why) => {
    const source = place(sql).open({ table: 't', cursor: 'at' });
    await expect(pull(source)).rejects.toMatchObject({ code: 'SOURCE_INVALID' });
    await expect(look(source)).rejects.toThrow(why);
  });

  it('says what to do when the type of the values has changed, or the position is no value', async () => {
    const { db, open } = place('create table t (id, at); insert into t values (1, 5)');
    const source = open({ table: 't', cursor: 'at' });
    const { position } = await pull(source);
    db.exec("update t set at = 'x'");
    await expect(look(source, { from: position })).rejects.toThrow('now of the type text, and the position is a value');
    db.exec('update t set at = 6');
    const wrong = { ...position!, value: '{"columns":["at"],"values":["2026-11-19"]}' };
    await expect(look(source, { from: wrong })).rejects.toThrow('that is no number');
  });

  it('refuses a lag without a cursor, and a cursor that names a column twice', () => {
    const { settings } = sqlite.source!;
    expect(settings.safeParse({ table: 't', lag: '5m' }).success).toBe(false);
    expect(settings.safeParse({ table: 't', cursor: ['a', 'a'] }).success).toBe(false);
    expect(settings.safeParse({ table: 't', cursor: 'a', lag: 'soon' }).success).toBe(false);
  });
});
