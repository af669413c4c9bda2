import type { RunClaim } from '../../ledger/ledger.ts';
import type { LoadMove } from '../../model/load.ts';
import { expect } from './expect.ts';
import { Book, delivered, refusedWith, shardClaim, type UnderTest, verdict } from './ledger-fixture.ts';

const whyNot = (moved: Promise<unknown>): Promise<string> =>
  moved.then(
    () => 'it was not refused',
    (error: unknown) => (error as Error).message,
  );

/** What a lane collects and publishes as one: its steps, and what becomes of the records that nobody sees any more. */
export function loadCases({ bench, ledger, describe, it }: UnderTest): void {
  const move = (book: Book, to: LoadMove['to'], more: Partial<RunClaim & LoadMove> = {}) =>
    ledger().moveLoad({ ...book.claim, lane: 'api', generation: book.generation, to, ...more });
  const publish = async (book: Book, more: Partial<LoadMove> = {}): Promise<void> => {
    await move(book, 'publishing');
    await move(book, 'published', { receipt: { summary: 'done', facts: { inserted: 3 } }, replaces: true, ...more });
  };
  const opened = async (book: Book): Promise<void> => {
    await move(book, 'opening');
    await move(book, 'open', { receipt: { summary: 'a place' } });
  };
  /** One window whose three records are collected; `answers`: a word for the batch. */
  const loaded = async (window: string, word = 'aaa'): Promise<Book> => {
    const { book, ids } = await Book.sealed(ledger(), [3], { window });
    await opened(book);
    await book.deliver(ids[0]!, verdict(word));
    return book;
  };
  const states = async (): Promise<readonly string[]> =>
    (await ledger().read.loads({ flow: 'members' })).map(
      (load) => `${load.window.name} ${load.generation} ${load.state}`,
    );

  describe('loads', () => {
    it('keep a run open until they are published, whatever was delivered', async () => {
      const book = await loaded('2026-11-19');
      expect((await ledger().concludeRun(book.claim)).state).toBe('open');
      await move(book, 'publishing');
      expect((await ledger().concludeRun(book.claim)).state).toBe('open');
      await move(book, 'published', { receipt: { summary: 'done', facts: { inserted: 3 } } });
      expect((await ledger().concludeRun(book.claim)).state).toBe('complete');
      const [load] = await ledger().read.loads({ flow: 'members', lane: 'api' });
      expect(load).toMatchObject({ state: 'published', tries: 1, opened: { summary: 'a place' } });
      expect(load?.published).toEqual({ summary: 'done', facts: { inserted: 3 } });
      expect(load?.window).toEqual({
        name: '2026-11-19',
        start: '2026-11-19T00:00:00Z',
        end: '2026-11-20T00:00:00Z',
      });
      expect(await ledger().read.loads({ flow: 'members', lane: 'archive' })).toEqual([]);
    });

    it('count how often a step was begun, and keep why it did not succeed', async () => {
      const book = await loaded('2026-11-19');
      await move(book, 'publishing');
      expect(await move(book, 'publishing')).toMatchObject({ state: 'publishing', tries: 2 });
      expect(await move(book, 'open', { reason: 'no room' })).toMatchObject({ state: 'open', reason: 'no room' });
      expect(await move(book, 'publishing')).toMatchObject({ state: 'publishing', tries: 3 });
    });

    it('go no way that is not theirs, and belong to whoever holds the run', async () => {
      const { book } = await Book.sealed(ledger(), [3]);
      expect(await refusedWith(move(book, 'published'))).toBe('MOVE_FORBIDDEN');
      await move(book, 'opening');
      expect(await refusedWith(move(book, 'published'))).toBe('MOVE_FORBIDDEN');
      expect(await refusedWith(move(book, 'open', { fence: book.claim.fence - 1 }))).toBe('FENCED');
      expect(await refusedWith(move(book, 'opening', { generation: 2 }))).toBe('MOVE_FORBIDDEN');
      expect(await states()).toEqual(['2026-11-19 1 opening']);
    });

    it('are given up with all that they hold when another generation begins', async () => {
      const { book, ids } = await Book.sealed(ledger(), [3, 2, 2, 1]);
      await opened(book);
      const { claim } = await book.deliver(ids[0]!, verdict('arr'));
      await book.deliver(ids[1]!, { kind: 'lost', evidence: 'the connection broke' }, claim);
      await ledger().intend({ ...claim, batch: ids[2]!, deadlineMs: 5_000 });
      await book.start('refresh');
      expect(await states()).toEqual(['2026-11-19 1 given-up']);
      expect(await book.balance()).toBe('0/0/0/0/0 of 0');
      expect(await book.states()).toEqual(['moved', 'moved', 'moved', 'moved']);
      const answer = { batch: ids[2]!, attempt: 1, answer: delivered(2) };
      expect(await refusedWith(ledger().answer({ ...claim, ...answer }))).toBe('FENCED');
      expect(await book.claimShard()).toBeUndefined();
    });

    it('are given up also where the bytes of some of their batches are lost', async () => {
      const { book, ids } = await Book.sealed(ledger(), [3, 2]);
      await opened(book);
      await book.deliver(ids[0]!, verdict('aaa'));
      const ask = { ...book.claim, kind: 'refresh', reason: 'the bytes are lost' } as const;
      await ledger().startGeneration({ ...ask, withdraw: [ids[1]!] });
      expect(await states()).toEqual(['2026-11-19 1 given-up']);
      expect(await book.balance()).toBe('0/0/0/0/0 of 0');
      expect(await ledger().read.verify()).toEqual([]);
    });

    it('may have been published: that is found out before another generation begins', async () => {
      const book = await loaded('2026-11-19');
      await move(book, 'publishing');
      expect(await refusedWith(book.start('refresh'))).toBe('MOVE_FORBIDDEN');
      await move(book, 'open', { reason: 'proved not to have happened' });
      await book.start('refresh');
      expect(await states()).toEqual(['2026-11-19 1 given-up']);
    });

    it('are not published once their run was cancelled, but an unknown outcome can be found out', async () => {
      const book = await loaded('2026-11-19');
      await ledger().cancel({ run: book.run, who: 'a person', reason: 'no need' });
      expect(await refusedWith(move(book, 'publishing'))).toBe('MOVE_FORBIDDEN');
      expect(await states()).toEqual(['2026-11-19 1 open']);
      const other = await loaded('2026-11-20');
      await move(other, 'publishing');
      await ledger().cancel({ run: other.run, who: 'a person', reason: 'no need' });
      await publish(other);
      expect((await states())[1]).toBe('2026-11-20 1 published');
    });

    it('are published one after the other where that is asked for, and those of cancelled runs are named', async () => {
      const [first, second] = [await loaded('2026-11-18'), await loaded('2026-11-19')];
      await move(second, 'publishing', { alone: true });
      const call = 'found out first: waybill run members --for 2026-11-19';
      expect((await whyNot(move(first, 'publishing', { alone: true }))).endsWith(call)).toBe(true);
      await ledger().cancel({ run: second.run, who: 'a person', reason: 'no need' });
      expect((await whyNot(move(first, 'publishing', { alone: true }))).endsWith(`${call} --refresh`)).toBe(true);
      expect(await move(first, 'publishing')).toMatchObject({ state: 'publishing', tries: 1 });
      await move(second, 'published', { receipt: { summary: 'done' } });
      expect(await move(first, 'publishing', { alone: true })).toMatchObject({ state: 'publishing', tries: 2 });
    });

    it('come in the order of their generations, also when the clock was put back meanwhile', async () => {
      const book = await loaded('2026-11-19');
      bench().advance(-3_600_000);
      await book.start('refresh');
      await opened(book);
      expect(await states()).toEqual(['2026-11-19 1 given-up', '2026-11-19 2 open']);
    });

    it('take the place of earlier ones of their run, or stand beside them', async () => {
      const book = await loaded('2026-11-19');
      await publish(book);
      await book.start('refresh');
      const [again] = await book.seal([2]);
      await opened(book);
      await book.close();
      const shard = await book.claimShard();
      await book.deliver(again!, delivered(2), shardClaim(shard!));
      expect(await book.balance()).toBe('5/0/0/0/0 of 5');
      await publish(book);
      expect(await states()).toEqual(['2026-11-19 1 replaced', '2026-11-19 2 published']);
      expect(await book.balance()).toBe('2/0/0/0/0 of 2');
      expect((await ledger().concludeRun(book.claim)).state).toBe('complete');
      await book.start('refresh');
      await opened(book);
      await book.close();
      await publish(book, { replaces: false });
      expect(await book.balance()).toBe('2/0/0/0/0 of 2');
      expect((await states())[1]).toBe('2026-11-19 2 published');
    });

    it('undo those of other windows, whose runs have something to do again', async () => {
      const first = await loaded('2026-11-18');
      await publish(first);
      const second = await loaded('2026-11-19', 'aar');
      await publish(second);
      expect((await ledger().concludeRun(second.claim)).state).toBe('complete-with-refusals');
      await first.start('refresh');
      await opened(first);
      await first.close();
      await publish(first, { undone: [{ run: second.run, lane: 'api', generation: 1 }] });
      expect(await states()).toEqual(['2026-11-18 1 replaced', '2026-11-18 2 published', '2026-11-19 1 replaced']);
      expect((await ledger().read.run(second.run)).state).toBe('open');
      expect(await second.balance()).toBe('0/0/0/0/0 of 0');
      expect((await ledger().concludeRun(second.claim)).state).toBe('open');
      const told = (await ledger().read.events({ run: second.run })).at(-1);
      expect(told).toMatchObject({ kind: 'load-moved', detail: { state: 'replaced' } });
    });

    it('have taken out what the sink went back behind, also where they were not published then', async () => {
      const first = await loaded('2026-11-18');
      await publish(first);
      const second = await loaded('2026-11-19', 'aar');
      await publish(second);
      await first.start('refresh');
      await opened(first);
      await first.close();
      await move(first, 'publishing');
      const undone = [{ run: second.run, lane: 'api', generation: 1 }];
      await move(first, 'open', { reason: 'the sink has gone back, and refused the load', replaces: true, undone });
      expect(await states()).toEqual(['2026-11-18 1 replaced', '2026-11-18 2 open', '2026-11-19 1 replaced']);
      expect((await ledger().read.run(second.run)).state).toBe('open');
      expect(await second.balance()).toBe('0/0/0/0/0 of 0');
      await publish(first);
      expect((await states())[1]).toBe('2026-11-18 2 published');
    });
  });
}
