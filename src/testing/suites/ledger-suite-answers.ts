import { asBatchId } from '../../model/ids.ts';
import { expect } from './expect.ts';
import { Book, child, delivered, RECEIPT, refusedWith, shardClaim, type UnderTest, verdict } from './ledger-fixture.ts';

/** Intents, answers, children. */
export function answerCases({ ledger, describe, it }: UnderTest): void {
  describe('intents', () => {
    it('numbers attempts and sends nothing that is not sealed', async () => {
      const { book, ids } = await Book.sealed(ledger(), [1]);
      const claim = shardClaim((await book.claimShard())!);
      const intend = () => ledger().intend({ ...claim, batch: ids[0]!, deadlineMs: 1 });
      expect(await intend()).toEqual({ attempt: 1 });
      expect(await refusedWith(intend())).toBe('MOVE_FORBIDDEN');
      await ledger().answer({ ...claim, batch: ids[0]!, attempt: 1, answer: { kind: 'lost', evidence: 'cut off' } });
      expect(await refusedWith(intend())).toBe('MOVE_FORBIDDEN');
      expect(await refusedWith(ledger().intend({ ...claim, batch: asBatchId(99), deadlineMs: 1 }))).toBe(
        'BATCH_UNKNOWN',
      );
      expect(await refusedWith(ledger().intend({ ...claim, lane: 'nowhere', batch: ids[0]!, deadlineMs: 1 }))).toBe(
        'RUN_UNKNOWN',
      );
    });

    it('keeps the notes of an attempt, and takes more while it is open', async () => {
      const { book, ids } = await Book.sealed(ledger(), [1]);
      const claim = shardClaim((await book.claimShard())!);
      const notes = { expectedPosition: '41' };
      const { attempt } = await ledger().intend({ ...claim, batch: ids[0]!, deadlineMs: 250, notes });
      const ref = { ...claim, batch: ids[0]!, attempt };
      await ledger().note({ ...ref, notes: { jobHandle: 'j1' } });
      const [row] = await ledger().read.attempts(ids[0]!);
      expect(row).toMatchObject({ attempt: 1, fence: claim.fence, notes: { expectedPosition: '41', jobHandle: 'j1' } });
      expect(row!.deadlineAtMs - row!.intendedAtMs).toBe(250);
      expect(row!.answer).toBeUndefined();
      await ledger().answer({ ...ref, answer: delivered(1) });
      expect(await refusedWith(ledger().note({ ...ref, notes: {} }))).toBe('MOVE_FORBIDDEN');
    });
  });

  describe('answers', () => {
    it.each([
      ['aaa', 'delivered', '3/0/0/0/0 of 3'],
      ['aar', 'partial', '2/1/0/0/0 of 3'],
      ['rrr', 'refused', '0/3/0/0/0 of 3'],
      ['aru', 'in-doubt', '1/1/0/1/0 of 3'],
      ['uuu', 'in-doubt', '0/0/0/3/0 of 3'],
    ] as const)('brings a verdict of %s to %s', async (word, state, balance) => {
      const { book, ids } = await Book.sealed(ledger(), [3]);
      expect((await book.deliver(ids[0]!, verdict(word))).state).toBe(state);
      expect(await book.balance()).toBe(balance);
      const { records } = await ledger().read.records({ batch: ids[0]! });
      const letter = { delivered: 'a', refused: 'r', 'in-doubt': 'u', pending: '?', skipped: '?', superseded: '?' };
      expect(records.map((record) => letter[record.state]).join('')).toBe(word);
      const refused = records.filter((record) => record.state === 'refused');
      for (const record of refused) expect(record).toMatchObject({ code: '422', reason: 'no such member' });
    });

    it('seals again what was proved not applied, and refuses as a whole what was refused as a whole', async () => {
      const { book, ids } = await Book.sealed(ledger(), [2]);
      const first = await book.deliver(ids[0]!, { kind: 'not-applied', reason: 'connection refused' });
      expect(first.state).toBe('sealed');
      const refused = { kind: 'refused', code: '413', message: 'too large', receipt: RECEIPT, children: [] } as const;
      expect((await book.deliver(ids[0]!, refused, first.claim)).state).toBe('refused');
      expect((await ledger().read.attempts(ids[0]!)).map((attempt) => attempt.answer)).toEqual([
        'not-applied',
        'refused',
      ]);
      const { records } = await ledger().read.records({ batch: ids[0]!, states: ['refused'] });
      expect(records.map((record) => record.reason)).toEqual(['413: too large', '413: too large']);
    });

    it('takes the same answer twice and changes nothing; refuses another one', async () => {
      const { book, ids } = await Book.sealed(ledger(), [3]);
      const answer = verdict('arr', [child([1])]);
      const first = await book.deliver(ids[0]!, answer);
      const before = [
        await ledger().read.batches({}),
        await ledger().read.attempts(ids[0]!),
        await ledger().read.events({}),
      ];
      const ref = { ...first.claim, batch: ids[0]!, attempt: first.attempt };
      const again = await ledger().answer({ ...ref, answer: verdict('arr', [child([1])]) });
      expect(again).toEqual({ state: first.state, children: first.children });
      expect([
        await ledger().read.batches({}),
        await ledger().read.attempts(ids[0]!),
        await ledger().read.events({}),
      ]).toEqual(before);
      expect(await refusedWith(ledger().answer({ ...ref, answer: verdict('aar') }))).toBe('MOVE_FORBIDDEN');
      expect(await refusedWith(ledger().answer({ ...ref, attempt: 2, answer }))).toBe('MOVE_FORBIDDEN');
    });

    it('refuses the true answer to an attempt that was given up as lost: it comes as a settlement now', async () => {
      const { book, ids } = await Book.sealed(ledger(), [1]);
      const { claim, attempt } = await book.deliver(ids[0]!, { kind: 'lost', evidence: 'timed out' });
      const ask = { ...claim, batch: ids[0]!, attempt, answer: delivered(1) };
      expect(await refusedWith(ledger().answer(ask))).toBe('FENCED');
      await ledger().settle({
        batch: ids[0]!,
        claim,
        decision: { kind: 'absent' },
        who: 'sink:x',
        evidence: 'not there',
      });
      expect(await refusedWith(ledger().answer(ask))).toBe('FENCED');
      expect(await book.states()).toEqual(['sealed']);
    });

    it('refuses a verdict that does not account for every record', async () => {
      const { book, ids } = await Book.sealed(ledger(), [3]);
      const claim = shardClaim((await book.claimShard())!);
      const { attempt } = await ledger().intend({ ...claim, batch: ids[0]!, deadlineMs: 1 });
      const ref = { ...claim, batch: ids[0]!, attempt };
      for (const answer of [delivered(2), delivered(4), { ...verdict('aar'), refusals: [] }]) {
        expect(await refusedWith(ledger().answer({ ...ref, answer }))).toBe('INVARIANT_BROKEN');
      }
      expect(await book.states()).toEqual(['sending']);
    });

    it('keeps where the sink stands after the last delivery, and the receipt with each attempt', async () => {
      const { book, ids } = await Book.sealed(ledger(), [1, 1]);
      const receipt = { summary: '200 OK', reference: 'req-1', position: '17', excerpt: '{"ok":true}' };
      const first = await book.deliver(ids[0]!, { ...delivered(1), receipt });
      await book.deliver(ids[1]!, { ...verdict('r'), receipt: { summary: 'no', position: '99' } }, first.claim);
      expect((await ledger().read.lanes(book.run))[0]?.position).toBe('17');
      expect((await ledger().read.attempts(ids[0]!))[0]?.receipt).toEqual(receipt);
    });
  });
  childCases({ ledger, describe, it });
}

