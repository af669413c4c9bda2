import { Buffer } from 'node:buffer';
import fc from 'fast-check';
import { parquetMetadata } from 'hyparquet';
import { describe, expect, it } from 'vitest';
import { type Column, type Columns, parseColumnType } from '../../model/columns.ts';
import { WaybillError } from '../../model/errors.ts';
import { csvReader } from '../pgcopy/to-copy.ts';
import { parquetOfCsv } from './csv-file.ts';
import { openParquet } from './read.ts';
import { ParquetFile } from './write.ts';

const signal = new AbortController().signal;
const entries = { 'waybill.batch': 'digest' };

async function linesOf(bytes: Uint8Array): Promise<string[]> {
  const file = await openParquet({
    size: bytes.length,
    read: async (start, end) => Uint8Array.from(bytes.subarray(start, end)).buffer,
  });
  const lines: string[] = [JSON.stringify([...file.entries])];
  for await (const chunk of file.chunks(0, signal)) {
    expect(chunk.rejects ?? []).toEqual([]);
    for (let at = 0; at < chunk.count; at++) {
      lines.push(Buffer.from(chunk.bytes).toString('utf8', chunk.spans[at * 2], chunk.spans[at * 2 + 1]));
    }
  }
  return lines;
}

/** What readers are told without reading: types, and the least and the greatest of each column. */
function saidOf(bytes: Uint8Array): unknown {
  const { schema, row_groups, num_rows, created_by } = parquetMetadata(Uint8Array.from(bytes).buffer);
  const groups = row_groups.map(({ columns, num_rows: rows }) => [
    rows,
    columns.map(({ meta_data: said }) => [said!.path_in_schema, said!.codec, said!.num_values, said!.statistics]),
  ]);
  return [schema, num_rows, created_by, groups];
}

interface Rows {
  readonly bytes: Buffer;
  readonly spans: Uint32Array;
}
function rowsOf(rows: readonly (Buffer | string)[]): Rows {
  const spans: number[] = [];
  // A batch need not begin where its bytes do.
  const parts: Buffer[] = [Buffer.from('#\n')];
  let at = 2;
  for (const row of rows) {
    const bytes = Buffer.from(row as string);
    spans.push(at, at + bytes.length);
    parts.push(bytes, Buffer.from('\n'));
    at += bytes.length + 1;
  }
  return { bytes: Buffer.concat(parts), spans: Uint32Array.from(spans) };
}

async function byRecord(
  columns: Columns,
  names: readonly string[],
  { bytes, spans }: Rows,
): Promise<Uint8Array | undefined> {
  const file = new ParquetFile(columns, { entries });
  const read = csvReader(names, columns);
  try {
    for (let at = 0; at < spans.length; at += 2) file.add(read(bytes.toString('utf8', spans[at], spans[at + 1])));
  } catch (error) {
    if (error instanceof WaybillError) return undefined;
    throw error;
  }
  return file.finish();
}

/** Whether the rows had a place in the file, which is the same by columns as by records. */
async function compare(columns: Columns, names: readonly string[], rows: Rows): Promise<boolean> {
  const wanted = await byRecord(columns, names, rows);
  const made = await parquetOfCsv(columns, { ...rows, names }, entries);
  expect(made === undefined).toBe(wanted === undefined);
  if (made === undefined || wanted === undefined) return false;
  expect(saidOf(made)).toEqual(saidOf(wanted));
  const [own, others] = [await linesOf(made), await linesOf(wanted)];
  // Texts first: the runner takes its time over long lists.
  if (own.join('\n') !== others.join('\n')) expect(own).toEqual(others);
  const again = await parquetOfCsv(columns, { ...rows, names }, entries);
  expect(Buffer.compare(again!, made)).toBe(0);
  return true;
}

const columnOf = (name: string, type: string, nullable = true): Column => ({
  name,
  type: parseColumnType(type)!,
  nullable,
});

/** For each type texts that it has, in all spellings, and texts that it has not or Parquet has not. */
const digits = (most: number) => fc.stringMatching(new RegExp(`^-?[0-9]{1,${most}}$`));
const numeral = (whole: number, fraction: number) =>
  fc.stringMatching(new RegExp(`^[+-]?[0-9]{0,${whole}}[.]?[0-9]{0,${fraction}}(?:[eE][+-]?[0-9]{1,3})?$`));
const two = (most: number) => fc.integer({ min: 0, max: most }).map((n) => String(n).padStart(2, '0'));
const day = fc
  .tuple(fc.integer({ min: 1, max: 9999 }), fc.integer({ min: 1, max: 12 }), fc.integer({ min: 1, max: 29 }))
  .map(([y, m, d]) => `${String(y).padStart(4, '0')}-${String(m).padStart(2, '0')}-${String(d).padStart(2, '0')}`);
