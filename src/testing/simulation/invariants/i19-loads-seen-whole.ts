import type { Evidence } from '../evidence.ts';
import { type LaneOfLoads, lanesOfLoads, PUBLISHING, type PublishedLoad } from '../load-evidence.ts';
import { inTime, modelOf } from '../load-model.ts';
import type { LoadLook } from '../load-server.ts';
import { difference } from './i17-shown-as-published.ts';

/**
 * I19: whoever reads, at whatever moment, sees what the loads that were published by then make: each whole or not at
 * all. A sink that goes back first and merges then may be seen between the two, and shows what was there before.
 */
export function loadsSeenWhole(evidence: Evidence): void {
  const { scenario, book } = evidence;
  if (scenario.load === undefined) return;
  for (const lane of lanesOfLoads(evidence)) {
    for (const look of lane.server.looks) {
      const wanted = [...wantedAt(evidence, lane, look)].sort();
      book.check('I19', look.texts.join() === wanted.join(), () =>
        difference(`a reader after ${look.steps} steps: ${lane.lane}`, look.texts, wanted),
      );
    }
  }
}

function wantedAt({ scenario }: Evidence, { server, published }: LaneOfLoads, { steps }: LoadLook): readonly string[] {
  const effects = server.effects.slice(0, steps);
  const count = effects.filter(({ request }) => PUBLISHING.has(request.ability)).length;
  const visible = published.slice(0, count);
  const last = effects.findLast(({ request }) => request.ability !== 'load.open');
  if (last === undefined || PUBLISHING.has(last.request.ability)) return modelOf(scenario.load!, visible).texts;
  return wentBack(visible, last.request.step.load.window.name, (loads) => modelOf(scenario.load!, loads).texts);
}

function wentBack(
  visible: readonly PublishedLoad[],
  before: string,
  shown: (loads: readonly PublishedLoad[]) => readonly string[],
): readonly string[] {
  return shown((inTime(visible) as readonly PublishedLoad[]).filter(({ window }) => window.name < before));
}
