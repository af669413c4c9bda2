import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import type { Chunk, DataRecord } from '../model/chunk.ts';
import { convert } from './convert.ts';
import { joinLines } from './encode.ts';
import type { Converted } from './formats.ts';
import { compileMapping, functionMapping, type MappingSpec, mappingSchema } from './mapping.ts';
import { encodeRows, rows } from './rows.ts';

const linesOf = (texts: readonly string[]): Chunk => ({
  format: 'ndjson',
  ...joinLines(texts),
  firstRow: 1,
});
const textOf = (converted: Converted): string[] =>
  converted.count === 0 ? [] : Buffer.from(converted.bytes).toString().split('\n');
const mapText = (spec: MappingSpec, ...texts: string[]) => convert(linesOf(texts), 'ndjson', compileMapping(spec));
const apply = (spec: MappingSpec, record: DataRecord) => JSON.parse(JSON.stringify(compileMapping(spec).apply(record)));

describe('a declared mapping', () => {
  test('selects in order, renames, drops and sets, and keeps values as they are spelled', () => {
    const spec = { select: ['b', 'a', 'n'], rename: { a: 'x' }, set: { source: 'web', n2: 1.5, none: null } };
    const mapped = mapText(spec, '{"a":1.00, "n":12345678901234567890.10,"c":0,"b":{"k": [1]}}', '{"a":"é"}');
    expect(textOf(mapped)).toEqual([
      '{"b":{"k": [1]},"x":1.00,"n":12345678901234567890.10,"source":"web","n2":1.5,"none":null}',
      '{"x":"é","source":"web","n2":1.5,"none":null}',
    ]);
    expect(textOf(mapText({ drop: ['b'] }, '{"a":1,"b":2}', '{"\\u0062":2,"c":3}'))).toEqual(['{"a":1}', '{"c":3}']);
  });

  test('makes nested objects of dotted targets', () => {
    const spec = {
      select: ['mail', 'name'],
      rename: { mail: 'user.email', name: 'user.name' },
      set: { 'user.kind': 'new' },
    };
    expect(apply(spec, { mail: 'a@b', name: 'A' })).toEqual({ user: { email: 'a@b', name: 'A', kind: 'new' } });
  });

  test('fails for the record whose field stands where a nested target goes', () => {
    const mapped = mapText({ rename: { mail: 'user.email' } }, '{"user":"x","mail":"y"}', '{"mail":"y"}');
    expect(mapped.failed).toMatchObject([{ row: 0, code: 'MAPPING_INVALID' }]);
    expect([...(mapped.from ?? [])]).toEqual([1]);
    expect(textOf(mapped)).toEqual(['{"user":{"email":"y"}}']);
  });

  test('fills templates, and keeps the type of a single expression', () => {
    const set = {
      full: '{{ record.first }} {{ record.last | upper }}!',
      id: '{{ record.id | integer }}',
      deep: '{{ record.a.b }}',
      gone: '{{ record.none | integer }}',
      nothing: 'x{{ record.none }}y',
    };
    const record = { first: 'Ada', last: 'Lovelace', id: '9007199254740993', a: { b: [1, { c: null }] } };
    expect(compileMapping({ select: ['first'], set }).apply(record)).toEqual(
      Object.assign(Object.create(null), {
        first: 'Ada',
        full: 'Ada LOVELACE!',
        id: 9007199254740993n,
        deep: [1, { c: null }],
        nothing: 'xy',
      }),
    );
  });

  test('has filters for types that refuse what would lose something', () => {
    const filtered = (value: unknown, filter: string) => {
      try {
        return compileMapping({ select: ['-'], set: { v: `{{ record.v | ${filter} }}` } }).apply({ v: value })?.v;
      } catch (error) {
        return (error as { code?: string }).code;
      }
    };
    expect(['12', ' -3 ', '1.0', 4.0, true].map((v) => filtered(v, 'integer'))).toEqual([12, -3, 1, 4, 1]);
    expect(['1.5', 'x', '', '1e999', Number.NaN].map((v) => filtered(v, 'integer'))).toEqual([
      'MAPPING_INVALID',
      'MAPPING_INVALID',
      'MAPPING_INVALID',
      'MAPPING_INVALID',
      'MAPPING_INVALID',
    ]);
    expect(['1.50', '.5', '-1e3', '0x10'].map((v) => filtered(v, 'number'))).toEqual([
      1.5,
      0.5,
      -1000,
      'MAPPING_INVALID',
    ]);
    expect(['yes', 'F', 1, '0', 'maybe'].map((v) => filtered(v, 'boolean'))).toEqual([
      true,
      false,
      true,
      false,
      'MAPPING_INVALID',
    ]);
    expect(['2026-02-28', '2026-02-30', '2026-11-19T23:30:00-02:00', 'today'].map((v) => filtered(v, 'date'))).toEqual([
      '2026-02-28',
      'MAPPING_INVALID',
      '2026-11-20',
      'MAPPING_INVALID',
    ]);
    expect(
      ['2026-11-19 08:30', '2026-11-19T08:30:00+0200', '2026-11-19 08:30:00.5+02'].map((v) => filtered(v, 'timestamp')),
    ).toEqual(['2026-11-19T08:30:00.000Z', '2026-11-19T06:30:00.000Z', '2026-11-19T06:30:00.500Z']);
    expect([
      filtered({ a: 1n }, 'json'),
      filtered(' x ', 'trim'),
      filtered('Ä', 'lower'),
      filtered(1.5, 'text'),
    ]).toEqual(['{"a":1}', 'x', 'ä', '1.5']);
    expect(filtered(null, 'integer')).toBeNull();
  });

  test('has no other expressions, and reaches nothing but the data', () => {
    for (const bad of [
      '{{ 1 + 1 }}',
      '{{ record }}',
      '{{ record.a',
      '{{ record.a | nope }}',
      '{{ process.env }}',
      '{{ record.a | constructor }}',
      'x }}{{ record.a }}',
    ]) {
      expect(() => compileMapping({ set: { v: bad } }), bad).toThrow(/cannot be read/);
    }
    expect(
      apply({ select: ['-'], set: { v: '{{ record.constructor.name }}', w: '{{ record.__proto__.x }}' } }, { a: 1 }),
    ).toEqual({});
  });

  test('tells in which field it hands on a column as it is, if it does', () => {
    const sentAs = (spec: MappingSpec) => compileMapping(spec).sentAs?.('id');
    expect(sentAs({ drop: ['x'], set: { y: 1 } })).toBe('id');
    expect(sentAs({ select: ['id'], rename: { id: 'user.id' } })).toBe('user.id');
    for (const spec of [{ drop: ['id'] }, { select: ['x'] }, { set: { id: 1 } }, { rename: { x: 'id' } }])
      expect(sentAs(spec)).toBeUndefined();
    expect(sentAs({ set: { 'id.x': 1 } })).toBeUndefined();
    expect(functionMapping((record) => record, 'x').sentAs).toBeUndefined();
  });

  test('refuses unknown keys, and parts that write to one place', () => {
    expect(mappingSchema.safeParse({ where: 'x' }).success).toBe(false);
    expect(() => compileMapping({ select: ['a'], drop: ['b'] })).toThrow(/either `select` or `drop`/);
    expect(() => compileMapping({ rename: { a: 'x', b: 'x' } })).toThrow(/two parts/);
    expect(() => compileMapping({ rename: { a: 'x' }, set: { 'x.y': 1 } })).toThrow(/two parts/);
  });

  test('has a digest of what it does, not of how it is laid out', () => {
    const digest = (spec: MappingSpec) => compileMapping(spec).digest;
    expect(digest({ drop: ['a'], set: { x: 1, y: 2 } })).toBe(digest({ set: { y: 2, x: 1 }, drop: ['a'] }));
    expect(digest({ set: { x: 1 } })).not.toBe(digest({ set: { x: '1' } }));
    expect(digest({ select: ['a', 'b'] })).not.toBe(digest({ select: ['b', 'a'] }));
    expect(digest({})).toMatch(/^[0-9a-f]{64}$/);
  });

  test('does the same to text as to objects', () => {
    const name = fc.constantFrom('a', 'b', 'c', 'ü', '__proto__', 'a b');
    const specs = fc.record(
      {
        select: fc.array(name, { minLength: 1 }),
        rename: fc.dictionary(name, fc.constantFrom('a', 'x', 'ÿ')),
        set: fc.dictionary(fc.constantFrom('b', 'y'), fc.constantFrom(1, 'k', null, true)),
      },
      { requiredKeys: [] },
    );
    const members = fc.array(fc.tuple(name, fc.json({ maxDepth: 2, noUnicodeString: false })), { maxLength: 7 });
    fc.assert(
      fc.property(specs, fc.array(members, { maxLength: 4 }), (spec, records) => {
        if (new Set([...Object.values(spec.rename ?? {})]).size !== Object.keys(spec.rename ?? {}).length) return;
        const mapping = compileMapping(spec);
        expect(mapping.applyText).toBeDefined();
        const chunk = linesOf(
          records.map((list) => `{${list.map(([n, v]) => `${JSON.stringify(n)}: ${v}`).join(' , ')}}`),
        );
        const asText = convert(chunk, 'ndjson', mapping);
        const asObjects = convert(chunk, 'ndjson', { digest: '', apply: (record) => mapping.apply(record) });
        expect([...rows({ ...asText, firstRow: 1 })]).toEqual([...rows({ ...asObjects, firstRow: 1 })]);
      }),
      { numRuns: 500 },
    );
  });
});

