import type { Answer, DoubtRow, Moved } from '../ledger/ledger.ts';
import { describeError, NotAppliedError, RefusedError, WaybillError } from '../model/errors.ts';
import { showBatch } from '../model/ids.ts';
import type { BatchState } from '../model/states.ts';
import { countOutcomes } from '../model/verdict.ts';
import { type Heard, heardUnasked, heardUnsent } from './answers.ts';
import { type Intended, intendBatch, transmit } from './attempt.ts';
import type { StopSignals } from './engine.ts';
import type { LaneFeed, Work } from './feed.ts';
import type { LaneRuntime } from './lane.ts';
import { backoffMs } from './pace.ts';
import { isBytesLost } from './payloads.ts';
import { PlaceInTurn } from './place.ts';
import { type Recording, recordAnswer } from './record.ts';
import { settleDoubt, waitBeforeSettling } from './settle.ts';
import { Turnstile } from './turnstile.ts';
import { UnkeptBytes } from './unkept-bytes.ts';

const SETTLE_TRIES = 5;
/** Whole batches refused one after the other without a single success: the mapping or the sink is wrong, not they. */
const REFUSALS_IN_A_ROW_MAX = 50;
/** Answers on their way into the ledger, for each send that may be under way. */
const UNRECORDED_FACTOR = 4;

interface ToRecord extends Pick<Recording, 'ahead'> {
  readonly attempt: number;
  readonly heard: Heard;
}

/**
 * Delivers one lane: takes work as the feed finds it, writes intents a little ahead where that leaves no doubts, keeps
 * as many sends under way as the pace allows, records each answer, and does with it what follows. Ends when nothing can
 * be done any more in this start: all decided, or told to stop, or stalled, and then it says why.
 */
export class LaneDelivery {
  readonly #lane: LaneRuntime;
  readonly #feed: LaneFeed;
  readonly #signals: StopSignals;
  /** Aborted by `signals.stop`, by a stall, or by an error that ends the lane. */
  readonly #ending = new AbortController();
  readonly #stop: AbortSignal;
  readonly #underway = new Set<Promise<void>>();
  readonly #turnstile: Turnstile;
  readonly #place: PlaceInTurn;
  readonly #unkept: UnkeptBytes;
  /** What settling leaves to be sent is left to another start. */
  readonly #settlesOnly: boolean;
  /** The claim under which the lane learnt where the sink stands. */
  #learntUnder: Work['claim'] | undefined;
  /** Begun, and not over for the sink: under way, or on the way to it. */
  #begun = 0;
  #unrecorded = 0;
  #refusalsInARow = 0;
  #stalled: string | undefined;
  #failure: unknown;
  #slotFree: (() => void) | undefined;

  constructor(lane: LaneRuntime, feed: LaneFeed, signals: StopSignals, settlesOnly = false) {
    this.#lane = lane;
    this.#feed = feed;
    this.#signals = signals;
    this.#settlesOnly = settlesOnly;
    this.#unkept = new UnkeptBytes(lane.payloads);
    this.#stop = AbortSignal.any([signals.stop, this.#ending.signal]);
    this.#turnstile = new Turnstile(() => lane.pace.inFlight);
    this.#place = new PlaceInTurn(lane, { stop: this.#stop, abort: signals.abort });
  }

  get lane(): string {
    return this.#lane.job.name;
  }

  /** Why the lane gave up for now, if it did. */
  get stalled(): string | undefined {
    return this.#stalled;
  }