function childCases({ ledger, describe, it }: Omit<UnderTest, 'bench'>): void {
  describe('children', () => {
    it('take refused records along over several levels, and every record is counted once', async () => {
      const { book, ids } = await Book.sealed(ledger(), [5, 1]);
      const top = await book.deliver(ids[0]!, verdict('ararr', [child([1, 3]), child([4])]));
      expect(top.state).toBe('partial');
      expect(await book.balance()).toBe('2/0/0/0/4 of 6');
      const [pair, single] = top.children;
      expect(pair).toMatchObject({ parent: ids[0], root: ids[0], picks: [1, 3], seq: 3, state: 'sealed', records: 2 });
      expect(pair!.staged).toEqual((await ledger().read.batch(ids[0]!)).staged);
      const next = await book.deliver(pair!.id, verdict('ar', [child([1])]), top.claim);
      expect(next.children[0]).toMatchObject({ parent: pair!.id, root: ids[0], picks: [3] });
      await book.deliver(next.children[0]!.id, delivered(1), top.claim);
      await book.deliver(single!.id, verdict('u'), top.claim);
      expect(await book.balance()).toBe('4/0/0/1/1 of 6');
      const parent = await ledger().read.batch(ids[0]!);
      expect([parent.balance.read, parent.movedRecords]).toEqual([2, 3]);
      expect((await ledger().read.children(ids[0]!)).map((batch) => batch.id)).toEqual([pair!.id, single!.id]);
      expect(new Set([parent, ...top.children, ...next.children].map((batch) => batch.idempotencyKey)).size).toBe(4);
    });

    it('take a batch that was refused as a whole apart, and leave it moved', async () => {
      const { book, ids } = await Book.sealed(ledger(), [3]);
      const halves = [child([0, 1], 'half'), child([2], 'half')];
      const refused = {
        kind: 'refused',
        code: '413',
        message: 'too large',
        receipt: RECEIPT,
        children: halves,
      } as const;
      const moved = await book.deliver(ids[0]!, refused);
      expect([moved.state, moved.children.map((batch) => batch.reason)]).toEqual(['moved', ['half', 'half']]);
      expect(await book.balance()).toBe('0/0/0/0/3 of 3');
    });

    it('never take a record along that may have been applied, or one twice', async () => {
      const { book, ids } = await Book.sealed(ledger(), [3]);
      const claim = shardClaim((await book.claimShard())!);
      const { attempt } = await ledger().intend({ ...claim, batch: ids[0]!, deadlineMs: 1 });
      const ref = { ...claim, batch: ids[0]!, attempt };
      const events = (await ledger().read.events({})).length;
      for (const picks of [[0], [2]])
        expect(await refusedWith(ledger().answer({ ...ref, answer: verdict('aru', [child(picks)]) }))).toBe(
          'MOVE_FORBIDDEN',
        );
      expect(await refusedWith(ledger().answer({ ...ref, answer: verdict('arr', [child([1]), child([1, 2])]) }))).toBe(
        'MOVE_FORBIDDEN',
      );
      for (const picks of [[2, 1], [1, 3], []])
        expect(await refusedWith(ledger().answer({ ...ref, answer: verdict('arr', [child(picks)]) }))).toBe(
          'INVARIANT_BROKEN',
        );
      expect([await book.states(), (await ledger().read.events({})).length]).toEqual([['sending'], events]);
    });

    it('send again what was refused, when a person says so', async () => {
      const { book, ids } = await Book.sealed(ledger(), [3]);
      await book.deliver(ids[0]!, verdict('arr'));
      await ledger().concludeRun(book.claim);
      const moved = await ledger().retry({ batch: ids[0]!, children: [child([1])], who: 'ann', reason: 'mended' });
      expect([moved.state, moved.children.length]).toEqual(['partial', 1]);
      expect(await book.balance()).toBe('1/1/0/0/1 of 3');
      expect((await ledger().read.run(book.run)).state).toBe('open');
      expect(
        await refusedWith(ledger().retry({ batch: ids[0]!, children: [child([1])], who: 'ann', reason: 'mended' })),
      ).toBe('MOVE_FORBIDDEN');
      expect(
        await refusedWith(
          ledger().retry({ batch: moved.children[0]!.id, children: [child([0])], who: 'ann', reason: 'x' }),
        ),
      ).toBe('MOVE_FORBIDDEN');
    });

    it('send nothing again while a reading decides what becomes of it, and then what it has left', async () => {
      const { book, ids } = await Book.sealed(ledger(), [2]);
      await book.deliver(ids[0]!, verdict('rr'));
      const retry = (pick: number) =>
        ledger().retry({ batch: ids[0]!, children: [child([pick])], who: 'ann', reason: 'mended' });
      await book.start('refresh');
      expect(await refusedWith(retry(0))).toBe('MOVE_FORBIDDEN');
      const superseded = [{ batch: ids[0]!, picks: [0] }];
      await ledger().closeGeneration({ ...book.claim, generation: book.generation, vanished: [], superseded });
      expect(await refusedWith(retry(0))).toBe('MOVE_FORBIDDEN');
      expect((await retry(1)).children).toHaveLength(1);
      expect(await book.balance()).toBe('0/0/0/0/1 of 1');
    });
  });
}
