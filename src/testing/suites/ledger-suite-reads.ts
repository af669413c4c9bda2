import type { RecordRow } from '../../ledger/ledger.ts';
import { asRunId } from '../../model/ids.ts';
import { expect } from './expect.ts';
import {
  Book,
  child,
  delivered,
  keyOf,
  keysOf,
  refusedWith,
  shardClaim,
  type UnderTest,
  verdict,
} from './ledger-fixture.ts';

/** Questions, events, and what a crash leaves. */
export function readCases(under: UnderTest): void {
  const { ledger, describe, it } = under;
  describe('questions', () => {
    it('page through runs, batches and records without missing or repeating one', async () => {
      for (const day of ['2026-11-17', '2026-11-18']) await Book.sealed(ledger(), [3, 2, 4], { window: day });
      const { book, ids } = await Book.sealed(ledger(), [3, 2, 4]);
      await book.deliver(ids[1]!, verdict('ar'));
      const runs = await ledger().read.runs({ newestFirst: true, limit: 2 });
      expect(runs.map((run) => run.window.name)).toEqual(['2026-11-19', '2026-11-18']);
      expect(
        (await ledger().read.runs({ newestFirst: true, after: runs[1]!.id })).map((run) => run.window.name),
      ).toEqual(['2026-11-17']);
      const pages: number[] = [];
      for (let after = 0; ; ) {
        const page = await ledger().read.batches({ run: book.run, after, limit: 2 });
        pages.push(...page.map((batch) => batch.id));
        if (page.length < 2) break;
        after = page[1]!.id;
      }
      expect(pages).toEqual(ids);
      const found: RecordRow[] = [];
      for (let after: string | undefined; ; ) {
        const page = await ledger().read.records({
          run: book.run,
          limit: 2,
          ...(after === undefined ? {} : { after }),
        });
        found.push(...page.records);
        if (page.cursor === undefined) break;
        after = page.cursor;
      }
      expect(found.map((record) => `${record.batch}.${record.index}`)).toEqual(
        ids.flatMap((id, nth) => Array.from({ length: [3, 2, 4][nth]! }, (_, index) => `${id}.${index}`)),
      );
    });

    it('list batches and records by state, delivered ones too', async () => {
      const { book, ids } = await Book.sealed(ledger(), [2, 2, 2, 2]);
      const { claim } = await book.deliver(ids[0]!, delivered(2));
      await book.deliver(ids[1]!, verdict('ar'), claim);
      await book.deliver(ids[2]!, verdict('uu'), claim);
      const batches = async (...states: Parameters<typeof list>[0]) => (await list(states)).map((batch) => batch.id);
      const list = (states: ('delivered' | 'partial' | 'in-doubt' | 'sealed')[]) => ledger().read.batches({ states });
      expect(await batches('delivered')).toEqual([ids[0]]);
      expect(await batches('partial', 'sealed')).toEqual([ids[1], ids[3]]);
      const counts = async (state: RecordRow['state']) =>
        (await ledger().read.records({ run: book.run, states: [state] })).records.length;
      expect([
        await counts('delivered'),
        await counts('refused'),
        await counts('in-doubt'),
        await counts('pending'),
      ]).toEqual([3, 1, 2, 2]);
    });

    it('list what got into no batch, and find it by its key', async () => {
      const book = await Book.open(ledger());
      await book.start();
      const unbatched = [
        { lane: 'api', row: 4, state: 'refused', code: 'JSON_INVALID', message: 'not JSON' },
        { lane: 'api', row: 5, key: keyOf(5), state: 'skipped', code: 'DUPLICATE_KEY', message: 'came before' },
      ] as const;
      const counts = [{ lane: 'api', read: 2, same: 0, changed: 0, duplicates: 1 }];
      await ledger().seal({ ...book.claim, generation: 1, batches: [], unbatched, counts, rows: 5 });
      expect(await book.balance()).toBe('0/1/1/0/0 of 2');
      const { records } = await ledger().read.records({ states: ['refused', 'skipped'] });
      expect(records).toMatchObject([
        { row: 4, code: 'JSON_INVALID', reason: 'not JSON' },
        { row: 5, state: 'skipped' },
      ]);
      expect(await ledger().read.trace({ key: keyOf(5) })).toMatchObject([
        { record: { row: 5, state: 'skipped' }, steps: [] },
      ]);
    });

    it('list what got into no batch page by page, of one lane or of all, or leave it out', async () => {
      const book = await Book.open(ledger(), { lanes: ['api', 'archive'] });
      await book.start();
      const [batch] = await book.seal([2]);
      const of = (lane: string, rows: readonly number[]) =>
        rows.map((row) => ({ lane, row, state: 'refused', code: 'JSON_INVALID', message: 'not JSON' }) as const);
      const counts = ['api', 'archive'].map((lane) => ({ lane, read: 300, same: 0, changed: 0, duplicates: 0 }));
      const rows = Array.from({ length: 300 }, (_, nth) => nth + 3);
      const unbatched = [...of('archive', rows), ...of('api', rows)];
      await ledger().seal({ ...book.claim, generation: 1, batches: [], unbatched, counts, rows: 302 });
      expect(await book.balance()).toBe('0/300/0/0/2 of 302');
      const listed = async (filter: { lane?: string; batched?: true }): Promise<string[]> => {
        const found: RecordRow[] = [];
        for (let after: string | undefined; ; ) {
          const page = { run: book.run, limit: 70, ...filter, ...(after === undefined ? {} : { after }) };
          const { records, cursor } = await ledger().read.records(page);
          found.push(...records);
          if (cursor === undefined) return found.map((one) => `${one.lane}/${one.batch ?? one.row}`);
          after = cursor;
        }
      };
      const inBatches = [`api/${batch}`, `api/${batch}`];
      const [api, archive] = ['api', 'archive'].map((lane) => rows.map((row) => `${lane}/${row}`));
      expect(await listed({ lane: 'api' })).toEqual([...inBatches, ...api!]);
      expect(await listed({ lane: 'archive' })).toEqual(archive);
      expect((await listed({})).sort()).toEqual([...inBatches, ...api!, ...archive!].sort());
      expect(await listed({ batched: true })).toEqual(inBatches);
    });

    it('refuse to speak of runs and batches that are not there', async () => {
      expect(await refusedWith(ledger().read.run(asRunId(9)))).toBe('RUN_UNKNOWN');
      expect(await refusedWith(ledger().read.balance(asRunId(9)))).toBe('RUN_UNKNOWN');
    });
  });
  keyCases(under);
  eventCases(under);
}

