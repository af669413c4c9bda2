import { describe, expect, it } from 'vitest';
import type { Chunk, Format } from '../../model/chunk.ts';
import { type Columns, parseColumnType, sameColumns, showColumnType } from '../../model/columns.ts';
import { convert } from '../convert.ts';
import { csvFramer } from '../csv.ts';
import { identify } from '../identify.ts';
import { compileMapping } from '../mapping.ts';
import { ndjsonFramer } from '../ndjson.ts';
import { rowAt } from '../rows.ts';
import { CopyWriter } from './copy-writer.ts';
import { copyFields } from './fields.ts';

function columnsOf(types: Readonly<Record<string, string>>): Columns {
  return Object.entries(types).map(([name, text]) => {
    const type = parseColumnType(text.replace(' not null', ''));
    if (type === undefined) throw new Error(`no type ${text}`);
    return { name, type, nullable: !text.endsWith('not null') };
  });
}

function ndjson(...records: readonly string[]): Chunk {
  const [chunk] = framed(ndjsonFramer(), records.join('\n'));
  return chunk!;
}
const framed = (framer: ReturnType<typeof ndjsonFramer>, text: string): Chunk[] => [
  ...framer.push(Buffer.from(`${text}\n`)),
  ...framer.end(),
];

/** What becomes of a value of JSON in a column of this type: its plain text, or why it is none. */
function written(type: string, json: string, to: Format = 'pgcopy'): string | null {
  const types = columnsOf({ c: type });
  const { failed, ...rows } = convert(ndjson(`{"c":${json}}`), to, undefined, { types });
  if (failed.length > 0)
    return `${failed[0]!.code}: ${failed[0]!.message.replace(/^column "c" \([^:]*\): the value /, '')}`;
  return copyFields({ ...rows, firstRow: 1 }, 0)[0]!;
}

