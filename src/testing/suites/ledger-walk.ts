import type { Answer, Settle, ShardClaim } from '../../ledger/ledger.ts';
import { expect } from './expect.ts';
import {
  Book,
  child,
  LEASE_MS,
  type LedgerBench,
  RECEIPT,
  refusedWith,
  shardClaim,
  verdict,
} from './ledger-fixture.ts';
import { LedgerModel, type ModelBatch } from './ledger-model.ts';

const LANES = ['api', 'archive'] as const;
const OPS = [
  'seal',
  'claim',
  'intend',
  'intend',
  'answer',
  'answer',
  'answer',
  'settle',
  'retry',
  'wait',
  'release',
  'stale',
  'cancel',
] as const;

/** One step: what to do, and three numbers that choose what with. */
interface Step {
  readonly op: (typeof OPS)[number];
  readonly a: number;
  readonly b: number;
  readonly c: number;
}

/**
 * Walks through the verbs at random and holds every answer, and after every step every batch and balance, against a
 * model that counts single records. Steps that the present states forbid are tried too: they must be refused.
 */
export async function walk(open: () => Promise<LedgerBench>, walks: number): Promise<void> {
  // Only here, so that whoever tests a connector need not have it.
  const { default: fc } = await import('fast-check');
  const number = fc.nat({ max: 1_000 });
  const step = fc.record({ op: fc.constantFrom(...OPS), a: number, b: number, c: number });
  const steps = fc.array(step, { minLength: 10, maxLength: 60, size: 'max' });
  await fc.assert(
    fc.asyncProperty(steps, async (path) => {
      const bench = await open();
      try {
        const walker = await Walker.begin(bench);
        for (const one of path) await walker.take(one);
        expect(await bench.ledger.read.verify()).toEqual([]);
      } finally {
        await bench.cleanup();
      }
    }),
    { numRuns: walks },
  );
}

class Walker {
  readonly #bench: LedgerBench;
  /** The same run through two openings of the ledger: what one has written, the other must know. */
  readonly #books: readonly Book[];
  readonly #model = new LedgerModel();
  /** The latest claim of each lane, and until when it holds. */
  readonly #claims = new Map<string, { claim: ShardClaim; untilMs: number }>();
  #nowMs = 0;
  #cancelled = false;

  #book: Book;

  private constructor(bench: LedgerBench, books: readonly [Book, Book]) {
    this.#bench = bench;
    this.#books = books;
    this.#book = books[0];
  }

  static async begin(bench: LedgerBench): Promise<Walker> {
    const book = await Book.open(bench.ledger, { lanes: LANES });
    await book.start();
    return new Walker(bench, [book, book.through(await bench.reopen())]);
  }

  async take(step: Step): Promise<void> {
    this.#book = this.#books[step.c % this.#books.length]!;
    await this.#carryOut(step);
    await this.#compare(step);
  }

