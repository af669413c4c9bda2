import { setImmediate } from 'node:timers/promises';
import { afterEach, describe, expect, it } from 'vitest';
import type { Abilities, Permit, Sink } from '../../connectors/connector.ts';
import { NotAppliedError, RefusedError } from '../../model/errors.ts';
import { tally, type Verdict } from '../../model/verdict.ts';
import { type TestPermitOptions, testPayload, testPermit } from '../permit.ts';

export interface SinkFixture {
  readonly sink: Sink;
  /** Record number `n` as the sink takes it; another `version` is other content under the same key. */
  record(n: number, version?: number): object | string;
  /** Field names in order, for sinks whose first format does not carry them. */
  readonly columns?: readonly string[];
  /** Which records the sink holds now, `<n>` or `<n>v<version>` a record, as often as it holds them; in any order. */
  held(): Promise<readonly string[]>;
  /** Lets so much time pass that everything applied can be seen. Needed with a visibility lag. */
  settle?(): Promise<void>;
  close?(): Promise<void> | void;
}

type Ability = keyof Abilities;
type Sending = Exclude<Ability, 'find' | 'fence'>;
type Check = (bench: Bench) => Promise<void>;

/**
 * What every sink has to do. `open` gives an empty sink each time. The abilities that the sink shows decide what is
 * asked of it; one that is shown and has no check here fails the suite, since nobody has seen it keep its promise.
 */
export function sinkSuite(name: string, open: () => SinkFixture | Promise<SinkFixture>): void {
  describe(`${name} is a sink`, () => {
    const fixtures: SinkFixture[] = [];
    const fresh = async (): Promise<Bench> => {
      const fixture = await open();
      fixtures.push(fixture);
      return new Bench(fixture);
    };
    afterEach(async () => {
      for (const fixture of fixtures.splice(0)) {
        await fixture.sink.close?.();
        await fixture.close?.();
      }
    });

    it('keeps the promise of every ability that it shows', async () => {
      const shown = Object.keys((await fresh()).sink.can) as Ability[];
      const tested: Ability[] = [];
      for (const ability of shown) {
        const check = CHECKS[ability];
        if (check === undefined) continue;
        await named(ability, async () => check(await fresh()));
        tested.push(ability);
      }
      expect(shown.length, 'a sink without abilities can take nothing').toBeGreaterThan(0);
      expect(tested, 'an ability that is shown was not tested').toEqual(shown);
    });

    it('accounts for each record of a batch, and holds them all', async () => {
      for (const ability of sendingOf((await fresh()).sink)) {
        await named(ability, async () => {
          const bench = await fresh();
          const ask = { records: [1, 2, 3, 4, 5] };
          const verdict = await bench.send(ability, ask);
          expect(tally(verdict, 5)).toEqual({ applied: 5, refused: 0, unknown: 0 });
          expect(await bench.held()).toEqual(['1', '2', '3', '4', '5']);
        });
      }
    });

    it('sends nothing once the permit has run out', async () => {
      for (const ability of sendingOf((await fresh()).sink)) {
        await named(ability, async () => {
          const bench = await fresh();
          await expect(bench.send(ability, { records: [1], expired: true })).rejects.toBeInstanceOf(NotAppliedError);
          expect(await bench.held()).toEqual([]);
        });
      }
    });

    it('sends nothing when it was told to stop before it began', async () => {
      for (const ability of sendingOf((await fresh()).sink)) {
        await named(ability, async () => {
          const bench = await fresh();
          await expect(bench.send(ability, { records: [1], signal: AbortSignal.abort() })).rejects.toThrow();
          expect(await bench.held()).toEqual([]);
        });
      }
    });

    it('says what it takes, and can be closed without having been used', async () => {
      const { sink } = await fresh();
      expect(sink.accepts.length).toBeGreaterThan(0);
      expect(sink.limits.recordsPerBatch).toBeGreaterThanOrEqual(1);
      expect(sink.limits.inFlight).toBeGreaterThanOrEqual(1);
      expect(sink.requestTimeoutMs).toBeGreaterThan(0);
      expect(sink.can.appendAt === undefined).toBe(sink.facts.tail === undefined);
      expect(sink.can.appendOnce === undefined).toBe(sink.facts.key === undefined);
    });
  });
}

type Ask = Omit<TestPermitOptions, 'records' | 'framing' | 'columns'> & {
  readonly records: readonly number[];
  readonly version?: number;
};

