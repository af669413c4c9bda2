import { Buffer } from 'node:buffer';
import { gzipSync } from 'node:zlib';
import type { DecodedArray, SchemaElement } from 'hyparquet';
import { ByteWriter, ParquetWriter, parquetWriteBuffer } from 'hyparquet-writer';
import { describe, expect, it } from 'vitest';
import { type Columns, parseColumnType } from '../../model/columns.ts';
import { openParquet, type ParquetChunk, type RandomAccess } from './read.ts';
import { shapeOf } from './schema.ts';
import { ParquetFile } from './write.ts';

const signal = new AbortController().signal;
const access = (bytes: Uint8Array): RandomAccess => ({
  size: bytes.length,
  read: async (start, end) => Uint8Array.from(bytes.subarray(start, end)).buffer,
});

async function read(bytes: Uint8Array, from = 0): Promise<ParquetChunk[]> {
  const chunks: ParquetChunk[] = [];
  for await (const chunk of (await openParquet(access(bytes))).chunks(from, signal)) chunks.push(chunk);
  return chunks;
}
const linesOf = (chunks: readonly ParquetChunk[]): string[] =>
  chunks.flatMap(({ bytes, spans, count }) =>
    Array.from({ length: count }, (_, at) => Buffer.from(bytes).toString('utf8', spans[at * 2], spans[at * 2 + 1])),
  );

/** A file as others might write it: the elements of its schema after the root, and values as they lie there. */
function foreign(
  elements: readonly SchemaElement[],
  data: Readonly<Record<string, unknown[]>>,
  rowGroupSize = 100,
): Uint8Array {
  const writer = new ByteWriter();
  const root = { name: 'schema', num_children: Object.keys(data).length };
  const file = new ParquetWriter({ writer, schema: [root, ...elements] });
  const columnData = Object.entries(data).map(([name, values]) => ({ name, data: values as DecodedArray }));
  void file.write({ columnData, rowGroupSize });
  void file.finish();
  return writer.getBytes();
}
const optional = { repetition_type: 'OPTIONAL' } as const;
const group = (name: string, count: number, more: Partial<SchemaElement> = {}): SchemaElement => ({
  name,
  num_children: count,
  ...optional,
  ...more,
});

