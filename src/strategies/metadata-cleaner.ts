import { assert } from '../model/assert.ts';
import { WaybillError } from '../model/errors.ts';
import type { LoadRow, LoadSettings, Period } from '../model/load.ts';
import { cutsInto, dayAfter, periodOf } from '../model/period.ts';
import type { Window } from '../model/window.ts';
import { inOrderOfTime, isLater, loadingStrategy, publishedElsewhere } from './loading.ts';
import type { BeforeLoad, FlowFacts } from './strategy.ts';

/** A place of its own for each period, emptied by metadata alone; readers see all periods under one name. */
export const metadataCleaner = loadingStrategy({
  name: 'metadata-cleaner',
  summary: 'Gives each period a table of its own, which is emptied as a whole, and one view over all.',
  promise: 'Readers see every record of every period once; a period that is loaded again replaces the one before.',
  lacks: (sink, flow) => {
    if (sink.can.addToPeriod === undefined) return 'the sink cannot keep periods apart: it has no addToPeriod';
    const period = kindOf(flow);
    if (period === undefined) {
      return 'the flow has no windows of a day or longer, so its records belong to no period (`window: day`)';
    }
    if (cutsInto(flow.window, period)) return undefined;
    return `a window of a ${flow.window} does not always lie in one ${period} (\`load: { period: … }\`)`;
  },
  // The first window of a period empties its place.
  windows: () => 'in-order',
  load: {
    uses: ['period', 'onRefused'],
    replaces: true,
    displaces: () => true,
    async open(job) {
      partial({ ...job, window: job.step.load.window });
      assert(job.sink.can.load !== undefined, 'strategy.fits-its-sink');
      return await job.sink.can.load.open(job.step);
    },
    async publish(job) {
      const { sink, step, flow, loads } = job;
      const { window } = step.load;
      const others = othersOf({ loads, flow, window });
      // The first window of a period, loaded again, begins the period again; with nothing there, any window begins it.
      const fresh = others.length === 0 || isAgain(loads, window);
      assert(sink.can.addToPeriod !== undefined, 'strategy.fits-its-sink');
      const receipt = await sink.can.addToPeriod(step, periodFor(flow, window), fresh);
      return { receipt, ...(fresh ? { undone: others } : {}) };
    },
    warnings(job) {
      const others = undoneBy(job);
      if (others.length === 0) return [];
      return [
        `the whole period is begun again: ${others.length} other windows have to be loaded again ` +
          `(${call(periodFor(job.flow, job.window))})`,
      ];
    },
    undoes: undoneBy,
    together(job) {
      const others = undoneBy(job);
      return others.length === 0
        ? []
        : [...new Set(inOrderOfTime([...others, ...own(job)]).map((load) => load.window))];
    },
  },
});

/** A window cannot be taken out of its period, so only the first of those that it holds can be loaded again. */
function partial(job: BeforeLoad): void {
  const { flow, window } = job;
  const others = undoneBy(job);
  const first = others[0];
  if (first === undefined || isLater(first, window)) return;
  const period = periodFor(flow, window);
  throw new WaybillError(
    'PERIOD_PARTIAL',
    `${window.name} shares the place of ${period.name} with ${others.length} others and cannot be taken out alone`,
    {
      ids: { window: window.name, period: period.name, from: period.firstDay, to: period.lastDay },
      hint: `Load the whole period again: waybill backfill FLOW ${call(period)} --refresh.`,
    },
  );
}

const call = (period: Period): string => `--from ${period.firstDay} --to ${dayAfter(period)}`;

/** What a window takes out of its period when it is loaded once more: all the others. */
function undoneBy(job: BeforeLoad): readonly LoadRow[] {
  return isAgain(job.loads, job.window) ? othersOf(job) : [];
}

const othersOf = ({ loads, flow, window }: BeforeLoad): readonly LoadRow[] =>
  inOrderOfTime(inPeriod(publishedElsewhere(loads, window), flow, periodFor(flow, window)));

const own = ({ loads, window }: BeforeLoad): readonly LoadRow[] =>
  loads.filter((load) => load.window.name === window.name && load.state === 'published').slice(-1);

const isAgain = (loads: readonly LoadRow[], window: Window): boolean =>
  loads.some((load) => load.window.name === window.name && load.state === 'published');

const inPeriod = (loads: readonly LoadRow[], flow: FlowFacts, period: Period): readonly LoadRow[] =>
  loads.filter((load) => periodFor(flow, load.window).name === period.name);

function kindOf({ load, window }: FlowFacts): LoadSettings['period'] {
  return load.period ?? (window === 'all' || window === 'pull' || window === 'hour' ? undefined : window);
}

function periodFor(flow: FlowFacts, window: Window): Period {
  const kind = kindOf(flow);
  assert(kind !== undefined, 'strategy.fits-its-flow');
  return periodOf(window, kind);
}
