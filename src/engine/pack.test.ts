import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { COPY_ROWS, type Framing, LINES } from '../model/batch.ts';
import { BatchRooms } from './batch-rooms.ts';
import { type PackedBatch, Packer } from './pack.ts';

const ARRAY: Framing = { format: 'ndjson', head: '{"events":[', separator: ',', tail: ']}' };

function pack(records: readonly string[], limits: { recordsPerBatch: number; bytesPerBatch?: number }): PackedBatch[] {
  const packer = new Packer({ ...limits, inFlight: 1 }, [ARRAY]);
  const batches = records.map((text, nth) => {
    const bytes = Buffer.from(text);
    const digests = Buffer.alloc(8, nth % 241);
    const spans = Uint32Array.of(0, bytes.length);
    const one = { bytes, spans, keys: Buffer.alloc(16, nth % 251), sourceDigests: digests, payloadDigests: digests };
    return packer.add({ records: one, place: 0, nthKey: 0, count: 1 }).closed;
  });
  return [...batches, packer.close()].filter((batch) => batch !== undefined);
}

/** The same records, in chunks whose bytes stand as `between` says, each handed over in as few calls as possible. */
function packRuns(
  chunks: readonly (readonly string[])[],
  limits: { recordsPerBatch: number; bytesPerBatch?: number },
  between: string,
): PackedBatch[] {
  const packer = new Packer({ ...limits, inFlight: 1 }, [ARRAY]);
  const batches: (PackedBatch | undefined)[] = [];
  let all = 0;
  for (const chunk of chunks) {
    const spans: number[] = [];
    let text = '';
    for (const one of chunk) {
      if (text !== '') text += between;
      spans.push(text.length, text.length + one.length);
      text += one;
    }
    const marks = (size: number, of: number) =>
      Buffer.concat([Buffer.alloc(0), ...chunk.map((_, nth) => Buffer.alloc(size, (all + nth) % of))]);
    const digests = marks(8, 241);
    const records = {
      bytes: Buffer.from(text),
      spans: Uint32Array.from(spans),
      keys: marks(16, 251),
      sourceDigests: digests,
      payloadDigests: digests,
    };
    for (let nth = 0; nth < chunk.length; ) {
      const { closed, taken } = packer.add({ records, place: nth, nthKey: nth, count: chunk.length - nth });
      batches.push(closed);
      nth += taken;
    }
    all += chunk.length;
  }
  return [...batches, packer.close()].filter((batch) => batch !== undefined);
}

const record = fc.integer({ min: 0, max: 60 }).map((n) => JSON.stringify({ fill: 'x'.repeat(n) }));