describe('a function as a mapping', () => {
  test('changes records, leaves some out, and fails for single ones without quoting them', () => {
    const mapping = functionMapping((record) => {
      if (record.a === 2) return undefined;
      if (record.a === 3) throw new TypeError('secret content');
      if (record.a === 4) return { nan: Number.NaN };
      return { ...record, b: 10n ** 20n };
    }, 'source text');
    const mapped = convert(linesOf(['{"a":1}', '{"a":2}', '{"a":3}', '{"a":4}', '{"a":5}']), 'ndjson', mapping);
    expect(textOf(mapped)).toEqual(['{"a":1,"b":100000000000000000000}', '{"a":5,"b":100000000000000000000}']);
    expect(mapped.dropped).toEqual([1]);
    expect(mapped.failed.map(({ row, code }) => [row, code])).toEqual([
      [2, 'MAPPING_INVALID'],
      [3, 'RECORD_INVALID'],
    ]);
    expect([...(mapped.from ?? [])]).toEqual([0, 4]);
    expect(JSON.stringify(mapped.failed)).not.toContain('secret');
  });

  test('that is async or returns no record fails with what to do', () => {
    for (const result of [Promise.resolve({}), [1], 'x']) {
      const mapping = functionMapping(() => result as never, 'x');
      expect(() => mapping.apply({})).toThrow(/did not return a record/);
    }
    expect(functionMapping(() => null, 'a').apply({})).toBeUndefined();
    expect(functionMapping(() => ({}), 'a').digest).not.toBe(functionMapping(() => ({}), 'b').digest);
  });
});

