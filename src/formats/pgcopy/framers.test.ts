import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { COLUMN_KINDS, type Columns } from '../../model/columns.ts';
import { WaybillError } from '../../model/errors.ts';
import type { FramedChunk, Framer } from '../formats.ts';
import { COPY_HEADER, COPY_TRAILER, copyFramer } from './binary-framer.ts';
import { CopyWriter } from './copy-writer.ts';
import { copyFields } from './fields.ts';
import { copyTextFramer } from './text-framer.ts';

const COLUMNS: Columns = [
  { name: 'id', type: { kind: 'int64' }, nullable: true },
  { name: 'text', type: { kind: 'text' }, nullable: true },
  { name: 'bytes', type: { kind: 'bytes' }, nullable: true },
];
const ONE_TEXT: Columns = [{ name: 'text', type: { kind: 'text' }, nullable: true }];

type Row = readonly (string | null)[];
const text = fc.string({ unit: 'binary' }).map((value) => value.replaceAll('\0', ''));
const rows = fc.array(
  fc.tuple(
    fc.option(fc.bigInt({ min: -(2n ** 63n), max: 2n ** 63n - 1n }).map(String)),
    fc.option(fc.oneof(text, fc.constantFrom('\\N', '\\.', '', '\t', '\n', '\ufeff', '\\'))),
    fc.option(fc.uint8Array().map((bytes) => Buffer.from(bytes).toString('base64'))),
  ),
  { maxLength: 30 },
);

function written(format: 'pgcopy' | 'pgcopy-text', list: readonly Row[], columns = COLUMNS): Buffer {
  const writer = new CopyWriter(format, columns);
  for (const row of list) writer.add(row);
  const { bytes, count } = writer.finish();
  if (format === 'pgcopy') return Buffer.concat([COPY_HEADER, bytes, COPY_TRAILER]);
  return Buffer.concat([bytes, Buffer.from(count > 0 ? '\n' : '')]);
}

/** Pushed in pieces of these lengths, over and over. */
function framed(framer: Framer, bytes: Uint8Array, lengths: readonly number[]): FramedChunk[] {
  const chunks: FramedChunk[] = [];
  for (let at = 0, nth = 0; at < bytes.length; nth++) {
    const length = lengths[nth % lengths.length]!;
    chunks.push(...framer.push(bytes.subarray(at, at + length)));
    at += length;
  }
  return [...chunks, ...framer.end()];
}

const fieldsOf = (chunks: readonly FramedChunk[]): Row[] =>
  chunks.flatMap((chunk) => Array.from({ length: chunk.count }, (_, index) => copyFields(chunk, index)));
const pieces = fc.array(fc.integer({ min: 1, max: 40 }), { minLength: 1, maxLength: 5 });

