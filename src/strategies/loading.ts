import type { Sink } from '../connectors/connector.ts';
import { assert } from '../model/assert.ts';
import type { CrashPoint } from '../model/guarantee.ts';
import type { LoadRow } from '../model/load.ts';
import { applied, type Verdict } from '../model/verdict.ts';
import { orderOf, type Window } from '../model/window.ts';
import { guarantee } from './ladder.ts';
import type { Fit, FlowFacts, Loading, LoadJob, Strategy } from './strategy.ts';

interface Parts {
  readonly name: string;
  readonly summary: string;
  readonly rewrites?: true;
  /** One sentence: what readers see, and when. */
  readonly promise: string;
  /** Why it cannot be promised on this sink, or for this flow; undefined when it can. */
  lacks(sink: Sink, flow: FlowFacts): string | undefined;
  /** Whether windows may be published in any order. */
  windows(sink: Sink, flow: FlowFacts): (Fit & { fits: true })['windows'];
  readonly load: Omit<Loading, 'open'> & Partial<Pick<Loading, 'open'>>;
}

/**
 * A strategy that collects what a window brings in a place that nobody reads, and publishes it in one step. Its batches
 * are all alike: each goes into the place once, since the sink tells a repeat.
 */
export function loadingStrategy({ promise, lacks, windows, load, ...shown }: Parts): Strategy {
  return {
    ...shown,
    load: { open: openPlace, ...load },

    fit(sink, flow): Fit {
      const reason =
        sink.can.load === undefined
          ? 'the sink cannot keep what a window brings apart from what readers see: it has no load'
          : lacks(sink, flow);
      if (reason !== undefined) return { fits: false, reason };
      const parts = sink.facts.seenByHalves === true ? `${promise} ${BY_HALVES}` : promise;
      const ofBatches = guarantee(sink.facts.loadRung ?? 'marker', sink, parts);
      return {
        fits: true,
        guarantee: { ...ofBatches, crash: [...ofBatches.crash, ...ofSteps] },
        ordered: 'never',
        windows: windows(sink, flow),
      };
    },

    async deliver(permit, lane): Promise<Verdict> {
      const { load: ability } = lane.sink.can;
      assert(ability !== undefined && permit.load !== undefined, 'strategy.fits-its-sink');
      const verdict = await ability.add(permit);
      if (verdict !== 'already') return verdict;
      return applied(permit.batch.records, { summary: 'the place of the load holds the batch already' });
    },

    async settle() {
      return { kind: 'resend', evidence: 'the place of the load takes a batch once' };
    },
  };
}

const ofSteps: readonly CrashPoint[] = [
  {
    point: 'before the load is published',
    consequence: 'Readers see what they saw before; the next start goes on collecting, or begins the load again.',
  },
  {
    point: 'while the load is published',
    consequence: 'The sink is asked again: it publishes a load once, and says what it came to.',
  },
];

const BY_HALVES = 'This sink needs several steps for that, so a reader may meet old and new side by side meanwhile.';

async function openPlace({ sink, step }: LoadJob): ReturnType<Loading['open']> {
  assert(sink.can.load !== undefined, 'strategy.fits-its-sink');
  return await sink.can.load.open(step);
}

/** Loads of other windows that readers see now. */
export const publishedElsewhere = (loads: readonly LoadRow[], window: Window): readonly LoadRow[] =>
  loads.filter((load) => load.state === 'published' && load.window.name !== window.name);

export const inOrderOfTime = (loads: readonly LoadRow[]): readonly LoadRow[] =>
  [...loads].sort((a, b) => orderOf(a.window) - orderOf(b.window));

/** By the time that they are meant for. Those of a flow without windows have none. */
export const isLater = (load: LoadRow, window: Window): boolean => orderOf(load.window) > orderOf(window);

/** Of what shows one load alone. What a pull brings is only what came after the pull before. */
export const shownAlone = ({ window }: FlowFacts): string | undefined =>
  window === 'pull'
    ? 'a pull brings only what is new, and readers would see nothing else; `merger` and `keyed` keep the rest'
    : undefined;
