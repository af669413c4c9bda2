import { describe, expect, it } from 'vitest';
import type { Chunk } from '../model/chunk.ts';
import { BatchRanges } from './batch-ranges.ts';

const KIB = 1024;
const chunk = (nth: number, bytes: number): Chunk => ({
  format: 'ndjson',
  bytes: new Uint8Array(bytes),
  spans: new Uint32Array(2),
  count: 1,
  firstRow: nth,
  range: { object: `${nth}.ndjson`, version: '1', from: 0, to: bytes, row: nth },
});

/** A batch with a record of each of these chunks. */
function taken(chunks: readonly Chunk[], batchBytes: number): readonly string[] | undefined {
  const ranges = new BatchRanges();
  for (const one of chunks) {
    ranges.at(one);
    ranges.add();
    ranges.add();
  }
  return ranges.take(batchBytes)?.map(({ object }) => object);
}

describe('where the records of a batch stand', () => {
  it('is said once for each chunk, in order, and anew for the next batch', () => {
    const ranges = new BatchRanges();
    const [one, two] = [chunk(1, KIB), chunk(2, KIB)];
    ranges.at(one);
    ranges.add();
    ranges.at(two);
    ranges.add();
    ranges.add();
    expect(ranges.take(KIB)).toEqual([one.range, two.range]);
    expect(ranges.take(KIB), 'nothing was added since').toBeUndefined();
    ranges.add();
    expect(ranges.take(KIB), 'the chunk at hand goes on').toEqual([two.range]);
  });

  it('is not said when one of them stands nowhere, and said again of the next batch', () => {
    const ranges = new BatchRanges();
    ranges.at(undefined);
    ranges.add();
    ranges.at(chunk(1, KIB));
    ranges.add();
    expect(ranges.take(KIB)).toBeUndefined();
    ranges.add();
    expect(ranges.take(KIB)).toHaveLength(1);
  });

  it('is not said where much would have to be read for little', () => {
    const large = Array.from({ length: 5 }, (_, nth) => chunk(nth, KIB * KIB));
    expect(taken(large, 10 * KIB), '5 MiB for 10 KiB').toBeUndefined();
    expect(taken(large.slice(0, 4), 10 * KIB), 'up to 4 MiB nobody minds').toHaveLength(4);
    expect(taken(large, 2 * KIB * KIB)).toHaveLength(5);
  });

  it('is not said where it would take more room than the records', () => {
    const small = Array.from({ length: 40 }, (_, nth) => chunk(nth, 100));
    expect(taken(small, 4_000)).toBeUndefined();
    expect(taken(small, 40_000)).toHaveLength(40);
    expect(taken(small.slice(0, 8), 10), 'a few are never too many').toHaveLength(8);
  });
});
