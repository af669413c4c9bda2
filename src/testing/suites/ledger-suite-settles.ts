import type { Settle } from '../../ledger/ledger.ts';
import { expect } from './expect.ts';
import { Book, child, delivered, LEASE_MS, RECEIPT, refusedWith, type UnderTest, verdict } from './ledger-fixture.ts';

/** How doubts end. */
export function settleCases({ bench, ledger, describe, it }: UnderTest): void {
  describe('settlements', () => {
    /** One batch of three with this verdict, its shard given back. */
    const doubtful = async (word: string) => {
      const { book, ids } = await Book.sealed(ledger(), [3]);
      const { claim } = await book.deliver(ids[0]!, verdict(word));
      await ledger().releaseShard(claim);
      await ledger().concludeRun(book.claim);
      const settle = (decision: Settle['decision']) =>
        ledger().settle({ batch: ids[0]!, decision, who: 'ann', evidence: 'looked' });
      return { book, id: ids[0]!, claim, settle };
    };

    it.each([
      ['uuu', { kind: 'delivered' }, 'delivered', '3/0/0/0/0 of 3', 'complete'],
      ['uuu', { kind: 'skip' }, 'skipped', '0/0/3/0/0 of 3', 'complete'],
      ['uuu', { kind: 'absent' }, 'sealed', '0/0/0/0/3 of 3', 'open'],
      ['uuu', { kind: 'repeat' }, 'sealed', '0/0/0/0/3 of 3', 'open'],
      ['uuu', { kind: 'resend' }, 'sealed', '0/0/0/0/3 of 3', 'open'],
      ['aru', { kind: 'delivered' }, 'partial', '2/1/0/0/0 of 3', 'complete-with-refusals'],
      ['aau', { kind: 'delivered' }, 'delivered', '3/0/0/0/0 of 3', 'complete'],
      ['aru', { kind: 'skip' }, 'partial', '1/1/1/0/0 of 3', 'complete-with-refusals'],
      ['rru', { kind: 'skip' }, 'refused', '0/2/1/0/0 of 3', 'complete-with-refusals'],
      ['auu', { kind: 'absent', child: child([1, 2]) }, 'partial', '1/0/0/0/2 of 3', 'open'],
      ['auu', { kind: 'resend', child: child([1, 2]) }, 'partial', '1/0/0/0/2 of 3', 'open'],
      ['uuu', { kind: 'absent', child: child([0, 1, 2]) }, 'moved', '0/0/0/0/3 of 3', 'open'],
    ] as const)('end a doubt of %s by %j in %s', async (word, decision, state, balance, run) => {
      const { book, settle } = await doubtful(word);
      expect((await settle(decision)).state).toBe(state);
      expect(await book.balance()).toBe(balance);
      expect((await ledger().read.run(book.run)).state).toBe(run);
      expect(await ledger().read.doubts({ run: book.run })).toEqual([]);
      expect(await refusedWith(settle(decision))).toBe('MOVE_FORBIDDEN');
    });

    it('put a verdict that was found out on what was in doubt, and only there', async () => {
      const { book, settle } = await doubtful('auu');
      const found = { ...verdict('rau'), kind: 'known' } as const;
      expect((await settle(found)).state).toBe('in-doubt');
      expect(await book.balance()).toBe('2/0/0/1/0 of 3');
      const rest = { ...verdict('aar', [child([2])]), kind: 'known', receipt: RECEIPT } as const;
      const moved = await settle(rest);
      expect([moved.state, moved.children.map((batch) => batch.picks)]).toEqual(['partial', [[2]]]);
    });

    it('count what was sent again or left out without proof', async () => {
      const whole = await doubtful('uuu');
      await whole.settle({ kind: 'resend' });
      expect((await ledger().read.batch(whole.id)).possibly).toBe('twice');
    });

    it('count what is repeated as possibly there until an answer has come', async () => {
      const { book, id, claim, settle } = await doubtful('uuu');
      const possibly = async () => (await ledger().read.batch(id)).possibly;
      await settle({ kind: 'repeat' });
      expect(await possibly()).toBe('there');
      const sent = await book.deliver(id, { kind: 'not-applied', reason: 'refused to connect' });
      expect([claim.lane, await possibly()]).toEqual([sent.claim.lane, 'there']);
      await ledger().releaseShard(sent.claim);
      await book.deliver(id, verdict('aaa'));
      expect(await possibly()).toBeUndefined();
    });

    it('leave in doubt what waited for a harmless repeat when its run was cancelled', async () => {
      const { book, id, settle } = await doubtful('uuu');
      await settle({ kind: 'repeat' });
      await ledger().cancel({ run: book.run, who: 'ann', reason: 'enough' });
      expect([await book.states(), await book.balance()]).toEqual([['in-doubt'], '0/0/0/3/0 of 3']);
      const [doubt] = await ledger().read.doubts({ run: book.run });
      expect([doubt?.id, doubt?.doubtful]).toEqual([id, [0, 1, 2]]);
      expect((await settle({ kind: 'repeat' })).state).toBe('in-doubt');
      expect((await settle({ kind: 'absent' })).state).toBe('skipped');
    });

    it('count what was left out without proof, and what a child may bring twice', async () => {
      const part = await doubtful('auu');
      const { children } = await part.settle({ kind: 'resend', child: child([1, 2]) });
      expect([(await ledger().read.batch(part.id)).possibly, children[0]?.possibly]).toEqual([undefined, 'twice']);
      await part.book.deliver(children[0]!.id, { kind: 'lost', evidence: 'again' });
      await ledger().breakLeases({ owner: 'first', evidence: 'gone' });
      await ledger().settle({ batch: children[0]!.id, decision: { kind: 'skip' }, who: 'ann', evidence: 'enough' });
      // Skipped says that it may not be there at all; it may be there twice all the same.
      expect(await ledger().read.batch(children[0]!.id)).toMatchObject({ state: 'skipped', possibly: 'twice' });
      const { id, settle } = await doubtful('uuu');
      await settle({ kind: 'skip' });
      expect((await ledger().read.batch(id)).possibly).toBe('lost');
    });

    it('need a child for a part of a batch, with all that is in doubt and nothing else', async () => {
      const { book, settle } = await doubtful('auu');
      expect(await refusedWith(settle({ kind: 'absent' }))).toBe('MOVE_FORBIDDEN');
      expect(await refusedWith(settle({ kind: 'absent', child: child([1]) }))).toBe('MOVE_FORBIDDEN');
      expect(await refusedWith(settle({ kind: 'resend', child: child([0, 1, 2]) }))).toBe('MOVE_FORBIDDEN');
      expect([await book.states(), await book.balance()]).toEqual([['in-doubt'], '1/0/0/2/0 of 3']);
    });

    it('are made by a person only while nobody works on the shard', async () => {
      const { book, settle } = await doubtful('uuu');
      await book.claimShard({ owner: 'second' });
      expect(await refusedWith(settle({ kind: 'skip' }))).toBe('LEASE_HELD');
      bench().advance(LEASE_MS);
      expect((await settle({ kind: 'skip' })).state).toBe('skipped');
    });

    it('tell who decided, how and on what evidence', async () => {
      const { book, id, settle } = await doubtful('uuu');
      await settle({ kind: 'skip' });
      const events = await ledger().read.events({ run: book.run });
      const told = events.find((event) => event.kind === 'settled');
      expect(told).toMatchObject({
        batch: id,
        detail: { decision: 'skip', who: 'ann', evidence: 'looked', records: 3, state: 'skipped' },
      });
    });

    it('refuse what is not in doubt', async () => {
      const { book, ids } = await Book.sealed(ledger(), [1]);
      const settle = () =>
        ledger().settle({ batch: ids[0]!, decision: { kind: 'delivered' }, who: 'ann', evidence: 'looked' });
      expect(await refusedWith(settle())).toBe('MOVE_FORBIDDEN');
      const { claim } = await book.deliver(ids[0]!, delivered(1));
      await ledger().releaseShard(claim);
      expect(await refusedWith(settle())).toBe('MOVE_FORBIDDEN');
    });
  });
}