describe('a Parquet file of somebody else', () => {
  it('gives its values without loss: decimals, unsigned numbers, moments in other units, half floats', async () => {
    const bytes = foreign(
      [
        {
          name: 'd',
          type: 'FIXED_LEN_BYTE_ARRAY',
          type_length: 9,
          converted_type: 'DECIMAL',
          precision: 20,
          scale: 2,
          ...optional,
        },
        { name: 'u64', type: 'INT64', converted_type: 'UINT_64', ...optional },
        { name: 'u32', type: 'INT32', converted_type: 'UINT_32', ...optional },
        { name: 'i8', type: 'INT32', converted_type: 'INT_8', ...optional },
        { name: 'ms', type: 'INT64', converted_type: 'TIMESTAMP_MILLIS', ...optional },
        {
          name: 'ns',
          type: 'INT64',
          logical_type: { type: 'TIMESTAMP', isAdjustedToUTC: false, unit: 'NANOS' },
          ...optional,
        },
        { name: 'half', type: 'FIXED_LEN_BYTE_ARRAY', type_length: 2, logical_type: { type: 'FLOAT16' }, ...optional },
        { name: 'time', type: 'INT32', converted_type: 'TIME_MILLIS', ...optional },
        { name: 'bare', type: 'BYTE_ARRAY', ...optional },
      ],
      {
        d: [-123456789012345678901n, null],
        u64: [2n ** 64n - 1n, 0n],
        u32: [4294967295, 1],
        i8: [-128, null],
        ms: [-1n, 0n],
        ns: [1_500_000_000_000_001_000n, null],
        half: [1.5, Number.NEGATIVE_INFINITY],
        time: [86_399_999, 0],
        bare: [Uint8Array.of(0, 255), null],
      },
    );
    const opened = await openParquet(access(bytes));
    expect(opened.columns.map(({ type }) => type.kind)).toEqual([
      'decimal',
      'decimal',
      'int64',
      'int16',
      'timestamptz',
      'timestamp',
      'float32',
      'time',
      'bytes',
    ]);
    expect(linesOf(await read(bytes))).toEqual([
      '{"d":-1234567890123456789.01,"u64":18446744073709551615,"u32":4294967295,"i8":-128,' +
        '"ms":"1969-12-31T23:59:59.999+00:00","ns":"2017-07-14T02:40:00.000001","half":1.5,' +
        '"time":"23:59:59.999","bare":"AP8="}',
      '{"d":null,"u64":0,"u32":1,"i8":null,' +
        '"ms":"1970-01-01T00:00:00+00:00","ns":null,"half":"-Infinity","time":"00:00:00","bare":null}',
    ]);
  });
  it('gives nested values as JSON, and lists of values as arrays', async () => {
    const bytes = foreign(
      [
        group('list', 1, { converted_type: 'LIST' }),
        { name: 'list', repetition_type: 'REPEATED', num_children: 1 },
        { name: 'element', type: 'INT64', ...optional },
        group('point', 2),
        { name: 'x', type: 'INT64', ...optional },
        { name: 'day', type: 'INT32', converted_type: 'DATE', ...optional },
        group('map', 1, { converted_type: 'MAP' }),
        { name: 'key_value', repetition_type: 'REPEATED', num_children: 2 },
        { name: 'key', type: 'BYTE_ARRAY', converted_type: 'UTF8', repetition_type: 'REQUIRED' },
        { name: 'value', type: 'BYTE_ARRAY', converted_type: 'UTF8', ...optional },
      ],
      {
        list: [[9007199254740993n, null], [], null],
        point: [{ x: -(2n ** 63n), day: 20_776 }, { x: null, day: null }, null],
        map: [{ 'a"': 'b', é: null }, {}, null],
      },
    );
    const opened = await openParquet(access(bytes));
    expect(opened.columns.map(({ type }) => type)).toEqual([
      { kind: 'int64', array: true },
      { kind: 'json' },
      { kind: 'json' },
    ]);
    expect(linesOf(await read(bytes))).toEqual([
      '{"list":[9007199254740993,null],"point":{"x":-9223372036854775808,"day":"2026-11-19"},' +
        '"map":{"a\\"":"b","é":null}}',
      '{"list":[],"point":{"x":null,"day":null},"map":{}}',
      '{"list":null,"point":null,"map":null}',
    ]);
  });
  it('rejects a row that has no form here, and goes on', async () => {
    const nanos: SchemaElement = {
      name: 'at',
      type: 'INT64',
      logical_type: { type: 'TIMESTAMP', isAdjustedToUTC: true, unit: 'NANOS' },
      ...optional,
    };
    const text: SchemaElement = { name: 't', type: 'BYTE_ARRAY', converted_type: 'UTF8', ...optional };
    const [chunk] = await read(foreign([nanos, text], { at: [1n, 1000n, 2000n], t: ['a', Uint8Array.of(0xff), 'c'] }));
    expect(linesOf([chunk!])).toEqual(['{"at":"1970-01-01T00:00:00.000002+00:00","t":"c"}']);
    expect(chunk!.rejects).toEqual([
      { row: 1, code: 'VALUE_UNFIT', message: 'column "at" (timestamptz): the value is more exact than a microsecond' },
      { row: 2, code: 'VALUE_UNFIT', message: 'column "t" (text): the value is not UTF-8 text' },
    ]);
  });
  it('is read where a packed page holds nothing', async () => {
    const writer = new ByteWriter();
    // LZ4 of up to 14 bytes: their number in the upper half of the first byte, and the bytes. Of nothing: a zero.
    const lz4 = (input: Uint8Array): Uint8Array => Uint8Array.of(input.length << 4, ...input);
    const schema: SchemaElement[] = [
      { name: 'schema', num_children: 2 },
      { name: 'n', type: 'INT32', ...optional },
      { name: 'none', type: 'INT32', ...optional },
    ];
    const file = new ParquetWriter({ writer, schema, codec: 'LZ4_RAW', compressors: { LZ4_RAW: lz4 } });
    await file.write({
      columnData: [
        { name: 'n', data: [1, 2] },
        { name: 'none', data: [null, null] },
      ],
    });
    await file.finish();
    expect(linesOf(await read(writer.getBytes()))).toEqual(['{"n":1,"none":null}', '{"n":2,"none":null}']);
  });
  it('is read row group by row group, from any row on', async () => {
    const n = Array.from({ length: 7001 }, (_, at) => at);
    const bytes = foreign([{ name: 'n', type: 'INT32', repetition_type: 'REQUIRED' }], { n }, 3000);
    const chunks = await read(bytes);
    expect(chunks.map(({ firstRow, count, nextRow }) => [firstRow, count, nextRow])).toEqual([
      [1, 2000, 2000],
      [2001, 1000, 3000],
      [3001, 2000, 5000],
      [5001, 1000, 6000],
      [6001, 1001, 7001],
    ]);
    const all = linesOf(chunks);
    expect(all).toHaveLength(7001);
    for (const { nextRow } of chunks) expect(linesOf(await read(bytes, nextRow))).toEqual(all.slice(nextRow));
  });
  it('is refused when it is none, cut off or broken', async () => {
    const whole = new Uint8Array(parquetWriteBuffer({ columnData: [{ name: 'a', data: [1, 2, 3] }] }));
    const broken = whole.slice();
    broken.fill(0xee, 4, 20);
    for (const bytes of [Buffer.from('id\n1\n'), new Uint8Array(0), whole.subarray(0, whole.length - 3), broken]) {
      await expect(read(bytes)).rejects.toMatchObject({ code: 'SOURCE_INVALID' });
    }
  });
});

