import { expect, it } from 'vitest';
import type { Chunk } from '../model/chunk.ts';
import { ALL } from '../model/window.ts';
import { textsOf } from '../testing/suites/source-reading.ts';
import { readingSource } from './reading.ts';
import type { RecordFormat } from './record-format.ts';
import type { Shelf } from './shelf.ts';

/** One file, brought in pieces of these lengths, over and over. */
function shelfOf(content: Buffer, lengths: readonly number[]): Shelf {
  const file = { name: 'rows.csv', path: 'rows.csv' };
  const never = () => Promise.reject(new Error('not asked for'));
  return {
    where: 'in this test',
    list: async () => [file],
    async *bytes(_file, _signal, into) {
      for (let at = 0, nth = 0; at < content.length; nth++) {
        const piece = content.subarray(at, at + lengths[nth % lengths.length]!);
        const room = into?.() ?? Buffer.alloc(piece.length);
        room.set(piece.subarray(0, room.length));
        at += Math.min(piece.length, room.length);
        yield room.subarray(0, piece.length);
      }
    },
    open: never,
    size: never,
  };
}

/** What a reader learns of each chunk while it has it, and nothing of what its memory holds afterwards. */
const toldOf = (chunk: Chunk) => ({
  // Finding a line means counting: of some records only.
  records: textsOf([chunk]).map((text, place) =>
    JSON.parse(text).id % 997 === 0 ? `${text} ${JSON.stringify(chunk.where?.(place))}` : text,
  ),
  rejects: chunk.rejects ?? [],
  end: chunk.end,
  memory: chunk.bytes.buffer,
});

async function read(content: Buffer, lengths: readonly number[], how: Partial<RecordFormat>, letsGo: boolean) {
  const shelf = shelfOf(content, lengths);
  const source = readingSource({
    shelf,
    pattern: 'rows.csv',
    whenNone: 'fail',
    header: true,
    emptyIsNull: true,
    ...how,
  });
  const told: ReturnType<typeof toldOf>[] = [];
  const range = { window: ALL, parameters: {}, ...(letsGo ? { letsGo } : {}) };
  for await (const chunk of source.read(range, new AbortController().signal)) told.push(toldOf(chunk));
  const all = {
    records: told.flatMap(({ records }) => records),
    rejects: told.flatMap(({ rejects }) => rejects),
    end: told.at(-1)!.end,
  };
  return { all, chunks: told.length, memories: new Set(told.map(({ memory }) => memory)).size };
}

const KIB = 1024;

/** Some records go on for longer than what is read at once, some cannot be read. */
function unevenRows(delimiter: string): Buffer {
  const rows = [`id${delimiter}text`];
  for (let id = 1; id <= 20_000; id++) {
    const long = id % 9_000 === 0 ? 'x\n'.repeat(700 * KIB) : 'ü'.repeat(id % 100);
    rows.push(id % 5_000 === 7 ? `${id}` : `${id}${delimiter}"${id}\n${long}"`);
  }
  return Buffer.from(`${rows.join('\n')}\n`);
}

/** Whatever is read ends with a record, so nothing is kept back. */
function evenRows(delimiter: string): Buffer {
  const rows = Array.from({ length: 50 * KIB }, (_, id) => `${id}${delimiter}`.padEnd(63, 'y'));
  return Buffer.from(`${`id${delimiter}`.padEnd(63, 't')}\n${rows.join('\n')}\n`);
}

const HOW: readonly (readonly [string, Partial<RecordFormat>, string])[] = [
  ['as it stands', {}, ','],
  ['in another dialect', { delimiter: ';' }, ';'],
  ['with types', { types: { id: 'int64' } }, ','],
];
const WRITTEN = { 'rows of any length': unevenRows, 'rows of one length': evenRows };
const LENGTHS = {
  'as much as there is room for': [1024 * KIB],
  'now more, now less': [40 * KIB, 3, 700 * KIB, 1024 * KIB],
};

it.each(
  HOW.flatMap(([how, options, by]) =>
    Object.entries(WRITTEN).flatMap(([what, rowsOf]) =>
      Object.entries(LENGTHS).map(([pieces, lengths]) => ({
        how,
        what,
        pieces,
        lengths,
        options,
        content: rowsOf(by),
      })),
    ),
  ),
)('$what, CSV $how, read $pieces: one that lets go of each chunk learns the same', async (one) => {
  const { content, lengths, options } = one;
  const wanted = await read(content, lengths, options, false);
  const { all, chunks, memories } = await read(content, lengths, options, true);
  expect(all).toEqual(wanted.all);
  if (one.how === 'as it stands') expect(memories).toBeLessThan(chunks);
});

it('many small files are read into the memory of a few', async () => {
  const files = Array.from({ length: 30 }, (_, nth) => ({ name: `part-${String(nth).padStart(2, '0')}.ndjson` }));
  const one = shelfOf(Buffer.from('{"id":1}\n{"id":2}\n'), [1024 * KIB]);
  const shelf = { ...one, list: async () => files.map(({ name }) => ({ name, path: name })) };
  const source = readingSource({ shelf, pattern: '*.ndjson', whenNone: 'fail', header: true, emptyIsNull: true });
  const memories = new Set<ArrayBufferLike>();
  let records = 0;
  for await (const chunk of source.read({ window: ALL, parameters: {}, letsGo: true }, new AbortController().signal)) {
    records += textsOf([chunk]).length;
    memories.add(chunk.bytes.buffer);
  }
  expect(records).toBe(60);
  expect(memories.size).toBeLessThan(5);
});
