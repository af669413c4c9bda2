import { HISTORY, type HistoryChanges, type Slice } from '../../model/slice.ts';
import { expect } from './expect.ts';
import { Book, refusedWith, type UnderTest } from './ledger-fixture.ts';

const POSITION = { sourceName: 'rates', kind: 'odf/etag', value: '"a"' };

/** What pulls leave behind: slices with their offsets, what history compares with, and looks. */
export function sliceCases({ ledger, describe, it }: UnderTest): void {
  const slice = (more: Partial<Slice> = {}): Slice => ({
    offset: 0,
    records: 0,
    bytes: 0,
    digest: Buffer.alloc(32, 7),
    late: 0,
    systemTimeMs: 1,
    ...more,
  });
  const begun = async (window = 'pull-000001'): Promise<Book> => {
    const book = await Book.open(ledger(), { window });
    await book.start();
    return book;
  };
  const seal = (book: Book, one: Slice, more: { value?: string; history?: HistoryChanges } = {}) =>
    ledger().seal({
      ...book.claim,
      generation: book.generation,
      batches: [],
      unbatched: [],
      counts: [],
      rows: 0,
      position: { ...POSITION, value: more.value ?? POSITION.value },
      slice: one,
      ...(more.history === undefined ? {} : { history: more.history }),
    });
  const changes = (...rows: readonly [kind: keyof typeof HISTORY, key: number, row?: string][]): HistoryChanges => {
    const texts = rows.flatMap(([, , row]) => (row === undefined ? [] : [Buffer.from(row)]));
    return {
      kinds: Uint8Array.from(rows, ([kind]) => HISTORY[kind]),
      keys: Buffer.concat(rows.map(([, key]) => Buffer.alloc(16, key))),
      lengths: Uint32Array.from(texts, ({ length }) => length),
      rows: Buffer.concat(texts),
    };
  };
  const kept = async (): Promise<readonly string[]> =>
    (await ledger().read.historyAfter({ flow: 'members' })).map(
      ({ key, row }) => `${key[0]}:${Buffer.from(row).toString()}`,
    );

  describe('slices', () => {
    it('are kept with all that they tell, in order, and move the position with them', async () => {
      const book = await begun();
      expect(await ledger().read.lastSlice('members')).toBe(undefined);
      expect(await ledger().read.columns('members')).toBe(undefined);
      const columns = [{ name: 'id', type: { kind: 'int64' as const }, nullable: true }];
      await seal(book, slice({ records: 2, watermark: '2026-11-19T00:00:00.000Z', late: 1, part: 'a.csv', columns }));
      await seal(book, slice({ offset: 2, records: 3, part: 'b.csv' }), { value: '"b"' });
      const slices = await ledger().read.slices({ flow: 'members' });
      expect(slices).toEqual([
        {
          id: slices[0]!.id,
          flow: 'members',
          run: book.claim.run,
          generation: book.generation,
          position: POSITION,
          ...slice({ records: 2, watermark: '2026-11-19T00:00:00.000Z', late: 1, part: 'a.csv', columns }),
        },
        {
          id: slices[1]!.id,
          flow: 'members',
          run: book.claim.run,
          generation: book.generation,
          position: { ...POSITION, value: '"b"' },
          ...slice({ offset: 2, records: 3, part: 'b.csv' }),
        },
      ]);
      expect(await ledger().read.lastSlice('members')).toEqual(slices[1]);
      expect(await ledger().read.columns('members')).toEqual(columns);
      expect(await ledger().read.slices({ flow: 'members', after: slices[0]!.id })).toEqual([slices[1]]);
      expect(await ledger().read.slices({ flow: 'members', source: 'other' })).toEqual([]);
      expect([...(await ledger().read.parts({ flow: 'members', source: 'rates' }))].sort()).toEqual(['a.csv', 'b.csv']);
      expect((await ledger().read.positions('members')).map(({ position }) => position.value)).toEqual(['"b"']);
    });

    it('F14: never take an offset that is taken, and leave none out', async () => {
      const book = await begun();
      await seal(book, slice({ records: 2 }));
      for (const offset of [0, 1, 3]) expect(await refusedWith(seal(book, slice({ offset })))).toBe('MOVE_FORBIDDEN');
      expect(await ledger().read.slices({ flow: 'members' })).toHaveLength(1);
      await seal(book, slice({ offset: 2 }));
    });

    it('bring what history compares with, in the same transaction', async () => {
      const book = await begun();
      await seal(book, slice(), { history: changes(['insert', 1, 'one'], ['insert', 2, ''], ['insert', 3, 'three']) });
      await seal(book, slice(), { history: changes(['remove', 1], ['update', 3, 'drei']) });
      expect(await kept()).toEqual(['2:', '3:drei']);
      const keys = Buffer.concat([Buffer.alloc(16, 3), Buffer.alloc(16, 9), Buffer.alloc(16, 3)]);
      const found = await ledger().read.history({ flow: 'members', keys });
      expect(found.map(({ row }) => Buffer.from(row).toString())).toEqual(['drei']);
      expect(await ledger().read.history({ flow: 'other', keys })).toEqual([]);
      // Nothing of a slice that is refused is kept.
      const wrong = seal(book, slice({ offset: 7 }), { history: changes(['remove', 2]) });
      expect(await refusedWith(wrong)).toBe('MOVE_FORBIDDEN');
      expect(await kept()).toEqual(['2:', '3:drei']);
    });
  });

  describe('looks', () => {
    it('leave behind when it was, what was found, and how often in vain', async () => {
      const look = (kind: 'new' | 'unchanged') =>
        ledger().looked({ flow: 'members', sourceName: 'rates', kind, why: `it is ${kind}` });
      for (const kind of ['unchanged', 'unchanged'] as const) await look(kind);
      expect(await ledger().read.looks('members')).toMatchObject([
        { kind: 'unchanged', why: 'it is unchanged', inVain: 2 },
      ]);
      await look('new');
      expect(await ledger().read.looks('members')).toMatchObject([{ sourceName: 'rates', kind: 'new', inVain: 0 }]);
      expect(await ledger().read.looks('other')).toEqual([]);
    });

    it('refuse a position while a pull has begun to read and not come to its end', async () => {
      const book = await begun();
      await ledger().releaseRun(book.claim);
      const set = () => ledger().setPosition({ flow: 'members', sourceName: 'rates', position: POSITION, who: 'ada' });
      expect(await refusedWith(set())).toBe('MOVE_FORBIDDEN');
      const again = await Book.open(ledger(), { window: 'pull-000001' });
      await ledger().closeGeneration({ ...again.claim, generation: 1, vanished: [] });
      await ledger().releaseRun(again.claim);
      await set();
    });

    it('take a position after a pull that failed while it read, which goes on from there', async () => {
      const book = await begun();
      await ledger().failRun({ ...book.claim, code: 'SOURCE_TRIMMED', message: 'gone' });
      await ledger().releaseRun(book.claim);
      await ledger().setPosition({ flow: 'members', sourceName: 'rates', position: POSITION, who: 'ada' });
      expect(await ledger().read.positions('members')).toMatchObject([{ position: POSITION }]);
    });
  });
}