/** A fixture with batches made for it. */
class Bench {
  readonly fixture: SinkFixture;
  readonly sink: Sink;

  constructor(fixture: SinkFixture) {
    this.fixture = fixture;
    this.sink = fixture.sink;
  }

  options(ask: Ask): TestPermitOptions {
    const { records, version, ...rest } = ask;
    const { columns } = this.fixture;
    return {
      ...rest,
      records: records.map((n) => this.fixture.record(n, version)),
      keys: records.map((n) => `key-${n}`),
      framing: this.sink.accepts[0]!,
      ...(columns === undefined ? {} : { columns }),
    };
  }

  permit(ask: Ask): Permit {
    return testPermit(this.options(ask));
  }

  async held(): Promise<readonly string[]> {
    return [...(await this.fixture.held())].sort(
      (a, b) => Number.parseInt(a, 10) - Number.parseInt(b, 10) || (a < b ? -1 : 1),
    );
  }

  /** Sends by one ability; `already` counts as a verdict that applies everything, as it does for strategies. */
  async send(ability: Sending, ask: Ask, expected?: string): Promise<Verdict> {
    const permit = this.permit(ask);
    const { can, facts } = this.sink;
    if (ability === 'appendAt') return can.appendAt!(permit, expected ?? (await facts.tail!()));
    if (ability === 'job') return this.#sendJob(permit);
    const verdict = await can[ability]!(permit);
    expect(verdict).not.toBe('already');
    return verdict as Verdict;
  }

  async #sendJob(permit: Permit): Promise<Verdict> {
    const job = this.sink.can.job!;
    const handle = await job.open(permit);
    expect(await job.state(handle, permit.batch)).toBe('empty');
    await job.send(handle, permit);
    for (;;) {
      const state = await job.state(handle, permit.batch);
      expect(state, 'a job that was sent is not empty').not.toBe('empty');
      if (state !== 'running' && state !== 'empty') return state;
      await setImmediate();
    }
  }
}

const CHECKS: Readonly<Record<Ability, Check>> = {
  append: checkAppend,
  appendAt: checkAppendAt,
  appendOnce: checkAppendOnce,
  commitOnce: checkCommitOnce,
  put: checkPut,
  job: checkJob,
  find: checkFind,
  fence: checkFence,
};

const SENDING: readonly Sending[] = ['append', 'appendAt', 'appendOnce', 'commitOnce', 'put', 'job'];
const sendingOf = (sink: Sink): readonly Sending[] => SENDING.filter((ability) => sink.can[ability] !== undefined);

async function checkAppend(bench: Bench): Promise<void> {
  await bench.send('append', { records: [1, 2] });
  await bench.send('append', { records: [1, 2], attempt: 2 });
  await bench.send('append', { records: [3], batch: 2 });
  expect(await bench.held(), 'a second append adds the records again').toEqual(['1', '1', '2', '2', '3']);
}

async function checkAppendAt(bench: Bench): Promise<void> {
  const start = await bench.sink.facts.tail!();
  const first = await bench.send('appendAt', { records: [1, 2] }, start);
  const next = first.receipt.position;
  expect(next, 'an answer to appendAt says where the sink stands now').toBeDefined();
  // A sink that begins a new place for each run tells where a lane begins, not where this one has come to.
  expect([start, next]).toContain(await bench.sink.facts.tail!());
  const again = await bench.send('appendAt', { records: [1, 2], attempt: 2 }, start);
  expect(again.receipt.position, 'a repeat leads to the same place').toBe(next);
  expect(tally(again, 2).applied).toBe(2);
  await bench.send('appendAt', { records: [3], batch: 2 }, next);
  await expect(bench.send('appendAt', { records: [4], batch: 3 }, next)).rejects.toBeInstanceOf(RefusedError);
  expect(await bench.held()).toEqual(['1', '2', '3']);
  const repeated = await bench.send('appendAt', { records: [1, 2], attempt: 3 }, start);
  expect(tally(repeated, 2).applied, 'a repeat is recognised after later batches, too').toBe(2);
  expect(await bench.held()).toEqual(['1', '2', '3']);
}

