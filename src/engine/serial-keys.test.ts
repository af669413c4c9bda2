import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { packKeyText } from '../formats/keys.ts';
import { SerialKeys } from './serial-keys.ts';

const SEED = new Uint8Array(16);
const keysOf = (texts: readonly string[]): Uint8Array => Buffer.concat(texts.map((text) => packKeyText([text], SEED)));

describe('serial keys', () => {
  it('tell exactly which numbers came before, in whatever order they come', () => {
    const numbers = fc.array(fc.nat({ max: 9_000 }), { maxLength: 200 });
    fc.assert(
      fc.property(
        fc.array(numbers, { maxLength: 8 }),
        fc.constantFrom(0, 4_090, 999_999_999_990_000),
        (chunks, base) => {
          const serial = new SerialKeys();
          const seen = new Set<number>();
          for (const chunk of chunks) {
            const keys = keysOf(chunk.map((number) => String(base + number)));
            const before = chunk.map((number) => seen.has(number));
            expect(chunk.map((_, nth) => serial.perhaps(keys, nth))).toEqual(before);
            const again = chunk.flatMap((number, nth) => {
              const known = seen.has(number);
              seen.add(number);
              return known ? [nth] : [];
            });
            expect(serial.meet(keys, chunk.length)).toEqual(again);
            expect(chunk.every((_, nth) => serial.perhaps(keys, nth))).toBe(true);
          }
        },
      ),
      { numRuns: 60 },
    );
  });

  it.each(['-1', '1.5', '007', '', 'a', '1a', '1234567890123456', 'a text that is too long to stand as it is'])(
    'leave %j to a filter',
    (text) => {
      const keys = keysOf(['1', text]);
      expect(new SerialKeys().takes(keys, 0)).toBe(true);
      expect(new SerialKeys().takes(keys, 1)).toBe(false);
      expect(new SerialKeys().meet(keys, 2)).toBeUndefined();
    },
  );

  it('leave numbers to a filter that lie too far apart', () => {
    const serial = new SerialKeys();
    const far = (from: number): Uint8Array =>
      keysOf(Array.from({ length: 1_000 }, (_, nth) => String((from + nth) * 1_000_003)));
    expect(serial.meet(far(0), 1_000)).toEqual([]);
    let given = false;
    for (let from = 1_000; from < 5_000 && !given; from += 1_000) given = serial.meet(far(from), 1_000) === undefined;
    expect(given).toBe(true);
    expect(serial.takes(keysOf(['1']), 0)).toBe(false);
  });
});
