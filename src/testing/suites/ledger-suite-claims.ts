import { SHARD_BATCHES } from '../../ledger/ledger.ts';
import { expect } from './expect.ts';
import { Book, delivered, LEASE_MS, refusedWith, shardClaim, type UnderTest } from './ledger-fixture.ts';

/** Leases, fences, takeovers. */
export function claimCases({ bench, ledger, describe, it }: UnderTest): void {
  describe('claims of shards', () => {
    it('lets one of many claimants have a shard', async () => {
      const { book } = await Book.sealed(ledger(), [1]);
      const claims = await Promise.all(
        Array.from({ length: 16 }, (_, nth) => book.claimShard({ owner: `worker ${nth}` })),
      );
      expect(claims.filter((claim) => claim !== undefined)).toHaveLength(1);
    });

    it('lets one of many have it when they come through two openings of the ledger', async () => {
      const { book } = await Book.sealed(ledger(), [1]);
      const other = await bench().reopen();
      const ask = (nth: number) => ({ run: book.run, lane: 'api', owner: `worker ${nth}`, leaseMs: LEASE_MS });
      const claims = await Promise.all(
        Array.from({ length: 16 }, (_, nth) => (nth % 2 === 0 ? ledger() : other).claimShard(ask(nth))),
      );
      expect(claims.filter((claim) => claim !== undefined)).toHaveLength(1);
    });

    it('gives out shards from the lowest on, each to one owner, until none is left', async () => {
      const { book } = await Book.sealed(
        ledger(),
        Array.from({ length: SHARD_BATCHES + 2 }, () => 1),
      );
      const [first, second, third] = [
        await book.claimShard({ owner: 'a' }),
        await book.claimShard({ owner: 'b' }),
        await book.claimShard({ owner: 'c' }),
      ];
      expect([first?.shard, first?.ready.length]).toEqual([0, SHARD_BATCHES]);
      expect([second?.shard, second?.ready.length]).toEqual([1, 2]);
      expect(third).toBeUndefined();
      expect((await book.claimShard({ owner: 'a', skip: [0] }))?.shard).toBeUndefined();
      await ledger().releaseShard(shardClaim(second!));
      expect((await book.claimShard({ owner: 'a', skip: [0] }))?.shard).toBe(1);
    });

    it('gives out only shards that hold one of the batches that were named', async () => {
      const { book, ids } = await Book.sealed(
        ledger(),
        Array.from({ length: SHARD_BATCHES + 1 }, () => 1),
      );
      const ask = { run: book.run, lane: 'api', owner: 'first', leaseMs: LEASE_MS };
      expect((await ledger().claimShard({ ...ask, only: [ids[SHARD_BATCHES]!] }))?.shard).toBe(1);
      expect(await ledger().claimShard({ ...ask, only: [] })).toBeUndefined();
    });

    it('refuses every write under a claim that was taken over, and changes nothing', async () => {
      const { book, ids } = await Book.sealed(ledger(), [2, 2]);
      const stale = shardClaim((await book.claimShard())!);
      const { attempt } = await ledger().intend({ ...stale, batch: ids[0]!, deadlineMs: 1 });
      bench().advance(LEASE_MS);
      const taken = await book.claimShard({ owner: 'second' });
      expect(taken?.fence).toBeGreaterThan(stale.fence);
      const before = [await ledger().read.batches({}), await ledger().read.events({})];
      const ref = { batch: ids[0]!, attempt };
      expect(await refusedWith(ledger().answer({ ...stale, ...ref, answer: delivered(2) }))).toBe('FENCED');
      expect(await refusedWith(ledger().note({ ...stale, ...ref, notes: { jobHandle: '1' } }))).toBe('FENCED');
      expect(await refusedWith(ledger().intend({ ...stale, batch: ids[1]!, deadlineMs: 1 }))).toBe('FENCED');
      const settle = {
        batch: ids[0]!,
        claim: stale,
        decision: { kind: 'delivered' },
        who: 'sink:x',
        evidence: 'e',
      } as const;
      expect(await refusedWith(ledger().settle(settle))).toBe('FENCED');
      expect(await refusedWith(ledger().renewShard({ ...stale, leaseMs: 1 }))).toBe('FENCED');
      expect(await refusedWith(ledger().releaseShard(stale))).toBe('FENCED');
      expect([await ledger().read.batches({}), await ledger().read.events({})]).toEqual(before);
    });

    it('hands what was on its way over as in doubt, with whose it was', async () => {
      const { book, ids } = await Book.sealed(ledger(), [2, 2, 1]);
      const held = shardClaim((await book.claimShard())!);
      await ledger().intend({ ...held, batch: ids[1]!, deadlineMs: 1_000, notes: { expectedPosition: '7' } });
      bench().advance(LEASE_MS);
      const taken = (await book.claimShard({ owner: 'second' }))!;
      expect(taken.ready.map((batch) => batch.id)).toEqual([ids[0], ids[2]]);
      expect(taken.doubts).toMatchObject([
        {
          id: ids[1],
          state: 'in-doubt',
          doubtful: [0, 1],
          attempt: { answer: 'lost', unknown: 2, notes: { expectedPosition: '7' } },
        },
      ]);
      expect(taken.doubts[0]?.attempt.reason).toContain('first');
      expect(await book.balance()).toBe('0/0/0/2/3 of 5');
    });

    it('refuses to begin a send when the lease has run out, even if nobody has taken over', async () => {
      const { book, ids } = await Book.sealed(ledger(), [1, 1]);
      const held = shardClaim((await book.claimShard())!);
      const { attempt } = await ledger().intend({ ...held, batch: ids[1]!, deadlineMs: 1 });
      bench().advance(LEASE_MS);
      expect(await refusedWith(ledger().intend({ ...held, batch: ids[0]!, deadlineMs: 1 }))).toBe('FENCED');
      const late = await ledger().answer({ ...held, batch: ids[1]!, attempt, answer: delivered(1) });
      expect(late.state).toBe('delivered');
    });

    it('returns doubts of before, with the first intent and the latest attempt', async () => {
      const { book, ids } = await Book.sealed(ledger(), [1]);
      const first = await book.deliver(ids[0]!, { kind: 'not-applied', reason: 'away' });
      const intendedAt = (await ledger().read.attempts(ids[0]!))[0]!.intendedAtMs;
      bench().advance(10);
      await book.deliver(ids[0]!, { kind: 'lost', evidence: 'cut off' }, first.claim);
      await ledger().releaseShard(first.claim);
      const shard = await book.claimShard({ owner: 'second' });
      expect(shard?.ready).toEqual([]);
      expect(shard?.doubts).toMatchObject([
        { firstIntendedAtMs: intendedAt, attempt: { attempt: 2, intendedAtMs: intendedAt + 10 } },
      ]);
      await ledger().releaseShard(shardClaim(shard!));
      expect(await book.claimShard({ owner: 'second', skip: [0] })).toBeUndefined();
    });

    it('fences off whoever holds a shard of an extraction that is abandoned', async () => {
      const book = await Book.open(ledger());
      await book.start();
      const [id] = await book.seal([1]);
      const held = shardClaim((await book.claimShard())!);
      await ledger().abandonGeneration({ ...book.claim, generation: 1, reason: 'interrupted' });
      expect(await refusedWith(ledger().intend({ ...held, batch: id!, deadlineMs: 1 }))).toBe('FENCED');
    });
  });
}
