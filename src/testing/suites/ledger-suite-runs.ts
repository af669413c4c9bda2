import { NO_RUN } from '../../model/ids.ts';
import { expect } from './expect.ts';
import { Book, delivered, LEASE_MS, refusedWith, sealedBatch, type UnderTest, verdict } from './ledger-fixture.ts';

/** Runs, generations, seals, positions. */
export function runCases({ bench, ledger, describe, it }: UnderTest): void {
  describe('runs', () => {
    it('opens the same run for the same flow and window, under a higher fence', async () => {
      const first = await Book.open(ledger());
      await ledger().releaseRun(first.claim);
      const second = await Book.open(ledger(), { owner: 'second' });
      expect(second.run).toBe(first.run);
      expect([first.opened.created, second.opened.created]).toEqual([true, false]);
      expect(second.opened.fence).toBeGreaterThan(first.opened.fence);
      expect(second.opened.run.correlationId).toBe(first.opened.run.correlationId);
      expect((await Book.open(ledger(), { window: '2026-11-20' })).run).not.toBe(first.run);
      expect(await refusedWith(ledger().renewRun({ ...first.claim, leaseMs: 1 }))).toBe('FENCED');
    });

    it('lets one of many that open a run at once have it', async () => {
      const tries = Array.from({ length: 12 }, (_, nth) =>
        refusedWith(Book.open(ledger(), { owner: `process ${nth}` })),
      );
      const results = await Promise.all(tries);
      expect(results.filter((result) => result === 'not refused')).toHaveLength(1);
      expect(results.filter((result) => result === 'LEASE_HELD')).toHaveLength(11);
    });

    it('gives a run to another when its lease has run out, been released or been broken', async () => {
      await Book.open(ledger());
      bench().advance(LEASE_MS - 1);
      expect(await refusedWith(Book.open(ledger(), { owner: 'second' }))).toBe('LEASE_HELD');
      bench().advance(1);
      const second = await Book.open(ledger(), { owner: 'second' });
      await ledger().renewRun({ ...second.claim, leaseMs: 10 * LEASE_MS });
      bench().advance(5 * LEASE_MS);
      expect(await refusedWith(Book.open(ledger(), { owner: 'third' }))).toBe('LEASE_HELD');
      expect(await ledger().breakLeases({ owner: 'second', evidence: 'its process is gone' })).toEqual({ broken: 1 });
      await Book.open(ledger(), { owner: 'third' });
      expect((await ledger().read.events({ run: second.run })).map((event) => event.kind)).toContain('lease-broken');
    });

    it('concludes: open while anything is pending, and what it came to afterwards', async () => {
      const { book, ids } = await Book.sealed(ledger(), [2, 1]);
      expect((await ledger().concludeRun(book.claim)).state).toBe('open');
      await book.deliver(ids[0]!, delivered(2));
      await book.deliver(ids[1]!, verdict('r'));
      const run = await ledger().concludeRun(book.claim);
      expect(run.state).toBe('complete-with-refusals');
      expect(run.endedAtMs).toBeDefined();
      await ledger().releaseRun(book.claim);
      const again = await Book.open(ledger());
      expect(again.opened.run.state).toBe('complete-with-refusals');
      await again.start('refresh');
      expect((await ledger().read.run(book.run)).state).toBe('open');
    });

    it('fails with a reason, and goes on when it is started again', async () => {
      const { book } = await Book.sealed(ledger(), [1]);
      const failed = await ledger().failRun({ ...book.claim, code: 'SOURCE_FAILED', message: 'it went away' });
      expect([failed.state, failed.reason]).toEqual(['failed', 'SOURCE_FAILED: it went away']);
      await ledger().releaseRun(book.claim);
      const again = await Book.open(ledger());
      expect((await again.claimShard())?.ready).toHaveLength(1);
      expect((await ledger().read.run(book.run)).state).toBe('open');
    });

    it('skips at once what is sealed by a reading that has not heard that its run was cancelled', async () => {
      const book = await Book.open(ledger());
      await book.start();
      await book.seal([2]);
      await ledger().cancel({ run: book.run, who: 'ann', reason: 'the wrong day' });
      await book.seal([3]);
      expect(await book.states()).toEqual(['skipped', 'skipped']);
      expect(await book.balance()).toBe('0/0/5/0/0 of 5');
    });

    it('stays cancelled for a start that had opened it before, and is begun again by one that finds it', async () => {
      const book = await Book.open(ledger());
      await ledger().cancel({ run: book.run, who: 'ann', reason: 'the wrong day' });
      expect(await refusedWith(book.start())).toBe('MOVE_FORBIDDEN');
      expect((await ledger().read.run(book.run)).state).toBe('cancelled');
      await book.start('refresh', { reopens: true });
      expect((await ledger().read.run(book.run)).state).toBe('open');
    });

    it('skips what is pending when it is cancelled, and leaves what is on its way to its answer', async () => {
      const { book, ids } = await Book.sealed(ledger(), [2, 3, 4]);
      const claim = (await book.claimShard())!;
      const sent = await ledger().intend({ ...claim, batch: ids[0]!, deadlineMs: 1 });
      await book.deliver(ids[1]!, { kind: 'lost', evidence: 'the connection broke' }, claim);
      await ledger().cancel({ run: book.run, who: 'ann', reason: 'the wrong day' });
      expect(await book.balance()).toBe('0/0/4/3/2 of 9');
      expect(await book.claimShard()).toBeUndefined();
      const notApplied = { kind: 'not-applied', reason: 'refused' } as const;
      const moved = await ledger().answer({ ...claim, batch: ids[0]!, ...sent, answer: notApplied });
      expect(moved.state).toBe('skipped');
      expect((await ledger().concludeRun(book.claim)).state).toBe('cancelled');
    });

    it('gives out no work while it, or the lane, is paused', async () => {
      const { book } = await Book.sealed(ledger(), [1]);
      await ledger().pause({ run: book.run, lane: 'api', who: 'ann', reason: 'maintenance' });
      expect(await book.claimShard()).toBeUndefined();
      await ledger().resume({ run: book.run, lane: 'api', who: 'ann' });
      await ledger().pause({ run: book.run, who: 'ann', reason: 'maintenance' });
      expect(await book.claimShard()).toBeUndefined();
      expect((await ledger().read.run(book.run)).paused).toBe(true);
      await ledger().resume({ run: book.run, who: 'ann' });
      expect(await book.claimShard()).toBeDefined();
    });
  });
  generationCases({ bench, ledger, describe, it });
}