  async run(): Promise<void> {
    const withdraw = (): void => this.#lane.desk.withdrawAll('told to end at once');
    this.#signals.abort.addEventListener('abort', withdraw, { once: true });
    try {
      for (let work = await this.#next(); work !== undefined; work = await this.#next()) this.#begin(work);
      await Promise.all(this.#underway);
    } finally {
      await Promise.allSettled(this.#underway);
      this.#signals.abort.removeEventListener('abort', withdraw);
      await this.#lane.desk.close();
      await this.#feed.close();
    }
    if (this.#failure !== undefined) throw this.#failure;
  }

  async #next(): Promise<Work | undefined> {
    while (!this.#hasRoom() && !this.#stop.aborted) {
      await new Promise<void>((resolve) => {
        this.#slotFree = resolve;
      });
    }
    while (!this.#stop.aborted) {
      try {
        const work = await this.#feed.next(this.#stop);
        this.#place.taken();
        return work;
      } catch (error) {
        const stalled = await this.#place.clear(error);
        if (stalled !== undefined) this.#stall(stalled);
      }
    }
    return undefined;
  }

  #hasRoom(): boolean {
    const { pace, job } = this.#lane;
    if (this.#lane.ordered) return this.#underway.size === 0;
    const ahead = pace.calm ? this.#lane.intendAhead : 0;
    return this.#begun < pace.inFlight + ahead && this.#unrecorded < job.limits.inFlight * UNRECORDED_FACTOR;
  }

  #begin(work: Work): void {
    this.#begun++;
    const doing = (work.todo === 'settle' ? this.#settle(work) : this.#send(work))
      .catch((error: unknown) => this.#end(error))
      .finally(() => {
        this.#underway.delete(doing);
        this.#freeSlot();
      });
    this.#underway.add(doing);
  }

  #freeSlot(): void {
    this.#slotFree?.();
    this.#slotFree = undefined;
  }

  async #send(work: Work): Promise<void> {
    let counted = true;
    const over = (): void => {
      if (counted) this.#begun--;
      counted = false;
      this.#freeSlot();
    };
    // Between two claims somebody else may have written there.
    if (this.#lane.place === 'lane' && this.#learntUnder !== work.claim) this.#lane.position = undefined;
    try {
      const intended = await intendBatch(work, this.#lane, { stop: this.#stop, abort: this.#signals.abort });
      if (intended === undefined) return await this.#feed.done(work, true);
      const heard = await this.#inTurn(work, intended);
      // Answers come in bursts: first every batch whose intent is there leaves, then there is time for bookkeeping.
      if (this.#lane.intendAhead > 0 && heard.answer.kind === 'verdict') await turnOfTheLoop();
      this.#letGo(intended, heard);
      // A good answer rides into the ledger with its neighbours while the next batch is already leaving. After any
      // other the next one waits until it is clear what follows.
      const early = heard.answer.kind === 'verdict' && !this.#lane.ordered;
      await this.#record(work, { attempt: intended.attempt, heard, ahead: early ? over : () => undefined });
    } catch (error) {
      await this.#unsendable(work, error);
    } finally {
      over();
    }
  }

  /** A batch is with its sink, all of it: nobody needs anything of it here any more. */
  #letGo({ payload }: Intended, { answer }: Heard): void {
    if (this.#lane.job.sink.facts.letsGo !== true || answer.kind !== 'verdict') return;
    // What is not known of some record has to be settled, and what was refused for now goes out once more.
    if (countOutcomes(answer.outcomes).applied !== answer.outcomes.length) return;
    this.#lane.rooms.giveBackAll(payload);
  }

  /** There is no attempt: the batch has no bytes, or nobody can say where to, or it is not to be sent any more. */
  async #unsendable(work: Work, error: unknown): Promise<void> {
    if (!(error instanceof WaybillError)) throw error;
    if (error instanceof NotAppliedError || error instanceof RefusedError) {
      const heard = heardUnasked(error);
      this.#react(heard);
      return await this.#notApplied(work, heard);
    }
    if (error.code === 'MOVE_FORBIDDEN') {
      // The run was cancelled, or another start reads its records again, and the lane has not heard of it yet.
      const { state } = await this.#lane.ledger.read.batch(work.batch.id);
      if (DECIDED_ELSEWHERE.has(state)) return await this.#feed.done(work, false);
    }
    if (!isBytesLost(error) || this.#lane.ordered) throw error;
    // One batch that cannot be sent holds up no other; the start fails with this once they are through.
    this.#failure ??= error;
    await this.#feed.done(work, true);
  }

  /** Sends when it is this batch's turn; by then it may be that nothing is to be sent any more. */
  async #inTurn(work: Work, intended: Intended): Promise<Heard> {
    const { pace } = this.#lane;
    await this.#turnstile.enter();
    try {
      if (this.#stop.aborted) return heardUnsent('the run was told to stop');
      if (pace.quietMs > 0) return heardUnsent('the sink is left alone for now');
      const heard = await transmit(work, intended, this.#lane, this.#signals.abort);
      this.#react(heard);
      return heard;
    } finally {
      this.#turnstile.leave();
    }
  }

  async #record(work: Work, { attempt, heard, ahead }: ToRecord): Promise<void> {
    this.#unrecorded++;
    try {
      const ask = { claim: work.claim, batch: work.batch.id, attempt, answer: heard.answer };
      // Once the lease has run out others may work here, and a ledger that is away is waited for no longer.
      const giveUp = [this.#signals.abort, work.lease.lost];
      const moved = await recordAnswer(this.#lane.services, ask, { giveUp, ahead });
      if (moved === undefined) return await this.#feed.done(work, true);
      await this.#follow(work, heard, moved);
    } finally {
      this.#unrecorded--;
    }
  }

  /** What an answer says about the sink, at once: the next batch must already know. */
  #react(heard: Heard): void {
    const { pace } = this.#lane;
    if (heard.throttled) pace.throttled();
    // An answer that decides some records puts off others, and not the sink as a whole.
    if (heard.retryAfterMs !== undefined && heard.answer.kind !== 'verdict') pace.leaveAlone(heard.retryAfterMs);
    // Answers that never come are a sign of a sink that is away, too; and each leaves a doubt behind.
    if (heard.sinkAway || heard.answer.kind === 'lost') pace.breaker.failed();
    if (heard.answer.kind === 'verdict') pace.succeeded();
    if (heard.answer.kind === 'refused') pace.served();
    this.#lane.tally.waitsFor(heard.answer.kind === 'not-applied' ? heard.answer.reason : undefined);
    if (heard.hopeless !== undefined) this.#stall(`the sink refuses every request: ${heard.hopeless}`);
  }

  /** What an answer means for the batch and for what came of it. */
  async #follow(work: Work, heard: Heard, moved: Moved): Promise<void> {
    this.#lane.tally.answers[heard.answer.kind]++;
    this.#count(work, heard.answer, moved);
    switch (heard.answer.kind) {
      case 'verdict':
        this.#refusalsInARow = 0;
        this.#learnt(heard.answer.receipt.position, work);
        this.#childrenAgain(work, moved, heard);
        if (moved.state === 'in-doubt') return await this.#doubt(work);
        this.#unkept.through(work.batch, moved.children.length);
        return await this.#feed.done(work, false);
      case 'refused':
        this.#unkept.through(work.batch, moved.children.length);
        if (moved.children.length > 0) this.#feed.children(moved.children, work.tries, 0);
        else this.#refusedWhole(heard.answer.code);
        return await this.#feed.done(work, false);
      case 'lost':
        this.#checkAway(heard.answer.evidence);
        this.#learnt(undefined, work);
        return await this.#doubt(work);
      default:
        return await this.#notApplied(work, heard);
    }
  }

  /** Where the sink stands. What is not told is asked, unless only the ledger knows it. */
  #learnt(position: string | undefined, { claim }: Work): void {
    if (position !== undefined || this.#lane.place === 'lane') this.#lane.position = position;
    this.#learntUnder = claim;
  }

  async #notApplied(work: Work, heard: Heard): Promise<void> {
    const { pace, job, services } = this.#lane;
    if (heard.unsent) return await this.#later(work, work.tries, pace.quietMs);
    // While the sink is away attempts are not counted: the breaker paces them, and time bounds them.
    const tries = heard.sinkAway ? work.tries : work.tries + 1;
    const reason = heard.answer.kind === 'not-applied' ? heard.answer.reason : '';
    this.#checkAway(reason);
    if (tries >= job.retry.attempts) this.#stall(`${showBatch(work.batch.id)} was tried ${tries} times: ${reason}`);
    else if (!heard.sinkAway && !pace.retries.spend()) this.#stall(`too many retries for the few successes: ${reason}`);
    await this.#later(
      work,
      tries,
      backoffMs(Math.max(1, tries), job.retry, services.ports.random(), heard.retryAfterMs),
    );
  }

  async #later(work: Work, tries: number, delayMs: number): Promise<void> {
    if (this.#stop.aborted) return await this.#feed.done(work, true);
    const batch = { ...work.batch, attempts: work.batch.attempts + 1 };
    const notBeforeMs = this.#lane.services.ports.monotonicMs() + delayMs;
    this.#feed.again(work, { todo: 'send', batch, tries, notBeforeMs });
  }

  #checkAway(reason: string): void {
    const { pace, job } = this.#lane;
    const { maxAgeMs } = job.retry;
    if (pace.putOffMs > maxAgeMs) this.#stall(`the sink asks to be left alone for longer than retry.maxAge: ${reason}`);
    else if (pace.breaker.awayMs() > maxAgeMs) this.#stall(`the sink has been away for too long: ${reason}`);
  }

  #childrenAgain(work: Work, moved: Moved, heard: Heard): void {
    if (moved.children.length === 0) return;
    const { job, services } = this.#lane;
    const tries = work.tries + 1;
    if (tries >= job.retry.attempts) {
      // They stay sealed; the next start of this window sends them, and only them.
      this.#stall(`records of ${showBatch(work.batch.id)} were refused for now, ${tries} times`);
      return;
    }
    this.#lane.tally.waitsFor(`records of ${showBatch(work.batch.id)} were refused for now`);
    const delayMs = backoffMs(tries, job.retry, services.ports.random(), heard.retryAfterMs);
    this.#feed.children(moved.children, tries, services.ports.monotonicMs() + delayMs);
  }

  #refusedWhole(code: string): void {
    if (++this.#refusalsInARow < REFUSALS_IN_A_ROW_MAX) return;
    const what = `${this.#refusalsInARow} batches in a row were refused, the last one with ${code}`;
    this.#stall(`${what}; the mapping or the sink's settings may be wrong`);
  }

  /** A lost answer: settled in its time by what the sink offers, or left as it is, visibly. */
  async #doubt(work: Work): Promise<void> {
    const doubt = await this.#doubtOf(work);
    if (doubt === undefined) return await this.#feed.done(work, false);
    if (this.#stop.aborted) return await this.#feed.done(work, true);
    // A fence shuts out older ones only: to settle an attempt of this claim, the shard has to be claimed anew.
    const fences = this.#lane.guarantee.rung === 'fence-then-look';
    if (fences && doubt.attempt.fence >= work.claim.fence) return await this.#feed.anew(work);
    const notBeforeMs = this.#lane.services.ports.monotonicMs() + waitBeforeSettling(doubt, work.claim, this.#lane);
    this.#feed.again(work, { todo: 'settle', batch: doubt, doubt, tries: work.tries, notBeforeMs });
  }

  async #doubtOf(work: Work): Promise<DoubtRow | undefined> {
    const page = await this.#lane.ledger.read.doubts({ run: work.claim.run, after: work.batch.id - 1, limit: 1 });
    return page.find((doubt) => doubt.id === work.batch.id);
  }