describe('a value in a typed column', () => {
  it.each([
    ['int16', '32767', '32767'],
    ['int16', '-32768', '-32768'],
    ['int16', '32768', 'VALUE_UNFIT: is out of the range of int16'],
    ['int32', '"2147483647"', '2147483647'],
    ['int32', '-2147483649', 'VALUE_UNFIT: is out of the range of int32'],
    ['int64', '9223372036854775807', '9223372036854775807'],
    ['int64', '9223372036854775808', 'VALUE_UNFIT: is out of the range of int64'],
    ['int64', '42.0', '42'],
    ['int64', '4.2e1', '42'],
    ['int64', '4.25e1', 'VALUE_UNFIT: is no whole number'],
    ['int64', '""', 'VALUE_UNFIT: is no whole number'],
    ['int64', '"-"', 'VALUE_UNFIT: is no whole number'],
    ['int64', '[1]', 'VALUE_UNFIT: is an object or an array'],
    ['float64', '9007199254740993', 'VALUE_UNFIT: has more digits than float64 holds'],
    ['float64', '9007199254740992', '9007199254740992'],
    ['float64', '1e400', 'VALUE_UNFIT: is out of the range of float64'],
    ['float64', '"NaN"', 'NaN'],
    ['float64', '"-infinity"', '-Infinity'],
    ['float64', '-0', '-0'],
    ['float32', '16777217', 'VALUE_UNFIT: has more digits than float32 holds'],
    ['float32', '0.1', '0.1'],
    ['float32', '1e39', 'VALUE_UNFIT: is out of the range of float32'],
    ['decimal(5,2)', '1.5', '1.50'],
    ['decimal(5,2)', '999.99', '999.99'],
    ['decimal(5,2)', '1000', 'VALUE_UNFIT: has more than 5 digits'],
    ['decimal(5,2)', '1.005', 'VALUE_UNFIT: has more than 2 digits behind the point'],
    ['decimal(5,2)', '1.5000', '1.50'],
    ['decimal(5,2)', '"Infinity"', 'VALUE_UNFIT: is no decimal number'],
    ['decimal(5,2)', '12e1', '120.00'],
    ['decimal(2,-3)', '12000', '12000'],
    ['decimal(2,-3)', '12001', 'VALUE_UNFIT: is not a multiple of 1e3'],
    ['decimal(2,-3)', '123000', 'VALUE_UNFIT: has more than 2 digits'],
    ['decimal(3,5)', '0.00123', '0.00123'],
    ['decimal(3,5)', '0.01234', 'VALUE_UNFIT: has more than 3 digits'],
    ['decimal', '-0.00', '0.00'],
    ['decimal', '1e-20000', 'VALUE_UNFIT: has more digits than a decimal can have'],
    ['decimal', '1e999999', 'VALUE_UNFIT: has more digits than a decimal can have'],
    ['boolean', '"t"', 'true'],
    ['boolean', '1', 'true'],
    ['boolean', '0', 'false'],
    ['boolean', '2', 'VALUE_UNFIT: is neither true nor false'],
    ['text', '42', '42'],
    ['text', '"a\\u0000b"', 'VALUE_UNFIT: holds a NUL, which PostgreSQL has not in text'],
    ['text', '"\\ud800"', 'VALUE_UNFIT: holds half a surrogate pair'],
    ['text', '{"a":1}', 'VALUE_UNFIT: is an object or an array'],
    ['bytes', '"AAECAw=="', 'AAECAw=='],
    ['bytes', '"\\\\x00ff"', 'AP8='],
    ['bytes', '"AAE"', 'VALUE_UNFIT: is no base64'],
    ['date', '"2026-02-29"', 'VALUE_UNFIT: is no date of the calendar'],
    ['date', '"2024-02-29"', '2024-02-29'],
    ['date', '"0000-01-01"', 'VALUE_UNFIT: is no date: there is no year 0'],
    ['date', '"-0043-03-15"', '0044-03-15 BC'],
    ['date', '"5874898-01-01"', 'VALUE_UNFIT: is a date outside 4714-11-24 BC to 5874897-12-31'],
    ['date', '"19.11.2026"', 'VALUE_UNFIT: is no date'],
    ['time', '"24:00:00"', '24:00:00'],
    ['time', '"24:00:01"', 'VALUE_UNFIT: is no time of day'],
    ['timestamp', '"2026-11-19 08:30"', '2026-11-19T08:30:00'],
    ['timestamp', '"2026-11-19T08:30:00Z"', 'VALUE_UNFIT: is a timestamp with a zone'],
    ['timestamp', '"2026-11-19T08:30:00.1234567"', 'VALUE_UNFIT: is more exact than a microsecond'],
    ['timestamp', '"294277-01-01T00:00:00"', 'VALUE_UNFIT: is outside 4714-11-24 BC to 294276-12-31'],
    ['timestamptz', '"2026-11-19T08:30:00+05:45"', '2026-11-19T02:45:00+00:00'],
    ['timestamptz', '"2026-11-19T23:30:00.5-01"', '2026-11-20T00:30:00.5+00:00'],
    ['timestamptz', '"2026-11-19T08:30:00"', 'VALUE_UNFIT: is a timestamp without a zone'],
    ['uuid', '"3F2B8C1E00004D5A9B7E000000000001"', '3f2b8c1e-0000-4d5a-9b7e-000000000001'],
    ['uuid', '"3f2b"', 'VALUE_UNFIT: is no UUID'],
    ['json', '{"a": 1,"a":1e999}', '{"a": 1,"a":1e999}'],
    ['jsonb', '"\\u0000"', 'VALUE_UNFIT: holds a NUL, which jsonb has not'],
    ['jsonb', '"\\ud83d\\ude00"', '"\\ud83d\\ude00"'],
    ['jsonb', '"\\ude00\\ud83d"', 'VALUE_UNFIT: holds half a surrogate pair, which jsonb has not'],
    ['jsonb', '"\\\\u0000"', '"\\\\u0000"'],
    ['int64[]', '[1,null,[2]]', 'VALUE_UNFIT: is an array whose rows differ in length, or hold nothing'],
    ['int64[]', '[[1,2],[3]]', 'VALUE_UNFIT: is an array whose rows differ in length, or hold nothing'],
    ['int64[]', '[[],[]]', 'VALUE_UNFIT: is an array whose rows differ in length, or hold nothing'],
    ['int64[]', '[[1, null],["3",4]]', '[[1,null],[3,4]]'],
    ['int64[]', '[[[[[[[1]]]]]]]', 'VALUE_UNFIT: is an array of more than 6 dimensions'],
    ['int64[]', '{"a":1}', 'VALUE_UNFIT: is no array'],
    ['int16[]', '[70000]', 'VALUE_UNFIT: is out of the range of int16'],
    ['json[]', '[[1],{"a":2},null]', '[[1],{"a":2},null]'],
    ['int64', 'null', null],
    ['int64 not null', 'null', 'VALUE_UNFIT: is null in a column that has none'],
  ])('%s takes %s for %s, in both forms of COPY', (type, json, wanted) => {
    expect(written(type, json)).toBe(wanted);
    expect(written(type, json, 'pgcopy-text')).toBe(wanted);
  });
});

