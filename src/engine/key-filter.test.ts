import { describe, expect, it } from 'vitest';
import { KeyFilter } from './key-filter.ts';

/** Keys as short texts are packed: nearly all of their bytes are zero. */
function keysOf(from: number, count: number): Uint8Array {
  const keys = Buffer.alloc(count * 16);
  for (let nth = 0; nth < count; nth++) {
    const text = String(from + nth);
    keys.write(text, nth * 16, 'latin1');
    keys[nth * 16 + 15] = text.length;
  }
  return keys;
}

describe('the key filter', () => {
  it('never misses a key that was added, over several layers', () => {
    const filter = new KeyFilter();
    const keys = keysOf(1_000_000, 400_000);
    for (let nth = 0; nth < 400_000; nth++) filter.add(keys, nth);
    let missed = 0;
    for (let nth = 0; nth < 400_000; nth++) if (!filter.perhaps(keys, nth)) missed++;
    expect(missed).toBe(0);
  });

  it('takes less than one new key in two hundred for one that was seen', () => {
    const filter = new KeyFilter();
    const keys = keysOf(1_000_000, 300_000);
    for (let nth = 0; nth < 300_000; nth++) filter.add(keys, nth);
    const others = keysOf(5_000_000, 100_000);
    let mistaken = 0;
    for (let nth = 0; nth < 100_000; nth++) if (filter.perhaps(others, nth)) mistaken++;
    expect(mistaken).toBeLessThan(500);
  });

  it('meets keys as it adds them one by one: what came before is never called new', () => {
    const filter = new KeyFilter();
    const keys = keysOf(1_000_000, 300_000);
    let mistaken = 0;
    for (let from = 0; from < 300_000; from += 2_000) {
      mistaken += filter.meet(keys.subarray(from * 16, (from + 2_000) * 16), 2_000).length;
    }
    expect(mistaken).toBeLessThan(60);
    const again = Buffer.concat([keysOf(5_000_000, 3), keys.subarray(0, 32_000), keysOf(5_000_001, 1)]);
    const suspects = filter.meet(again, again.length / 16);
    expect(suspects).toEqual(Array.from({ length: 2_001 }, (_, nth) => nth + 3));
  });
});
