import { gzipSync } from 'node:zlib';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import type { DataRecord } from '../model/chunk.ts';
import { type CsvFramerOptions, csvFramer } from './csv.ts';
import type { FramedChunk, Framer } from './formats.ts';
import { type JsonFramerOptions, jsonFramer } from './json.ts';
import type { FramerOptions } from './line-framer.ts';
import { ndjsonFramer } from './ndjson.ts';
import { rows } from './rows.ts';

/** Pushes the bytes in pieces that end at the given places, and gathers what comes. */
function feed(framer: Framer, input: string | Uint8Array, cuts: readonly number[] = []): readonly FramedChunk[] {
  const bytes = Buffer.from(input as string);
  const chunks: FramedChunk[] = [];
  let at = 0;
  for (const cut of [...cuts.map((n) => n % (bytes.length + 1)).sort((a, b) => a - b), bytes.length]) {
    chunks.push(...framer.push(Buffer.from(bytes.subarray(at, cut))));
    at = cut;
  }
  return [...chunks, ...framer.end()];
}
const recordsOf = (chunks: readonly FramedChunk[]): DataRecord[] =>
  chunks.flatMap((chunk) => [...rows(chunk)].map((row) => ({ ...row })));
const rejectsOf = (chunks: readonly FramedChunk[]) => chunks.flatMap((chunk) => chunk.rejects ?? []);
const places = (chunks: readonly FramedChunk[]) => rejectsOf(chunks).map(({ row, line, code }) => [row, line, code]);
const ndjson = (input: string | Uint8Array, options: FramerOptions = {}) => feed(ndjsonFramer(options), input);
const csv = (input: string | Uint8Array, options: CsvFramerOptions = {}) => feed(csvFramer(options), input);
const json = (input: string, options: JsonFramerOptions = {}) => feed(jsonFramer(options), input);

/** Reads on behind every chunk with a new framer, and compares with reading through. */
function expectResumable(open: (at: FramerOptions) => Framer, input: string, whole: readonly FramedChunk[]): void {
  const bytes = Buffer.from(input);
  const all = recordsOf(whole);
  let before = 0;
  for (const chunk of whole) {
    before += chunk.count + (chunk.rejects?.length ?? 0);
    const startLine = bytes.subarray(0, chunk.endOffset).toString('latin1').split('\n').length;
    const rest = feed(
      open({ startOffset: chunk.endOffset, startRow: before + 1, startLine }),
      bytes.subarray(chunk.endOffset),
    );
    const from = whole.slice(whole.indexOf(chunk) + 1);
    expect(recordsOf(rest)).toEqual(recordsOf(from));
    expect(places(rest)).toEqual(places(from));
    expect(all.length).toBeGreaterThanOrEqual(recordsOf(rest).length);
  }
  expect(whole.at(-1)?.endOffset ?? 0).toBeLessThanOrEqual(bytes.length);
}

