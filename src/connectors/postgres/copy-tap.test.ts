import { PassThrough } from 'node:stream';
import fc from 'fast-check';
import { expect, it } from 'vitest';
import { CopyTap } from './copy-tap.ts';

/** A message of the protocol: its letter, its length, what it carries. */
function message(letter: string, body: Uint8Array | string): Buffer {
  const bytes = Buffer.from(body);
  const head = Buffer.alloc(5);
  head.write(letter);
  head.writeInt32BE(bytes.length + 4, 1);
  return Buffer.concat([head, bytes]);
}

interface Heard {
  readonly data: string;
  readonly passed: string;
  readonly errors: readonly unknown[];
}

function hear(pieces: readonly Uint8Array[]): Heard {
  const stream = new PassThrough();
  const passed: Buffer[] = [];
  const data: Buffer[] = [];
  const errors: unknown[] = [];
  stream.on('data', (bytes: Buffer) => void passed.push(Buffer.from(bytes)));
  new CopyTap(
    stream,
    (bytes) => void data.push(Buffer.from(bytes)),
    (error) => void errors.push(error),
  );
  for (const piece of pieces) stream.emit('data', Buffer.from(piece));
  return { data: Buffer.concat(data).toString('hex'), passed: Buffer.concat(passed).toString('hex'), errors };
}

it('parts the rows of a COPY from all other messages, wherever the socket cuts', () => {
  const rows = fc.array(
    fc.record({ row: fc.uint8Array({ maxLength: 40 }), notice: fc.option(fc.string({ maxLength: 20 })) }),
    { maxLength: 30 },
  );
  fc.assert(
    fc.property(rows, fc.array(fc.nat(60), { minLength: 1, maxLength: 40 }), (list, cuts) => {
      const others = [
        message('H', 'formats'),
        ...list.flatMap((one) => (one.notice ? [message('N', one.notice)] : [])),
      ];
      const end = [message('c', ''), message('C', 'COPY 1'), message('Z', 'I'), message('S', 'for the next query')];
      const all = [others[0]!, ...list.flatMap((one) => interleaved(one.row, one.notice)), ...end];
      const heard = hear(cutUp(Buffer.concat(all), cuts));
      expect(heard.errors).toEqual([]);
      expect(heard.data).toBe(Buffer.concat(list.map((one) => one.row)).toString('hex'));
      expect(heard.passed).toBe(Buffer.concat([...others, ...end]).toString('hex'));
    }),
  );
});

const interleaved = (row: Uint8Array, notice: string | null): Buffer[] =>
  notice ? [message('d', row), message('N', notice)] : [message('d', row)];

function cutUp(bytes: Buffer, cuts: readonly number[]): Buffer[] {
  const pieces: Buffer[] = [];
  for (let at = 0, nth = 0; at < bytes.length; nth++) {
    const size = Math.max(1, cuts[nth % cuts.length]!);
    pieces.push(bytes.subarray(at, at + size));
    at += size;
  }
  return pieces;
}

it('says so when what comes is no message', () => {
  const broken = Buffer.from('d\0\0\0\u0001rest');
  expect(hear([broken]).errors).toMatchObject([{ code: 'SOURCE_FAILED' }]);
});
