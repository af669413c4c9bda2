import fc from 'fast-check';
import { expect, it } from 'vitest';
import { convert } from '../formats/convert.ts';
import { csvReader, fieldsOfJson } from '../formats/pgcopy/to-copy.ts';
import { textAt } from '../formats/record-text.ts';
import type { Chunk } from '../model/chunk.ts';
import { WaybillError } from '../model/errors.ts';
import { columnsOf } from './encode.ts';

const VALUES: Readonly<Record<string, readonly string[]>> = {
  text: ['a', '\\.', '{"a":1}', 'null'],
  int32: ['1', ' 2', '2147483648', '1.0', '1e3'],
  int64: ['9007199254740993', '-0', '+1'],
  float64: ['0.1', 'NaN', '-Infinity', '1e309', '.5'],
  'decimal(12,2)': ['1.50', '1.005', '-0.0', 'NaN'],
  boolean: ['true', 't', 'yes', '1'],
  uuid: ['c4ca4238-a0b9-2382-0dcc-509a6f75849b', 'c4ca'],
  date: ['2026-11-19', '2026-02-30', 'infinity'],
  timestamptz: ['2026-11-19T12:00:00Z', '2026-11-19 12:00:00.5+02', 'now'],
  bytes: ['YWJj', '\\x61', '!'],
  jsonb: ['{"a":1}', '1', '"a"', 'x'],
  'int32[]': ['[1,null]', '{1,2}', 'x'],
};
const TYPES = Object.keys(VALUES);
const words = fc.string({ unit: fc.constantFrom(...'a"\n\r\t,\\.ü𝄞 0\u0001{}[]'), maxLength: 5 });
const fieldOf = (type: string) => fc.option(fc.oneof(fc.constantFrom(...VALUES[type]!), words));

const said = (read: () => unknown): unknown => {
  try {
    return read();
  } catch (error) {
    if (error instanceof WaybillError) return { code: error.code, message: error.message };
    throw error;
  }
};

it('a row of CSV has the fields that it has as JSON, or is refused for the same reason', () => {
  const tables = fc
    .record({
      types: fc.uniqueArray(fc.constantFrom(...TYPES), { minLength: 1 }),
      known: fc.integer({ min: 0, max: 12 }),
    })
    .chain(({ types, known }) =>
      fc.record({ types: fc.constant(types), known: fc.constant(known), row: fc.tuple(...types.map(fieldOf)) }),
    );
  let read = 0;
  fc.assert(
    fc.property(tables, ({ types, known, row }) => {
      const quoted = (field: string | null): string => (field === null ? '' : `"${field.replaceAll('"', '""')}"`);
      const bytes = Buffer.from(row.map(quoted).join(',') || '""');
      const chunk: Chunk = {
        format: 'csv',
        bytes,
        spans: Uint32Array.of(0, bytes.length),
        count: 1,
        columns: types,
        firstRow: 1,
      };
      // Some fields of the row are no columns, and one column is no field.
      const columns = columnsOf(
        Object.fromEntries([...types.slice(known > 9 ? 1 : 0), 'text 2'].map((name) => [name, name.replace(' 2', '')])),
      );
      const { bytes: json } = convert(chunk, 'ndjson');
      const wanted = said(() => fieldsOfJson(Buffer.from(json).toString().trimEnd(), columns));
      expect(said(() => csvReader(types, columns)(textAt(chunk, 0)))).toEqual(wanted);
      if (Array.isArray(wanted)) read++;
    }),
    { numRuns: 3_000 },
  );
  expect(read).toBeGreaterThan(100);
});
