import { sha256Hex } from '../formats/digest.ts';
import type { RunClaim } from '../ledger/ledger.ts';
import { assert } from '../model/assert.ts';
import {
  describeError,
  describeWithAdvice,
  NotAppliedError,
  ownHint,
  RefusedError,
  WaybillError,
} from '../model/errors.ts';
import { showRun } from '../model/ids.ts';
import type { Load, LoadRow, LoadStep, StepReceipt } from '../model/load.ts';
import { mask } from '../model/masking.ts';
import { type Balance, EMPTY_BALANCE } from '../model/states.ts';
import type { Window } from '../model/window.ts';
import { type Loading, type LoadJob, NO_FACTS, type Published, WentBackError } from '../strategies/strategy.ts';
import type { LaneJob, Services } from './engine.ts';
import { surelyFits } from './fit-lane.ts';
import { backoffMs } from './pace.ts';

export interface LoadFacts {
  readonly lane: LaneJob;
  readonly flow: string;
  readonly window: Window;
  readonly claim: RunClaim;
  readonly correlationId: string;
  readonly services: Services;
  /** Aborted when nothing may be done any more: told to end at once, or the run's lease is lost. */
  readonly abort: AbortSignal;
  /** Aborted when nothing new may be begun. */
  readonly stop: AbortSignal;
}

/** What a step came to when it did not come to its end. */
type Failure = { readonly proved: boolean; readonly again: boolean; readonly error: unknown };

/**
 * The load of one lane in one start: opened before the first batch, published after the last. Each step is durable in
 * the ledger before the sink is asked and after it has answered; what has no answer is asked again, since no step does
 * anything twice.
 */
export class LaneLoad {
  readonly #facts: LoadFacts;
  readonly #loading: Loading;
  readonly #family: string;
  /** What publishing does depends on the loads of other windows. */
  readonly #inOrder: boolean;

  constructor(facts: LoadFacts) {
    const { lane, claim, services } = facts;
    assert(lane.strategy.load !== undefined, 'load.strategy-collects');
    this.#facts = facts;
    this.#loading = lane.strategy.load;
    this.#inOrder = surelyFits(lane).windows === 'in-order';
    const name = `${services.ledger.identity.id}/${showRun(claim.run)}/${lane.name}`;
    this.#family = `wb_${sha256Hex(name).slice(0, 20)}_`;
  }

  get lane(): string {
    return this.#facts.lane.name;
  }

  of(generation: number): Load {
    const { flow, lane, window } = this.#facts;
    const family = this.#family;
    const ledger = this.#facts.services.ledger.identity.id;
    return { id: `${family}${generation}`, family, ledger, flow, lane: lane.name, window, generation };
  }