  async #settle(work: Work): Promise<void> {
    const { ports } = this.#lane.services;
    const doubt = work.doubt!;
    await this.#turnstile.enter();
    try {
      const waitMs = waitBeforeSettling(doubt, work.claim, this.#lane);
      if (waitMs > 0) {
        this.#feed.again(work, { ...work, doubt, notBeforeMs: ports.monotonicMs() + waitMs });
        return;
      }
      const settled = await settleDoubt(doubt, work.claim, this.#lane, this.#signals.abort);
      if ('stays' in settled) {
        const batch = showBatch(doubt.id);
        const message = `${batch} stays in doubt: ${settled.stays}`;
        this.#lane.services.notice({ level: 'info', kind: 'stays-in-doubt', message, ids: { batch } });
        return await this.#staysInDoubt(work);
      }
      await this.#settled(work, doubt, settled.moved);
    } catch (error) {
      if (error instanceof WaybillError && MUST_END.has(error.code)) throw error;
      if (isBytesLost(error)) return await this.#undecidable(work, error);
      await this.#settleLater(work, doubt, error);
    } finally {
      this.#turnstile.leave();
      this.#begun--;
    }
  }

  async #settled(work: Work, doubt: DoubtRow, moved: Moved): Promise<void> {
    const { tally, services } = this.#lane;
    const now = await this.#lane.ledger.read.batch(doubt.id);
    const { balance } = now;
    for (const state of ['delivered', 'refused', 'skipped'] as const) {
      const more = balance[state] - doubt.balance[state];
      if (more > 0) tally.move(more, state, 'inDoubt');
    }
    const pending = balance.pending + moved.children.reduce((sum, child) => sum + child.records, 0);
    if (pending > 0) tally.move(pending, 'pending', 'inDoubt');
    this.#feed.children(moved.children, work.tries, 0);
    if (moved.state !== 'sealed') {
      this.#unkept.through(work.batch, moved.children.length);
      return await this.#feed.done(work, moved.state === 'in-doubt');
    }
    if (this.#settlesOnly) return await this.#feed.done(work, true);
    this.#feed.again(work, { todo: 'send', batch: now, tries: work.tries, notBeforeMs: services.ports.monotonicMs() });
  }

  async #staysInDoubt(work: Work): Promise<void> {
    if (this.#lane.ordered)
      this.#stall(`${showBatch(work.batch.id)} is in doubt, and this sink takes batches in order only`);
    this.#unkept.through(work.batch);
    await this.#feed.done(work, true);
  }

  /** Nobody can say what was sent: the doubt stays, and the start fails with this once the others are through. */
  async #undecidable(work: Work, error: WaybillError): Promise<void> {
    this.#failure ??= error;
    await this.#staysInDoubt(work);
  }

