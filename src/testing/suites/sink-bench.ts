import { setImmediate } from 'node:timers/promises';
import type { Found, Permit, Sink } from '../../connectors/connector.ts';
import { NotAppliedError, RefusedError } from '../../model/errors.ts';
import { OUTCOME, tally, type Verdict } from '../../model/verdict.ts';
import { type TestPermitOptions, testPayload, testPermit } from '../permit.ts';
import { expect, fail } from './expect.ts';
import { isKnown, isSending, type Sending, type SinkFixture, type SinkSubject } from './sink-subject.ts';

/** A batch: which records, and what else is to be particular about it. */
export type Ask = Omit<TestPermitOptions, 'records' | 'framing' | 'columns'> & {
  readonly records: readonly number[];
  readonly version?: number;
  /** Goes in front of the records; for one that is refused. */
  readonly extra?: object | string;
};

/** What came of a send, as far as the caller can know. */
export type Outcome =
  | { readonly kind: 'verdict'; readonly verdict: Verdict }
  | { readonly kind: 'not-applied' | 'refused' | 'unknown'; readonly error: unknown };

/** How often a job is asked before the suite gives it up. */
const POLLS_MAX = 10_000;

/** A fixture with batches made for it. */
export class SinkBench {
  readonly fixture: SinkFixture;
  readonly sink: Sink;
  readonly #others: Sink[] = [];

  constructor(fixture: SinkFixture) {
    this.fixture = fixture;
    this.sink = fixture.sink;
  }

  /** Opens a sink for one case, and closes it whatever the case comes to. */
  static async use(subject: SinkSubject, work: (bench: SinkBench) => Promise<void>): Promise<void> {
    const bench = new SinkBench(await subject.open());
    try {
      await work(bench);
    } finally {
      await bench.#close();
    }
  }

  async #close(): Promise<void> {
    for (const sink of [this.sink, ...this.#others]) await sink.close?.();
    await this.fixture.close?.();
  }

  /** The sink as a second process sees it. */
  other(): Sink {
    if (this.fixture.another === undefined) return this.sink;
    const sink = this.fixture.another();
    this.#others.push(sink);
    return sink;
  }

  /** Every sending ability that the sink shows. */
  get sending(): readonly Sending[] {
    return Object.keys(this.sink.can).filter((name): name is Sending => isKnown(name) && isSending(name));
  }

  /** The ability to bring records in with, where any will do. */
  get anySending(): Sending {
    return this.sending[0] ?? fail('a sink that can be asked can also be sent to: it shows no ability to send');
  }

  permit(ask: Ask): Permit {
    return testPermit(this.#options(ask));
  }

  async find(ask: Ask, sink = this.sink): Promise<Found> {
    const options = this.#options(ask);
    const found = await sink.can.find!(testPermit(options).batch, testPayload(options));
    expect(found.records, 'a look tells of each record of the batch').toHaveLength(ask.records.length);
    expect(found.evidence, 'a look says what was seen').not.toBe('');
    return found;
  }

  async held(): Promise<readonly string[]> {
    return inOrder(await this.fixture.held());
  }

  async settle(): Promise<void> {
    if (this.fixture.settle !== undefined) return await this.fixture.settle();
    if ((this.sink.facts.visibilityLagMs ?? 0) > 0) {
      fail('the sink shows what was applied only after a while: give the fixture a `settle` that lets that time pass');
    }
  }

  /** Sends by one ability, and rejects as the sink does. A marker that is found counts as applied, as it does later. */
  async send(ability: Sending, ask: Ask, how: { expected?: string; sink?: Sink } = {}): Promise<Verdict> {
    const size = this.sink.limits.recordsPerBatch;
    if (ask.records.length <= size) return await this.sendPermit(ability, this.permit(ask), how);
    const verdicts: Verdict[] = [];
    for (let at = 0; at < ask.records.length; at += size) {
      // No number of a batch is used twice; the suite's own are below this.
      const part = { ...ask, records: ask.records.slice(at, at + size), batch: (ask.batch ?? 1) * 1000 + at };
      verdicts.push(await this.sendPermit(ability, this.permit(part), how));
    }
    return merged(verdicts);
  }

  async sendPermit(
    ability: Sending,
    permit: Permit,
    { expected, sink = this.sink }: { expected?: string; sink?: Sink } = {},
  ): Promise<Verdict> {
    if (ability === 'appendAt') return await sink.can.appendAt!(permit, expected ?? (await sink.facts.tail!()));
    if (ability === 'job') return await this.#sendJob(permit, sink);
    const verdict = await sink.can[ability]!(permit);
    if (verdict !== 'already') return verdict;
    return fail(`${ability} has found a marker of a batch that was not sent before`);
  }

  async #sendJob(permit: Permit, sink: Sink): Promise<Verdict> {
    const job = sink.can.job!;
    const handle = await job.open(permit);
    expect(await job.state(handle, permit.batch), 'a job that was opened is empty').toBe('empty');
    await job.send(handle, permit);
    return await this.jobEnd(handle, permit, sink);
  }

  async jobEnd(handle: string, permit: Permit, sink = this.sink): Promise<Verdict> {
    for (let poll = 0; poll < POLLS_MAX; poll++) {
      const state = await sink.can.job!.state(handle, permit.batch);
      if (state === 'empty') return fail('a job that was sent is not empty');
      if (state !== 'running') return state;
      await setImmediate();
    }
    return fail(`the job has not ended after ${POLLS_MAX} questions`);
  }

  #options(ask: Ask): TestPermitOptions {
    const { records, version, extra, ...rest } = ask;
    const { columns } = this.fixture;
    const all = records.map((n) => this.fixture.record(n, version));
    return {
      ...rest,
      records: extra === undefined ? all : [extra, ...all],
      keys: [...(extra === undefined ? [] : ['key-refused']), ...records.map((n) => `key-${n}`)],
      framing: this.sink.accepts[0]!,
      ...(columns === undefined ? {} : { columns }),
    };
  }
}

