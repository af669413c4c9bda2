import Database from 'better-sqlite3';
import fc from 'fast-check';
import type { Client } from 'pg';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { plainOfSqlite, type SqliteValue, sqliteType, sqliteValue } from '../../src/formats/columns/sqlite-values.ts';
import { convert } from '../../src/formats/convert.ts';
import { openParquet, type RandomAccess } from '../../src/formats/parquet/read.ts';
import { ParquetFile } from '../../src/formats/parquet/write.ts';
import { CopyWriter } from '../../src/formats/pgcopy/copy-writer.ts';
import { copyFields } from '../../src/formats/pgcopy/fields.ts';
import type { Chunk, Format } from '../../src/model/chunk.ts';
import type { ColumnType } from '../../src/model/columns.ts';
import { startPostgres, type TestPostgres } from '../postgres.ts';
import { type CopyFormat, copyIn, copyOut, createTable } from './copy-tables.ts';
import { isInParquet } from './in-parquet.ts';
import { EVERY_COLUMN, valuesOf } from './postgres-values.ts';

let server: TestPostgres;
let client: Client;
beforeAll(async () => {
  server = await startPostgres();
  client = await server.client();
  await client.query("set timezone = 'UTC'; set datestyle = 'ISO'");
  await createTable(client, 'source', EVERY_COLUMN);
  await createTable(client, 'sink', EVERY_COLUMN);
});
afterAll(async () => {
  await client?.end();
  await server?.stop();
});

const rowsWith = (change: (value: fc.Arbitrary<string | null>, type: ColumnType) => fc.Arbitrary<string | null>) =>
  fc.array(fc.tuple(...EVERY_COLUMN.map(({ type }) => change(valuesOf(type), type))), { minLength: 1, maxLength: 12 });
const anyRows = rowsWith((value) => value);

async function fill(rows: readonly (readonly (string | null)[])[]): Promise<void> {
  await client.query('truncate source');
  const places = EVERY_COLUMN.map((_, at) => `$${at + 1}`).join(', ');
  for (const row of rows) await client.query(`insert into source values (${places})`, [...row]);
}

/** Every row as PostgreSQL itself prints it: byte for byte what it would write into a dump. */
async function dump(table: string): Promise<string[]> {
  const { rows } = await client.query<{ t: string }>(`select t::text as t from ${table} t order by 1`);
  return rows.map(({ t }) => t);
}

async function expectLossless(
  through: (chunks: readonly Chunk[], format: CopyFormat) => Promise<Chunk[]>,
  rowsOf = anyRows,
): Promise<void> {
  await fc.assert(
    fc.asyncProperty(rowsOf, async (rows) => {
      await fill(rows);
      const wanted = await dump('source');
      for (const format of ['pgcopy', 'pgcopy-text'] as const) {
        const chunks = await copyOut(client, 'select * from source', EVERY_COLUMN, format);
        await client.query('truncate sink');
        for (const chunk of await through(chunks, format)) {
          const back = convert(chunk, format, undefined, { types: EVERY_COLUMN });
          expect(back.failed).toEqual([]);
          await copyIn(client, 'sink', back);
        }
        expect(await dump('sink')).toEqual(wanted);
      }
    }),
    { numRuns: 25 },
  );
}

const converted = (chunk: Chunk, to: Format): Chunk => {
  const { failed, ...result } = convert(chunk, to);
  expect(failed).toEqual([]);
  return { ...result, firstRow: chunk.firstRow };
};

describe('a row of every type', () => {
  it('comes back from NDJSON as it was', async () => {
    await expectLossless(async (chunks) => chunks.map((chunk) => converted(chunk, 'ndjson')));
  });
  it('comes back from CSV as it was', async () => {
    await expectLossless(async (chunks) => chunks.map((chunk) => converted(chunk, 'csv')));
  });
  it('comes back from the other form of COPY as it was', async () => {
    await expectLossless(async (chunks, format) =>
      chunks.map((chunk) => converted(chunk, format === 'pgcopy' ? 'pgcopy-text' : 'pgcopy')),
    );
  });
  it('comes back from SQLite as it was, but for the sign of zero', async () => {
    await expectLossless(
      async (chunks) => chunks.map(throughSqlite),
      rowsWith((value, type) =>
        type.kind.startsWith('float') ? value.map((text) => (text === '-0' ? '0' : text)) : value,
      ),
    );
  });
  it('comes back from Parquet as it was, with its types, where Parquet has the value', async () => {
    await expectLossless(
      async (chunks) => (await Promise.all(chunks.map(throughParquet))).flat(),
      rowsWith((value, type) => value.filter((text) => text === null || isInParquet(type, text))),
    );
  });
});

