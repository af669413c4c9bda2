import fc from 'fast-check';
import type { Client } from 'pg';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { convert } from '../../src/formats/convert.ts';
import type { Chunk, Format } from '../../src/model/chunk.ts';
import { startPostgres, type TestPostgres } from '../postgres.ts';
import { type CopyFormat, copyIn, copyOut, createTable } from './copy-tables.ts';
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

const rowOf = fc.tuple(...EVERY_COLUMN.map(({ type }) => valuesOf(type)));

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

async function expectLossless(through: (chunks: readonly Chunk[], format: CopyFormat) => Promise<Chunk[]>): Promise<void> {
  await fc.assert(
    fc.asyncProperty(fc.array(rowOf, { minLength: 1, maxLength: 12 }), async (rows) => {
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
    { numRuns: 40 },
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
});
