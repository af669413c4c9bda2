import { type MemoryAbility, memorySink } from '../../src/connectors/memory/sink.ts';
import { MemoryTable } from '../../src/connectors/memory/store.ts';
import type { DataRecord } from '../../src/model/chunk.ts';
import { applied } from '../../src/model/verdict.ts';
import { keyed } from '../../src/strategies/keyed.ts';
import { ledgeredAppend } from '../../src/strategies/ledgered-append.ts';
import { proxy } from '../../src/strategies/proxy.ts';
import { statefulMerger } from '../../src/strategies/stateful-merger.ts';
import { NO_FACTS, type Strategy } from '../../src/strategies/strategy.ts';
import { transactionalWriter } from '../../src/strategies/transactional-writer.ts';
import {
  eachLoadOnce,
  eachOnce,
  lastOfEachKey,
  mergedInTime,
  newestLoad,
  type StrategyModel,
  type StrategySubject,
} from '../../src/testing/suites/strategy-subject.ts';

/** A strategy that does not do what it promises, and the one case that is run to notice. */
export interface StrategyLie {
  readonly subject: StrategySubject;
  readonly noticedBy: string;
}

interface LieOptions {
  readonly abilities: readonly MemoryAbility[];
  readonly base?: Strategy;
  readonly change: Partial<Strategy>;
  readonly noticedBy: string;
  readonly more?: Partial<StrategySubject>;
}

function lie(
  name: string,
  { abilities, base = ledgeredAppend, change, noticedBy, more = {} }: LieOptions,
): StrategyLie {
  const subject: StrategySubject = {
    name,
    strategy: { ...base, ...change },
    model: base === keyed ? lastOfEachKey : eachOnce,
    open() {
      const table = new MemoryTable();
      return {
        sink: (clock) => memorySink({ table, clock, abilities, visibilityLagMs: 200 }),
        held: async () => {
          const held = table.byKey.size > 0 ? [...table.byKey.values()] : table.effects;
          return held.map(({ text }) => JSON.parse(text) as DataRecord);
        },
      };
    },
    ...more,
  };
  return { subject, noticedBy };
}

type Steps = NonNullable<Strategy['load']>;

/** A lie about what a window brings as a whole: readers look at the loads of the table. */
function loadLie(
  name: string,
  {
    base,
    model,
    noticedBy,
    load,
  }: Pick<StrategyLie, 'noticedBy'> & {
    readonly base: Strategy;
    readonly model: StrategyModel;
    readonly load: Partial<Steps>;
  },
): StrategyLie {
  const subject: StrategySubject = {
    name,
    strategy: { ...base, load: { ...base.load!, ...load } },
    model,
    lane: { facts: { key: ['id'], window: 'day', load: { deleted: GONE } } },
    open() {
      const table = new MemoryTable();
      const abilities: readonly MemoryAbility[] = ['load', 'appendLoad', 'merge', 'mergeAt', 'publish'];
      return { sink: (clock) => memorySink({ table, clock, abilities }), held: async () => table.loads.rows };
    },
  };
  return { subject, noticedBy };
}

const GONE = { column: 'gone', values: [true], how: 'remove' } as const;

const LOAD_LIES: readonly StrategyLie[] = [
  loadLie('a strategy that merges and never goes back', {
    base: statefulMerger,
    model: mergedInTime,
    noticedBy: 'a window is read again with other rows',
    load: {
      publish: async ({ sink, step }) => ({ receipt: await sink.can.merge!(step, { key: ['id'], deleted: GONE }) }),
    },
  }),
  loadLie('a strategy that says of nobody that his window has to be loaded again', {
    base: statefulMerger,
    model: mergedInTime,
    noticedBy: 'in whatever order the windows are run',
    load: { publish: async (job) => ({ receipt: (await statefulMerger.load!.publish(job)).receipt }) },
  }),
  loadLie('a strategy that publishes before all is there', {
    base: transactionalWriter,
    model: eachLoadOnce,
    noticedBy: 'after one start, two and ten',
    load: {
      open: async (job) => {
        await job.sink.can.load!.open(job.step);
        return await job.sink.can.appendLoad!(job.step);
      },
    },
  }),
  loadLie('a strategy that shows nothing and says that it does', {
    base: proxy,
    model: newestLoad,
    noticedBy: 'after one start, two and ten',
    load: { publish: async () => ({ receipt: { summary: 'shown' } }) },
  }),
];

const resend = async () => ({ kind: 'resend', evidence: 'it will not have arrived' }) as const;

export const STRATEGY_LIES: readonly StrategyLie[] = [
  ...LOAD_LIES,
  lie('a strategy that sends again without asking', {
    abilities: ['append', 'find'],
    change: { settle: resend },
    noticedBy: 'finds out each answer that is lost',
  }),
  lie('a strategy that sends again after a crash', {
    abilities: ['append', 'find'],
    change: { settle: resend },
    noticedBy: 'died at any of its effects',
  }),
  lie('a strategy that takes every lost answer for a good one', {
    abilities: ['append', 'find'],
    change: {
      settle: async ({ batch }) => ({
        kind: 'known',
        verdict: applied(batch.records, { summary: 'surely' }),
        evidence: 'it was sent',
      }),
    },
    noticedBy: 'makes good each request that never arrives',
  }),
  lie('a strategy that looks at the first record only', {
    abilities: ['append', 'find'],
    change: {
      settle: async (attempt, { sink }) => {
        const { records, evidence } = await sink.can.find!(attempt.batch, await attempt.payload());
        if (records[0] === 'absent') return { kind: 'absent', evidence };
        return { kind: 'known', verdict: applied(records.length, { summary: 'found' }), evidence };
      },
    },
    noticedBy: 'makes whole each batch that is applied by half',
  }),
  lie('a strategy that takes a new position for an old batch', {
    abilities: ['appendAt'],
    change: { prepare: async ({ sink }) => ({ expectedPosition: await sink.facts.tail!() }) },
    noticedBy: 'finds out each answer that is lost',
  }),
  lie('a strategy that does not keep the handle of its job', {
    abilities: ['job'],
    change: {
      deliver: async (permit, { sink }) => {
        const job = sink.can.job!;
        const handle = await job.open(permit);
        await job.send(handle, permit);
        const state = await job.state(handle, permit.batch);
        if (typeof state === 'string') throw new RangeError(state);
        return state;
      },
    },
    noticedBy: 'finds out each answer that is lost',
  }),
  lie('a strategy by key that appends', {
    abilities: ['append', 'put'],
    base: keyed,
    change: { deliver: async (permit, { sink }) => await sink.can.append!(permit) },
    noticedBy: 'in whatever order the windows are run',
  }),
  lie('a strategy that promises something on any sink', {
    abilities: ['append'],
    change: { fit: () => ledgeredAppend.fit(memorySink(), NO_FACTS) },
    noticedBy: 'refuses one that can do nothing',
  }),
  lie('a load that is seen by halves', {
    abilities: ['append', 'find'],
    change: {},
    noticedBy: 'died at any of its effects',
    more: { model: { ...eachOnce, visible: 'loads' } },
  }),
];
