import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { cursorPosition, readPlace } from '../src/cursors/place.ts';
import { TIES_MAX } from '../src/cursors/ties.ts';
import { type MemoryRow, memoryCursor } from './cursor-memory.ts';
import { bringsEachVersionOnce, type CursorTable } from './cursor-property.ts';
import { look, pull, valuesOf } from './cursor-pulls.ts';

function table(columns: readonly ('at' | 'id')[], chunkRows: number): CursorTable {
  const rows = new Map<number, MemoryRow>();
  return {
    source: memoryCursor(() => [...rows.values()], columns, { chunkRows }),
    takes: [],
    write: ({ id, v, tick }) => void rows.set(id, { id, v, at: tick }),
    remove: (id) => void rows.delete(id),
  };
}

const numbered = (count: number, at: number, first = 1): readonly MemoryRow[] =>
  Array.from({ length: count }, (_, nth) => ({ id: nth + first, v: 0, at }));

describe('a source that is read by a cursor', () => {
  it.each([1, 2, 3, 100])('brings each version of a row once, in chunks of %i', async (chunkRows) => {
    await bringsEachVersionOnce({ open: () => table(['at'], chunkRows), numRuns: 150 });
  });
  it.each([1, 3])(
    'brings each version once by two columns, in chunks of %i, once their first is settled',
    async (rows) => {
      await bringsEachVersionOnce({ open: () => table(['at', 'id'], rows), numRuns: 150, tickAfterPull: true });
    },
  );

  it('says when more rows share the newest value than it can name, before it reads any', async () => {
    const source = memoryCursor(() => numbered(TIES_MAX + 1, 7), ['at'], { chunkRows: 100 });
    await expect(pull(source)).rejects.toMatchObject({ code: 'SOURCE_INVALID' });
    await expect(pull(source)).rejects.toThrow(`more than ${TIES_MAX} rows`);
    const named = memoryCursor(() => numbered(TIES_MAX, 7), ['at'], { chunkRows: 100 });
    const first = await pull(named);
    expect(first.records).toHaveLength(TIES_MAX);
    expect((await pull(named, { from: first.position })).chunks).toEqual([]);
  });
  it('passes many rows of an older value by, and gives no position among them', async () => {
    const all = [...numbered(3 * TIES_MAX, 7), { id: 99_999, v: 0, at: 8 }];
    const source = memoryCursor(() => all, ['at'], { chunkRows: 500 });
    const { records, chunks, position } = await pull(source);
    expect(records).toHaveLength(all.length);
    expect(chunks.map(({ end }) => end !== undefined)).toEqual([true, true, false, false, false, false, true]);
    expect(valuesOf(position)).toEqual(['8']);
    expect((await pull(source, { chunks: 4 })).records).toHaveLength(TIES_MAX);
  });
  it('counts the rows of one value over all of the chunks that they fill', async () => {
    let rows = [...numbered(900, 7)];
    const source = memoryCursor(() => rows, ['at'], { chunkRows: 250 });
    const first = await pull(source, { chunks: 2 });
    expect(first.records).toHaveLength(500);
    const second = await pull(source, { from: first.position });
    expect(second.records).toHaveLength(400);
    rows = [...rows, ...numbered(101, 7, 5000)];
    await expect(pull(source, { from: second.position })).rejects.toThrow(`more than ${TIES_MAX} rows`);
  });
  it('goes on strictly behind a value that is settled, however many rows have it', async () => {
    let rows = [...numbered(2 * TIES_MAX, 7)];
    const source = memoryCursor(() => rows, ['at'], { chunkRows: 500, settled: true });
    const first = await pull(source);
    expect(first.records).toHaveLength(2 * TIES_MAX);
    expect((await pull(source, { from: first.position })).chunks).toEqual([]);
    rows = [...rows, { id: 99_999, v: 0, at: 8 }];
    expect((await pull(source, { from: first.position })).records).toEqual([{ id: 99_999, v: 0, at: 8 }]);
  });
  it('tells rows without a key that are equal in everything by how many there are', async () => {
    const same = { id: 1, v: 1, at: 5 };
    let rows = [same, same];
    const source = memoryCursor(() => rows, ['at'], { chunkRows: 10 });
    const first = await pull(source);
    expect(first.records).toHaveLength(2);
    rows = [same, same, same];
    const second = await pull(source, { from: first.position });
    expect(second.records).toHaveLength(1);
    expect((await pull(source, { from: second.position })).records).toEqual([]);
  });
  it('reports rows that all lie before the position', async () => {
    let rows = numbered(3, 7);
    const source = memoryCursor(() => rows, ['at'], { chunkRows: 10 });
    const { position } = await pull(source);
    rows = numbered(3, 5);
    expect(await look(source, { from: position })).toMatchObject({
      kind: 'unchanged',
      notices: [{ kind: 'cursor-behind', message: expect.stringContaining('the newest at is 5') }],
    });
  });
});