  async #settleLater(work: Work, doubt: DoubtRow, error: unknown): Promise<void> {
    const { services, job } = this.#lane;
    const tries = work.tries + 1;
    const message = `the sink could not be asked about ${showBatch(doubt.id)}: ${describeError(error)}`;
    services.notice({ level: 'warning', kind: 'settle-failed', message, ids: { batch: showBatch(doubt.id) } });
    if (tries >= SETTLE_TRIES || this.#stop.aborted) return await this.#staysInDoubt(work);
    const delayMs = backoffMs(tries, job.retry, services.ports.random());
    this.#feed.again(work, {
      todo: 'settle',
      batch: doubt,
      doubt,
      tries,
      notBeforeMs: services.ports.monotonicMs() + delayMs,
    });
  }

  #count(work: Work, answer: Answer, moved: Moved): void {
    const { tally } = this.#lane;
    const again = moved.children.reduce((sum, child) => sum + child.records, 0);
    if (answer.kind === 'lost') tally.move(work.batch.records, 'inDoubt', 'pending');
    else if (answer.kind === 'refused') tally.move(work.batch.records - again, 'refused', 'pending');
    else if (answer.kind === 'verdict') {
      const counts = countOutcomes(answer.outcomes);
      tally.move(counts.applied, 'delivered', 'pending');
      tally.move(counts.refused - again, 'refused', 'pending');
      tally.move(counts.unknown, 'inDoubt', 'pending');
    }
  }

  #stall(reason: string): void {
    this.#stalled ??= reason;
    this.#lane.tally.waitsFor(undefined);
    this.#ending.abort();
    this.#freeSlot();
  }

  #end(error: unknown): void {
    this.#failure ??= error;
    this.#ending.abort();
    this.#freeSlot();
  }
}

/** What a sealed batch is made by others than the lane that was to send it. */
const DECIDED_ELSEWHERE: ReadonlySet<BatchState> = new Set(['skipped', 'in-doubt', 'moved']);

/** Errors that are not about one batch: the lane cannot go on after them. */
const MUST_END: ReadonlySet<string> = new Set([
  'FENCED',
  'LEDGER_CORRUPT',
  'LEDGER_WRITE',
  'LEDGER_AWAY',
  'INVARIANT_BROKEN',
]);

const turnOfTheLoop = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));