const clock = fc
  .tuple(two(23), two(59), two(59), fc.stringMatching(/^(?:\.[0-9]{1,6}0?)?$/))
  .map(([h, m, s, rest]) => `${h}:${m}:${s}${rest}`);
const zone = fc.oneof(
  fc.constantFrom('Z', '+00', '-15:59', '+1559', 'z'),
  fc.stringMatching(/^[+-][01][0-9](?::?[0-5][0-9])?$/),
);
const moment = fc.tuple(day, fc.constantFrom('T', ' '), clock).map((parts) => parts.join(''));
const number = fc.oneof(fc.double().map(String), fc.float().map(String), numeral(3, 4), digits(17), numeral(9, 20));
const decimal = fc.oneof(digits(20), numeral(6, 4), numeral(20, 3), fc.constantFrom('NaN', '-0.00', '00012.5', '1e3'));
const words = fc.string({ unit: fc.constantFrom(...'ab"\n\r\t,\\.ü𝄞 0\u0001{}[]'), maxLength: 40 });

const VALUES: Readonly<Record<string, readonly [good: fc.Arbitrary<string>, odd: readonly string[]]>> = {
  boolean: [fc.constantFrom('true', 'false', 'T', 'f', '1', '0', 'TRUE', 'False'), ['yes', 'tru', 'falsey', '']],
  int16: [fc.integer({ min: -32768, max: 32767 }).map(String), ['32768', '-32769', '1e3', '007', '-0', '+1', '1.5']],
  int32: [fc.integer().map(String), ['2147483648', '-2147483648', '-2147483649', '1.0', '--1', '-', '1a']],
  int64: [
    fc.bigInt({ min: -(2n ** 63n), max: 2n ** 63n - 1n }).map(String),
    ['9223372036854775808', '-9223372036854775808', '-9223372036854775809', '99999999999999999999', '0'.repeat(30)],
  ],
  float32: [number, ['NaN', 'Infinity', '-infinity', '1e39', '-0', '-0.0', '1.17549435e-38', '16777217', 'x']],
  float64: [
    number,
    ['nan', '-Infinity', '1e309', '1e', '1e+', 'e1', '1e+-5', '-0', '-0.0e5', '5.', '.5', '0x1', '1e22'],
  ],
  'decimal(9,2)': [
    fc.integer({ min: -999999999, max: 999999999 }).map((n) => (n / 100).toFixed(2)),
    ['1.005', '10000000', '9999999.99', 'NaN'],
  ],
  'decimal(18,6)': [digits(12), ['999999999999.999999', '1e12', '-.5', '1.0000000', '-0.0000001']],
  'decimal(38,10)': [numeral(25, 10), ['9'.repeat(28), `-${'9'.repeat(28)}.9999999999`, '9'.repeat(29)]],
  'decimal(5,0)': [digits(5), ['1.0', '100000']],
  'decimal(3,-2)': [fc.constantFrom('100', '99900'), ['1', '100000']],
  decimal: [decimal, ['Infinity', '01', '-0', '0', '-0.5', '0.50', '-', '.', '', '9'.repeat(1001)]],
  text: [
    fc.oneof(
      words,
      fc.string({ unit: 'binary', maxLength: 20 }).filter((text) => !/\p{Surrogate}/u.test(text)),
    ),
    ['', '\\.', 'null'],
  ],
  bytes: [
    fc.uint8Array({ maxLength: 9 }).map((bytes) => Buffer.from(bytes).toString('base64')),
    ['', '\\x61', '!', 'a'],
  ],
  date: [
    day,
    ['0000-01-01', '10000-01-01', '0044-03-15 BC', '2026-02-30', '2024-02-29', '1900-02-29', 'infinity', '-0001-01-01'],
  ],
  time: [clock, ['24:00:00', '08:30', '12:60:00', '12:00:00.', '12:00:00.0000001']],
  timestamp: [
    moment,
    [
      '2026-11-19',
      '2026-11-19T12:00',
      'infinity',
      '2026-11-19t12:00:00',
      '2026-11-19T12:00:00Z',
      '0001-01-01 00:00:00',
    ],
  ],
  timestamptz: [
    fc.tuple(moment, zone).map((parts) => parts.join('')),
    [
      '2026-11-19T12:00:00',
      '2026-11-19T12:00:00+16',
      '0001-01-01T00:00:00+15:59',
      '9999-12-31T23:59:59.999999-15:59',
      '2026-11-19T12:00:00+01:02:03',
      '2026-11-19T12:00:00+1:00',
      '294276-12-31T00:00:00Z',
    ],
  ],
  uuid: [
    fc.uuid(),
    [
      '{c4ca4238-a0b9-2382-0dcc-509a6f75849b}',
      'C4CA4238A0B923820DCC509A6F75849B',
      'c4ca4238-a0b9-2382-0dcc-509a6f75849g',
      'C4CA4238-A0B9-2382-0DCC-509A6F75849B',
      'c4ca4238-a0b9-2382-0dcc_509a6f75849b',
    ],
  ],
  json: [fc.json(), ['x', '']],
  jsonb: [fc.json(), ['{']],
  'int32[]': [fc.constant('[1]'), ['[1,null]']],
};
const TYPES = Object.keys(VALUES);