describe('ndjson', () => {
  test('keeps good lines and rejects broken ones with row and line', () => {
    const chunks = ndjson('\ufeff{"a":1}\r\n\n  \n[1]\n{"a":2}\n{"a":\n"x"\n{"a":3} {"a":4}\n{"a":5}');
    expect(recordsOf(chunks)).toEqual([{ a: 1 }, { a: 2 }, { a: 5 }]);
    expect(places(chunks)).toEqual([
      [2, 4, 'JSON_INVALID'],
      [4, 6, 'JSON_INVALID'],
      [5, 7, 'JSON_INVALID'],
      [6, 8, 'JSON_INVALID'],
    ]);
  });

  test('rejects a NUL and bytes that are not UTF-8, and says nothing of the content', () => {
    const chunks = ndjson(
      Buffer.concat([
        Buffer.from('{"a":"secret\0"}\n{"a":"secret'),
        Buffer.of(0xff, 0xc0),
        Buffer.from('"}\n{"b":1}\n'),
      ]),
    );
    expect(places(chunks)).toEqual([
      [1, 1, 'JSON_INVALID'],
      [2, 2, 'TEXT_INVALID'],
    ]);
    expect(recordsOf(chunks)).toEqual([{ b: 1 }]);
    expect(JSON.stringify(rejectsOf(chunks))).not.toContain('secret');
  });

  test('rejects a record above the cap without keeping it, and goes on behind it', () => {
    const long = `{"a":"${'x'.repeat(5000)}"}`;
    for (const cuts of [[], [100, 700, 3000], [5008, 5009, 5010]]) {
      const chunks = feed(ndjsonFramer({ recordBytesMax: 1000, minBytes: 10 }), `{"b":1}\n${long}\n{"b":2}\n`, cuts);
      expect(recordsOf(chunks)).toEqual([{ b: 1 }, { b: 2 }]);
      expect(places(chunks)).toEqual([[2, 2, 'RECORD_TOO_LARGE']]);
    }
  });

  test('gives the same records and rejects wherever the bytes are cut', () => {
    const line = fc.oneof(
      fc.json().map((value) => `{"v":${value}}`),
      fc.constantFrom('', ' ', '{', '[]', '{"a":"é\u2028😀"}\r'),
    );
    fc.assert(
      fc.property(fc.array(line), fc.array(fc.nat()), fc.boolean(), (lines, cuts, ended) => {
        const input = lines.join('\n') + (ended ? '\n' : '');
        const whole = ndjson(input);
        const cut = feed(ndjsonFramer({ minBytes: 1 }), input, cuts);
        expect(recordsOf(cut)).toEqual(recordsOf(whole));
        expect(rejectsOf(cut)).toEqual(rejectsOf(whole));
        expectResumable((at) => ndjsonFramer({ ...at, minBytes: 1 }), input, cut);
      }),
      { numRuns: 300 },
    );
  });

  test('cuts a long stream into chunks of 64 KiB to 1 MiB that number their rows', () => {
    const input = Array.from({ length: 60_000 }, (_, i) => `{"id":${i},"text":"${'x'.repeat(i % 50)}"}\n`).join('');
    const chunks = feed(
      ndjsonFramer(),
      input,
      Array.from({ length: 40 }, (_, i) => i * 50_021),
    );
    expect(chunks.every(({ bytes }) => bytes.length <= 1024 * 1024)).toBe(true);
    expect(chunks.slice(0, -1).every(({ bytes }) => bytes.length >= 60 * 1024)).toBe(true);
    let row = 1;
    for (const chunk of chunks) {
      expect(chunk.firstRow).toBe(row);
      row += chunk.count;
    }
    expect(recordsOf(chunks).map(({ id }) => id)).toEqual(Array.from({ length: 60_000 }, (_, i) => i));
    expect(chunks.at(-1)?.endOffset).toBe(Buffer.byteLength(input));
  });

  test('takes more broken lines than one call of the kernel lists', () => {
    const chunks = ndjson(`${'{\n'.repeat(3000)}{"a":1}\n`);
    expect(rejectsOf(chunks)).toHaveLength(3000);
    expect(rejectsOf(chunks).at(-1)).toMatchObject({ row: 3000, line: 3000 });
    expect(recordsOf(chunks)).toEqual([{ a: 1 }]);
  });

  test.each([
    ['gzip', gzipSync('{"a":1}\n'), 'gz'],
    ['zstd', Buffer.from('28b52ffd0458', 'hex'), 'Unpack'],
    ['UTF-16', Buffer.from('{"a":1}\n', 'utf16le'), 'UTF-8'],
    ['UTF-16', Buffer.from('{"a":1}\n', 'utf16le').swap16(), 'UTF-8'],
  ])('refuses what is no text at once, and not record by record: %s', (kind, bytes, hint) => {
    for (const framer of [ndjsonFramer(), csvFramer(), jsonFramer()]) {
      const told = { code: 'SOURCE_INVALID', message: expect.stringContaining(kind) };
      const feeding = () => feed(framer, bytes, [1, 2]);
      expect(feeding).toThrow(expect.objectContaining({ ...told, hint: expect.stringContaining(hint) }));
    }
  });

  test('refuses UTF-16 at once', () => {
    expect(() => ndjson(Buffer.from('\ufeff{"a":1}', 'utf16le'))).toThrow(/UTF-16/);
  });

  test('has nothing to say of nothing', () => {
    expect(ndjson('')).toEqual([]);
    expect(ndjson('\ufeff')).toEqual([]);
    expect(ndjson('\n \n')).toEqual([]);
  });
});