describe('conversion', () => {
  test('to the same format hands on the very arrays', () => {
    const chunk = linesOf(['{"a":1}']);
    const same = convert(chunk, 'ndjson');
    expect(same.bytes).toBe(chunk.bytes);
    expect(same.spans).toBe(chunk.spans);
  });

  test('between formats and back loses no value that CSV can hold', () => {
    const value = fc.option(fc.string({ unit: 'grapheme' }));
    fc.assert(
      fc.property(fc.array(fc.record({ a: value, 'b,"': value }), { minLength: 1 }), (records) => {
        const there = convert(encodeRows(records, 'ndjson'), 'csv');
        const back = convert({ ...there, firstRow: 1 }, 'ndjson');
        expect([...rows({ ...back, firstRow: 1 })].map((row) => ({ ...row }))).toEqual(records);
      }),
    );
  });

  test('to CSV takes the given columns, and refuses a record with another field', () => {
    const chunk = linesOf(['{"a":1,"b":"x,y"}', '{"a":1,"z":2}', '{"b":{"k":[1]}}']);
    const converted = convert(chunk, 'csv', undefined, { columns: ['b', 'a'] });
    expect(textOf(converted)).toEqual(['"x,y",1', '"{""k"":[1]}",']);
    expect(converted.failed).toMatchObject([{ row: 1, code: 'RECORD_INVALID' }]);
    expect(converted.columns).toEqual(['b', 'a']);
    expect(convert(chunk, 'csv').columns).toEqual(['a', 'b', 'z']);
  });

  test('a text that CSV cannot hold is refused, not written as another one', () => {
    const lines = ['{"a":"\\ud83d"}', '{"a":"\\ud83d\\ude00"}', '{"a":["\\ude00"]}'];
    const converted = convert(linesOf(lines), 'csv');
    expect(converted.failed).toMatchObject([{ row: 0, code: 'RECORD_INVALID' }]);
    expect(textOf(converted)).toEqual(['😀', '"[""\\ude00""]"']);
  });

  test('a NUL, which no reader of CSV takes back, is refused, with types and without', () => {
    const chunk = linesOf(['{"a":"x\\u0000y"}', '{"a":"\\\\u0000"}', '{"a":null}']);
    for (const types of [undefined, [{ name: 'a', type: { kind: 'text' }, nullable: true }] as const]) {
      const converted = convert(types === undefined ? chunk : { ...chunk, types }, 'csv');
      expect(converted.failed).toMatchObject([{ row: 0, code: 'RECORD_INVALID' }]);
      expect(textOf(converted)).toEqual(['\\u0000', '""']);
    }
  });

  test('to CSV guards formulas only when asked to', () => {
    const chunk = linesOf(['{"a":"=1+1","b":-1}']);
    expect(textOf(convert(chunk, 'csv'))).toEqual(['=1+1,-1']);
    expect(textOf(convert(chunk, 'csv', undefined, { guardFormulas: true }))).toEqual(["'=1+1,-1"]);
  });

  test('keeps every digit of every number', () => {
    const text =
      '{"i":12345678901234567890,"d":0.12345678901234567890123,"e":1e400,"s":1.5,"t":"12345678901234567890"}';
    const [row] = [...rows(linesOf([text]))];
    expect(row?.i).toBe(12345678901234567890n);
    expect(row?.s).toBe(1.5);
    expect(
      textOf(
        convert(
          linesOf([text]),
          'ndjson',
          functionMapping((record) => record, 'same'),
        ),
      ),
    ).toEqual([text]);
  });
});