describe('the packer', () => {
  it.each([
    [0, 0],
    [1, 1],
    [99, 1],
    [100, 1],
    [101, 2],
    [1037, 11],
  ])('U02: makes of %i records exactly %i batches of at most 100', (records, batches) => {
    const made = pack(
      Array.from({ length: records }, (_, id) => JSON.stringify({ id })),
      { recordsPerBatch: 100 },
    );
    expect(made.length).toBe(batches);
    expect(made.every((batch) => batch.records <= 100)).toBe(true);
    expect(made.reduce((sum, batch) => sum + batch.records, 0)).toBe(records);
  });

  it('U03: never exceeds either limit, keeps every record and their order, and wastes no room', () => {
    fc.assert(
      fc.property(fc.array(record, { maxLength: 80 }), fc.integer({ min: 90, max: 400 }), (records, bytesPerBatch) => {
        const made = pack(records, { recordsPerBatch: 7, bytesPerBatch });
        const sent = made.flatMap((batch) => JSON.parse(Buffer.from(batch.bytes).toString()).events as unknown[]);
        expect(sent).toEqual(records.map((text) => JSON.parse(text)));
        for (const [at, batch] of made.entries()) {
          expect(batch.bytes.length).toBeLessThanOrEqual(bytesPerBatch);
          expect(batch.records).toBeLessThanOrEqual(7);
          const next = made[at + 1];
          if (next === undefined || batch.records === 7) continue;
          const first = next.spans[1]! - next.spans[0]!;
          expect(batch.bytes.length + 1 + first).toBeGreaterThan(bytesPerBatch);
        }
      }),
    );
  });

  it.each([',', '\n', ''])('makes the same batches of runs, whatever stood between their records (%j)', (between) => {
    const limits = fc.record({
      recordsPerBatch: fc.integer({ min: 1, max: 9 }),
      bytesPerBatch: fc.integer({ min: 90 }),
    });
    fc.assert(
      fc.property(fc.array(fc.array(record, { maxLength: 20 }), { maxLength: 8 }), limits, (chunks, limit) => {
        expect(packRuns(chunks, limit, between)).toEqual(pack(chunks.flat(), limit));
      }),
    );
  });

  it('closes a batch when the records that follow are encoded in another way', () => {
    const packer = new Packer({ recordsPerBatch: 10, inFlight: 1 }, [LINES, COPY_ROWS]);
    const run = (text: string) => {
      const [bytes, digests] = [Buffer.from(text), Buffer.alloc(8)];
      const records = { bytes, spans: Uint32Array.of(0, text.length), keys: Buffer.alloc(16) };
      return {
        records: { ...records, sourceDigests: digests, payloadDigests: digests },
        place: 0,
        nthKey: 0,
        count: 1,
      };
    };
    const types = [{ name: 'id', type: { kind: 'int32' as const }, nullable: true }];
    packer.add(run('{}'));
    const lines = packer.turnTo({ format: 'pgcopy', columns: ['id'], types });
    expect(Buffer.from(lines!.bytes).toString()).toBe('{}\n');
    packer.add(run('row'));
    packer.add(run('row'));
    expect(packer.turnTo({ format: 'pgcopy', columns: ['id'], types: [...types] })).toBeUndefined();
    const rows = packer.turnTo({});
    expect(Buffer.from(rows!.bytes).toString()).toBe('rowrow');
    expect(rows).toMatchObject({ format: 'pgcopy', types, records: 2 });
  });

  it('says where each record stands in the bytes that leave', () => {
    const [batch] = pack(['{"a":1}', '{"b":22}'], { recordsPerBatch: 10 });
    const at = (nth: number) =>
      Buffer.from(batch!.bytes.subarray(batch!.spans[nth * 2], batch!.spans[nth * 2 + 1])).toString();
    expect([at(0), at(1)]).toEqual(['{"a":1}', '{"b":22}']);
  });

  it('knows of a record that fits into no batch', () => {
    const packer = new Packer({ recordsPerBatch: 10, bytesPerBatch: 100, inFlight: 1 }, [ARRAY]);
    expect(packer.tooLarge(100 - ARRAY.head.length - ARRAY.tail.length)).toBe(false);
    expect(packer.tooLarge(100 - ARRAY.head.length - ARRAY.tail.length + 1)).toBe(true);
  });

  it('closes a batch when a key comes again, where versions of a record have to stay apart', () => {
    const keyed = (apart: boolean) => {
      const packer = new Packer({ recordsPerBatch: 10, inFlight: 1 }, [ARRAY], { apart });
      const add = (key: number) => {
        const bytes = Buffer.from(`${key}`);
        const digests = Buffer.alloc(8);
        const one = { bytes, spans: Uint32Array.of(0, bytes.length), keys: Buffer.alloc(16, key) };
        const records = { ...one, sourceDigests: digests, payloadDigests: digests };
        return packer.add({ records, place: 0, nthKey: 0, count: 1 }).closed;
      };
      const closed = [1, 2, 1, 3, 2, 2].map(add);
      return [...closed, packer.close()].flatMap((batch) => (batch === undefined ? [] : [batch.records]));
    };
    expect(keyed(false)).toEqual([6]);
    expect(keyed(true)).toEqual([2, 3, 1]);
  });

  it('puts large batches where those were that are over, and never where one is that is not', () => {
    const rooms = new BatchRooms();
    const packer = new Packer({ recordsPerBatch: 10_000, inFlight: 1 }, [COPY_ROWS], { rooms });
    const count = 1_000;
    const chunk = (nth: number) => {
      const [bytes, digests] = [Buffer.alloc(count * 50, nth), Buffer.alloc(count * 8, nth)];
      const spans = Uint32Array.from({ length: count * 2 }, (_, at) => ((at + 1) >>> 1) * 50);
      const records = { bytes, spans, keys: Buffer.alloc(count * 16, nth), sourceDigests: digests };
      return { records: { ...records, payloadDigests: digests }, place: 0, nthKey: 0, count };
    };
    const on = new Map<PackedBatch, { frozen: Buffer; buffers: ArrayBufferLike[] }>();
    const met = new Set<ArrayBufferLike>();
    const partsOf = ({ bytes, spans, keys, sourceDigests, payloadDigests }: PackedBatch) =>
      [bytes, spans, keys, sourceDigests, payloadDigests] as const;
    const asBytes = ({ buffer, byteOffset, byteLength }: ArrayBufferView) =>
      Buffer.from(buffer, byteOffset, byteLength);
    let reused = 0;
    for (let nth = 0; nth < 200; nth++) {
      const { closed } = packer.add(chunk(nth % 251));
      if (closed === undefined) continue;
      const parts = partsOf(closed);
      const buffers = parts.map(({ buffer }) => buffer);
      for (const { buffers: others } of on.values()) expect(others.some((one) => buffers.includes(one))).toBe(false);
      reused += buffers.filter((one) => met.has(one)).length;
      for (const one of buffers) met.add(one);
      on.set(closed, { frozen: Buffer.concat(parts.map(asBytes)), buffers });
      if (on.size < 3) continue;
      const [oldest, { frozen }] = [...on][0]!;
      expect(Buffer.concat(partsOf(oldest).map(asBytes)).equals(frozen)).toBe(true);
      on.delete(oldest);
      rooms.giveBackAll(oldest);
    }
    expect(reused).toBeGreaterThan(60);
  });

  it('takes the memory of a large batch in one piece, once its first records tell how long it will be', () => {
    const taken: number[] = [];
    class Counted extends BatchRooms {
      override take(size: number): Buffer {
        taken.push(size);
        return super.take(size);
      }
    }
    const packer = new Packer({ recordsPerBatch: 50_000, inFlight: 1 }, [COPY_ROWS], { rooms: new Counted() });
    const count = 1_000;
    const digests = Buffer.alloc(count * 8);
    const spans = Uint32Array.from({ length: count * 2 }, (_, at) => ((at + 1) >>> 1) * 100);
    const marks = { keys: Buffer.alloc(count * 16), sourceDigests: digests, payloadDigests: digests };
    const records = { bytes: Buffer.alloc(count * 100), spans, ...marks };
    const atFirst = taken.length;
    for (let nth = 0; nth < 50; nth++) packer.add({ records, place: 0, nthKey: 0, count });
    // Its bytes, and four lists of what is known of each record.
    expect(taken.length - atFirst).toBe(5);
    expect(packer.close()?.bytes.length).toBe(50 * count * 100);
    expect(Math.max(...taken)).toBeLessThan(50 * count * 100 * 1.25);
  });
});