function generationCases({ bench, ledger, describe, it }: UnderTest): void {
  describe('generations and seals', () => {
    it('has one generation open at a time, numbered upwards', async () => {
      const book = await Book.open(ledger());
      await book.start();
      expect(await refusedWith(book.start())).toBe('MOVE_FORBIDDEN');
      await book.close();
      expect(await refusedWith(book.seal([1]))).toBe('MOVE_FORBIDDEN');
      await book.start('refresh');
      expect(book.generation).toBe(2);
      expect((await ledger().read.generations(book.run)).map((one) => one.state)).toEqual(['closed', 'open']);
    });

    it('seals all lanes and the position, or nothing of it', async () => {
      const book = await Book.open(ledger(), { lanes: ['api', 'archive'] });
      await book.start();
      const position = { sourceName: 'members', kind: 'row', value: '3' };
      const counts = ['api', 'archive'].map((lane) => ({ lane, read: 2, same: 0, changed: 0, duplicates: 0 }));
      const ask = { ...book.claim, generation: 1, unbatched: [], position, counts, rows: 3 };
      const batches = [sealedBatch('api', 1, 2), sealedBatch('archive', 1, 1), sealedBatch('api', 3, 1)];
      expect(await refusedWith(ledger().seal({ ...ask, batches: [...batches, sealedBatch('nowhere', 1, 1)] }))).toBe(
        'RUN_UNKNOWN',
      );
      expect(await ledger().read.batches({ run: book.run })).toEqual([]);
      expect(await ledger().read.positions('members')).toEqual([]);
      const sealed = await ledger().seal({ ...ask, batches });
      const rows = await Promise.all(sealed.batches.map((id) => ledger().read.batch(id)));
      expect(rows.map(({ lane, seq, records }) => [lane, seq, records])).toEqual([
        ['api', 1, 2],
        ['archive', 1, 1],
        ['api', 2, 1],
      ]);
      expect((await ledger().read.positions('members')).map((one) => one.position)).toEqual([position]);
      expect((await ledger().read.generations(book.run))[0]).toMatchObject({ position, rows: 3 });
    });

    it('refuses a seal under a claim that was taken over, and changes nothing', async () => {
      const stale = await Book.open(ledger());
      await stale.start();
      bench().advance(LEASE_MS);
      await Book.open(ledger(), { owner: 'second' });
      expect(await refusedWith(stale.seal([1]))).toBe('FENCED');
      expect(await refusedWith(stale.close())).toBe('FENCED');
      expect(await ledger().read.batches({})).toEqual([]);
    });

    it('forgets an interrupted extraction, puts the position back, and uses no number twice', async () => {
      const { book } = await Book.sealed(ledger(), [2]);
      const at = (value: string) => ({ sourceName: 'members', kind: 'row', value });
      await ledger().releaseRun(book.claim);
      await ledger().setPosition({ flow: 'members', sourceName: 'members', position: at('7'), who: 'ann' });
      const again = await Book.open(ledger());
      await again.start('refresh');
      const ask = { ...again.claim, generation: again.generation, counts: [], rows: 5 };
      const unbatched = [{ lane: 'api', row: 1, state: 'refused', code: 'JSON_INVALID', message: 'not JSON' }] as const;
      const first = await ledger().seal({ ...ask, batches: [sealedBatch('api', 50, 3)], unbatched, position: at('9') });
      expect(await again.balance()).toBe('0/1/0/0/5 of 6');
      expect(
        await ledger().abandonGeneration({ ...again.claim, generation: again.generation, reason: 'interrupted' }),
      ).toEqual({ records: 3 });
      expect(await again.balance()).toBe('0/0/0/0/2 of 2');
      expect((await ledger().read.positions('members'))[0]?.position.value).toBe('7');
      expect(await refusedWith(ledger().read.batch(first.batches[0]!))).toBe('BATCH_UNKNOWN');
      await again.start('refresh');
      const [next] = await again.seal([1]);
      expect(next).toBeGreaterThan(first.batches[0]!);
      expect(await ledger().read.trace({ key: sealedBatch('api', 50, 1).keys })).toEqual([]);
    });

    it('forgets nothing that was attempted', async () => {
      const book = await Book.open(ledger());
      await book.start();
      const [id] = await book.seal([1]);
      await book.deliver(id!, { kind: 'not-applied', reason: 'the sink was away' });
      const abandon = { ...book.claim, generation: 1, reason: 'interrupted' };
      expect(await refusedWith(ledger().abandonGeneration(abandon))).toBe('MOVE_FORBIDDEN');
      expect(await book.states()).toEqual(['sealed']);
    });

    it('takes no generation for whole whose counts do not add up', async () => {
      const book = await Book.open(ledger());
      await book.start();
      const counts = [{ lane: 'api', read: 3, same: 0, changed: 0, duplicates: 0 }];
      const batches = [sealedBatch('api', 1, 2)];
      await ledger().seal({ ...book.claim, generation: 1, batches, unbatched: [], counts, rows: 3 });
      expect(await refusedWith(book.close())).toBe('INVARIANT_BROKEN');
    });

    it('sets a position for a flow that nobody works on, and tells who has, and what was before', async () => {
      const set = (value: string | null) =>
        ledger().setPosition({
          flow: 'members',
          sourceName: 'members',
          position: value === null ? null : { sourceName: 'members', kind: 'row', value },
          who: 'ann',
        });
      await set('1');
      const book = await Book.open(ledger());
      expect(await refusedWith(set('2'))).toBe('LEASE_HELD');
      await ledger().releaseRun(book.claim);
      await set(null);
      expect(await ledger().read.positions('members')).toEqual([]);
      const told = await ledger().read.events({ run: NO_RUN });
      const common = { flow: 'members', source: 'members', who: 'ann' };
      expect(told.map(({ kind, detail }) => [kind, detail])).toEqual([
        ['position-set', { ...common, kind: 'row', position: '1' }],
        ['position-set', { ...common, beforeKind: 'row', before: '1' }],
      ]);
      expect(await ledger().read.events({ run: NO_RUN, after: told[0]!.seq })).toEqual(told.slice(1));
      expect(await ledger().read.verify()).toEqual([]);
    });
  });
}