describe('csv', () => {
  test('reads quotes, doubled quotes, line ends inside quotes, CR LF, and a last row without line end', () => {
    const chunks = csv('\ufeffid,text\r\n1,"a ""b"", c"\r\n2,"two\r\nlines"\r\n\r\n3,plain');
    expect(recordsOf(chunks)).toEqual([
      { id: '1', text: 'a "b", c' },
      { id: '2', text: 'two\r\nlines' },
      { id: '3', text: 'plain' },
    ]);
    expect(rejectsOf(chunks)).toEqual([]);
  });

  test('takes nothing for null and "" for the empty string, unless told otherwise', () => {
    expect(recordsOf(csv('a,b\n,""\n'))).toEqual([{ a: null, b: '' }]);
    expect(recordsOf(csv('a,b\n,""\n', { emptyIsNull: false }))).toEqual([{ a: '', b: '' }]);
  });

  test('rejects rows that break the rules with row and line, and goes on', () => {
    const chunks = csv('a,b\n1\n2,3,4\n5,6"7\n8,"9"x\n"ten\n10",11\n12,\u000013\n14,15\n');
    expect(places(chunks)).toEqual([
      [1, 2, 'CSV_INVALID'],
      [2, 3, 'CSV_INVALID'],
      [3, 4, 'CSV_INVALID'],
      [4, 5, 'CSV_INVALID'],
      [6, 8, 'TEXT_INVALID'],
    ]);
    expect(recordsOf(chunks)).toEqual([
      { a: 'ten\n10', b: '11' },
      { a: '14', b: '15' },
    ]);
  });

  test('gives up only the line of a quote that never closes', () => {
    const chunks = csv('a,b\n1,2\n3,"4\n5,6\n7,8\n');
    expect(recordsOf(chunks)).toEqual([
      { a: '1', b: '2' },
      { a: '5', b: '6' },
      { a: '7', b: '8' },
    ]);
    expect(places(chunks)).toEqual([[2, 3, 'CSV_INVALID']]);
    expect(chunks.at(-1)?.endOffset).toBe(21);
  });

  test('gives up only the line of a quote that does not close within the cap', () => {
    const tail = Array.from({ length: 400 }, (_, i) => `${i},x\n`).join('');
    const chunks = feed(csvFramer({ recordBytesMax: 500, minBytes: 64 }), `a,b\n1,"2\n${tail}`, [50, 300, 700, 1200]);
    expect(recordsOf(chunks)).toHaveLength(400);
    expect(places(chunks)).toEqual([[1, 2, 'CSV_INVALID']]);
    expect(rejectsOf(chunks)[0]?.message).toMatch(/not closed within 500 bytes/);
  });

  test('rejects the row that is not UTF-8 by its own row and line', () => {
    const chunks = csv(Buffer.concat([Buffer.from('a\n"1\n2"\n'), Buffer.of(0xe9), Buffer.from('\n3\n')]));
    expect(places(chunks)).toEqual([[2, 4, 'TEXT_INVALID']]);
    expect(recordsOf(chunks)).toEqual([{ a: '1\n2' }, { a: '3' }]);
  });

  test.each([
    ['id;v;w\n1;a;b\n', {}, '3 by ";"'],
    ['"id"\t"v"\n', {}, '2 by "\\t"'],
    ['id|v', {}, '2 by "|"'],
    ['id,v\n', { delimiter: '\t' }, '2 by ","'],
  ])(
    'a first row of one column that another delimiter would part is refused unless that is said: %j',
    (text, by, what) => {
      expect(() => csv(text, { ...by, supposed: true })).toThrow(what);
      expect(() => csv(text, by)).not.toThrow();
    },
  );

  test.each(['"a;b"\nx\n', 'a\n1;2\n', 'a;b,c\n1,2\n'])('and one that none would is taken: %j', (text) => {
    expect(recordsOf(csv(text, { supposed: true }))).toHaveLength(1);
    expect(recordsOf(csv('x;y\n', { supposed: true, header: false }))).toHaveLength(1);
  });

  test('rewrites other dialects to the one that chunks hold', () => {
    const chunks = csv("a;b\n'x;''y''';1,5\n;''\n", { delimiter: ';', quote: "'" });
    expect(chunks[0]).toMatchObject({ format: 'csv', columns: ['a', 'b'] });
    expect(Buffer.from(chunks[0]!.bytes).toString()).toBe('x;\'y\',"1,5"\n,""');
    expect(recordsOf(csv('a\tb\n1\t2\n', { delimiter: '\t' }))).toEqual([{ a: '1', b: '2' }]);
  });

  test('makes typed NDJSON of declared types, without losing digits, and rejects what does not fit', () => {
    const types = { n: 'integer', d: 'number', b: 'boolean', j: 'json' } as const;
    const good = 'n,d,b,j,t\n007,1.10,yes,"{""x"":\n1}",12\n9007199254740993,.5e1,f,[],\n,,,,""\n';
    const bad = '1.5,1,t,1,\n1,x,t,1,\n1,1,maybe,1,\n1,1,t,{,\n';
    const chunks = csv(good + bad, { types });
    expect(chunks[0]?.format).toBe('ndjson');
    expect(recordsOf(chunks)).toEqual([
      { n: 7, d: 1.1, b: true, j: { x: 1 }, t: '12' },
      { n: 9007199254740993n, d: 5, b: false, j: [], t: null },
      { n: null, d: null, b: null, j: null, t: '' },
    ]);
    expect(places(chunks)).toEqual([4, 5, 6, 7].map((row) => [row, row + 2, 'CSV_INVALID']));
  });

  test('takes the names from the header, from a list, or makes them', () => {
    expect(recordsOf(csv('a,,b\n1,2,3\n'))).toEqual([{ a: '1', column_2: '2', b: '3' }]);
    expect(recordsOf(csv('1,2\n', { header: false }))).toEqual([{ column_1: '1', column_2: '2' }]);
    expect(recordsOf(csv('1,2\n', { header: ['x', 'y'] }))).toEqual([{ x: '1', y: '2' }]);
    expect(csvFramer().columns).toBeUndefined();
    expect(() => csv('a,b,a\n')).toThrow(/two columns named "a"/);
    expect(() => csv('a\n1\n', { types: { b: 'integer' } })).toThrow(/no CSV column "b"/);
    expect(recordsOf(csv('a,b\n'))).toEqual([]);
    expect(recordsOf(csv('__proto__,constructor\n1,2\n'))).toHaveLength(1);
  });

  test('take a carriage return alone for no line end, whether in the names or in a row', () => {
    // One such file gave no record and no word: all of it was taken for names.
    for (const input of ['a,b\r1,2\r', 'a\r1', '\r\ra\n1\n']) {
      expect(() => csv(input), JSON.stringify(input)).toThrow('carriage return');
    }
    expect(recordsOf(csv('a\r\n1'))).toEqual([{ a: '1' }]);
    const chunks = csv('a,b\r\n1,2\r\n3,x\ry\r\n4,5\r\r\n6,"x\ry"\r\n7,8\r');
    expect(recordsOf(chunks)).toEqual([
      { a: '1', b: '2' },
      { a: '6', b: 'x\ry' },
      { a: '7', b: '8' },
    ]);
    expect(places(chunks)).toEqual([
      [2, 3, 'CSV_INVALID'],
      [3, 4, 'CSV_INVALID'],
    ]);
    expect(csv('1\r2\r3', { header: ['a'] }).flatMap(({ rejects }) => rejects ?? [])).toHaveLength(1);
    expect(csvFramer({ header: true }).push(Buffer.from('a,b\r'))).toEqual([]);
  });

  test('reads back what was written, wherever the bytes are cut, and goes on from any chunk', () => {
    const field = fc.oneof(
      fc.constantFrom('', 'x', '"', ',', '\n', '\r\n', '""', ' a '),
      fc.string({ unit: 'grapheme' }).map((text) => text.replaceAll('\0', '')),
    );
    const table = fc.array(fc.tuple(field, field, fc.option(field)), { maxLength: 12 });
    fc.assert(
      fc.property(table, fc.array(fc.nat()), fc.constantFrom('\n', '\r\n'), (records, cuts, lineEnd) => {
        const quote = (text: string | null) => (text === null ? '' : `"${text.replaceAll('"', '""')}"`);
        const body = records.map((fields) => fields.map(quote).join(',')).join(lineEnd);
        const input = `a,b,c${lineEnd}${body}`;
        const chunks = feed(csvFramer({ minBytes: 1 }), input, cuts);
        expect(recordsOf(chunks)).toEqual(records.map(([a, b, c]) => ({ a, b, c })));
        expect(rejectsOf(chunks)).toEqual([]);
        expectResumable((at) => csvFramer({ ...at, header: ['a', 'b', 'c'], minBytes: 1 }), input, chunks);
      }),
      { numRuns: 400 },
    );
  });

  test('takes any bytes without failing and accounts for every row', () => {
    fc.assert(
      fc.property(
        fc.array(fc.constantFrom('a', '"', ',', '\n', '\r', ' ', 'é'), { maxLength: 60 }),
        fc.array(fc.nat()),
        (characters, cuts) => {
          const input = characters.join('');
          const whole = csv(input, { header: ['x', 'y'] });
          const cut = feed(csvFramer({ header: ['x', 'y'], minBytes: 1 }), input, cuts);
          expect(recordsOf(cut)).toEqual(recordsOf(whole));
          expect(rejectsOf(cut)).toEqual(rejectsOf(whole));
          const numbers = rejectsOf(whole).map(({ row }) => row);
          expect(new Set(numbers).size).toBe(numbers.length);
        },
      ),
      { numRuns: 1000 },
    );
  });
});

