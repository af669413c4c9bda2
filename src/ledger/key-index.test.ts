import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import {
  ENTRIES_PER_PAGE,
  type Entries,
  entriesOf,
  keyHashes,
  mergeable,
  mergeEntries,
  pageHolds,
  readPage,
  toEntries,
  toPages,
} from './key-index.ts';

const keysOf = (numbers: readonly number[]): Uint8Array => {
  const words = new Uint32Array(numbers.length * 4);
  numbers.forEach((number, nth) => {
    words[nth * 4 + 3] = number;
  });
  return new Uint8Array(words.buffer);
};
const endsOfSevens = (count: number): number[] =>
  Array.from({ length: Math.ceil(count / 7) }, (_, nth) => Math.min(count, (nth + 1) * 7));
const entries = fc
  .array(fc.bigInt({ min: 0n, max: 2n ** 64n - 1n }), { maxLength: 60 })
  .map((list): Entries => new BigUint64Array(list).sort());

describe('entries of keys', () => {
  it('name, for every key, the batch that it stands in', () => {
    fc.assert(
      fc.property(fc.array(fc.nat({ max: 50 }), { maxLength: 300 }), (numbers) => {
        const keys = keysOf(numbers);
        const pages = toPages(entriesOf([{ keys, firstBatch: 100, ends: endsOfSevens(numbers.length) }])).map(readPage);
        numbers.forEach((number, place) => {
          const found = pages.flatMap((page) => pageHolds(page, keyHashes(keysOf([number]))[0]!));
          expect(found).toContain(100 + Math.floor(place / 7));
        });
        expect(pages.reduce((sum, page) => sum + page.count, 0)).toBe(numbers.length);
      }),
    );
  });

  it('are the same of several rows of keys as of one after the other', () => {
    fc.assert(
      fc.property(fc.array(fc.array(fc.nat({ max: 50 }), { maxLength: 40 }), { maxLength: 6 }), (rows) => {
        const each = rows.map((numbers, row) => ({
          keys: keysOf(numbers),
          firstBatch: row + 1,
          ends: [numbers.length],
        }));
        expect(entriesOf(each)).toEqual(mergeEntries(each.map((one) => entriesOf([one]))));
      }),
    );
  });

  it('are in order within and across pages that are full but for the last', () => {
    const keys = keysOf(Array.from({ length: 3 * ENTRIES_PER_PAGE + 5 }, (_, number) => number));
    const pages = toPages(entriesOf([{ keys, firstBatch: 1, ends: [keys.length / 16] }])).map(readPage);
    expect(pages.map((page) => page.count)).toEqual([ENTRIES_PER_PAGE, ENTRIES_PER_PAGE, ENTRIES_PER_PAGE, 5]);
    const all = pages.flatMap((page) => [...toEntries(page)]);
    expect(all).toEqual([...new BigUint64Array(all).sort()]);
    expect(pages.every((page) => page.first <= page.last)).toBe(true);
  });

  it('hold a hash as often as it comes, at a page\u2019s ends too', () => {
    const same = new BigUint64Array(ENTRIES_PER_PAGE).map((_, nth) => (7n << 32n) | BigInt(nth));
    const [page] = toPages(same).map(readPage);
    expect(pageHolds(page!, 7)).toHaveLength(ENTRIES_PER_PAGE);
    expect([...pageHolds(page!, 6), ...pageHolds(page!, 8)]).toEqual([]);
  });

  it('spread plain numbers evenly, since a page is looked for by its first hash', () => {
    const buckets = new Array<number>(256).fill(0);
    const count = 64_000;
    for (let number = 0; number < count; number++) {
      const bucket = keyHashes(keysOf([number]))[0]! >>> 24;
      buckets[bucket] = (buckets[bucket] as number) + 1;
    }
    // Six standard deviations of a fair spread.
    for (const many of buckets) expect(Math.abs(many - count / 256)).toBeLessThan(6 * Math.sqrt(count / 256));
  });
});

describe('merging', () => {
  it('takes what is certain, leaves the rest, and comes to the same as sorting all at once', () => {
    fc.assert(
      fc.property(
        fc.array(entries, { minLength: 2, maxLength: 8 }),
        fc.integer({ min: 1, max: 9 }),
        (parts, window) => {
          const rest = parts.filter((part) => part.length > 0);
          const merged: bigint[] = [];
          for (let steps = 0; rest.some((part) => part.length > 0); steps++) {
            expect(steps).toBeLessThan(1_000);
            const left = rest.filter((part) => part.length > 0);
            const heads = left.map((part) => ({ entries: part.slice(0, window), ended: part.length <= window }));
            const counts = mergeable(heads);
            expect(counts.some((count) => count > 0)).toBe(true);
            merged.push(...mergeEntries(heads.map((head, nth) => head.entries.subarray(0, counts[nth]))));
            left.forEach((part, nth) => {
              rest[rest.indexOf(part)] = part.slice(counts[nth]);
            });
          }
          expect(merged).toEqual([...new BigUint64Array(parts.flatMap((part) => [...part])).sort()]);
        },
      ),
    );
  });
});
