import type { LoadAbilities, Permit, Sink } from '../../src/connectors/connector.ts';
import type { Load, LoadStep } from '../../src/model/load.ts';
import { testPermit } from '../../src/testing/permit.ts';

/** The load of one day. */
export function loadOf(day: number, generation = 1): Load {
  const date = (nth: number): string => `2026-11-${String(nth).padStart(2, '0')}`;
  const window = { name: date(day), start: `${date(day)}T00:00:00Z`, end: `${date(day + 1)}T00:00:00Z` };
  const family = `wb_test_${day}_g`;
  return { id: `${family}${generation}`, family, ledger: 'l', flow: 'f', lane: 'l', window, generation };
}

export const stepOf = (load: Load, fence = 1, signal = new AbortController().signal): LoadStep => ({
  load,
  fence,
  correlationId: 'c',
  signal,
});

let batches = 0;
export function permitOf(load: Load | undefined, records: readonly (object | string)[], more: object = {}): Permit {
  const permit = testPermit({ records, batch: ++batches, ...more });
  return load === undefined ? permit : { ...permit, load };
}

export const surely = <K extends keyof LoadAbilities>(sink: Sink, name: K): LoadAbilities[K] => {
  const ability = sink.can[name];
  if (ability === undefined) throw new Error(`the sink has no ${name}`);
  return ability as LoadAbilities[K];
};
