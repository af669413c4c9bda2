import fc from 'fast-check';
import { expect, it } from 'vitest';
import { UnsealedKeys } from './unsealed-keys.ts';

const keysOf = (numbers: readonly number[]): Uint8Array => {
  const keys = Buffer.alloc(numbers.length * 16);
  for (const [nth, number] of numbers.entries()) keys.writeUInt32LE(number, nth * 16 + 4);
  return keys;
};

it('holds what a queue would, however stretches come and go and however often it is asked', () => {
  const step = fc.oneof(
    fc.record({ add: fc.array(fc.integer({ min: 0, max: 30 }), { maxLength: 200 }) }),
    fc.record({ drop: fc.integer({ min: 0, max: 150 }) }),
    fc.record({ ask: fc.integer({ min: 0, max: 120 }) }),
  );
  fc.assert(
    fc.property(fc.array(step, { maxLength: 80 }), (steps) => {
      const unsealed = new UnsealedKeys();
      let queue: number[] = [];
      for (const one of steps) {
        if ('add' in one) {
          unsealed.add(keysOf([7, ...one.add, 7]), 1, one.add.length + 1);
          queue.push(...one.add);
        } else if ('drop' in one) {
          unsealed.drop(one.drop);
          queue = queue.slice(one.drop);
        } else {
          for (let nth = 0; nth < one.ask; nth++) {
            expect(unsealed.has(keysOf([nth % 31]), 0)).toBe(queue.includes(nth % 31));
          }
        }
      }
    }),
    { numRuns: 60 },
  );
});

it('keeps room for what is on its way, and not for what has gone through', () => {
  const unsealed = new UnsealedKeys();
  for (let from = 0; from < 500_000; from += 1_000) {
    const numbers = Array.from({ length: 1_000 }, (_, nth) => from + nth);
    unsealed.add(keysOf(numbers), 0, numbers.length);
    expect(unsealed.has(keysOf([from]), 0)).toBe(true);
    if (from > 0) unsealed.drop(1_000);
    expect(unsealed.has(keysOf([from === 0 ? 1_000_000 : from - 1_000]), 0)).toBe(false);
  }
});
