import { Buffer } from 'node:buffer';
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { parseColumnType } from '../../model/columns.ts';
import { readText } from '../columns/values.ts';
import { columnKernel } from './column-kernel.ts';
import { readingOf } from './reading.ts';

/** Digits as they are printed, one more or less in the last place, and digits that nobody printed. */
const digits = fc.stringMatching(/^[0-9]{1,9}[.][0-9]{5,12}$/);
const printed = fc.oneof(
  fc.double({ noNaN: true, noDefaultInfinity: true }),
  fc.double({ min: -1e6, max: 1e6, noNaN: true }),
  fc.float({ noNaN: true, noDefaultInfinity: true }),
  fc.float({ min: 0, max: 1, noNaN: true }),
  fc.maxSafeInteger(),
);
const precise = fc.tuple(printed, fc.integer({ min: 6, max: 18 })).map(([value, places]) => value.toPrecision(places));
const nudged = fc
  .tuple(fc.oneof(printed.map(String), precise, digits), fc.integer({ min: -2, max: 2 }))
  .map(([text, by]) => text.replace(/\d(?=e|$)/, (digit) => String((Number(digit) + by + 10) % 10)));

test.each(['float64', 'float32'] as const)(
  'a %s that is read here is the number that is read elsewhere',
  async (kind) => {
    const type = parseColumnType(kind)!;
    const kernel = await columnKernel();
    const texts = fc.sample(fc.oneof(printed.map(String), precise, digits, nudged), { numRuns: 60_000, seed: 7 });
    const reading = readingOf(type);
    let read = 0;
    for (let from = 0; from < texts.length; from += 10_000) {
      const part = texts.slice(from, from + 10_000);
      kernel.begin([reading]);
      expect(kernel.split({ ...rowsOf(part), places: Uint32Array.of(0), columns: 1 })).toBe(true);
      const left = new Set(kernel.read(0, reading).left);
      const own = part.filter((_, at) => !left.has(at));
      read += own.length;
      for (const text of own) {
        const value = Number(readText(type, text));
        kernel.split({ ...rowsOf([text]), places: Uint32Array.of(0), columns: 1 });
        expect(kernel.read(0, reading).left).toHaveLength(0);
        const { least } = kernel.page(0, reading, { nulls: 0, nullable: false }).bounds;
        const found = kind === 'float64' ? least!.readDoubleLE() : least!.readFloatLE();
        if (!Object.is(found, kind === 'float64' ? value : Math.fround(value))) expect(text).toBe(found);
      }
    }
    expect(read).toBeGreaterThan(4_000);
  },
);

function rowsOf(rows: readonly string[]): { bytes: Uint8Array; spans: Uint32Array } {
  const spans = new Uint32Array(rows.length * 2);
  let at = 0;
  for (const [nth, row] of rows.entries()) {
    spans.set([at, at + row.length], nth * 2);
    at += row.length + 1;
  }
  return { bytes: Buffer.from(rows.join('\n')), spans };
}