  /** The newest load of this lane of this run, if it ever had one. */
  async latest(): Promise<LoadRow | undefined> {
    return (await this.#loads()).filter((load) => load.run === this.#facts.claim.run).at(-1);
  }

  /** Makes the place for a generation, unless it is there. Throws LOAD_FAILED, or what the strategy has against it. */
  async open(generation: number): Promise<void> {
    const row = await this.#rowOf(generation);
    if (row !== undefined && row.state !== 'opening') return;
    for (const warning of await this.#warnings()) this.#notice('warning', 'load-warning', warning);
    const failure = await this.#carriedOut(generation, 'opening', (job) => this.#loading.open(job));
    if (failure === undefined) return;
    throw failedToOpen(failure.error, this.lane);
  }

  /**
   * Publishes the load of a generation whose batches are all decided. Undefined when readers see it; otherwise why
   * they do not, or why nobody knows.
   */
  async publish(generation: number, balance: Balance): Promise<string | undefined> {
    const row = await this.#rowOf(generation);
    if (row === undefined || row.state === 'published') return undefined;
    const missing = row.state === 'publishing' ? undefined : this.#missing(balance);
    if (missing !== undefined) return missing;
    let published: Published | undefined;
    const failure = await this.#carriedOut(
      generation,
      'publishing',
      async (job) => {
        published = await this.#loading.publish(job);
        return published.receipt;
      },
      () => published?.undone,
    );
    if (failure === undefined) return undefined;
    if (failure.error instanceof WaybillError && failure.error.code === 'INVARIANT_BROKEN') throw failure.error;
    if (failure.proved) return `nothing was published: ${mask(describeWithAdvice(failure.error))}`;
    const why = mask(describeError(failure.error));
    return `whether the load was published is not known, and is asked again by the next start: ${why}`;
  }

  /** Before another generation begins it must be known whether the last one is seen by readers. */
  async findOut(): Promise<void> {
    const row = await this.latest();
    if (row?.state !== 'publishing') return;
    const stalled = await this.publish(row.generation, EMPTY_BALANCE);
    if ((await this.latest())?.state !== 'publishing') return;
    throw new WaybillError('LOAD_FAILED', `lane ${this.lane}: ${stalled ?? 'publishing has no answer'}`);
  }

  /** Records that are not in the load: a person decides, or the flow has said that it may go without them. */
  #missing(balance: Balance): string | undefined {
    const { pending, inDoubt, refused } = balance;
    if (pending > 0 || inDoubt > 0) return `${pending + inDoubt} records are not decided, so nothing is published yet`;
    if (refused === 0 || this.#facts.lane.facts?.load.onRefused === 'publish') return undefined;
    return (
      `${refused} records were refused, so nothing is published: mend them and read the window again (--refresh), ` +
      'or let the load go without them (`load: { onRefused: publish }`)'
    );
  }

  async #rowOf(generation: number): Promise<LoadRow | undefined> {
    const latest = await this.latest();
    return latest?.generation === generation ? latest : undefined;
  }

