import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { type Column, cutText, displayWidth, renderTable, wrapText } from './table.ts';

const plain = { width: 80, headStyle: (text: string) => text };
const columns: readonly Column[] = [
  { head: 'key', shrinkTo: 6 },
  { head: 'count', align: 'right' },
  { head: 'reason', shrinkTo: 6 },
];

describe('tables', () => {
  it('align text left and numbers right', () => {
    const lines = renderTable(
      columns,
      [
        ['a', 1, 'x'],
        ['bcd', '1,000', 'yz'],
      ],
      plain,
    );
    expect(lines).toEqual(['key  count  reason', 'a        1  x', 'bcd  1,000  yz']);
  });

  it('leave out a column that has no value', () => {
    expect(renderTable(columns, [['a', undefined, 'x']], plain)).toEqual(['key  reason', 'a    x']);
  });

  it('cut what is too long with an ellipsis, the widest first, and keep numbers whole', () => {
    const lines = renderTable(columns, [['k'.repeat(60), 123456789, 'r'.repeat(60)]], { ...plain, width: 50 });
    expect(Math.max(...lines.map(displayWidth))).toBeLessThanOrEqual(50);
    expect(lines[1]).toContain('123456789');
    expect(lines[1]).toMatch(/k+… .*r+…$/);
  });

  it('put no line over the width, whatever the values, as long as what must stay fits', () => {
    fc.assert(
      fc.property(
        fc.array(fc.tuple(fc.string({ unit: 'grapheme' }), fc.nat(), fc.string({ unit: 'binary' }))),
        fc.integer({ min: 40, max: 120 }),
        (rows, width) => {
          const lines = renderTable(columns, rows, { ...plain, width });
          expect(lines).toHaveLength(rows.length + 1);
          for (const line of lines) expect(displayWidth(line)).toBeLessThanOrEqual(width);
        },
      ),
    );
  });

  it('colour a cell without counting the colour as width', () => {
    const red = (text: string) => `\u001b[31m${text}\u001b[39m`;
    const lines = renderTable(columns, [[{ text: 'a', style: red }, 1, 'x']], plain);
    expect(lines[1]).toBe('\u001b[31ma\u001b[39m        1  x');
  });
});

describe('text', () => {
  it('is measured in columns: wide characters take two, marks none', () => {
    expect(displayWidth('日本')).toBe(4);
    expect(displayWidth('e\u0301')).toBe(1);
    expect(displayWidth('🚚')).toBe(2);
  });

  it('is cut within its columns and never in the middle of a character', () => {
    expect(cutText('日本語', 4)).toBe('日…');
    expect(cutText('abc', 3)).toBe('abc');
    expect(cutText('abcd', 3)).toBe('ab…');
  });

  it('is broken at spaces, and a long word stands whole', () => {
    expect(wrapText('one two three', 7)).toEqual(['one two', 'three']);
    expect(wrapText('a https://example.com/very/long b', 10)).toEqual(['a', 'https://example.com/very/long', 'b']);
  });
});
