import { SHARD_BATCHES } from '../../ledger/ledger.ts';
import { expect } from './expect.ts';
import { Book, delivered, LEASE_MS, refusedWith, shardClaim, type UnderTest } from './ledger-fixture.ts';

const PLACED = { rung: 'position' } as const;
const [FIRST, SECOND] = [
  { ...PLACED, window: 'w1' },
  { ...PLACED, window: 'w2', owner: 'second' },
];

/** Lanes that write by position: who may write, and when. */
export function placeCases({ bench, ledger, describe, it }: UnderTest): void {
  const place = 'lane' as const;

  describe('places', () => {
    it('lets one window at a time write to the place that those of a flow share', async () => {
      const { book: one } = await Book.sealed(ledger(), [1], FIRST);
      const { book: two } = await Book.sealed(ledger(), [1], SECOND);
      const held = (await one.claimShard({ place }))!;
      expect(await refusedWith(two.claimShard({ place, owner: 'first' }))).toBe('LEASE_HELD');
      await ledger().releaseShard(shardClaim(held));
      expect((await two.claimShard({ place, owner: 'second' }))?.ready).toHaveLength(1);
      expect(await refusedWith(one.claimShard({ place }))).toBe('LEASE_HELD');
    });

    it('lets each window write where it has a place of its own, and other flows and lanes anywhere', async () => {
      const { book: one } = await Book.sealed(ledger(), [1], FIRST);
      const { book: two } = await Book.sealed(ledger(), [1], SECOND);
      const { book: other } = await Book.sealed(ledger(), [1], { ...FIRST, flow: 'others' });
      await one.claimShard({ place });
      expect((await two.claimShard({ place: 'window' }))?.shard).toBe(0);
      expect((await other.claimShard({ place }))?.shard).toBe(0);
    });

    it('gives the place to nobody while what another window sent there is open, and says what it is', async () => {
      const { book: one, ids } = await Book.sealed(ledger(), [1], FIRST);
      const { book: two } = await Book.sealed(ledger(), [1], SECOND);
      const claim = shardClaim((await one.claimShard({ place }))!);
      const { attempt } = await ledger().intend({ ...claim, batch: ids[0]!, deadlineMs: 1 });
      await ledger().releaseShard(claim);
      const ask = () => two.claimShard({ place, owner: 'second' });
      expect(await refusedWith(ask())).toBe('PLACE_IN_DOUBT');
      await ledger().answer({ ...claim, batch: ids[0]!, attempt, answer: { kind: 'lost', evidence: 'cut off' } });
      const ids1 = { batch: ids[0], run: one.run, window: 'w1', lane: 'api', state: 'in-doubt' };
      expect(await ask().catch((error: { ids: unknown }) => error.ids)).toEqual(ids1);
      const by = { batch: ids[0]!, who: 'sink:position', evidence: 'a repeat does no harm' };
      await ledger().settle({ ...by, decision: { kind: 'repeat' } });
      // Sealed again it still is where it was sent to, or may arrive there.
      expect(await refusedWith(ask())).toBe('PLACE_IN_DOUBT');
      const again = await one.deliver(ids[0]!, delivered(1));
      await ledger().releaseShard(again.claim);
      expect((await ask())?.ready).toHaveLength(1);
    });

    it('keeps the place for a batch whose run was cancelled, until its doubt is settled', async () => {
      const { book: one, ids } = await Book.sealed(ledger(), [1], FIRST);
      const { book: two } = await Book.sealed(ledger(), [1], SECOND);
      const { claim } = await one.deliver(ids[0]!, { kind: 'lost', evidence: 'cut off' });
      await ledger().releaseShard(claim);
      await ledger().cancel({ run: one.run, who: 'ann', reason: 'no need' });
      expect(await refusedWith(two.claimShard({ place, owner: 'second' }))).toBe('PLACE_IN_DOUBT');
      const looked = { who: 'ann', evidence: 'looked' };
      await ledger().settle({ batch: ids[0]!, decision: { kind: 'delivered' }, ...looked });
      expect((await two.claimShard({ place, owner: 'second' }))?.shard).toBe(0);
    });

    it('fences off whoever wrote there under a lease that is over, however late it wakes', async () => {
      const { book: one, ids } = await Book.sealed(ledger(), [1], FIRST);
      const { book: two } = await Book.sealed(ledger(), [1], SECOND);
      const stale = shardClaim((await one.claimShard({ place }))!);
      bench().advance(LEASE_MS);
      expect((await two.claimShard({ place, owner: 'second' }))?.shard).toBe(0);
      expect(await refusedWith(ledger().renewShard({ ...stale, leaseMs: LEASE_MS }))).toBe('FENCED');
      expect(await refusedWith(ledger().intend({ ...stale, batch: ids[0]!, deadlineMs: 1 }))).toBe('FENCED');
    });

    it('gives out the shard of the oldest open batch only, where several of one window are open', async () => {
      const sizes = Array.from({ length: SHARD_BATCHES + 1 }, () => 1);
      const { book, ids } = await Book.sealed(ledger(), sizes, FIRST);
      const { claim } = await book.deliver(ids[0]!, { kind: 'lost', evidence: 'cut off' });
      await ledger().releaseShard(claim);
      const ask = { run: book.run, lane: 'api', owner: 'first', leaseMs: LEASE_MS };
      for (const kind of ['window', 'lane'] as const) {
        const later = ledger().claimShard({ ...ask, place: kind, only: [ids[SHARD_BATCHES]!] });
        expect(await refusedWith(later)).toBe('PLACE_IN_DOUBT');
      }
      expect((await book.claimShard({ place }))?.doubts).toHaveLength(1);
    });

    it('takes no notice of lanes that write otherwise', async () => {
      const { book: one, ids } = await Book.sealed(ledger(), [1], { window: 'w1' });
      const { book: two } = await Book.sealed(ledger(), [1], SECOND);
      await one.deliver(ids[0]!, { kind: 'lost', evidence: 'cut off' });
      expect((await two.claimShard({ place, owner: 'second' }))?.shard).toBe(0);
    });
  });
}