  async #loads(): Promise<readonly LoadRow[]> {
    const { services, flow, lane } = this.#facts;
    return await services.ledger.read.loads({ flow, lane: lane.name });
  }

  async #warnings(): Promise<readonly string[]> {
    const { lane, window } = this.#facts;
    const about = { sink: lane.sink, flow: lane.facts ?? NO_FACTS, loads: await this.#loads(), window };
    return this.#loading.warnings?.(about) ?? [];
  }

  async #job(generation: number): Promise<LoadJob> {
    const { lane, claim, correlationId, abort } = this.#facts;
    const step: LoadStep = { load: this.of(generation), fence: claim.fence, correlationId, signal: abort };
    return { step, sink: lane.sink, flow: lane.facts ?? NO_FACTS, loads: await this.#loads() };
  }

  /** Intent, step, outcome; again after a while when it did not work, as often as the lane's retries allow. */
  async #carriedOut(
    generation: number,
    begins: 'opening' | 'publishing',
    step: (job: LoadJob) => Promise<StepReceipt>,
    undone: () => readonly LoadRow[] | undefined = () => undefined,
  ): Promise<Failure | undefined> {
    const { lane, services, stop } = this.#facts;
    for (let tries = 1; ; tries++) {
      const failure = await this.#once(generation, begins, step, undone);
      if (failure === undefined) return undefined;
      if (!failure.again || tries >= lane.retry.attempts || stop.aborted) return failure;
      const delayMs = backoffMs(tries, lane.retry, services.ports.random(), retryAfter(failure.error));
      if (delayMs > lane.retry.maxAgeMs) return failure;
      await services.ports.sleep(delayMs, stop).catch((error: unknown) => {
        if (!stop.aborted) throw error;
      });
      if (stop.aborted) return failure;
    }
  }

  async #once(
    generation: number,
    begins: 'opening' | 'publishing',
    step: (job: LoadJob) => Promise<StepReceipt>,
    undone: () => readonly LoadRow[] | undefined,
  ): Promise<Failure | undefined> {
    const { ledger } = this.#facts.services;
    const at = { ...this.#facts.claim, lane: this.lane, generation };
    const before = await this.#job(generation);
    const begun = { ...at, to: begins, alone: this.#inOrder };
    const forbidden = await ledger.moveLoad(begun).then(() => undefined, whyForbidden);
    if (forbidden !== undefined && begins === 'publishing') return forbidden;
    if (forbidden !== undefined) throw forbidden.error;
    try {
      // Read again behind the intent: from here on no other window is published, so what is known of them holds.
      const receipt = masked(await step(await this.#job(generation)));
      if (begins === 'opening') {
        await ledger.moveLoad({ ...at, to: 'open', receipt });
        return undefined;
      }
      const others = undone() ?? [];
      await ledger.moveLoad({ ...at, to: 'published', receipt, replaces: this.#loading.replaces, undone: others });
      this.#notice('info', 'load-published', `lane ${this.lane}: ${receipt.summary}`);
      this.#tellUndone(others);
      return undefined;
    } catch (error) {
      const failure = heard(error, isUnanswered(before));
      const reason = mask(describeError(error));
      // Without proof the step stays begun, so that whoever comes next asks again.
      if (!failure.proved || begins !== 'publishing') return failure;
      const gone = error instanceof WentBackError ? { replaces: this.#loading.replaces, undone: error.undone } : {};
      await ledger.moveLoad({ ...at, to: 'open', reason, ...gone });
      this.#tellUndone(gone.undone ?? []);
      return failure;
    }
  }

  #tellUndone(loads: readonly LoadRow[]): void {
    for (const { window } of loads) {
      this.#notice('warning', 'load-undone', `${window.name} has to be loaded again: its records were taken out`);
    }
  }

  #notice(level: 'info' | 'warning', kind: string, message: string): void {
    this.#facts.services.notice({ level, kind, message: mask(message), ids: { lane: this.lane } });
  }
}

/** The same step was asked for before, and nobody has heard what became of that. */
const isUnanswered = ({ loads, step: { load } }: LoadJob): boolean =>
  loads.some(
    ({ window, generation, state }) =>
      window.name === load.window.name && generation === load.generation && state === 'publishing',
  );

/**
 * What a step that threw has proved, and whether asking again makes sense now. That this request has done nothing says
 * nothing of an earlier one without an answer; that the sink refuses the load does, since it has looked for it first.
 */
function heard(error: unknown, unanswered: boolean): Failure {
  if (error instanceof WentBackError) return { ...heard(error.cause, unanswered), error };
  if (error instanceof NotAppliedError) return { proved: !unanswered, again: true, error };
  if (error instanceof RefusedError) return { proved: true, again: false, error };
  if (error instanceof WaybillError && SAID_BEFORE.has(error.code)) return { proved: !unanswered, again: false, error };
  if (error instanceof WaybillError && FROM_THE_LEDGER.test(error.code)) throw error;
  return { proved: false, again: true, error };
}

/** The run was cancelled meanwhile: nothing has been asked for. */
function whyForbidden(error: unknown): Failure {
  if (error instanceof WaybillError && error.code === 'MOVE_FORBIDDEN') return { proved: true, again: false, error };
  throw error;
}

/** By a strategy, about what it was asked, before it has touched anything. */
const SAID_BEFORE: ReadonlySet<string> = new Set(['PERIOD_PARTIAL', 'VERSION_GONE', 'PROMISE_IMPOSSIBLE']);
const FROM_THE_LEDGER = /^(LEDGER_.*|FENCED|LEASE_HELD|MOVE_FORBIDDEN|RUN_UNKNOWN|INVARIANT_BROKEN)$/;

function retryAfter(error: unknown): number | undefined {
  if (error instanceof WentBackError) return retryAfter(error.cause);
  return error instanceof NotAppliedError ? error.retryAfterMs : undefined;
}

const masked = (receipt: StepReceipt): StepReceipt => ({ ...receipt, summary: mask(receipt.summary) });

function failedToOpen(error: unknown, lane: string): WaybillError {
  if (error instanceof WaybillError && SAID_BEFORE.has(error.code)) return error;
  const own = ownHint(error);
  const hint = own === undefined ? undefined : mask(own);
  return new WaybillError('LOAD_FAILED', `lane ${lane}: the load could not be opened: ${describeError(error)}`, {
    cause: error,
    ids: { lane },
    ...(hint === undefined ? {} : { hint: `${hint} Then run the same command again.` }),
  });
}
