import type { LoadRow } from '../../../model/load.ts';
import type { Evidence } from '../evidence.ts';
import { type LaneOfLoads, lanesOfLoads } from '../load-evidence.ts';
import { modelOf } from '../load-model.ts';

/**
 * I18: what the ledger says of a load is so. Published: the sink has published it, and has not taken it out again.
 * Replaced: it was published, and a later one has taken it out. Opening, open, given up: nobody ever saw it.
 * Publishing: nobody knows, which may last only where the run was cancelled.
 */
export function loadsToldTruly(evidence: Evidence): void {
  const { scenario, final, book, machine } = evidence;
  if (scenario.load === undefined) return;
  for (const lane of lanesOfLoads(evidence)) {
    const { kept } = modelOf(scenario.load, lane.steps);
    const held = new Set(kept.map(({ id }) => id));
    for (const row of final.loads) if (row.lane === lane.lane) tellsTruly(evidence, row, lane, held);
    for (const { id, row } of lane.published) {
      book.check('I18', row !== undefined, () => `${id} was published and the ledger does not know it`);
    }
  }
  for (const { state } of final.loads) {
    if (state === 'given-up') machine.world.mark('a load was given up');
    if (state === 'replaced') machine.world.mark('a load was replaced');
  }
}

/** `held`: the loads that the sink should still show. */
function tellsTruly(evidence: Evidence, row: LoadRow, lane: LaneOfLoads, held: ReadonlySet<string>): void {
  const { final, book, supervisor } = evidence;
  const { published, steps } = lane;
  const done = published.filter((one) => one.row === row);
  const kept = done.some(({ id }) => held.has(id));
  const name = `load ${row.generation} of ${row.window.name} in ${row.lane}`;
  const is = `it was published ${done.length} times and is ${kept ? '' : 'not '}kept`;
  const say = (holds: boolean): void => book.check('I18', holds, () => `${name} is ${row.state}, and ${is}`);
  // The ledger cannot know yet what was taken out by a load of which it does not know how far it has come.
  const unheard = steps.some((one) => one.row?.state === 'publishing');
  const cancelled = final.runs.some((run) => run.id === row.run && run.state === 'cancelled');
  switch (row.state) {
    case 'published':
      say(done.length === 1 && (kept || unheard));
      return;
    case 'replaced':
      say(done.length === 1 && !kept);
      return;
    case 'publishing':
      say(done.length <= 1 && (cancelled || !supervisor.idle));
      return;
    default:
      say(done.length === 0);
  }
}