describe('json documents', () => {
  test('give the objects of the array at the top or at a path', () => {
    expect(recordsOf(json('[{"a":1}, {"a":[{"b":"]}"}]}\n]'))).toEqual([{ a: 1 }, { a: [{ b: ']}' }] }]);
    const nested = '{"items":[{"no":1}],"x":{"items":2},"data":{"y":"items","\\u0069tems":[ {"a" :\n 1} ]}, "z":[[]]}';
    expect(recordsOf(json(nested, { path: 'data.items' }))).toEqual([{ a: 1 }]);
    expect(recordsOf(json('\ufeff[]'))).toEqual([]);
  });

  test('reject elements that are no objects or not JSON, with row and line', () => {
    const chunks = json('[\n{"a":1},\n2,\n{"a" 1},\n{"a":"x\ny"},\nnull,\n{"a":6} ]');
    expect(recordsOf(chunks)).toEqual([{ a: 1 }, { a: 6 }]);
    expect(places(chunks)).toEqual([
      [2, 3, 'JSON_INVALID'],
      [3, 4, 'JSON_INVALID'],
      [4, 5, 'JSON_INVALID'],
      [5, 7, 'JSON_INVALID'],
    ]);
  });

  test('that are broken around their records are errors, never less records in silence', () => {
    for (const broken of [
      '[{"a":1}',
      '[{"a":1},',
      '[{"a":1},]',
      '[,{"a":1}]',
      '[{"a":1}}',
      '[{"a":1}] x',
      '',
      ' ',
      '{"a":1}',
      '[{"a":1} {"a":2}',
    ]) {
      expect(() => json(broken), broken).toThrow(/JSON document/);
    }
    expect(() => json('{"a":{"b":3}}', { path: 'a.b' })).toThrow(
      /no array at "a.b" but a number, true, false or null$/,
    );
    expect(() => json('{"a":{"b":3}}', { path: 'a' })).toThrow(/no array at "a" but an object$/);
    expect(() => json('{"a":"x"}', { path: 'a' })).toThrow(/no array at "a" but a text$/);
    expect(() => json('{"a":1}', { path: 'b' })).toThrow(/no array at "b"/);
    expect(() => json('{"a":[{}]', { path: 'a' })).toThrow(/ends before/);
    for (const twice of ['{"a":[{}],"a":[{}]}', '{"a":[],"b":1,"a":[]}'])
      expect(() => json(twice, { path: 'a' })).toThrow(/several arrays at "a"/);
    expect(() => json('{"b":{"a":[{}]},"b":{"a":[]}}', { path: 'b.a' })).toThrow(/several arrays at "b.a"/);
    expect(recordsOf(json('{"a":[{}],"c":{"a":[{}]}}', { path: 'a' }))).toHaveLength(1);
  });

  test('give the same wherever the bytes are cut, and go on from any chunk', () => {
    const element = fc.oneof(
      fc.json().map((value) => `{"v" : ${value}}`),
      fc.json({ maxDepth: 1 }),
      fc.constantFrom('{"a":"\\"]}é"}', '{"a"}'),
    );
    fc.assert(
      fc.property(
        fc.array(element),
        fc.array(fc.nat()),
        fc.constantFrom(',', ' , ', ',\n', '\r\n,\n  '),
        (elements, cuts, comma) => {
          const input = `{"meta":{"n":[1,"]"]},"rows":[${elements.join(comma)}\n],"after":{}}`;
          const whole = json(input, { path: 'rows' });
          const cut = feed(jsonFramer({ path: 'rows', minBytes: 1 }), input, cuts);
          expect(recordsOf(cut)).toEqual(recordsOf(whole));
          expect(rejectsOf(cut)).toEqual(rejectsOf(whole));
          expect(recordsOf(whole).length + rejectsOf(whole).length).toBe(elements.length);
          expectResumable((at) => jsonFramer({ ...at, path: 'rows', minBytes: 1 }), input, cut);
        },
      ),
      { numRuns: 300 },
    );
  });

  test('keep one element in memory, not the array', () => {
    const framer = jsonFramer({ recordBytesMax: 2000 });
    framer.push(Buffer.from('['));
    let records = 0;
    let held = 0;
    for (let i = 0; i < 3000; i++) {
      for (const chunk of framer.push(Buffer.from(`{"i":${i},"t":"${'x'.repeat(1000)}"},\n`))) {
        records += chunk.count;
        held = Math.max(held, chunk.bytes.length);
      }
    }
    for (const chunk of [...framer.push(Buffer.from(`{"t":"${'x'.repeat(3000)}"}, {}]`)), ...framer.end()]) {
      records += chunk.count;
      if (chunk.rejects !== undefined)
        expect(chunk.rejects).toMatchObject([{ row: 3001, line: 3001, code: 'RECORD_TOO_LARGE' }]);
    }
    expect(records).toBe(3001);
    expect(held).toBeLessThan(400 * 1024);
  });
});
