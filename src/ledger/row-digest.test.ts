import fc from 'fast-check';
import { expect, it } from 'vitest';
import { type Cell, RowDigest } from './row-digest.ts';

const seed = new Uint8Array(16).map((_, at) => at * 7 + 1);
const digest = new RowDigest(seed);
const cell: fc.Arbitrary<Cell> = fc.oneof(
  fc.maxSafeInteger(),
  fc.double({ noNaN: true }),
  fc.string({ unit: 'binary', maxLength: 40 }),
  fc.uint8Array({ maxLength: 70 }),
  fc.constant(null),
);
const row = fc.array(cell, { minLength: 1, maxLength: 30 });

it('is a whole number of 53 bits, the same whenever it is made of the same row', () => {
  fc.assert(
    fc.property(row, (cells) => {
      const first = digest.of(3, cells);
      expect(Number.isSafeInteger(first) && first >= 0).toBe(true);
      expect(new RowDigest(seed).of(3, [...cells])).toBe(first);
      // A driver hands bytes over as views into larger buffers.
      const views = cells.map((one) =>
        one instanceof Uint8Array ? Buffer.concat([Buffer.alloc(3), one]).subarray(3) : one,
      );
      expect(digest.of(3, views)).toBe(first);
    }),
  );
});

it('differs when one bit of one cell does', () => {
  fc.assert(
    fc.property(row, fc.nat(), fc.nat(), (cells, at, bit) => {
      const place = at % cells.length;
      const changed = cells.map((one, nth) => (nth === place ? flipped(one, bit) : one));
      expect(digest.of(3, changed)).not.toBe(digest.of(3, cells));
    }),
    { numRuns: 2_000 },
  );
});

/** The cell with one of its bits turned over; a null becomes a zero. */
function flipped(one: Cell, bit: number): Cell {
  if (one === null) return 0;
  if (typeof one === 'number') {
    const float = new Float64Array([one]);
    const bytes = new Uint8Array(float.buffer);
    bytes[bit % 6] = (bytes[bit % 6] as number) ^ (1 << (bit % 8));
    return float[0] as number;
  }
  if (typeof one === 'string') {
    if (one === '') return '\0';
    const at = bit % one.length;
    return one.slice(0, at) + String.fromCharCode(one.charCodeAt(at) ^ (1 << (bit % 16))) + one.slice(at + 1);
  }
  const bytes = new Uint8Array(one.length === 0 ? 1 : one.length);
  bytes.set(one);
  const at = bit % bytes.length;
  bytes[at] = (bytes[at] as number) ^ (1 << (bit % 8));
  return bytes;
}

it('tells tables, ledgers, kinds of cells and their borders apart', () => {
  const rows: readonly Cell[][] = [
    [],
    [0],
    [null],
    [''],
    [new Uint8Array()],
    ['0'],
    [0, 0],
    [null, null],
    ['a', 'b'],
    ['ab', ''],
    ['', 'ab'],
    ['ab'],
    [new Uint8Array([97, 98])],
    [new Uint8Array([97]), new Uint8Array([98])],
    [24930],
  ];
  const all = rows.flatMap((cells) => [
    digest.of(1, cells),
    digest.of(2, cells),
    new RowDigest(seed.map((byte) => byte ^ 1)).of(1, cells),
  ]);
  expect(new Set(all).size).toBe(all.length);
});

it('spreads rows that differ little over all of its bits', () => {
  const found = new Set<number>();
  const ones = new Array<number>(53).fill(0);
  const count = 20_000;
  for (let id = 0; id < count; id++) {
    const value = digest.of(5, [id, 1, 'delivered', null]);
    found.add(value);
    for (let bit = 0; bit < 53; bit++) ones[bit] = (ones[bit] as number) + (Math.floor(value / 2 ** bit) % 2);
  }
  expect(found.size).toBe(count);
  // Seven standard deviations of a fair coin.
  for (const many of ones) expect(Math.abs(many - count / 2)).toBeLessThan(3.5 * Math.sqrt(count));
});