/** A field as it may be spelled in a row; null: nothing at all. */
const spelledOf = (value: string | null, quoted: boolean): string => {
  if (value === null) return '';
  return quoted || value === '' || /[",\r\n]/.test(value) ? `"${value.replaceAll('"', '""')}"` : value;
};

function fieldOf(type: string, oddly: boolean): fc.Arbitrary<string> {
  const [good, odd] = VALUES[type]!;
  const value = oddly ? fc.oneof({ weight: 6, arbitrary: good }, fc.constantFrom(...odd), words) : good;
  return fc.tuple(fc.option(value, { freq: 5 }), fc.boolean()).map(([one, quoted]) => spelledOf(one, quoted));
}

const tables = fc
  .record({ types: fc.uniqueArray(fc.constantFrom(...TYPES), { minLength: 1, maxLength: 6 }), oddly: fc.boolean() })
  .chain(({ types, oddly }) =>
    fc.record({
      types: fc.constant(types),
      nulls: fc.array(fc.boolean(), { minLength: types.length, maxLength: types.length }),
      rows: fc.array(fc.tuple(...types.map((type) => fieldOf(type, oddly))), { maxLength: oddly ? 2 : 40 }),
    }),
  );

describe('a Parquet file made of CSV column by column', () => {
  it('holds what it holds when it is made record by record, or is refused as that is', async () => {
    let made = 0;
    await fc.assert(
      fc.asyncProperty(tables, async ({ types, nulls, rows }) => {
        const columns = types.map((type, nth) => columnOf(type, type, nulls[nth]! || nth % 3 > 0));
        // Rows of one empty field would be no rows.
        const lines = rows.map((row) => row.join(',')).filter((line) => line !== '');
        if (await compare(columns, types, rowsOf(lines))) made++;
      }),
      { numRuns: 2_000 },
    );
    expect(made).toBeGreaterThan(300);
  });
  it.each(TYPES)('reads every spelling of %s as it is read by itself', async (type) => {
    const [good, odd] = VALUES[type]!;
    const texts = [...odd, ...fc.sample(good, 3_000), ...fc.sample(words, 20)];
    const columns = [columnOf('c', type)];
    const fit: string[] = [];
    for (const [nth, text] of texts.entries()) {
      const line = spelledOf(text, nth % 2 === 0);
      const rows = rowsOf([line]);
      // One by one only until it is known whether they fit: files are made of all of them below.
      try {
        csvReader(['c'], columns)(line);
        new ParquetFile(columns).add(csvReader(['c'], columns)(line));
        fit.push(line);
      } catch (error) {
        if (!(error instanceof WaybillError)) throw error;
        expect(await parquetOfCsv(columns, { ...rows, names: ['c'] }, entries), text).toBeUndefined();
      }
    }
    expect(await compare(columns, ['c'], rowsOf(fit))).toBe(true);
  });
  it('writes numbers for values that come again, as long as there are not too many of them', async () => {
    const few = fc.sample(fc.array(fc.oneof(fc.uuid(), words), { minLength: 50, maxLength: 50 }), 1)[0]!;
    const at = (nth: number, every: number): number => {
      const mixed = Math.imul(nth ^ (nth << 7), 0x85ebca6b);
      return (Math.imul(mixed ^ (mixed >>> 13), 0xc2b2ae35) >>> 4) % every;
    };
    const columns = [
      columnOf('few', 'text'),
      columnOf('one', 'text', false),
      // Alike at first, and then no longer; and the other way round.
      columnOf('later', 'int64'),
      columnOf('sooner', 'text'),
      columnOf('day', 'date'),
      columnOf('id', 'uuid'),
      columnOf('money', 'decimal(20,2)'),
      columnOf('number', 'float64'),
      columnOf('long', 'text'),
    ];
    const lines = Array.from({ length: 40_000 }, (_, nth) =>
      [
        spelledOf(nth % 3 === 0 ? null : few[at(nth, 50)]!, false),
        'a',
        String(nth < 20_000 ? at(nth, 200) : nth),
        nth < 5_000 ? `text ${nth}` : 'text',
        `2026-11-${10 + at(nth, 20)}`,
        `c4ca4238-a0b9-2382-0dcc-${String(at(nth, 5_000)).padStart(12, '0')}`,
        String(at(nth, 3) / 2),
        String(at(nth, 10)),
        'x'.repeat(at(nth, 30)) + String(nth % 7),
      ].join(','),
    );
    const names = columns.map(({ name }) => name);
    expect(await compare(columns, names, rowsOf(lines))).toBe(true);
    const made = await parquetOfCsv(columns, { ...rowsOf(lines), names }, entries);
    const { row_groups: groups } = parquetMetadata(Uint8Array.from(made!).buffer);
    const kinds = Object.fromEntries(
      groups[0]!.columns.map(({ meta_data: said }) => [
        said!.path_in_schema[0],
        said!.encoding_stats!.map(({ page_type, encoding }) => `${page_type} ${encoding}`),
      ]),
    );
    const [own, plain, numbers] = ['DICTIONARY_PAGE PLAIN', 'DATA_PAGE_V2 PLAIN', 'DATA_PAGE_V2 RLE_DICTIONARY'];
    expect(kinds).toEqual({
      few: [own, numbers],
      one: [own, numbers],
      later: [own, plain, numbers],
      sooner: [plain],
      day: [own, numbers],
      id: [own, numbers],
      money: [own, numbers],
      number: [plain],
      long: [own, numbers],
    });
  }, 60_000);
  it('has a row group for every 100,000 rows', async () => {
    const columns = [columnOf('n', 'int32'), columnOf('one', 'text')];
    const rows = rowsOf(Array.from({ length: 200_001 }, (_, nth) => `${nth},${nth < 100_000 ? '' : 'a'}`));
    expect(await compare(columns, ['n', 'one'], rows)).toBe(true);
  });
  it('knows which rows are null, in runs of any length', async () => {
    const runs = fc.sample(fc.oneof(fc.integer({ min: 1, max: 70 }), fc.integer({ min: 1, max: 9 })), 1_500);
    const lines = runs.flatMap((length, nth) => Array.from({ length }, () => (nth % 2 === 0 ? '' : String(nth))));
    const columns = [columnOf('n', 'int32'), columnOf('one', 'boolean')];
    const rows = rowsOf(lines.map((line, nth) => `${line},${nth % 5 === 0 || line === '' ? '' : 't'}`));
    expect(await compare(columns, ['n', 'one'], rows)).toBe(true);
  });
  it('may have many columns', async () => {
    const columns = Array.from({ length: 1_100 }, (_, nth) => columnOf(`c${nth}`, nth % 2 === 0 ? 'int32' : 'text'));
    const rows = rowsOf(Array.from({ length: 60 }, (_, row) => columns.map((_, nth) => (row * nth) % 97).join(',')));
    const names = columns.map(({ name }) => name).reverse();
    expect(await compare(columns, names, rows)).toBe(true);
  }, 60_000);
  it('takes rows that lack fields, columns that no field is for, and two fields of one name', async () => {
    const columns = [columnOf('b', 'int32'), columnOf('none', 'text'), columnOf('a', 'text')];
    const rows = rowsOf(['x,1,y', '"",2', ',', 'z,,', '"a,""b""",-5,"q"']);
    expect(await compare(columns, ['a', 'b', 'a'], rows)).toBe(true);
    expect(await compare(columns, ['a'], rows)).toBe(true);
    expect(await compare([columnOf('none', 'text', false)], ['none'], rowsOf(['x', '""', ',']))).toBe(false);
    // A field that is no column would be lost.
    expect(await parquetOfCsv(columns, { ...rows, names: ['a', 'c'] }, entries)).toBeUndefined();
    expect(await compare(columns, ['a', 'b'], rowsOf([]))).toBe(true);
  });
  it('takes bytes that are no UTF-8 for what they are taken for elsewhere', async () => {
    const columns = [columnOf('a', 'text'), columnOf('b', 'int32')];
    const broken = Buffer.concat([Buffer.from('ü'), Buffer.of(0xff, 0xc3), Buffer.from('x,1')]);
    const cut = Buffer.concat([Buffer.from('"plain ""é'), Buffer.of(0xf0, 0x9f), Buffer.from('"')]);
    expect(await compare(columns, ['a', 'b'], rowsOf([broken, 'é,2', cut, Buffer.of(0xed, 0xa0, 0x80)]))).toBe(true);
    expect(await compare(columns, ['a', 'b'], rowsOf([Buffer.from([0x61, 0x2c, 0xc3])]))).toBe(false);
  });
  it('takes records that are larger than a stretch', async () => {
    const columns = [columnOf('a', 'text'), columnOf('b', 'text'), columnOf('c', 'json')];
    const big = `"${'a ""quoted"" word, ü\n'.repeat(120_000)}"`;
    const rows = rowsOf([`x,${big},y`, `${big},"",`, 'x,y,z', `${big},${big},${big}`]);
    expect(await compare(columns, ['a', 'b', 'c'], rows)).toBe(true);
  });
});
