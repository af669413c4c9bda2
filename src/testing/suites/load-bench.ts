import type { Permit, Sink } from '../../connectors/connector.ts';
import { NotAppliedError, RefusedError } from '../../model/errors.ts';
import type { Load, LoadStep, MergeBy, Period, Scope, StepReceipt } from '../../model/load.ts';
import { periodOf } from '../../model/period.ts';
import { tally } from '../../model/verdict.ts';
import { type TestPermitOptions, testPermit } from '../permit.ts';
import { expect, fail, rejection } from './expect.ts';
import type { LoadAbility, LoadFixture, LoadRecord, LoadSubject, Publishing } from './load-subject.ts';

const KEEP_ALL = 100;

/** Everything that a way to publish is told beside the step; what is missing is chosen by the bench. */
export interface Told {
  readonly fence?: number;
  readonly sink?: Sink;
  readonly signal?: AbortSignal;
  readonly scope?: Scope;
  readonly by?: MergeBy;
  readonly period?: Period;
  readonly fresh?: boolean;
  readonly keep?: number;
}

/** What was collected and published, in order. */
export interface Loaded {
  readonly load: Load;
  readonly records: readonly LoadRecord[];
}

/** One promise of an ability: a sentence, and what shows that it is kept. */
export interface LoadCheck {
  readonly title: string;
  run(bench: LoadBench): Promise<void>;
}

export const KEY: MergeBy = { key: ['n'] };

/** Records of a day; the same numbers in another `version` have the same key and other content. */
export const recordsOf = (date: number, numbers: readonly number[], version = 0): readonly LoadRecord[] =>
  numbers.map((n) => ({ n, version, day: `2026-11-${date}`, gone: false }));

/** The load of a day. Its `generation` is part of its id, as the engine has it. */
export function loadOf(date: number, generation = 1): Load {
  const window = { name: `2026-11-${date}`, start: `2026-11-${date}T00:00:00Z`, end: `2026-11-${date + 1}T00:00:00Z` };
  const family = `wb_suite_d${date}_`;
  return { id: `${family}${generation}`, family, ledger: 'l', flow: 'load-suite', lane: 'lane', window, generation };
}

/** A fixture with loads made for it. */
export class LoadBench {
  readonly fixture: LoadFixture;
  readonly sink: Sink;
  readonly #others: Sink[] = [];
  #batches = 0;

  private constructor(fixture: LoadFixture) {
    this.fixture = fixture;
    this.sink = fixture.sink;
  }