describe('objects of records', () => {
  test('have no prototype, and a field named __proto__ is a field', () => {
    const text = '{"__proto__":{"polluted":1},"n":12345678901234567890,"a":{"__proto__":{"polluted":2}}}';
    for (const source of [text, text.replace('12345678901234567890', '1')]) {
      const [row] = [...rows(linesOf([source]))];
      expect(Object.getPrototypeOf(row)).toBeNull();
      expect(Object.keys(row!)).toEqual(['__proto__', 'n', 'a']);
      expect(({} as Record<string, unknown>).polluted).toBeUndefined();
      expect(
        textOf(
          convert(
            linesOf([source]),
            'ndjson',
            functionMapping((record) => record, 'same'),
          ),
        ),
      ).toEqual([source]);
    }
  });

  test('become chunks with dates, big integers and bytes spelled out; what has no form is rejected', () => {
    const cycle: Record<string, unknown> = {};
    cycle.self = cycle;
    const chunk = encodeRows(
      [
        { at: new Date(0), big: 2n ** 64n, bytes: Uint8Array.of(1, 2, 255), gone: undefined, list: [undefined, 1] },
        { n: Number.POSITIVE_INFINITY },
        { f: () => 1 },
        cycle,
        { d: new Date(Number.NaN) },
        { m: new Map() },
        { ok: true },
      ],
      'ndjson',
      { firstRow: 10 },
    );
    expect(Buffer.from(chunk.bytes).toString()).toBe(
      '{"at":"1970-01-01T00:00:00.000Z","big":18446744073709551616,"bytes":"AQL/","list":[null,1]}\n{"ok":true}',
    );
    expect(chunk.rejects?.map(({ row }) => row)).toEqual([11, 12, 13, 14, 15]);
    expect(chunk.firstRow).toBe(10);
  });
});
