import type { Evidence } from '../evidence.ts';
import { lanesOfLoads } from '../load-evidence.ts';
import { modelOf } from '../load-model.ts';

/**
 * I17: readers see what the strategy makes of the loads that are published, record by record, and nothing else. A sink
 * that goes back first and merges then may have been left between the two.
 */
export function shownAsPublished(evidence: Evidence): void {
  const { scenario, book } = evidence;
  if (scenario.load === undefined) return;
  for (const { lane, server, steps } of lanesOfLoads(evidence)) {
    const wanted = [...modelOf(scenario.load, steps).texts].sort();
    book.check('I17', server.texts.join() === wanted.join(), () => difference(lane, server.texts, wanted));
  }
}

export function difference(where: string, shown: readonly string[], wanted: readonly string[]): string {
  const more = without(shown, wanted);
  const less = without(wanted, shown);
  return `${where} shows ${more.length} records too many and ${less.length} too few: ${[...more, ...less].slice(0, 3)}`;
}

function without(from: readonly string[], what: readonly string[]): readonly string[] {
  const left = [...what];
  return from.filter((text) => {
    const at = left.indexOf(text);
    if (at !== -1) left.splice(at, 1);
    return at === -1;
  });
}