  /** Opens a sink for one case, and closes it whatever the case comes to. */
  static async use(subject: LoadSubject, about: LoadAbility, work: (bench: LoadBench) => Promise<void>): Promise<void> {
    const bench = new LoadBench(await subject.open(about));
    try {
      await work(bench);
    } finally {
      for (const sink of [bench.sink, ...bench.#others]) await sink.close?.();
      await bench.fixture.close?.();
    }
  }

  /** The sink as a second process sees it. */
  other(): Sink {
    if (this.fixture.another === undefined) return this.sink;
    const sink = this.fixture.another();
    this.#others.push(sink);
    return sink;
  }

  step(load: Load, { fence = 1, signal = new AbortController().signal }: Told = {}): LoadStep {
    return { load, fence, correlationId: 'load-suite', signal };
  }

  async open(load: Load, told: Told = {}): Promise<StepReceipt> {
    const receipt = await (told.sink ?? this.sink).can.load!.open(this.step(load, told));
    expect(receipt.summary, 'what opening has come to, in words').not.toBe('');
    return receipt;
  }

  /** Leave to add these records, as a batch that nobody else has. */
  permit(load: Load, records: readonly LoadRecord[], more: Partial<TestPermitOptions> = {}): Permit {
    const { columns } = this.fixture;
    this.#batches += 1;
    return testPermit({
      records: records.map((record) => this.#asTaken(record)),
      keys: records.map(({ n }) => `key-${n}`),
      framing: this.sink.accepts[0]!,
      batch: this.#batches,
      window: load.window.name,
      load,
      ...(columns === undefined ? {} : { columns }),
      ...more,
    });
  }

  #asTaken(record: LoadRecord): object | string {
    return this.fixture.record?.(record) ?? record;
  }

  /** Adds the records in batches of two, and holds each answer to its shape. */
  async add(load: Load, records: readonly LoadRecord[], sink = this.sink): Promise<void> {
    const size = Math.min(2, this.sink.limits.recordsPerBatch);
    for (let at = 0; at < records.length; at += size) {
      const part = records.slice(at, at + size);
      const verdict = await sink.can.load!.add(this.permit(load, part));
      if (verdict === 'already')
        return fail('the sink says of a batch that it has never seen that it is there already');
      expect(tally(verdict, part.length), 'the answer about a batch').toEqual({
        applied: part.length,
        refused: 0,
        unknown: 0,
      });
    }
  }

  async collect(load: Load, records: readonly LoadRecord[], told: Told = {}): Promise<Loaded> {
    await this.open(load, told);
    await this.add(load, records);
    return { load, records };
  }

  /** Publishes in a way that the sink has. */
  async publish(ability: Publishing, load: Load, told: Told = {}): Promise<StepReceipt> {
    const { sink = this.sink, scope = { kind: 'all' }, by = KEY, keep = KEEP_ALL, fresh = true } = told;
    const step = this.step(load, told);
    switch (ability) {
      case 'appendLoad':
        return await sink.can.appendLoad!(step);
      case 'replace':
        return await sink.can.replace!(step, scope);
      case 'merge':
        return await sink.can.merge!(step, by);
      case 'mergeAt':
        return await sink.can.mergeAt!(step, by, load.window.start!);
      case 'addToPeriod':
        return await sink.can.addToPeriod!(step, told.period ?? periodOf(load.window, 'day'), fresh);
      default:
        return await sink.can.publish!(step, keep);
    }
  }

  /** Collects and publishes, as one run does that nothing happens to. */
  async run(ability: Publishing, load: Load, records: readonly LoadRecord[], told: Told = {}): Promise<Loaded> {
    const loaded = await this.collect(load, records, told);
    const receipt = await this.publish(ability, load, told);
    expect(receipt.summary, 'what publishing has come to, in words').not.toBe('');
    return loaded;
  }

  /** What readers see when these loads, of different days, were published in the order of time. */
  expected(ability: Publishing, loads: readonly Loaded[]): readonly LoadRecord[] {
    const all = loads.flatMap(({ records }) => records);
    switch (ability) {
      case 'appendLoad':
      case 'addToPeriod':
        return all;
      case 'merge':
      case 'mergeAt':
        return [...new Map(all.map((record) => [record.n, record])).values()];
      default:
        if (ability === 'replace' && this.sink.facts.placePerWindow === true) return all;
        return loads.at(-1)?.records ?? [];
    }
  }

  async seen(): Promise<readonly string[]> {
    return spell(await this.fixture.seen());
  }

  async expectSeen(records: readonly LoadRecord[], about: string): Promise<void> {
    expect(await this.seen(), about).toEqual(spell(records));
  }

  /** The call is refused for good or for now, with proof that it has done nothing. */
  async expectRefused(work: Promise<unknown>, about: string): Promise<void> {
    const error = await rejection(work, about);
    const proof = error instanceof RefusedError || error instanceof NotAppliedError;
    expect(proof, `${about}: a RefusedError or NotAppliedError, not ${String(error)}`).toBe(true);
  }
}

/** By number, then by version: `3v1 2026-11-17`. */
export const spell = (records: readonly LoadRecord[]): readonly string[] =>
  [...records]
    .sort((a, b) => a.n - b.n || a.version - b.version || (a.day < b.day ? -1 : 1))
    .map(({ n, version, day, gone }) => `${n}v${version} ${day}${gone ? ' gone' : ''}`);
