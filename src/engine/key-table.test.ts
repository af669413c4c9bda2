import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { KeyTable } from './key-table.ts';

const keysOf = (numbers: readonly number[]): Uint8Array => {
  const keys = Buffer.alloc(numbers.length * 16);
  for (const [nth, number] of numbers.entries()) keys.writeUInt32LE(number, nth * 16 + 4);
  return keys;
};

describe('the key table', () => {
  it('counts as a map does, however keys come and go', () => {
    const step = fc.tuple(fc.constantFrom('add', 'remove', 'clear'), fc.integer({ min: 0, max: 40 }));
    fc.assert(
      fc.property(fc.array(step, { maxLength: 300 }), (steps) => {
        const table = new KeyTable();
        const model = new Map<number, number>();
        for (const [what, number] of steps) {
          const count = model.get(number) ?? 0;
          if (what === 'clear') {
            if (number > 1) continue;
            table.clear();
            model.clear();
          } else {
            table[what](keysOf([number]), 0);
            model.set(number, Math.max(0, count + (what === 'add' ? 1 : -1)));
          }
          for (let key = 0; key <= 40; key++) {
            expect(table.has(keysOf([key]), 0)).toBe((model.get(key) ?? 0) > 0);
          }
        }
      }),
      { numRuns: 30 },
    );
  });

  it('keeps a hundred thousand keys that come, and lets go of those that went', () => {
    const table = new KeyTable();
    const numbers = Array.from({ length: 100_000 }, (_, n) => n);
    const keys = keysOf(numbers);
    for (const n of numbers) {
      table.add(keys, n);
      if (n >= 1_000) table.remove(keys, n - 1_000);
    }
    expect(numbers.filter((n) => table.has(keys, n))).toEqual(numbers.slice(-1_000));
  });
});
