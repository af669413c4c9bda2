import fc from 'fast-check';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { sqlType } from '../src/formats/pgcopy/oids.ts';
import { SchemaBench } from './schema-bench.ts';
import { isInParquet } from './types/in-parquet.ts';
import { EVERY_COLUMN, valuesOf } from './types/postgres-values.ts';

let bench: SchemaBench;
beforeAll(async () => {
  bench = await SchemaBench.start();
  const columns = EVERY_COLUMN.map(({ name, type }) => `"${name}" ${sqlType(type)}`);
  await bench.client.query(`create table every (id bigint primary key, ${columns.join(', ')})`);
});
afterAll(() => bench?.stop());

/** Rows of every type, with the values at the edges of each, and others by chance. */
async function fill(rows: readonly (readonly (string | null)[])[]): Promise<void> {
  await bench.client.query('truncate every');
  const places = EVERY_COLUMN.map((_, at) => `$${at + 2}`).join(', ');
  for (const [id, row] of rows.entries()) {
    await bench.client.query(`insert into every values ($1, ${places})`, [id, ...row]);
  }
}

const FROM = 'source: { connection: db, table: every, key: id }';
const to = (sink: string, from = FROM): string => `${from}\nsink: { ${sink} }\nwindow: day\nschema: evolve`;

/** Nothing is known of earlier tables or runs. */
let nth = 0;
const fresh = (): string => `t${++nth}`;

/** What no store but PostgreSQL has: the sign of a zero of floats in SQLite. */
const unsigned = (text: string | null): string | null => (text === '-0' ? '0' : text);

const rowsOf = (fits: (at: number, text: string | null) => boolean) =>
  fc.array(
    fc.tuple(
      ...EVERY_COLUMN.map(({ type }, at) =>
        valuesOf(type)
          .map(unsigned)
          .filter((text) => fits(at, text)),
      ),
    ),
    { minLength: 1, maxLength: 25 },
  );

async function through(flows: (table: string) => Readonly<Record<string, string>>, table: string): Promise<void> {
  bench.configure(flows(table));
  for (const flow of Object.keys(flows(table))) {
    const { run, notices } = await bench.run(flow, { window: '2026-11-19' });
    expect(run.state, JSON.stringify(notices)).toBe('complete');
  }
  expect(await bench.dump(table)).toEqual(await bench.dump('every'));
}

describe('a table that is not there is made from the types of the source', () => {
  it('P32: from PostgreSQL to PostgreSQL, with the same types and every row as it was', async () => {
    await fc.assert(
      fc.asyncProperty(
        rowsOf(() => true),
        async (rows) => {
          await fill(rows);
          const table = fresh();
          await through((name) => ({ [`pg_${name}`]: to(`connection: db, table: ${name}, key: [id]`) }), table);
          expect(await bench.columns(table)).toEqual(await bench.columns('every'));
        },
      ),
      { numRuns: 5 },
    );
  });

  it('P32: from PostgreSQL to SQLite and back, with the same types and every row as it was', async () => {
    await fc.assert(
      fc.asyncProperty(
        rowsOf(() => true),
        async (rows) => {
          await fill(rows);
          const table = fresh();
          await through(
            (name) => ({
              [`lite_${name}`]: to(`connection: lite, table: ${name}, key: [id]`),
              [`back_${name}`]: to(
                `connection: db, table: ${name}, key: [id]`,
                `source: { connection: lite, table: ${name}, key: id }`,
              ),
            }),
            table,
          );
          expect(await bench.columns(table)).toEqual(await bench.columns('every'));
        },
      ),
      { numRuns: 5 },
    );
  });

  it('P32: from PostgreSQL to Parquet and back, where Parquet has the value', async () => {
    const fits = (at: number, text: string | null) => text === null || isInParquet(EVERY_COLUMN[at]!.type, text);
    await fc.assert(
      fc.asyncProperty(rowsOf(fits), async (rows) => {
        await fill(rows);
        const table = fresh();
        const path = `${table}/{{ window }}/{{ batch }}.parquet`;
        await through(
          (name) => ({
            [`files_${name}`]: to(`connection: folder, path: "${path}"`),
            [`back_${name}`]: to(
              `connection: db, table: ${name}, key: [id]`,
              `source: { connection: folder, path: "${name}/**/*.parquet", key: id }`,
            ),
          }),
          table,
        );
        expect(await bench.columns(table)).toEqual(await bench.columns('every'));
      }),
      { numRuns: 5 },
    );
  });
});