describe('rows that become rows of COPY', () => {
  const types = columnsOf({ id: 'int64 not null', name: 'text', tags: 'text[]' });

  it('keeps the good ones and names the others by row and column', () => {
    const chunk = ndjson(
      '{"id":1,"name":"a"}',
      '{"id":"x"}',
      '{"name":"b","id":3,"tags":["c"]}',
      '{"id":4,"more":1}',
      '{"name":"d"}',
    );
    const { failed, from, ...rows } = convert(chunk, 'pgcopy', undefined, { types });
    expect(failed).toEqual([
      { row: 1, code: 'VALUE_UNFIT', message: 'column "id" (int64): the value is no whole number' },
      { row: 3, code: 'RECORD_INVALID', message: 'the field "more" is not among the columns' },
      { row: 4, code: 'VALUE_UNFIT', message: 'column "id" (int64): the value is null in a column that has none' },
    ]);
    expect([...from!]).toEqual([0, 2]);
    expect([0, 1].map((index) => copyFields({ ...rows, firstRow: 1 }, index))).toEqual([
      ['1', 'a', null],
      ['3', 'b', '["c"]'],
    ]);
  });
  it('takes the fields of CSV by name, and tells nothing from the empty text', () => {
    const [chunk] = framed(csvFramer(), 'name,tags,id\n"",,1\n,"[""x""]",2\nc,,"",\nd,,""');
    const { failed, ...rows } = convert(chunk!, 'pgcopy-text', undefined, { types });
    expect([0, 1].map((index) => copyFields({ ...rows, firstRow: 1 }, index))).toEqual([
      ['1', '', null],
      ['2', null, '["x"]'],
    ]);
    expect(failed.map(({ row, code }) => [row, code])).toEqual([[2, 'VALUE_UNFIT']]);
    expect(chunk!.rejects).toHaveLength(1);
  });
  it('passes what a mapping gives, bigints, decimals, dates and bytes as well', () => {
    const target = columnsOf({ id: 'int64', price: 'decimal', at: 'timestamptz', raw: 'bytes', who: 'text' });
    const mapping = {
      digest: 'x',
      apply: (record: Readonly<Record<string, unknown>>) => ({
        ...record,
        at: new Date(Date.UTC(2026, 10, 19)),
        raw: Uint8Array.of(0, 255),
        who: undefined,
      }),
    };
    const chunk = ndjson('{"id":9223372036854775807,"price":12345678901234567890.10}');
    const { failed, ...rows } = convert(chunk, 'pgcopy', mapping, { types: target });
    expect(failed).toEqual([]);
    expect(copyFields({ ...rows, firstRow: 1 }, 0)).toEqual([
      '9223372036854775807',
      '12345678901234567890.10',
      '2026-11-19T00:00:00+00:00',
      'AP8=',
      null,
    ]);
  });
  it('are handed on as they are where the types agree, and made anew where they do not', () => {
    const writer = new CopyWriter('pgcopy', types);
    writer.add(['1', 'a', null]);
    const chunk: Chunk = { format: 'pgcopy', ...writer.finish(), types, firstRow: 1 };
    expect(
      convert(chunk, 'pgcopy', undefined, { types: columnsOf({ id: 'int64', name: 'text', tags: 'text[]' }) }).bytes,
    ).toBe(chunk.bytes);
    const { bytes, ...other } = convert(chunk, 'pgcopy', undefined, {
      types: columnsOf({ name: 'text', id: 'int16', tags: 'text[]' }),
    });
    expect(copyFields({ bytes, ...other, firstRow: 1 }, 0)).toEqual(['a', '1', null]);
    const fewer = { types: columnsOf({ id: 'int64' }) };
    expect(() => convert(chunk, 'pgcopy', undefined, fewer)).toThrow('the field "name" is not among the columns');
  });
  it('are asked for with types', () => {
    expect(() => convert(ndjson('{}'), 'pgcopy')).toThrow('only where their types are known');
  });
});

describe('rows of COPY', () => {
  const types = columnsOf({ id: 'int64', amount: 'decimal', ratio: 'float64', doc: 'json', raw: 'bytes' });
  const writer = new CopyWriter('pgcopy', types);
  writer.add(['9223372036854775807', '1.50', 'NaN', '{"a":1,\n"a":2}', 'AP8=']);
  const chunk: Chunk = { format: 'pgcopy', ...writer.finish(), types, firstRow: 1 };

  it('are objects where a mapping asks for them, without the loss of a digit', () => {
    const record = rowAt(chunk, 0);
    expect(record.id).toBe(9223372036854775807n);
    expect(String(record.amount)).toBe('1.5');
    expect(record).toMatchObject({ ratio: 'NaN', doc: { a: 2 }, raw: 'AP8=' });
    const mapped = convert(chunk, 'ndjson', compileMapping({ select: ['id', 'raw'] }));
    expect(Buffer.from(mapped.bytes).toString()).toBe('{"id":9223372036854775807,"raw":"AP8="}');
  });
  it('become JSON on one line, with every token as it was, and CSV', () => {
    expect(Buffer.from(convert(chunk, 'ndjson').bytes).toString()).toBe(
      '{"id":9223372036854775807,"amount":1.50,"ratio":"NaN","doc":{"a":1, "a":2},"raw":"AP8="}',
    );
    expect(Buffer.from(convert(chunk, 'csv').bytes).toString()).toBe(
      '9223372036854775807,1.50,NaN,"{""a"":1,\n""a"":2}",AP8=',
    );
  });
});

