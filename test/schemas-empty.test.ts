import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { ParquetFile } from '../src/formats/parquet/write.ts';
import type { Columns } from '../src/model/columns.ts';
import { SchemaBench } from './schema-bench.ts';

let bench: SchemaBench;
beforeAll(async () => {
  bench = await SchemaBench.start();
  await bench.client.query(`create type mood as enum ('calm');
    create table src (id int8 primary key, day date, price numeric(12,2), mood mood)`);
  bench.lite((database) => database.exec('create table src (id integer primary key, day date, price decimal(12,2))'));
});
afterAll(() => bench?.stop());

const PACKED: Columns = [
  { name: 'id', type: { kind: 'int64' }, nullable: true },
  { name: 'price', type: { kind: 'decimal', precision: 12, scale: 2 }, nullable: true },
];
async function parquetOf(ids: readonly string[]): Promise<Uint8Array> {
  const file = new ParquetFile(PACKED);
  for (const id of ids) file.add([id, null]);
  return await file.finish();
}

const EMPTY = { window: '2026-11-19' };
const flowOf = (source: string, sink: string, more: string): string =>
  `source: { ${source}, key: id }\nsink: { ${sink} }\nwindow: day\n${more}`;
const liteColumns = (table: string): unknown =>
  bench.lite((database) => database.prepare('select name, type from pragma_table_info(?)').raw().all(table));

describe('a window without a record, of a source that says its types', () => {
  it.each(['ledgered-append', 'transactional-writer', 'merger'])(
    'P08: makes the table, and the first record goes there with %s',
    async (strategy) => {
      const table = strategy.replaceAll('-', '_');
      const query = 'query: "select * from src where day = :date"';
      bench.configure({
        [`db_${table}`]: flowOf(
          `connection: db, ${query}`,
          `connection: db, table: ${table}, key: [id]`,
          `strategy: ${strategy}\nschema: evolve`,
        ),
        [`lite_${table}`]: flowOf(
          `connection: db, ${query}`,
          `connection: lite, table: ${table}, key: [id]`,
          `strategy: ${strategy}\nschema: evolve`,
        ),
      });
      for (const flow of [`db_${table}`, `lite_${table}`]) {
        const ran = await bench.run(flow, EMPTY);
        expect(ran.run.state, JSON.stringify(ran.stalled)).toBe('complete');
        expect(ran.lanes[0]!.balance.read).toBe(0);
      }
      const types = { id: 'bigint', day: 'date', price: 'numeric(12,2)', mood: 'text' };
      expect(await bench.columns(table)).toEqual(types);
      expect(liteColumns(table)).toEqual([
        ['id', 'INTEGER'],
        ['day', 'TEXT DATE'],
        ['price', 'TEXT DECIMAL(12,2)'],
        ['mood', 'TEXT'],
      ]);
      await bench.client.query(`insert into src values (1, '2026-11-20', 1.5, 'calm')`);
      expect((await bench.run(`db_${table}`, { window: '2026-11-20' })).run.state).toBe('complete');
      expect(await bench.dump(table)).toEqual(['(1,2026-11-20,1.50,calm)']);
      await bench.client.query('delete from src');
    },
  );

  it('P08: makes the table by what SQLite was told of the columns, and none where only values could tell', async () => {
    bench.configure({
      told: flowOf('connection: lite, table: src', 'connection: db, table: told', 'schema: evolve'),
      untold: flowOf(
        'connection: lite, query: "select id, id + 1 as next from src"',
        'connection: db, table: untold',
        'schema: evolve',
      ),
    });
    for (const flow of ['told', 'untold']) expect((await bench.run(flow, EMPTY)).run.state).toBe('complete');
    expect(await bench.columns('told')).toEqual({ id: 'bigint', day: 'date', price: 'numeric' });
    expect(await bench.columns('untold')).toEqual({});
  });

  it('P08: makes the table by the columns of a Parquet file, and by the declared ones of a CSV file', async () => {
    writeFileSync(join(bench.folder, 'none.csv'), 'id,price,code\n');
    writeFileSync(join(bench.folder, 'untyped.csv'), 'id,price,code\n');
    const types = 'types: { id: int64, price: "decimal(12,2)" }';
    writeFileSync(join(bench.folder, 'none.parquet'), await parquetOf([]));
    writeFileSync(join(bench.folder, 'some.parquet'), await parquetOf(['7']));
    bench.configure({
      packed: flowOf('connection: folder, path: none.parquet', 'connection: db, table: packed', 'schema: evolve'),
      // A file without a row beside others says nothing that the others do not say.
      mixed: flowOf('connection: folder, path: "*e.parquet"', 'connection: db, table: mixed', 'schema: evolve'),
      typed: flowOf(`connection: folder, path: none.csv, ${types}`, 'connection: db, table: typed', 'schema: evolve'),
      untyped: flowOf('connection: folder, path: untyped.csv', 'connection: db, table: nothing', 'schema: evolve'),
    });
    for (const flow of ['packed', 'mixed', 'typed', 'untyped']) {
      expect((await bench.run(flow, EMPTY)).run.state, flow).toBe('complete');
    }
    expect(await bench.columns('packed')).toEqual({ id: 'bigint', price: 'numeric(12,2)' });
    expect(await bench.dump('packed')).toEqual([]);
    expect(await bench.dump('mixed')).toEqual(['(7,)']);
    expect(await bench.columns('typed')).toEqual({ id: 'bigint', price: 'numeric(12,2)', code: 'text' });
    expect(await bench.columns('nothing')).toEqual({});
  });

  it('P08: is held against the sink like any other', async () => {
    await bench.client.query('create table narrow (id int8)');
    bench.configure({
      narrow: flowOf('connection: db, table: src', 'connection: db, table: narrow', 'schema: freeze'),
    });
    await expect(bench.run('narrow', EMPTY)).rejects.toMatchObject({
      code: 'SCHEMA_DIFFERS',
      message: expect.stringMatching(/the column "day" \(date\) is not in the sink/),
    });
  });
});