const columnsOf = (types: Readonly<Record<string, string>>): Columns =>
  Object.entries(types).map(([name, text]) => ({ name, type: parseColumnType(text)!, nullable: true }));

describe('a Parquet file of Waybill', () => {
  it.each([
    ['date', 'infinity', 'is infinite'],
    ['timestamp', '-infinity', 'is infinite'],
    ['timestamptz', '294276-12-31T23:59:59+00:00', 'is outside the years'],
    ['decimal(12,2)', 'NaN', 'is NaN'],
  ])('refuses a %s of %s, which Parquet has not', (type, plain, message) => {
    const file = new ParquetFile(columnsOf({ a: 'int64', c: type }));
    expect(() => file.add(['1', plain])).toThrow(`column "c" (${type}): the value ${message}`);
  });
  it('holds nothing of a row that was refused, and is the same for the same rows', async () => {
    const make = async () => {
      const file = new ParquetFile(columnsOf({ a: 'int64', c: 'date' }), { entries: { flow: 'daily' } });
      file.add(['1', '2026-11-19']);
      expect(() => file.add(['2', 'infinity'])).toThrow();
      file.add(['3', null]);
      return file.finish();
    };
    const bytes = await make();
    expect(linesOf(await read(bytes))).toEqual(['{"a":1,"c":"2026-11-19"}', '{"a":3,"c":null}']);
    expect(Buffer.from(await make())).toEqual(Buffer.from(bytes));
    expect((await openParquet(access(bytes))).entries.get('flow')).toBe('daily');
  });
  it('says in the words of Parquet what its columns are, for readers that know nothing of Waybill', async () => {
    expect(shapeOf(parseColumnType('decimal(38,10)')!)).toMatchObject({
      type: 'FIXED_LEN_BYTE_ARRAY',
      precision: 38,
      scale: 10,
    });
    // With the logical type INTEGER as the writer spells it, Arrow refuses the whole file.
    expect(shapeOf(parseColumnType('int16')!)).toEqual({ type: 'INT32', converted_type: 'INT_16' });
    expect(shapeOf(parseColumnType('decimal(39,10)')!)).toMatchObject({ converted_type: 'UTF8' });
    expect(shapeOf(parseColumnType('timestamptz')!).logical_type).toEqual({
      type: 'TIMESTAMP',
      isAdjustedToUTC: true,
      unit: 'MICROS',
    });
  });
  it('keeps decimals of every width to the last digit', async () => {
    const values = {
      'decimal(9,4)': '-99999.9999',
      'decimal(18,0)': '999999999999999999',
      'decimal(38,38)': `-0.${'9'.repeat(38)}`,
      'decimal(60,2)': `${'9'.repeat(58)}.99`,
    };
    const file = new ParquetFile(columnsOf(Object.fromEntries(Object.keys(values).map((type) => [type, type]))));
    file.add(Object.values(values));
    const [line] = linesOf(await read(await file.finish()));
    expect(line).toBe(
      `{${Object.entries(values)
        .map(([name, value]) => `"${name}":${value}`)
        .join(',')}}`,
    );
  });
  it('is not unpacked where a page holds far more than can be meant, whatever its footer says', async () => {
    const gzipped = (text: string): Uint8Array => {
      const columnData = [{ name: 't', data: ['a', text, 'b'], type: 'STRING' as const }];
      return new Uint8Array(
        parquetWriteBuffer({ columnData, codec: 'GZIP', compressors: { GZIP: (b) => gzipSync(b) } }),
      );
    };
    const refused = read(gzipped('x'.repeat(100 * 1024 ** 2)));
    await expect(refused).rejects.toMatchObject({
      code: 'SOURCE_INVALID',
      message: expect.stringContaining('unpacks to more than'),
    });
    // What is short is left alone, however dense.
    expect(linesOf(await read(gzipped('x'.repeat(8 * 1024 ** 2))))).toHaveLength(3);
  });
  it('may hold no rows', async () => {
    const opened = await openParquet(access(await new ParquetFile(columnsOf({ a: 'uuid' })).finish()));
    expect([opened.rows, opened.columns]).toEqual([0, columnsOf({ a: 'uuid' })]);
    // Its columns are told all the same.
    const chunks = await read(await new ParquetFile(columnsOf({ a: 'uuid' })).finish());
    expect(chunks).toMatchObject([{ count: 0, types: columnsOf({ a: 'uuid' }), nextRow: 0 }]);
  });
});
