import { Buffer } from 'node:buffer';
import fc from 'fast-check';
import { compressors } from 'hyparquet-compressors';
import { expect, test } from 'vitest';
import { PARQUET_WASM } from '../kernel/parquet.generated.ts';
import { compiled } from '../wasm.ts';

interface Exports {
  readonly memory: { readonly buffer: ArrayBuffer; grow(pages: number): number };
  pack(start: number, end: number, to: number): number;
}

const [INPUT, OUTPUT] = [65_536, 65_536 * 40];
const wasm = compiled(PARQUET_WASM)() as Exports;
wasm.memory.grow(100);

function packed(bytes: Uint8Array): Uint8Array {
  const memory = new Uint8Array(wasm.memory.buffer);
  memory.set(bytes, INPUT);
  // What is behind the input must not count.
  memory.fill(bytes.at(-1) ?? 0, INPUT + bytes.length, INPUT + bytes.length + 64);
  return memory.slice(OUTPUT, wasm.pack(INPUT, INPUT + bytes.length, OUTPUT));
}

function expectRoundTrip(bytes: Uint8Array): number {
  const small = packed(bytes);
  expect(small.length).toBeLessThanOrEqual(32 + Math.ceil((bytes.length * 7) / 6));
  const back = bytes.length === 0 ? new Uint8Array(0) : compressors.SNAPPY!(small, bytes.length);
  expect(Buffer.compare(back, bytes)).toBe(0);
  return small.length;
}

const K64 = 65_536;
const sizes = [0, 1, 3, 4, 14, 15, 16, 59, 60, 61, 62, 255, 256, 257, 258, 2047, 2048, 2049];
const aroundBlocks = [1, 2, 4].flatMap((blocks) =>
  [-61, -16, -15, -1, 0, 1, 14, 15, 16, 61].map((n) => n + blocks * K64),
);

test.each([...sizes, ...aroundBlocks])('%i bytes come back, of noise and of every period', (size) => {
  let state = size + 1;
  const noise = Uint8Array.from({ length: size }, () => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
    return state >>> 24;
  });
  expectRoundTrip(noise);
  for (const period of [1, 2, 3, 4, 7, 8, 11, 64, 67, 68, 69, 2047, 2048, 60_000]) {
    const length = expectRoundTrip(Uint8Array.from({ length: size }, (_, at) => noise[at % period]!));
    if (size > 10 * period && period < 2048) expect(length).toBeLessThan(200 + period + size / 8);
  }
});

test('bytes of every kind come back', () => {
  const piece = fc.tuple(fc.uint8Array({ minLength: 1, maxLength: 90 }), fc.integer({ min: 1, max: 300 }));
  const pieces = fc.array(fc.tuple(piece, fc.nat(20)), { maxLength: 40 });
  fc.assert(
    fc.property(pieces, (list) => {
      const parts = list.map(([[bytes, times]]) => Buffer.alloc(bytes.length * times, bytes));
      // Some come again from far behind.
      const again = list.map(([, nth]) => parts[nth % parts.length]!);
      const all = Buffer.concat([...parts, ...again]);
      expectRoundTrip(all.subarray(0, 30 * K64));
    }),
    { numRuns: 300 },
  );
});