describe('frames of COPY', () => {
  it('finds the rows of the binary form, however the stream is cut', () => {
    fc.assert(
      fc.property(rows, pieces, fc.integer({ min: 1, max: 60 }), (list, lengths, minBytes) => {
        const chunks = framed(copyFramer(COLUMNS, { minBytes }), written('pgcopy', list), lengths);
        expect(fieldsOf(chunks)).toEqual(list);
        expect(chunks.map(({ firstRow }) => firstRow)).toEqual(firstRows(chunks));
      }),
    );
  });
  it('finds the rows of the text form, however the stream is cut', () => {
    fc.assert(
      fc.property(rows, pieces, fc.integer({ min: 1, max: 60 }), fc.boolean(), (list, lengths, minBytes, marked) => {
        const bytes = Buffer.concat([written('pgcopy-text', list), Buffer.from(marked ? '\\.\n' : '')]);
        const chunks = framed(copyTextFramer(COLUMNS, { minBytes }), bytes, lengths);
        expect(fieldsOf(chunks)).toEqual(list);
        expect(chunks.map(({ firstRow }) => firstRow)).toEqual(firstRows(chunks));
      }),
    );
  });
  it('takes an empty line for one empty text, and a mark for the text that it is', () => {
    const list = [[''], ['\ufeff'], [null], ['']];
    const chunks = framed(copyTextFramer(ONE_TEXT), written('pgcopy-text', list, ONE_TEXT), [7]);
    expect(fieldsOf(chunks)).toEqual(list);
  });
  it('goes on behind any row that it has given an offset for', () => {
    const list: Row[] = Array.from({ length: 20 }, (_, nth) => [String(nth), 'x'.repeat(nth), null]);
    for (const format of ['pgcopy', 'pgcopy-text'] as const) {
      const make = format === 'pgcopy' ? copyFramer : copyTextFramer;
      const bytes = written(format, list);
      const chunks = framed(make(COLUMNS, { minBytes: 60 }), bytes, [50]);
      expect(chunks.length).toBeGreaterThan(3);
      for (const { endOffset, firstRow, count } of chunks) {
        const rest = framed(
          make(COLUMNS, { startOffset: endOffset, startRow: firstRow + count }),
          bytes.subarray(endOffset),
          [33],
        );
        expect(fieldsOf(rest)).toEqual(list.slice(firstRow + count - 1));
      }
    }
  });
  it('rejects a line of text with other fields, and goes on', () => {
    const [chunk] = framed(copyTextFramer(ONE_TEXT), Buffer.from('a\nb\tc\nd\0e\nf'), [100]);
    expect(fieldsOf([chunk!])).toEqual([['a'], ['f']]);
    expect(chunk!.rejects).toEqual([
      { row: 2, line: 2, code: 'COPY_INVALID', message: 'the row has 2 fields, not 1' },
      { row: 3, line: 3, code: 'TEXT_INVALID', message: 'the row holds a NUL' },
    ]);
  });

  const whole = written('pgcopy', [['1', 'one', null]]);
  it.each([
    ['ends in a row', whole.subarray(0, whole.length - 4), 'without its trailer'],
    ['ends without a trailer', whole.subarray(0, whole.length - 2), 'without its trailer'],
    ['is empty', Buffer.alloc(0), 'without its trailer'],
    ['goes on behind the trailer', Buffer.concat([whole, Buffer.from('x')]), 'goes on behind its trailer'],
    ['is none', Buffer.from('id,text,bytes\n1,one,\n2,two,\n'), 'does not begin as one'],
    [
      'has flags that nobody knows',
      Buffer.concat([COPY_HEADER.subarray(0, 11), Buffer.from([0, 1, 0, 0, 0, 0, 0, 0]), whole.subarray(19)]),
      'is of a kind',
    ],
  ])('refuses a binary COPY that %s', (_how, bytes, message) => {
    expect(refusal(() => framed(copyFramer(COLUMNS), bytes, [1000]))).toContain(message);
  });
  it('refuses a binary COPY of other columns', () => {
    expect(refusal(() => framed(copyFramer(ONE_TEXT), whole, [1000]))).toContain('has 3 fields, not 1 (row 1)');
    const wrong = Buffer.concat([COPY_HEADER, Buffer.from([0, 1, 0x80, 0, 0, 0]), COPY_TRAILER]);
    expect(refusal(() => framed(copyFramer(ONE_TEXT), wrong, [1000]))).toContain('has a field whose length is none');
  });
  it('passes over an extension of the header', () => {
    const extended = Buffer.concat([
      COPY_HEADER.subarray(0, 15),
      Buffer.from([0, 0, 0, 3, 1, 2, 3]),
      whole.subarray(19),
    ]);
    for (const length of [1, 5, 100]) {
      expect(fieldsOf(framed(copyFramer(COLUMNS, { minBytes: 1 }), extended, [length]))).toEqual([['1', 'one', null]]);
    }
  });
  it('tells bytes that are no value of their type, whatever they are', () => {
    const kinds = COLUMN_KINDS.flatMap((kind) => [{ kind }, { kind, array: true as const }]);
    fc.assert(
      fc.property(
        fc.constantFrom(...kinds),
        fc.uint8Array({ maxLength: 60 }),
        fc.boolean(),
        (type, noise, arrayHead) => {
          const dimension = Buffer.from([0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 20, 0x7f, 0xff, 0xff, 0xff, 0, 0, 0, 1]);
          const field = arrayHead ? Buffer.concat([dimension, noise]) : noise;
          const bytes = Buffer.concat([Buffer.from([0, 1, 0, 0, 0, field.length]), field]);
          const spans = Uint32Array.of(0, bytes.length);
          const types = [{ name: 'c', type, nullable: true }];
          const chunk = { format: 'pgcopy' as const, bytes, spans, count: 1, types, firstRow: 1 };
          try {
            copyFields(chunk, 0);
          } catch (error) {
            expect(error).toBeInstanceOf(WaybillError);
            expect((error as WaybillError).code).toBe('VALUE_UNFIT');
          }
        },
      ),
      { numRuns: 3000 },
    );
  });
  it('takes any bytes for text COPY, and accounts for every line', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 200 }), (noise) => {
        const bytes = Buffer.from(noise).filter((byte) => byte !== 0x5c);
        const chunks = framed(copyTextFramer(ONE_TEXT), bytes, [13]);
        const seen = chunks.reduce((sum, { count, rejects = [] }) => sum + count + rejects.length, 0);
        const lines = Buffer.from(bytes).toString('latin1').split('\n');
        expect(seen).toBe(lines.length - (lines.at(-1) === '' ? 1 : 0));
        for (const row of fieldsOf(chunks)) expect(row).toHaveLength(1);
      }),
      // What begins a file that is no text is the beginning of a value here.
      { examples: [[Uint8Array.of(0xff, 0xfe, 1)], [Uint8Array.of(0, 1, 0)], [Uint8Array.of(0x1f, 0x8b, 8)]] },
    );
  });
  it('carries a row that is longer than a chunk', () => {
    const long = 'ü'.repeat(1_500_000);
    const chunks = framed(
      copyFramer(COLUMNS),
      written('pgcopy', [
        ['1', 'a', null],
        ['2', long, null],
        ['3', 'b', null],
      ]),
      [65_536],
    );
    expect(fieldsOf(chunks).map((row) => row[1]?.length)).toEqual([1, 1_500_000, 1]);
  });
});

function firstRows(chunks: readonly FramedChunk[]): number[] {
  let next = 1;
  return chunks.map(({ count }) => {
    next += count;
    return next - count;
  });
}

function refusal(work: () => unknown): string {
  try {
    work();
  } catch (error) {
    if (error instanceof WaybillError && error.code === 'SOURCE_FAILED') return error.message;
    throw error;
  }
  return 'nothing was refused';
}
