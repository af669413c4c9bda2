import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { headOf, Lines, recordIn } from './record-lines.ts';

/** The record that is found in haste, as text. */
function found(line: string, like = '{"type": "RECORD", "stream": "a", "record": {}}'): string | undefined {
  const bytes = Buffer.from(line);
  const span = recordIn(bytes, headOf(like)!);
  return span === undefined ? undefined : bytes.toString('utf8', span.start, span.end);
}

const message = (record: unknown, more: object = {}, spaced = true): string => {
  const text = JSON.stringify({ type: 'RECORD', stream: 'a', record, ...more });
  return spaced
    ? text.replace('"type":"RECORD","stream":"a","record":', '"type": "RECORD", "stream": "a", "record": ')
    : text;
};

describe('a record found in its line', () => {
  it('is what reading the line gives, whatever is in it and behind it', () => {
    const behind = fc.record(
      { time_extracted: fc.oneof(fc.string(), fc.constant(null)), version: fc.integer() },
      { requiredKeys: [] },
    );
    fc.assert(
      fc.property(fc.dictionary(fc.string(), fc.jsonValue()), behind, (record, more) => {
        const text = found(message(record, more));
        // What needs care is left to the reader that takes it.
        if (text !== undefined) expect(JSON.parse(text)).toEqual(JSON.parse(JSON.stringify(record)));
      }),
      { numRuns: 500 },
    );
    expect(found(message({ a: 1 }, { time_extracted: '2026-11-19T05:00:00Z', version: 3 }))).toBe('{"a":1}');
  });

  it('is not looked for where a line begins in another way or ends with what is not known', () => {
    expect(found(message({ a: 1 }, {}, false))).toBeUndefined();
    expect(found(message({ a: 1 }, { other: 1 }))).toBeUndefined();
    expect(found(message({ a: 1 }, { time_extracted: 'a "quote"' }))).toBeUndefined();
    expect(found('{"type": "RECORD", "stream": "a", "record": null}')).toBeUndefined();
    expect(found('{"type": "RECORD", "stream": "a", "record": ')).toBeUndefined();
    expect(found('{"type": "STATE", "value": {}}')).toBeUndefined();
  });

  it('is never a part of one that would pass for the whole', () => {
    // The stretch holds more than the record here, so that it is no object: the reader sees that.
    const text = found(message({ a: 1 }, { other: { b: 2 } }))!;
    expect(() => JSON.parse(text)).toThrow();
  });

  it('has a head only in messages of records, type and stream first', () => {
    expect(headOf('{"stream":"a\\"b","type":"RECORD","record":{"x":1}}')?.toString()).toBe(
      '{"stream":"a\\"b","type":"RECORD","record":',
    );
    for (const line of ['{"type":"STATE","value":{}}', '{"type":"RECORD","record":{},"stream":"a"}', '']) {
      expect(headOf(line), line).toBeUndefined();
    }
  });
});

describe('lines', () => {
  it('are the same wherever the pieces are cut', () => {
    const text = 'one\n\ntwo and a half\r\nthree';
    for (let size = 1; size <= text.length; size++) {
      const lines = new Lines();
      const seen: string[] = [];
      for (let at = 0; at < text.length; at += size) {
        for (const line of lines.push(Buffer.from(text.slice(at, at + size)))) seen.push(line.toString());
      }
      for (const line of lines.end()) seen.push(line.toString());
      expect(seen, `pieces of ${size}`).toEqual(['one', '', 'two and a half\r', 'three']);
    }
  });
});
