import { describe, expect, it } from 'vitest';
import { ObjectLines, withMembers } from './object-lines.ts';
import { rows } from './rows.ts';

const bytes = (text: string) => Buffer.from(text);
const textsOf = (lines: ObjectLines<string>, count?: number) =>
  lines.take(count).map(({ chunk, marks }) => ({
    records: [...rows(chunk)].map((record) => ({ ...record })),
    rejects: (chunk.rejects ?? []).map(({ row, message }) => `${row} ${message}`),
    firstRow: chunk.firstRow,
    marks,
  }));

describe('objects that come one by one', () => {
  it('become records with their marks, and what is no object becomes a reject with its own', () => {
    const lines = new ObjectLines<string>((mark) => `entry ${mark}`);
    for (const [nth, text] of ['{"a":1}', '{"a":\r\n2}', ' \n', '[3]', '{"a":4}{"a":5}'].entries()) {
      lines.add(bytes(text), `m${nth}`);
    }
    lines.refuse({ code: 'TEXT_INVALID', message: 'unreadable' }, 'm5');
    lines.add(Buffer.from([0xef, 0xbb, 0xbf, 0x7b, 0x7d]), 'm6');
    lines.add(bytes('{"a":"\uFEFF"}'), 'm7');
    const [piece, ...more] = textsOf(lines);
    expect(more).toEqual([]);
    expect(piece!.records).toEqual([{ a: 1 }, { a: 2 }, { a: '\uFEFF' }]);
    expect(piece!.rejects.map((text) => text.replace(/, at.*/, ''))).toEqual([
      '3 entry m2: there is nothing in it',
      '4 entry m3: the value is not a JSON object',
      '5 entry m4: something follows the JSON value',
      '6 entry m5: unreadable',
      '7 entry m6: not well-formed JSON',
    ]);
    expect(piece!.marks).toEqual(['m0', 'm1', 'm2', 'm3', 'm4', 'm5', 'm6', 'm7']);
  });

  it('can be taken in part; rows count on', () => {
    const lines = new ObjectLines<string>((mark) => mark);
    for (const n of [1, 2, 3]) lines.add(bytes(`{"n":${n}}`), `m${n}`);
    lines.refuse({ code: 'TEXT_INVALID', message: 'x' }, 'm4');
    expect(textsOf(lines, 2)).toMatchObject([{ records: [{ n: 1 }, { n: 2 }], firstRow: 1, marks: ['m1', 'm2'] }]);
    expect([lines.count, lines.nextRow]).toEqual([2, 5]);
    expect(textsOf(lines)).toMatchObject([{ records: [{ n: 3 }], rejects: ['4 m4: x'], firstRow: 3 }]);
    expect([lines.count, lines.bytes, textsOf(lines)]).toEqual([0, 0, []]);
  });

  it('are handed over in pieces that are not too large, each with its own marks', () => {
    const lines = new ObjectLines<number>(String);
    for (let n = 0; n < 300; n++) lines.add(bytes(JSON.stringify({ n, text: 'x'.repeat(10_000) })), n);
    const pieces = lines.take();
    expect(pieces.length).toBeGreaterThan(2);
    expect(pieces.flatMap(({ marks }) => marks)).toEqual(Array.from({ length: 300 }, (_, n) => n));
    for (const { chunk, marks } of pieces) expect([chunk.count, chunk.firstRow]).toEqual([marks.length, marks[0]! + 1]);
  });
});

describe('an object with more members', () => {
  const joined = (json: string) => {
    const made = withMembers(bytes(json), '"s":"x"', ['s']);
    return made instanceof Uint8Array ? Buffer.from(made).toString() : made.code;
  };

  it('has them behind its own', () => {
    expect(joined('{"a":{"b":"}"}} \n')).toBe('{"a":{"b":"}"},"s":"x"}');
    expect(joined(' { } ')).toBe(' {"s":"x"}');
    expect(joined('{"a":{}}')).toBe('{"a":{},"s":"x"}');
    expect(joined('{"a":{"s":1},"b":"\\"s\\""}')).toBe('{"a":{"s":1},"b":"\\"s\\"","s":"x"}');
  });

  it('is refused when it has one of them itself, however that is spelled', () => {
    for (const json of ['{"s":1}', '{"a":1,"\\u0073":2}']) expect(joined(json), json).toBe('RECORD_INVALID');
  });

  it('stays no object when it was none', () => {
    for (const json of ['', '[]', '{"a":1', '"}"', '{"a":1,}', '{]}', 'x}', '}']) {
      const made = joined(json);
      expect(() => JSON.parse(made), json).toSatisfy((parse: () => unknown) => {
        try {
          const value = parse();
          return typeof value !== 'object' || Array.isArray(value);
        } catch {
          return true;
        }
      });
    }
  });
});