function keyCases({ ledger, describe, it }: UnderTest): void {
  describe('keys', () => {
    const index = async () => {
      for (let steps = 0; !(await ledger().indexKeys({})).done; steps++) expect(steps).toBeLessThan(500);
    };

    it('are followed into children, with every batch and attempt on the way, index or not', async () => {
      const { book, ids } = await Book.sealed(ledger(), [3, 2]);
      const { claim, children } = await book.deliver(ids[0]!, verdict('arr', [child([1, 2])]));
      await book.deliver(children[0]!.id, verdict('ar'), claim);
      for (const indexed of [false, true]) {
        if (indexed) await index();
        const [trace, ...others] = await ledger().read.trace({ key: keyOf(3) });
        expect(others).toEqual([]);
        expect(trace?.record).toMatchObject({
          batch: children[0]!.id,
          index: 1,
          state: 'refused',
          code: '422',
          window: '2026-11-19',
        });
        expect(trace?.record.key).toEqual(keyOf(3));
        expect(trace?.steps.map(({ batch, index: at, attempts }) => [batch.id, at, attempts.length])).toEqual([
          [ids[0], 2, 1],
          [children[0]!.id, 1, 1],
        ]);
        const found = await ledger().read.findKeys({ run: book.run, lane: 'api', keys: keysOf(2, 5) });
        expect(found.map(({ nth, ref, state }) => [nth, ref.batch, ref.index, state])).toEqual([
          [0, children[0]!.id, 0, 'delivered'],
          [1, children[0]!.id, 1, 'refused'],
          [2, ids[1], 0, 'pending'],
          [3, ids[1], 1, 'pending'],
        ]);
        expect(await ledger().read.trace({ key: keyOf(99) })).toEqual([]);
      }
    });

    it('are found in every run and lane that sealed them, or only in those that are asked for', async () => {
      for (const window of ['2026-11-18', '2026-11-19']) {
        const book = await Book.open(ledger(), { window, lanes: ['api', 'archive'] });
        await book.start();
        await book.seal([2], 'api');
      }
      await Book.sealed(ledger(), [2], { flow: 'other' });
      await index();
      const trace = async (filter: { flow?: string; lane?: string }) =>
        (await ledger().read.trace({ key: keyOf(1), ...filter })).length;
      expect([
        await trace({}),
        await trace({ flow: 'members' }),
        await trace({ flow: 'members', lane: 'archive' }),
      ]).toEqual([3, 2, 0]);
    });

    it('come twice where they were sealed twice, the newest first', async () => {
      const book = await Book.open(ledger());
      await book.start();
      const seal = (first: number) => ({
        lane: 'api',
        records: 1,
        bytes: 20,
        digest: new Uint8Array(32).fill(first),
        keys: keyOf(1),
        staged: { segment: 's', offset: first, bytes: 20, trailerBytes: 0 },
      });
      await ledger().seal({ ...book.claim, generation: 1, batches: [seal(1)], unbatched: [], counts: [], rows: 1 });
      await index();
      const { batches } = await ledger().seal({
        ...book.claim,
        generation: 1,
        batches: [seal(2)],
        unbatched: [],
        counts: [],
        rows: 2,
      });
      const found = await ledger().read.findKeys({ run: book.run, lane: 'api', keys: keyOf(1) });
      expect(found.map(({ ref }) => ref.batch)).toEqual([batches[0], batches[0]! - 1]);
      expect(await ledger().read.laneKeys({ run: book.run, lane: 'api' })).toHaveLength(2);
    });

    it('are handed out batch by batch as they were sealed, page by page', async () => {
      const { book, ids } = await Book.sealed(ledger(), [3, 1, 2]);
      await book.deliver(ids[0]!, verdict('rrr', [child([0, 1, 2])]));
      const first = await ledger().read.laneKeys({ run: book.run, lane: 'api', limit: 2 });
      const rest = await ledger().read.laneKeys({ run: book.run, lane: 'api', after: first[1]!.batch });
      expect([...first, ...rest]).toEqual([
        { batch: ids[0], keys: keysOf(1, 3) },
        { batch: ids[1], keys: keysOf(4, 1) },
        { batch: ids[2], keys: keysOf(5, 2) },
      ]);
    });
  });
}