describe('records with types', () => {
  const types = columnsOf({ id: 'int64', price: 'decimal', ratio: 'float64' });
  const typed = { ...ndjson('{"id":1,"price":1.50,"ratio":-0}'), types };

  it('become CSV with every digit as it was', () => {
    const { bytes, columns } = convert(typed, 'csv');
    expect([Buffer.from(bytes).toString(), columns]).toEqual(['1,1.50,-0', ['id', 'price', 'ratio']]);
  });
  it('have other types once a mapping has made other fields of them', () => {
    expect(convert(typed, 'ndjson').types).toBe(types);
    expect(convert(typed, 'ndjson', compileMapping({ rename: { id: 'key' } })).types).toBeUndefined();
    expect(() => convert(typed, 'pgcopy', compileMapping({ rename: { id: 'key' } }))).toThrow('types are known');
  });
});

describe('CSV with types', () => {
  const framedCsv = (text: string, types: Readonly<Record<string, string>>): Chunk =>
    framed(csvFramer({ types }), text)[0]!;

  it('has the keys and digests that the same rows have in COPY', () => {
    const types = columnsOf({ id: 'int64', price: 'decimal(5,2)', at: 'timestamptz', raw: 'bytes', tags: 'text[]' });
    const csv = framedCsv('id,price,at,raw,tags\n007,1.5,2026-11-19 09:30+01,\\x00ff,"[""a"", null]"\n', {
      id: 'int64',
      price: 'decimal(5,2)',
      at: 'timestamptz',
      raw: 'bytes',
      tags: 'text[]',
    });
    expect(csv.types).toEqual(types);
    const writer = new CopyWriter('pgcopy', types);
    writer.add(['7', '1.50', '2026-11-19T08:30:00+00:00', 'AP8=', '["a",null]']);
    const copy: Chunk = { format: 'pgcopy', ...writer.finish(), types, firstRow: 1 };
    for (const { name } of types) {
      const options = { key: [name], seed: new Uint8Array(16), byColumn: true };
      expect(identify(csv, options)).toEqual(identify(copy, options));
    }
  });
  it('rejects what is not of the type, and tells an empty field from empty bytes', () => {
    const types = { id: 'int16', raw: 'bytes', day: 'date' };
    const csv = framedCsv('id,raw,day\n70000,,\n1,"",\n2,,""\n3,x,2026-02-30\n', types);
    expect(Buffer.from(csv.bytes).toString()).toBe('{"id":1,"raw":"","day":null}\n{"id":2,"raw":null,"day":null}');
    expect(csv.rejects).toEqual([
      { row: 1, line: 2, code: 'CSV_INVALID', message: 'the field "id" is not of type int16' },
      { row: 4, line: 5, code: 'CSV_INVALID', message: 'the field "raw" is not of type bytes' },
    ]);
  });
  it('does not know the types of all its columns where one is only a number', () => {
    expect(framedCsv('id,n\n1,2\n', { id: 'int64', n: 'number' }).types).toBeUndefined();
    expect(framedCsv('id,n\n1,2\n', { id: 'int64' }).types).toEqual(columnsOf({ id: 'int64', n: 'text' }));
  });
});

describe('the words for types', () => {
  it('are read and shown alike', () => {
    for (const text of ['int64', 'decimal', 'decimal(12,2)', 'decimal(2,-3)[]', 'text[]', 'timestamptz']) {
      expect(showColumnType(parseColumnType(text)!)).toBe(text);
    }
    expect(showColumnType(parseColumnType('decimal( 12, 2 )')!)).toBe('decimal(12,2)');
    for (const text of ['int', 'int64(3)', 'decimal(0)', 'decimal(1001)', 'text[][]', 'Text', '']) {
      expect(parseColumnType(text)).toBeUndefined();
    }
    expect(sameColumns(columnsOf({ a: 'text' }), columnsOf({ b: 'text' }))).toBe(false);
  });
});
