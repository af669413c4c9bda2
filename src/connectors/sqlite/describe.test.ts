import { describe, expect, it } from 'vitest';
import { declaredColumns, describedChunk } from './describe.ts';

const textOf = (rows: readonly (readonly unknown[])[], declared: string): readonly string[] => {
  const { bytes, spans, count } = describedChunk([{ name: 'v', declared }], rows, { firstRow: 1 });
  const buffer = Buffer.from(bytes);
  return Array.from({ length: count }, (_, at) => buffer.toString('utf8', spans[at * 2], spans[at * 2 + 1]));
};

describe('a row of SQLite as a record', () => {
  it.each([
    ['INTEGER BOOLEAN', 1n, 7n, '{"v":true}'],
    ['TEXT DECIMAL(12,2)', '1.50', 'none', '{"v":1.50}'],
    ['TEXT DATE', '2026-11-19', 'soon', '{"v":"2026-11-19"}'],
  ])('is spelled the same in a column of %s whichever rows come with it', (declared, value, other, text) => {
    expect(textOf([[value]], declared)).toEqual([text]);
    expect(textOf([[value], [other]], declared)[0]).toBe(text);
  });

  it('has an infinity as a text, since JSON has none', () => {
    const rows = [[Number.POSITIVE_INFINITY], [Number.NEGATIVE_INFINITY], [0.5]];
    expect(textOf(rows, 'REAL')).toEqual(['{"v":"Infinity"}', '{"v":"-Infinity"}', '{"v":0.5}']);
    expect(describedChunk([{ name: 'v', declared: 'REAL' }], rows, { firstRow: 1 }).described![0]!.type).toEqual({
      kind: 'float64',
    });
  });
});

describe('the columns of a query without a row', () => {
  it('are what they were declared to be, and unknown where one was not', () => {
    const [id, any] = [
      { name: 'id', declared: 'integer' },
      { name: 'any', declared: null },
    ];
    expect(declaredColumns([id])).toEqual([{ name: 'id', type: { kind: 'int64' }, nullable: true }]);
    expect(declaredColumns([id, any])).toBe(undefined);
  });
});