function eventCases({ bench, ledger, describe, it }: UnderTest): void {
  describe('events and crashes', () => {
    it('tell of every change in the order of the changes, for one run or for all', async () => {
      const { book, ids } = await Book.sealed(ledger(), [1]);
      await Book.open(ledger(), { window: '2026-11-20' });
      await book.deliver(ids[0]!, delivered(1));
      await ledger().concludeRun(book.claim);
      const events = await ledger().read.events({ run: book.run });
      expect(events.map((event) => event.kind)).toEqual([
        'run-opened',
        'generation-started',
        'sealed',
        'generation-closed',
        'intended',
        'answered',
        'concluded',
      ]);
      const all = await ledger().read.events({});
      expect(all.map((event) => event.seq)).toEqual([...all.map((event) => event.seq)].sort((a, b) => a - b));
      expect(all).toHaveLength(events.length + 1);
      expect(await ledger().read.events({ after: all[2]!.seq, limit: 2 })).toEqual(all.slice(3, 5));
      expect(events.find((event) => event.kind === 'answered')).toMatchObject({
        batch: ids[0],
        detail: { attempt: 1, answer: 'verdict', state: 'delivered', applied: 1 },
      });
    });

    it('remember how far an emitter has come, and never less', async () => {
      expect(await ledger().read.emitted('log')).toBe(0);
      await ledger().emitted({ emitter: 'log', seq: 7 });
      await ledger().emitted({ emitter: 'log', seq: 3 });
      expect([await ledger().read.emitted('log'), await ledger().read.emitted('queue')]).toEqual([7, 0]);
    });

    it('show after an abrupt end everything that was acknowledged, and go on from there', async () => {
      const { book, ids } = await Book.sealed(ledger(), [2, 2, 2]);
      const { claim } = await book.deliver(ids[0]!, delivered(2));
      await ledger().intend({ ...claim, batch: ids[1]!, deadlineMs: 1 });
      const before = {
        batches: await ledger().read.batches({}),
        events: await ledger().read.events({}),
        runs: await ledger().read.runs({}),
      };
      const reopened = await bench().reopen();
      expect(reopened.identity).toEqual(ledger().identity);
      expect({
        batches: await reopened.read.batches({}),
        events: await reopened.read.events({}),
        runs: await reopened.read.runs({}),
      }).toEqual(before);
      await reopened.breakLeases({ owner: 'first', evidence: 'its process ended' });
      const again = await Book.open(reopened, { owner: 'second' });
      const shard = await again.claimShard({ owner: 'second' });
      expect([shard?.ready.map((batch) => batch.id), shard?.doubts.map((batch) => batch.id)]).toEqual([
        [ids[2]],
        [ids[1]],
      ]);
      expect(await refusedWith(ledger().intend({ ...claim, batch: ids[2]!, deadlineMs: 1 }))).toBe('FENCED');
      await reopened.releaseShard(shardClaim(shard!));
    });

    it('keep asked together apart: whoever is refused takes nobody along', async () => {
      const { book, ids } = await Book.sealed(ledger(), [1, 1, 1, 1]);
      const claim = shardClaim((await book.claimShard())!);
      const stale = { ...claim, fence: claim.fence - 1 };
      const asks = [claim, stale, claim, stale, claim].map((at, nth) =>
        refusedWith(ledger().intend({ ...at, batch: ids[nth % 4]!, deadlineMs: 1 })),
      );
      expect(await Promise.all(asks)).toEqual(['not refused', 'FENCED', 'not refused', 'FENCED', 'MOVE_FORBIDDEN']);
      expect(await book.states()).toEqual(['sending', 'sealed', 'sending', 'sealed']);
    });
  });
}
