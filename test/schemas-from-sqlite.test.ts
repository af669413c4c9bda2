import fc from 'fast-check';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { SchemaBench } from './schema-bench.ts';

let bench: SchemaBench;
beforeAll(async () => {
  bench = await SchemaBench.start();
});
afterAll(() => bench?.stop());

const COLUMNS = 'id integer primary key, i integer, r real, t text, b blob, n numeric';

const int64 = fc.oneof(
  fc.constantFrom(0n, -1n, 2n ** 63n - 1n, -(2n ** 63n), 9007199254740993n),
  fc.bigInt({ min: -(2n ** 63n), max: 2n ** 63n - 1n }),
);
// PostgreSQL keeps the sign of a zero, and SQLite writes it as 0.0 in a row: only there it is lost.
const double = fc
  .oneof(
    fc.constantFrom(Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY, 5e-324, 1.7976931348623157e308, 0.1),
    fc.double({ noNaN: true, noDefaultInfinity: true }),
  )
  .map((value) => (Object.is(value, -0) ? 0 : value));
// No text of PostgreSQL holds a character of the number 0, and none holds half of a pair.
const text = fc
  .oneof(fc.constantFrom('', 'NULL', '\\N', '\n', '"', '\u2028', '2026-11-19', '1e5'), fc.string({ unit: 'grapheme' }))
  .map((value) => value.replaceAll('\0', ' '));
const blob = fc.uint8Array({ maxLength: 40 }).map((bytes) => Buffer.from(bytes));
// Read as a number, the text of an infinite decimal is 0 to SQLite.
const number = fc.oneof(int64, double.filter(Number.isFinite));
const orNull = <T>(values: fc.Arbitrary<T>): fc.Arbitrary<T | null> => fc.option(values, { nil: null });

const rows = fc.array(fc.tuple(orNull(int64), orNull(double), orNull(text), orNull(blob), orNull(number)), {
  minLength: 1,
  maxLength: 25,
});

let nth = 0;

describe('a table that is not there is made from a table of SQLite', () => {
  it('P32: in PostgreSQL, and in SQLite again, with every value as it was', async () => {
    await fc.assert(
      fc.asyncProperty(rows, async (values) => {
        const [from, over, back] = ['from', 'over', 'back'].map((name) => `${name}_${++nth}`);
        bench.lite((database) => {
          database.exec(`create table ${from} (${COLUMNS})`);
          const insert = database.prepare(`insert into ${from} values (?, ?, ?, ?, ?, ?)`);
          for (const [at, row] of values.entries()) insert.run(at, ...row);
        });
        bench.configure({
          [`there_${over}`]: `source: { connection: lite, table: ${from}, key: id }
sink: { connection: db, table: ${over}, key: [id] }
schema: evolve`,
          [`again_${back}`]: `source: { connection: db, table: ${over}, key: id }
sink: { connection: lite, table: ${back}, key: [id] }
schema: evolve`,
        });
        for (const flow of [`there_${over}`, `again_${back}`]) {
          const { run, notices } = await bench.run(flow);
          expect(run.state, JSON.stringify(notices)).toBe('complete');
        }
        expect(all(back!)).toEqual(all(from!));
      }),
      { numRuns: 12 },
    );
  });
});

/** Each value in SQLite's own words; those of `n` by their worth: a decimal of PostgreSQL comes back as a text. */
const all = (table: string): unknown =>
  bench.lite((database) =>
    database
      .prepare(`select id, quote(i), quote(r), quote(t), quote(b), cast(n as real) from ${table} order by id`)
      .raw()
      .all(),
  );
