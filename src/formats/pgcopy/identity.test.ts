import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { Chunk } from '../../model/chunk.ts';
import type { Columns } from '../../model/columns.ts';
import { convert } from '../convert.ts';
import { csvFramer } from '../csv.ts';
import { identify } from '../identify.ts';
import { showKey } from '../keys.ts';
import { ndjsonFramer } from '../ndjson.ts';
import { CopyWriter } from './copy-writer.ts';

const seed = Uint8Array.from({ length: 16 }, (_, i) => i * 11 + 3);
const COLUMNS: Columns = (
  [
    'int16',
    'int32',
    'int64',
    'boolean',
    'uuid',
    'text',
    'float64',
    'decimal',
    'date',
    'timestamptz',
    'bytes',
    'json',
  ] as const
).map((kind) => ({ name: kind, type: { kind }, nullable: true }));

const row = fc.tuple(
  fc.option(fc.integer({ min: -32_768, max: 32_767 }).map(String)),
  fc.option(fc.integer().map(String)),
  fc.option(
    fc.oneof(
      fc.bigInt({ min: -(2n ** 63n), max: 2n ** 63n - 1n }).map(String),
      fc.constantFrom('0', '42', '-9223372036854775808'),
    ),
  ),
  fc.option(fc.constantFrom('true', 'false')),
  fc.option(fc.uuid()),
  fc.option(
    fc.oneof(
      fc.constantFrom('', 'a\tb', '\\N', 'x'.repeat(15), 'x'.repeat(16), 'é"\\'),
      fc.string({ unit: 'grapheme' }).map((value) => value.replaceAll('\0', '')),
    ),
  ),
  fc.option(fc.constantFrom('0', '-0', '1.5', '1e+21', 'NaN', '0.1')),
  fc.option(fc.constantFrom('0', '1.50', '-0.001', '12345678901234567890.10', 'NaN')),
  fc.option(fc.constantFrom('2026-11-19', 'infinity', '0044-03-15 BC')),
  fc.option(fc.constantFrom('2026-11-19T08:30:00.5+00:00', '-infinity')),
  fc.option(fc.constantFrom('', 'AAEC')),
  fc.option(fc.constantFrom('{"a":1,"a":2}', '[1,2]', '"x"', '12345678901234567890')),
);

function copied(format: 'pgcopy' | 'pgcopy-text', rows: readonly (readonly (string | null)[])[]): Chunk {
  const writer = new CopyWriter(format, COLUMNS);
  for (const fields of rows) writer.add(fields);
  return { format, ...writer.finish(), types: COLUMNS, firstRow: 1 };
}

/** The same rows in every format, as a source would cut them. */
function inAllFormats(rows: readonly (readonly (string | null)[])[]): Record<string, Chunk> {
  const binary = copied('pgcopy', rows);
  const json = ndjsonFramer();
  json.push(convert(binary, 'ndjson').bytes);
  const [ndjson] = json.end();
  return { binary, text: copied('pgcopy-text', rows), ndjson: ndjson! };
}

describe('the identity of a row', () => {
  it('is the same key in binary COPY, text COPY and NDJSON, for key columns of every type', () => {
    fc.assert(
      fc.property(
        fc.array(row, { minLength: 1, maxLength: 8 }),
        fc.subarray(
          COLUMNS.map(({ name }) => name),
          { minLength: 1, maxLength: 3 },
        ),
        (rows, key) => {
          const { binary, text, ndjson } = inAllFormats(rows);
          const wanted = identify(ndjson!, { key, seed });
          for (const chunk of [binary!, text!]) {
            const { keys, missing } = identify(chunk, { key, seed });
            expect(missing).toEqual(wanted.missing);
            expect(Buffer.from(keys)).toEqual(Buffer.from(wanted.keys));
          }
        },
      ),
      { numRuns: 300 },
    );
  });
  it('is the same digest by column in all of them, with columns left out or not', () => {
    fc.assert(
      fc.property(
        fc.array(row, { minLength: 1, maxLength: 8 }),
        fc.subarray(COLUMNS.map(({ name }) => name)),
        (rows, exclude) => {
          const options = { key: null, seed, exclude, byColumn: true };
          const digests = Object.values(inAllFormats(rows)).map((chunk) =>
            Buffer.from(identify(chunk, options).digests),
          );
          expect(digests[1]).toEqual(digests[0]);
          expect(digests[2]).toEqual(digests[0]);
        },
      ),
    );
  });
  it('is the key that CSV has for a number, a truth, a UUID or a text', () => {
    const fields = [
      '-7',
      '70000',
      '42',
      'true',
      '3f2b8c1e-0000-4d5a-9b7e-000000000001',
      'a,b "c"',
      ...Array.from({ length: 6 }, () => null),
    ];
    const { binary } = inAllFormats([fields]);
    const framer = csvFramer({ header: COLUMNS.map(({ name }) => name) });
    framer.push(convert(binary!, 'csv').bytes);
    const [csv] = framer.end();
    for (const name of ['int16', 'int32', 'int64', 'boolean', 'uuid', 'text']) {
      const [one, other] = [binary!, csv!].map((chunk) => Buffer.from(identify(chunk, { key: [name], seed }).keys));
      expect(other).toEqual(one);
    }
    expect(showKey(identify(binary!, { key: ['int64', 'boolean'], seed }).keys)).toBe('42, true');
  });
  it('has no key where a key column is null, whatever the others hold', () => {
    const chunk = copied('pgcopy', [['1', null, '3', ...Array.from({ length: 9 }, () => null)]]);
    expect(identify(chunk, { key: ['int16', 'int64'], seed }).missing).toEqual([]);
    expect(identify(chunk, { key: ['float64', 'int32'], seed }).missing).toEqual([0]);
    expect(identify(chunk, { key: ['int16', 'int32'], seed }).missing).toEqual([0]);
  });
  it('says which column there is none of', () => {
    expect(() => identify(copied('pgcopy', []), { key: ['id'], seed })).toThrow(
      'the column "id" is not among those of the COPY',
    );
  });
});