  async #carryOut(step: Step): Promise<void> {
    const lane = LANES[step.a % LANES.length]!;
    const batch = this.#pick(lane, step.b);
    if (step.op === 'seal') return await this.#seal(lane, step);
    if (step.op === 'claim') return await this.#claim(lane, `worker ${step.b % 2}`);
    if (step.op === 'wait') return this.#wait(step.b % 2 === 0 ? LEASE_MS : 1_000);
    if (step.op === 'release') return await this.#release(lane);
    if (step.op === 'cancel') return step.c % 10 === 0 ? await this.#cancel() : undefined;
    if (batch === undefined) return;
    if (step.op === 'intend') return await this.#intend(batch);
    if (step.op === 'answer') return await this.#answer(batch, step);
    if (step.op === 'settle') return await this.#settle(batch, step);
    if (step.op === 'retry') return await this.#retry(batch, step);
    return await this.#stale(batch);
  }

  #pick(lane: string, at: number): ModelBatch | undefined {
    const here = [...this.#model.batches.values()].filter((batch) => batch.lane === lane);
    return here[at % Math.max(1, here.length)];
  }

  async #seal(lane: string, { b, c }: Step): Promise<void> {
    const sizes = Array.from({ length: 1 + (b % 3) }, (_, nth) => 1 + ((c + nth) % 4));
    const ids = await this.#book.seal(sizes, lane);
    ids.forEach((id, nth) => {
      this.#afterwards(this.#model.add(id, lane, sizes[nth]!), []);
    });
  }

  async #claim(lane: string, owner: string): Promise<void> {
    const held = this.#claims.get(lane);
    const shard = await this.#book.claimShard({ lane, owner });
    const here = [...this.#model.batches.values()].filter((batch) => batch.lane === lane);
    const work = here.some((batch) => ['sealed', 'sending', 'in-doubt'].includes(this.#model.stateOf(batch)));
    const free = held === undefined || held.untilMs <= this.#nowMs || this.#owner.get(lane) === owner;
    expect(shard !== undefined, 'a shard is given out').toBe(work && free && !this.#cancelled);
    if (shard === undefined) return;
    expect(shard.fence, 'the fence grows').toBeGreaterThan(held?.claim.fence ?? 0);
    this.#model.lose(lane);
    this.#owner.set(lane, owner);
    this.#claims.set(lane, { claim: shardClaim(shard), untilMs: this.#nowMs + LEASE_MS });
    const listed = (state: string) =>
      here.filter((batch) => this.#model.stateOf(batch) === state).map((batch) => batch.id);
    expect(
      shard.ready.map((batch) => batch.id),
      'what is ready',
    ).toEqual(listed('sealed'));
    expect(
      shard.doubts.map((batch) => batch.id),
      'what is in doubt',
    ).toEqual(listed('in-doubt'));
  }
  readonly #owner = new Map<string, string>();

  #wait(ms: number): void {
    this.#nowMs += ms;
    this.#bench.advance(ms);
  }

  async #release(lane: string): Promise<void> {
    const held = this.#claims.get(lane);
    if (held === undefined) return;
    await this.#book.ledger.releaseShard(held.claim);
    held.untilMs = 0;
  }

  async #cancel(): Promise<void> {
    await this.#book.ledger.cancel({ run: this.#book.run, who: 'ann', reason: 'the walk' });
    if (this.#cancelled) return;
    this.#cancelled = true;
    for (const batch of this.#model.batches.values()) this.#skipSealed(batch);
  }

  /** In a run that was cancelled, what becomes sealed is skipped, or in doubt again where it may be there. */
  #skipSealed(batch: ModelBatch): void {
    if (this.#model.stateOf(batch) !== 'sealed') return;
    const doubtful = batch.possibly === 'there' && batch.attempts > 0;
    for (const record of batch.records) record.state = doubtful ? 'in-doubt' : 'skipped';
  }

  async #intend(batch: ModelBatch): Promise<void> {
    const held = this.#claims.get(batch.lane);
    if (held === undefined) return;
    const state = this.#model.stateOf(batch);
    const intended = this.#book.ledger.intend({ ...held.claim, batch: batch.id, deadlineMs: 100 });
    if (held.untilMs <= this.#nowMs) expect(await refusedWith(intended)).toBe('FENCED');
    else if (state !== 'sealed') expect(await refusedWith(intended)).toBe('MOVE_FORBIDDEN');
    else {
      batch.attempts++;
      expect(await intended).toEqual({ attempt: batch.attempts });
      batch.open = { attempt: batch.attempts, fence: held.claim.fence };
    }
  }

  async #answer(batch: ModelBatch, { a, b, c }: Step): Promise<void> {
    const held = this.#claims.get(batch.lane);
    if (held === undefined || batch.open === undefined) return;
    const word = batch.records.map((_, index) => 'aru'[(a + b * (index + 1)) % (c % 4 === 0 ? 1 : 3)]).join('');
    const picks = c % 3 === 0 ? [...word].flatMap((letter, index) => (letter === 'r' ? [index] : [])) : [];
    const children = picks.length === 0 ? [] : [child(picks)];
    const answers: Answer[] = [
      verdict(word, children),
      verdict(word, children),
      verdict(word, children),
      { kind: 'not-applied', reason: 'away' },
      { kind: 'lost', evidence: 'cut off' },
      { kind: 'refused', code: '400', message: 'no', receipt: RECEIPT, children: [] },
    ];
    const answer = answers[(a + c) % answers.length]!;
    const ask = { ...held.claim, batch: batch.id, attempt: batch.open.attempt, answer };
    const moved = await this.#book.ledger.answer(ask);
    delete batch.open;
    this.#apply(batch, answer, word);
    if (answer.kind === 'verdict' && moved.children[0] !== undefined)
      this.#model.move(batch, picks, moved.children[0].id);
    this.#afterwards(
      batch,
      moved.children.map((one) => one.id),
    );
    expect(moved.state, 'the state that the answer brought').toBe(this.#model.stateOf(batch));
    expect((await this.#book.ledger.answer(ask)).state, 'the same answer again').toBe(moved.state);
  }

  #apply(batch: ModelBatch, answer: Answer, word: string): void {
    const meaning = { a: 'delivered', r: 'refused', u: 'in-doubt' } as const;
    batch.records.forEach((record, index) => {
      if (answer.kind === 'verdict') record.state = meaning[word[index] as 'a' | 'r' | 'u'];
      else record.state = answer.kind === 'lost' ? 'in-doubt' : answer.kind === 'refused' ? 'refused' : 'pending';
    });
  }

  #afterwards(batch: ModelBatch, children: readonly ModelBatch['id'][]): void {
    if (!this.#cancelled) return;
    this.#skipSealed(batch);
    for (const id of children) this.#skipSealed(this.#model.batches.get(id)!);
  }

  async #settle(batch: ModelBatch, { a, c }: Step): Promise<void> {
    const held = this.#claims.get(batch.lane);
    const doubtful = this.#model.picks(batch, 'in-doubt');
    const whole = doubtful.length === batch.records.length;
    const found = batch.records.map((_, index) => 'aru'[(a + c + index) % 3]).join('');
    const part = whole || doubtful.length === 0 ? {} : { child: child(doubtful) };
    const decisions: Settle['decision'][] = [
      { kind: 'delivered' },
      { kind: 'skip' },
      { kind: 'absent', ...part },
      { kind: 'repeat', ...part },
      { kind: 'resend', ...part },
      { ...verdict(found), kind: 'known' },
    ];
    const decision = decisions[c % decisions.length]!;
    const claim = held !== undefined && held.untilMs > this.#nowMs ? { claim: held.claim } : {};
    const settled = this.#book.ledger.settle({ batch: batch.id, ...claim, decision, who: 'ann', evidence: 'looked' });
    if (this.#model.stateOf(batch) !== 'in-doubt') {
      expect(await refusedWith(settled)).toBe('MOVE_FORBIDDEN');
      return;
    }
    const moved = await settled;
    const made = moved.children[0];
    if (made !== undefined) this.#model.move(batch, doubtful, made.id);
    sentAgain(made === undefined ? batch : this.#model.batches.get(made.id)!, decision.kind);
    if (made === undefined) this.#decide(batch, doubtful, decision, found);
    this.#afterwards(
      batch,
      moved.children.map((one) => one.id),
    );
    expect(moved.state, 'the state that the settlement brought').toBe(this.#model.stateOf(batch));
  }

  #decide(batch: ModelBatch, doubtful: readonly number[], decision: Settle['decision'], found: string): void {
    const known = { a: 'delivered', r: 'refused', u: 'in-doubt' } as const;
    const again = { absent: 'pending', repeat: 'pending', resend: 'pending' } as const;
    const all = { delivered: 'delivered', skip: 'skipped', ...again } as const;
    for (const index of doubtful) {
      batch.records[index]!.state =
        decision.kind === 'known' ? known[found[index] as 'a' | 'r' | 'u'] : all[decision.kind];
    }
  }

  async #retry(batch: ModelBatch, { c }: Step): Promise<void> {
    const refused = this.#model.picks(batch, 'refused');
    const picks = refused.slice(0, 1 + (c % 2));
    const retried = this.#book.ledger.retry({
      batch: batch.id,
      children: [child(picks)],
      who: 'ann',
      reason: 'mended',
    });
    if (picks.length === 0 || batch.open !== undefined) {
      expect(await refusedWith(retried)).toBe('MOVE_FORBIDDEN');
      return;
    }
    const moved = await retried;
    this.#model.move(batch, picks, moved.children[0]!.id);
    this.#afterwards(
      batch,
      moved.children.map((one) => one.id),
    );
    expect(moved.state).toBe(this.#model.stateOf(batch));
  }

  /** A worker that was taken over wakes up. */
  async #stale(batch: ModelBatch): Promise<void> {
    const held = this.#claims.get(batch.lane);
    if (held === undefined) return;
    const claim = { ...held.claim, fence: held.claim.fence - 1 };
    const { ledger } = this.#book;
    const ref = { ...claim, batch: batch.id, attempt: Math.max(1, batch.attempts) };
    expect(await refusedWith(ledger.intend({ ...claim, batch: batch.id, deadlineMs: 1 }))).toBe('FENCED');
    expect(await refusedWith(ledger.answer({ ...ref, answer: { kind: 'lost', evidence: 'late' } }))).toBe('FENCED');
    expect(
      await refusedWith(ledger.settle({ batch: batch.id, claim, decision: { kind: 'skip' }, who: 'x', evidence: 'x' })),
    ).toBe('FENCED');
  }

  async #compare(step: Step): Promise<void> {
    const rows = await this.#book.ledger.read.batches({ run: this.#book.run });
    const said = rows.map((row) => [row.id, row.lane, row.state, row.records, row.movedRecords, row.attempts]);
    const expected = [...this.#model.batches.values()]
      .sort((x, y) => x.id - y.id)
      .map((batch) => {
        const moved = batch.records.filter((record) => record.moved !== undefined).length;
        return [batch.id, batch.lane, this.#model.stateOf(batch), batch.records.length, moved, batch.attempts];
      });
    expect(said, `batches after ${step.op}`).toEqual(expected);
    for (const lane of LANES)
      expect(await this.#book.balance(lane), `${lane} after ${step.op}`).toBe(this.#model.balance(lane));
  }
}

/** What is not proved of a batch that is sent again; that it may come twice is never forgotten. */
function sentAgain(batch: ModelBatch, decision: Settle['decision']['kind']): void {
  if (batch.possibly === 'twice') return;
  delete batch.possibly;
  if (decision === 'repeat') batch.possibly = 'there';
  if (decision === 'resend') batch.possibly = 'twice';
}
