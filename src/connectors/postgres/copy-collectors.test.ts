import { describe, expect, it } from 'vitest';
import { JsonCollector } from './copy-collectors.ts';

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

  it('that does not begin as one is refused', () => {
    expect(() => read([Buffer.from('this is something else altogether')])).toThrow(/no binary COPY/);
  });
});
