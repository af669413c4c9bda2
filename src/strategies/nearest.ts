import type { Sink } from '../connectors/connector.ts';
import { strategies } from './all.ts';
import type { Fit, FlowFacts, Strategy } from './strategy.ts';

/**
 * What comes nearest to a strategy, by what a second run leaves behind: first those that end in the same state, then
 * those that at least leave no duplicate. Every strategy is in each list, so one that fits is always found.
 */
const LIKENESS: Readonly<Record<string, readonly string[]>> = {
  merger: ['keyed', 'stateful-merger', 'data-overwrite', 'metadata-cleaner', 'transactional-writer'],
  'stateful-merger': ['merger', 'keyed', 'data-overwrite', 'metadata-cleaner', 'proxy'],
  keyed: ['merger', 'data-overwrite', 'ledgered-append', 'transactional-writer'],
  'data-overwrite': ['metadata-cleaner', 'merger', 'keyed', 'proxy', 'transactional-writer'],
  'metadata-cleaner': ['data-overwrite', 'merger', 'keyed', 'proxy', 'transactional-writer'],
  'transactional-writer': ['ledgered-append', 'data-overwrite', 'proxy', 'keyed'],
  proxy: ['data-overwrite', 'transactional-writer', 'metadata-cleaner', 'keyed'],
  'ledgered-append': ['transactional-writer', 'keyed', 'merger', 'data-overwrite'],
};

export interface NearestFit {
  readonly strategy: Strategy;
  readonly fit: Fit & { readonly fits: true };
}

/** The strategy most like `wanted` that keeps its promise on this sink for this flow; undefined where none does. */
export function nearestFit(wanted: string, sink: Sink, facts: FlowFacts): NearestFit | undefined {
  const names = [...(LIKENESS[wanted] ?? []), 'ledgered-append', ...Object.keys(strategies)];
  for (const name of new Set(names)) {
    const strategy = strategies[name];
    if (strategy === undefined || name === wanted) continue;
    const fit = strategy.fit(sink, facts);
    if (fit.fits) return { strategy, fit };
  }
  return undefined;
}
