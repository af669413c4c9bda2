import { describe, expect, it } from 'vitest';
import { kernel } from '../../formats/kernel.ts';
import type { Chunk } from '../../model/chunk.ts';
import type { Columns } from '../../model/columns.ts';
import { JsonCollector, RowCollector } from './copy-collectors.ts';

/** A binary COPY of one column, as the server writes it. `extension`: bytes of a header that nobody has to know. */
function copyOf(rows: readonly string[], extension: number): Buffer {
  const header = Buffer.alloc(19 + extension);
  header.write('PGCOPY\n\u00ff\r\n\0', 'latin1');
  header.writeInt32BE(extension, 15);
  const fields = rows.map((row) => {
    const field = Buffer.alloc(6 + Buffer.byteLength(row));
    field.writeInt16BE(1, 0);
    field.writeInt32BE(Buffer.byteLength(row), 2);
    field.write(row, 6);
    return field;
  });
  return Buffer.concat([header, ...fields, Buffer.from([0xff, 0xff])]);
}

function read(parts: readonly Buffer[]): readonly string[] {
  const collector = new JsonCollector();
  const chunks = [...parts.flatMap((part) => collector.add(part)), ...collector.end()];
  return chunks.flatMap(({ bytes, spans, count }) =>
    Array.from({ length: count }, (_, at) => Buffer.from(bytes).toString('utf8', spans[at * 2], spans[at * 2 + 1])),
  );
}

describe('a binary COPY of one column', () => {
  const rows = ['{"a":1}', '', '{"b":"ü"}'];
  it.each([0, 7])('is read whatever parts it comes in, header included (%s bytes of extension)', (extension) => {
    const whole = copyOf(rows, extension);
    for (let at = 0; at <= whole.length; at++) {
      expect(read([whole.subarray(0, at), whole.subarray(at)]), `cut at ${at}`).toEqual(rows);
    }
    expect(read([...whole].map((byte) => Buffer.from([byte])))).toEqual(rows);
  });

  it('may hold a row that comes in thousands of pieces', () => {
    const long = 'long '.repeat(8_000_000);
    const whole = copyOf(['{"a":1}', long, '{"b":2}'], 0);
    const collector = new JsonCollector();
    let bytes = 0;
    const began = process.cpuUsage();
    for (let at = 0; at < whole.length; at += 8_192) {
      for (const chunk of collector.add(whole.subarray(at, at + 8_192))) bytes += chunk.bytes.length;
    }
    for (const chunk of collector.end()) bytes += chunk.bytes.length;
    expect(bytes).toBe(long.length + 17);
    // Looking at all of it again with each piece takes a minute.
    expect(process.cpuUsage(began).user / 1e6).toBeLessThan(5);
  });

  it('that does not begin as one is refused', () => {
    expect(() => read([Buffer.from('this is something else altogether')])).toThrow(/no binary COPY/);
  });
});

/** One message of COPY, whose content stands in the memory of the kernel as it does when it comes from a server. */
function inKernel(bytes: Buffer): Buffer {
  const head = Buffer.from('d\0\0\0\0');
  head.writeInt32BE(bytes.length + 4, 1);
  const { data } = kernel().unframeCopy(Buffer.concat([head, bytes]), 0);
  return Buffer.from(data.buffer, data.byteOffset, data.byteLength);
}

describe('rows of a binary COPY', () => {
  const columns: Columns = [{ name: 'text', type: { kind: 'text' }, nullable: true }];

  // The first one here that frames: the memory of the kernel is larger afterwards, and its old buffer is gone.
  it.each([9_000, 200_000, 300_000, 700_000])('are whole when they come out of the kernel, %s bytes a time', (size) => {
    const rows = Array.from({ length: 5_000 }, (_, nth) => `${nth} `.repeat(1 + (nth % 61)));
    rows.splice(3_000, 0, 'long '.repeat(7_000));
    const whole = copyOf(rows, 0);
    const collector = new RowCollector(columns, { reuses: true });
    const read: string[] = [];
    const take = (chunks: readonly Chunk[]): void => {
      for (const chunk of chunks) {
        const bytes = Buffer.from(chunk.bytes);
        for (let nth = 0; nth < chunk.count; nth++) {
          read.push(bytes.toString('utf8', chunk.spans[nth * 2]! + 6, chunk.spans[nth * 2 + 1]));
        }
        collector.done(chunk);
      }
    };
    for (let at = 0; at < whole.length; at += size) take(collector.add(inKernel(whole.subarray(at, at + size))));
    take(collector.end());
    expect(read).toEqual(rows);
  });

  const rows = Array.from({ length: 9_000 }, (_, nth) => `${nth} `.repeat(1 + (nth % 97)));
  // One that is longer than a block.
  rows.splice(4_000, 0, 'long '.repeat(90_000));

  it.each([true, false])('are whole and in order, whether blocks are used again or not (%s)', (reuses) => {
    const whole = copyOf(rows, 0);
    const collector = new RowCollector(columns, { reuses });
    const read: string[] = [];
    const blocks = new Set<ArrayBufferLike>();
    const take = (chunks: readonly Chunk[]): void => {
      for (const chunk of chunks) {
        blocks.add(chunk.bytes.buffer);
        const bytes = Buffer.from(chunk.bytes);
        for (let nth = 0; nth < chunk.count; nth++) {
          read.push(bytes.toString('utf8', chunk.spans[nth * 2]! + 6, chunk.spans[nth * 2 + 1]));
        }
        collector.done(chunk);
      }
    };
    for (let at = 0; at < whole.length; at += 10_007) take(collector.add(whole.subarray(at, at + 10_007)));
    take(collector.end());
    expect(read).toEqual(rows);
    if (reuses) expect(blocks.size).toBeLessThan(5);
    else expect(blocks.size).toBeGreaterThan(5);
  });

  it('may be longer than 64 MiB', () => {
    const whole = copyOf(['short', 'long '.repeat(15_000_000), 'short'], 0);
    const collector = new RowCollector(columns);
    const chunks: Chunk[] = [];
    for (let at = 0; at < whole.length; at += 65_536) chunks.push(...collector.add(whole.subarray(at, at + 65_536)));
    chunks.push(...collector.end());
    const lengths = chunks.flatMap(({ spans }) => [...spans].map((end, nth) => end - (spans[nth - 1] ?? 0)));
    expect(lengths.filter((_, nth) => nth % 2 === 1)).toEqual([11, 75_000_006, 11]);
  });

  it('stand in blocks of their own as long as somebody holds them', () => {
    const whole = copyOf(rows, 0);
    const collector = new RowCollector(columns, { reuses: true });
    const chunks: Chunk[] = [];
    for (let at = 0; at < whole.length; at += 10_007) chunks.push(...collector.add(whole.subarray(at, at + 10_007)));
    chunks.push(...collector.end());
    const read = chunks.flatMap(({ bytes, spans, count }) =>
      Array.from({ length: count }, (_, nth) =>
        Buffer.from(bytes).toString('utf8', spans[nth * 2]! + 6, spans[nth * 2 + 1]),
      ),
    );
    expect(read).toEqual(rows);
  });
});