/** The verdicts of parts of a batch, as one of the whole; nothing of the suite's looks at their refusals. */
function merged(verdicts: readonly Verdict[]): Verdict {
  const outcomes = Uint8Array.from(verdicts.flatMap((verdict) => [...verdict.outcomes]));
  return { outcomes, refusals: verdicts.flatMap((verdict) => verdict.refusals), receipt: verdicts.at(-1)!.receipt };
}

/** By number, then by version. */
export const inOrder = (held: readonly string[]): readonly string[] =>
  [...held].sort((a, b) => Number.parseInt(a, 10) - Number.parseInt(b, 10) || (a < b ? -1 : 1));

/** Waits for what comes of a send. */
export async function outcomeOf(work: Promise<Verdict>): Promise<Outcome> {
  try {
    return { kind: 'verdict', verdict: await work };
  } catch (error) {
    if (error instanceof NotAppliedError) return { kind: 'not-applied', error };
    return { kind: error instanceof RefusedError ? 'refused' : 'unknown', error };
  }
}

/**
 * Holds an answer against what the sink holds. An answer may be no answer; but one that says "applied", "refused" or
 * "not applied" has to be so, since what follows is decided by it.
 */
export function expectTruthful(outcome: Outcome, records: readonly number[], held: readonly string[]): void {
  const there = (n: number): boolean => held.includes(`${n}`);
  if (outcome.kind === 'unknown') return;
  if (outcome.kind !== 'verdict') {
    expect(records.filter(there), `the sink said ${outcome.kind}, and these were applied`).toEqual([]);
    return;
  }
  tally(outcome.verdict, records.length);
  records.forEach((n, at) => {
    const said = outcome.verdict.outcomes[at];
    if (said === OUTCOME.applied) expect(there(n), `record ${n} was said to be applied; it is held`).toBe(true);
    if (said === OUTCOME.refused) expect(there(n), `record ${n} was said to be refused; it is held`).toBe(false);
  });
}
