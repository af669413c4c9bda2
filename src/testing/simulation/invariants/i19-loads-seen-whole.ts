import type { Evidence } from '../evidence.ts';
import { isSeen, type LaneOfLoads, lanesOfLoads } from '../load-evidence.ts';
import { modelOf } from '../load-model.ts';
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

function wantedAt({ scenario }: Evidence, lane: LaneOfLoads, look: LoadLook): readonly string[] {
  const seen = lane.server.effects.slice(0, look.steps).filter(isSeen).length;
  return modelOf(scenario.load!, lane.steps.slice(0, seen)).texts;
}