describe('a position of a cursor', () => {
  const place = { columns: ['at'], types: ['integer'], values: ['7'], seen: ['abc'], as: 'ndjson' as const };
  it('is read as it was written', () => {
    const texts = fc.array(fc.string({ unit: 'binary' }), { minLength: 1, maxLength: 3 });
    fc.assert(
      fc.property(texts, texts, fc.boolean(), (values, seen, closed) => {
        const columns = values.map((_, at) => `c${at}`);
        const given = {
          columns,
          types: columns,
          values,
          ...(closed ? {} : { as: 'pgcopy' as const }),
          seen: closed ? null : seen,
        };
        expect(readPlace(cursorPosition('t', given), columns)).toEqual(given);
      }),
    );
  });
  it.each([
    ['another kind', { kind: 'odf/etag', value: '"x"' }, 'of the kind "odf/etag"'],
    ['what is no JSON', { value: '2026-11-19' }, 'no JSON object'],
    ['a list', { value: '[]' }, 'no JSON object'],
    ['no values', { value: '{"columns":["at"]}' }, 'two lists of texts'],
    ['too few values', { value: '{"columns":["at","id"],"values":["1"]}' }, 'two lists of texts'],
    ['a rounded number', { value: '{"columns":["at"],"values":[9007199254740993]}' }, 'two lists of texts'],
    ['another cursor', { value: '{"columns":["id"],"values":["1"]}' }, 'made for the cursor id'],
    ['types for other columns', { value: '{"columns":["at"],"types":[],"values":["1"]}' }, 'types'],
    ['digests of no format', { value: '{"columns":["at"],"values":["1"],"seen":["a"]}' }, 'no list of digests'],
  ])('is refused when it holds %s, and then everything is read', async (_, wrong, why) => {
    const position = { ...cursorPosition('memory', place), ...wrong };
    const source = memoryCursor(() => numbered(3, 7), ['at'], { chunkRows: 10 });
    expect(source.pulls!.refuses(position)).toContain(why);
    expect((await pull(source, { from: position })).records).toHaveLength(3);
  });
  it('may be set by hand, by its columns and values alone', async () => {
    const source = memoryCursor(() => [...numbered(2, 7), ...numbered(2, 8, 3)], ['at'], { chunkRows: 10 });
    for (const value of ['{"columns":["at"],"values":["7"]}', '{"columns":["at"],"values":[7]}']) {
      const from = { ...cursorPosition('memory', place), value };
      expect(source.pulls!.refuses(from)).toBeUndefined();
      expect((await pull(source, { from })).records.map(({ id }) => id)).toEqual([3, 4]);
    }
  });
  it('of a value of another type than the column has now is an error that says what to do', async () => {
    const source = memoryCursor(() => numbered(3, 7), ['at'], { chunkRows: 10 });
    const from = cursorPosition('memory', { ...place, types: ['timestamptz'] });
    await expect(pull(source, { from })).rejects.toMatchObject({
      code: 'SOURCE_INVALID',
      hint: expect.stringContaining('waybill state FLOW set'),
    });
    await expect(look(source, { from })).rejects.toThrow('now of the type integer');
  });
});