async function checkAppendOnce(bench: Bench): Promise<void> {
  await bench.send('appendOnce', { records: [1, 2], idempotencyKey: 'key-a' });
  const again = await bench.send('appendOnce', { records: [1, 2], idempotencyKey: 'key-a', attempt: 2 });
  expect(tally(again, 2).applied).toBe(2);
  await bench.send('appendOnce', { records: [3], batch: 2, idempotencyKey: 'key-b' });
  await Promise.allSettled([bench.send('appendOnce', { records: [4], batch: 3, idempotencyKey: 'key-b' })]);
  expect(await bench.held(), 'a key that was used adds nothing more').toEqual(['1', '2', '3']);
}

async function checkCommitOnce(bench: Bench): Promise<void> {
  const commitOnce = bench.sink.can.commitOnce!;
  await bench.send('commitOnce', { records: [1, 2] });
  expect(await commitOnce(bench.permit({ records: [1, 2], attempt: 2 }))).toBe('already');
  await bench.send('commitOnce', { records: [1, 2], batch: 2 });
  const reused = bench.permit({
    records: [9],
    batch: 3,
    idempotencyKey: bench.permit({ records: [1, 2] }).batch.idempotencyKey,
  });
  await expect(commitOnce(reused), 'a marker with another digest is no marker of this batch').rejects.toBeInstanceOf(
    RefusedError,
  );
  const both = bench.permit({ records: [5], batch: 4 });
  const answers = await Promise.all(
    [commitOnce(both), commitOnce(both)].map((one) => one.then((it) => it === 'already')),
  );
  expect(answers.filter(Boolean), 'of two at once, one finds the marker').toHaveLength(1);
  expect(await bench.held()).toEqual(['1', '1', '2', '2', '5']);
}

async function checkPut(bench: Bench): Promise<void> {
  await bench.send('put', { records: [1, 2] });
  await bench.send('put', { records: [1, 2], attempt: 2 });
  expect(await bench.held(), 'a second put changes nothing').toEqual(['1', '2']);
  await bench.send('put', { records: [2, 3], batch: 2, version: 1 });
  expect(await bench.held(), 'a put replaces what stands under its key').toEqual(['1', '2v1', '3v1']);
}

async function checkJob(bench: Bench): Promise<void> {
  const job = bench.sink.can.job!;
  const orphan = await job.open(bench.permit({ records: [9] }));
  expect(await bench.held(), 'opening a job submits nothing').toEqual([]);
  await bench.send('job', { records: [1, 2], batch: 2 });
  expect(await bench.held()).toEqual(['1', '2']);
  expect(await job.state(orphan, bench.permit({ records: [9] }).batch)).toBe('empty');
}

async function checkFind(bench: Bench): Promise<void> {
  const find = bench.sink.can.find!;
  const [ability] = sendingOf(bench.sink);
  expect(ability, 'a sink that can be asked can also be sent to').toBeDefined();
  const look = async (ask: Ask) => find(bench.permit(ask).batch, testPayload(bench.options(ask)));
  const ask = { records: [1, 2] };
  const before = await look(ask);
  expect(before.records).toHaveLength(2);
  expect(before.records).not.toContain('applied');
  expect(before.evidence).not.toBe('');
  await bench.send(ability!, ask);
  if ((bench.sink.facts.visibilityLagMs ?? 0) > 0) await bench.fixture.settle!();
  expect((await look(ask)).records).toEqual(['applied', 'applied']);
  expect((await look({ records: [7, 8], batch: 2 })).records).not.toContain('applied');
}

async function checkFence(bench: Bench): Promise<void> {
  const [ability] = sendingOf(bench.sink);
  expect(ability, 'a sink that can fence can also be sent to').toBeDefined();
  await bench.sink.can.fence!('test-lane', 5);
  await expect(bench.send(ability!, { records: [1], fence: 4 })).rejects.toBeInstanceOf(RefusedError);
  await bench.sink.can.fence!('test-lane', 3);
  await expect(bench.send(ability!, { records: [1], fence: 4 }), 'a fence never falls').rejects.toBeInstanceOf(
    RefusedError,
  );
  expect(await bench.held()).toEqual([]);
  await bench.send(ability!, { records: [2], batch: 2, fence: 5 });
  await bench.send(ability!, { records: [3], batch: 3, fence: 1, lane: 'other-lane' });
  expect(await bench.held()).toEqual(['2', '3']);
}

/** Says at which ability a check failed. */
async function named(ability: string, check: () => Promise<void>): Promise<void> {
  try {
    await check();
  } catch (error) {
    if (error instanceof Error) error.message = `${ability}: ${error.message}`;
    throw error;
  }
}
