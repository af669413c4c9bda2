import type { Evidence } from '../evidence.ts';
import { lanesOfLoads } from '../load-evidence.ts';
import { modelOf } from '../load-model.ts';

/** I17: readers see what the strategy makes of the loads that are published, record by record, and nothing else. */
export function shownAsPublished(evidence: Evidence): void {
  const { scenario, book } = evidence;
  if (scenario.load === undefined) return;
  for (const { lane, server, published } of lanesOfLoads(evidence)) {
    const wanted = [...modelOf(scenario.load, published).texts].sort();
    const shown = withoutHalves(evidence, server.texts, wanted);
    book.check('I17', shown.join() === wanted.join(), () => difference(lane, shown, wanted));
  }
}

/** A sink that goes back first and merges then may have been left between the two, by a run that was cancelled. */
function withoutHalves({ scenario, final }: Evidence, shown: readonly string[], wanted: readonly string[]) {
  const halves = scenario.load?.strategy === 'stateful-merger' && scenario.load.past === 'versions';
  const left = final.loads.some(({ state }) => state === 'publishing');
  return halves && left ? wanted : shown;
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
