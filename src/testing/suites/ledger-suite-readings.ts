import { expect } from './expect.ts';
import { Book, delivered, keyOf, refusedWith, type UnderTest, verdict } from './ledger-fixture.ts';

const UNREADABLE = { lane: 'api', row: 9, state: 'refused', code: 'JSON_INVALID', message: 'not JSON' } as const;

/** What a later reading of a window does to the earlier ones. */
export function readingCases({ ledger, describe, it }: UnderTest): void {
  const leaveOut = async (book: Book): Promise<void> => {
    const counts = [{ lane: 'api', read: 1, same: 0, changed: 0, duplicates: 0 }];
    const rest = { generation: book.generation, batches: [], unbatched: [UNREADABLE], counts, rows: 1 };
    await ledger().seal({ ...book.claim, ...rest });
  };
  const closing = (book: Book) => ({ ...book.claim, generation: book.generation, vanished: [] });
  const states = async (book: Book) =>
    (await ledger().read.records({ run: book.run })).records.map(({ state }) => state).sort();

  describe('a later reading', () => {
    it('counts what got into no batch in its own stead, and lists the earlier ones as superseded', async () => {
      const { book } = await Book.sealed(ledger(), []);
      await book.start('refresh');
      await leaveOut(book);
      await book.close();
      await book.start('refresh');
      await leaveOut(book);
      expect(await book.balance()).toBe('0/2/0/0/0 of 2');
      expect(await ledger().closeGeneration(closing(book))).toEqual([{ lane: 'api', refused: 1, skipped: 0 }]);
      expect(await book.balance()).toBe('0/1/0/0/0 of 1');
      expect(await states(book)).toEqual(['refused', 'superseded']);
      const told = (await ledger().read.events({ run: book.run })).filter(({ kind }) => kind === 'generation-closed');
      expect(told[told.length - 1]?.detail).toMatchObject({ superseded: [{ lane: 'api', refused: 1, skipped: 0 }] });
      expect((await ledger().read.records({ states: ['refused'] })).records).toHaveLength(1);
      expect(await ledger().read.verify()).toEqual([]);
    });

    it('takes the place of refused and skipped records of batches, which then count no more', async () => {
      const { book, ids } = await Book.sealed(ledger(), [3, 2]);
      await book.deliver(ids[0]!, verdict('arr'));
      await ledger().cancel({ run: book.run, who: 'ann', reason: 'the wrong day' });
      await book.start('refresh', { reopens: true });
      const superseded = [
        { batch: ids[0]!, picks: [1] },
        { batch: ids[1]!, picks: [0, 1] },
      ];
      expect(await ledger().closeGeneration({ ...closing(book), superseded })).toEqual([
        { lane: 'api', refused: 1, skipped: 2 },
      ]);
      expect(await book.balance()).toBe('1/1/0/0/0 of 2');
      expect(await book.states()).toEqual(['partial', 'moved']);
      const [trace] = await ledger().read.trace({ key: keyOf(2) });
      expect(trace?.record).toMatchObject({ state: 'superseded', code: '422' });
      expect(await ledger().read.verify()).toEqual([]);
      expect((await ledger().concludeRun(book.claim)).state).toBe('complete-with-refusals');
    });

    it('takes the place of nothing that is delivered, in doubt or to be sent', async () => {
      const { book, ids } = await Book.sealed(ledger(), [1, 1, 1]);
      const { claim } = await book.deliver(ids[0]!, delivered(1));
      await book.deliver(ids[1]!, { kind: 'lost', evidence: 'the connection broke' }, claim);
      await book.start('refresh');
      for (const batch of ids) {
        const superseded = [{ batch, picks: [0] }];
        expect(await refusedWith(ledger().closeGeneration({ ...closing(book), superseded }))).toBe('INVARIANT_BROKEN');
      }
      expect(await book.balance()).toBe('1/0/0/1/1 of 3');
    });

    it('supersedes nothing when it was interrupted, and another may follow', async () => {
      const { book } = await Book.sealed(ledger(), []);
      await book.start('refresh');
      await leaveOut(book);
      await book.close();
      await book.start('refresh');
      await leaveOut(book);
      await ledger().interruptGeneration({ ...book.claim, generation: book.generation });
      expect(await book.balance()).toBe('0/2/0/0/0 of 2');
      const rows = await ledger().read.generations(book.run);
      expect(rows.map((one) => one.state)).toEqual(['closed', 'closed', 'interrupted']);
      await book.start('refresh');
      await book.close();
      expect(await book.balance()).toBe('0/0/0/0/0 of 0');
      expect(await ledger().read.verify()).toEqual([]);
    });

    it('adds up what was left out of the records of its batches, and forgets it with them', async () => {
      const { book } = await Book.sealed(ledger(), [2]);
      expect(await ledger().read.leftOut(book.run)).toEqual([]);
      await book.start('refresh');
      await book.seal([3], 'api', [['note', 2]]);
      await book.close();
      await book.start('refresh');
      await book.seal([2, 4], 'api', [
        ['note', 1],
        ['a "b", c', 2],
      ]);
      expect(await ledger().read.leftOut(book.run)).toEqual([
        { lane: 'api', column: 'note', records: 4 },
        { lane: 'api', column: 'a "b", c', records: 4 },
      ]);
      await ledger().abandonGeneration({ ...book.claim, generation: book.generation, reason: 'not wanted' });
      expect(await ledger().read.leftOut(book.run)).toEqual([{ lane: 'api', column: 'note', records: 2 }]);
      const told = await ledger().read.eventsOf({ run: book.run, kind: 'columns-left-out' });
      expect(told.map(({ detail }) => detail.columns)).toHaveLength(3);
      expect(await ledger().read.eventsOf({ run: book.run, kind: 'columns-left-out', after: told[1]!.seq })).toEqual([
        told[2],
      ]);
      expect(await ledger().read.verify()).toEqual([]);
    });

    it('withdraws sealed batches that cannot be sent any more, and no others', async () => {
      const { book, ids } = await Book.sealed(ledger(), [2, 1]);
      await book.deliver(ids[1]!, delivered(1));
      const ask = { ...book.claim, kind: 'refresh', reason: 'the bytes are lost' } as const;
      expect(await refusedWith(ledger().startGeneration({ ...ask, withdraw: [ids[1]!] }))).toBe('MOVE_FORBIDDEN');
      expect(await book.balance()).toBe('1/0/0/0/2 of 3');
      await ledger().startGeneration({ ...ask, withdraw: [ids[0]!] });
      expect(await book.balance()).toBe('1/0/2/0/0 of 3');
      expect(await book.states()).toEqual(['skipped', 'delivered']);
    });
  });
}