describe('the JSON of a row', () => {
  it('is what PostgreSQL itself writes, but for bytes in base64 and floats as JavaScript spells them', async () => {
    const columns = EVERY_COLUMN.filter(({ type }) => !/^(float|bytes)/.test(type.kind));
    const list = columns.map(({ name }) => `"${name}"`).join(', ');
    await fc.assert(
      fc.asyncProperty(anyRows, async (rows) => {
        await fill(rows);
        const ordered = `select ${list} from source s order by ctid`;
        const { rows: wanted } = await client.query<{ json: string }>(
          `select row_to_json(r)::text as json from (${ordered}) r`,
        );
        for (const format of ['pgcopy', 'pgcopy-text'] as const) {
          const chunks = await copyOut(client, ordered, columns, format);
          const lines = chunks.flatMap((chunk) => Buffer.from(converted(chunk, 'ndjson').bytes).toString().split('\n'));
          expect(lines).toEqual(wanted.map(({ json }) => json));
        }
      }),
      { numRuns: 25 },
    );
  });
  it('is on one line where PostgreSQL keeps line ends, and its tokens are as they were', async () => {
    await client.query('truncate source; truncate sink');
    const doc = '{\n"b":\r\n [1.0,\t"\\n"]}';
    await client.query('insert into source ("a json", "json[]") values ($1, array[$1]::json[])', [doc]);
    const [chunk] = await copyOut(client, 'select * from source', EVERY_COLUMN, 'pgcopy');
    const line = Buffer.from(converted(chunk!, 'ndjson').bytes).toString();
    expect(line).toContain('"a json":{ "b":   [1.0,\t"\\n"]}');
    for (const format of ['pgcopy', 'pgcopy-text', 'csv'] as const) {
      await client.query('truncate sink');
      await copyIn(client, 'sink', convert(converted(chunk!, format), 'pgcopy', undefined, { types: EVERY_COLUMN }));
      expect((await client.query('select "a json"::text from sink')).rows).toEqual([{ 'a json': doc }]);
    }
  });
  it('is refused for an array that begins elsewhere than at 1, with its row and column', async () => {
    await client.query('truncate source');
    await client.query(`insert into source ("int64[]") values ('{1}'), ('[0:1]={1,2}'), ('{2}')`);
    for (const format of ['pgcopy', 'pgcopy-text'] as const) {
      const [chunk] = await copyOut(client, 'select * from source order by ctid', EVERY_COLUMN, format);
      const { failed, count } = convert(chunk!, 'ndjson');
      expect(count).toBe(2);
      expect(failed).toEqual([
        {
          row: 1,
          code: 'VALUE_UNFIT',
          message: 'column "int64[]" (int64[]): the value is an array that does not begin at 1',
        },
      ]);
    }
  });
});

const fieldsOf = (chunk: Chunk): (string | null)[][] =>
  Array.from({ length: chunk.count }, (_, index) => copyFields(chunk, index));

/** A table of SQLite with the types that it is to have, in a database of its own. */
function throughSqlite(chunk: Chunk): Chunk {
  const database = new Database(':memory:');
  try {
    database.defaultSafeIntegers(true);
    const names = EVERY_COLUMN.map(({ name }) => `"${name}"`);
    database.exec(
      `create table t (${EVERY_COLUMN.map(({ type }, at) => `${names[at]} ${sqliteType(type)}`).join(', ')})`,
    );
    const insert = database.prepare(`insert into t values (${names.map(() => '?').join(', ')})`);
    for (const row of fieldsOf(chunk))
      insert.run(...row.map((field, at) => sqliteValue(EVERY_COLUMN[at]!.type, field)));
    const rows = database.prepare<[], SqliteValue[]>('select * from t order by rowid').raw(true).all();
    const writer = new CopyWriter('pgcopy', EVERY_COLUMN);
    for (const row of rows) writer.add(row.map((value, at) => plainOfSqlite(EVERY_COLUMN[at]!.type, value)));
    return { format: 'pgcopy', ...writer.finish(), types: EVERY_COLUMN, firstRow: 1 };
  } finally {
    database.close();
  }
}

async function throughParquet(chunk: Chunk): Promise<Chunk[]> {
  const file = new ParquetFile(EVERY_COLUMN);
  for (const row of fieldsOf(chunk)) file.add(row);
  const opened = await openParquet(inMemory(await file.finish()));
  expect(opened.columns).toEqual(EVERY_COLUMN);
  const chunks: Chunk[] = [];
  for await (const { nextRow: _, ...read } of opened.chunks(0, new AbortController().signal)) {
    expect(read.rejects).toBeUndefined();
    chunks.push(read);
  }
  return chunks;
}

function inMemory(bytes: Uint8Array): RandomAccess {
  return { size: bytes.length, read: async (start, end) => Uint8Array.from(bytes.subarray(start, end)).buffer };
}
