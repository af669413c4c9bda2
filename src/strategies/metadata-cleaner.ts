import { assert } from '../model/assert.ts';
import { WaybillError } from '../model/errors.ts';
import type { LoadRow, LoadSettings, Period } from '../model/load.ts';
import { beginsPeriod, cutsInto, periodOf } from '../model/period.ts';
import type { Window } from '../model/window.ts';
import { loadingStrategy, publishedElsewhere } from './loading.ts';
import type { FlowFacts, LoadJob } from './strategy.ts';

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
  load: {
    uses: ['period', 'onRefused'],
    replaces: true,
    async open(job) {
      partial(job, job.step.load.window);
      assert(job.sink.can.load !== undefined, 'strategy.fits-its-sink');
      return await job.sink.can.load.open(job.step);
    },
    async publish(job) {
      const { sink, step, flow, loads } = job;
      const { window } = step.load;
      const period = periodFor(flow, window);
      const others = inPeriod(publishedElsewhere(loads, window), flow, period);
      // The first window of a period, loaded again, begins the period again; with nothing there, any window begins it.
      const fresh = others.length === 0 || isAgain(loads, window);
      assert(sink.can.addToPeriod !== undefined, 'strategy.fits-its-sink');
      const receipt = await sink.can.addToPeriod(step, period, fresh);
      return { receipt, ...(fresh ? { undone: others } : {}) };
    },
    warnings({ loads, flow, window }) {
      const period = periodFor(flow, window);
      const others = inPeriod(publishedElsewhere(loads, window), flow, period);
      if (!isAgain(loads, window) || others.length === 0) return [];
      return [
        `the whole period is begun again: ${others.length} other windows have to be loaded again (${call(period)})`,
      ];
    },
  },
});

/** A window cannot be taken out of its period, so only the window that begins the period can be loaded again. */
function partial({ loads, flow }: Pick<LoadJob, 'loads' | 'flow'>, window: Window): void {
  const period = periodFor(flow, window);
  const others = inPeriod(publishedElsewhere(loads, window), flow, period);
  if (!isAgain(loads, window) || others.length === 0 || beginsPeriod(window, period)) return;
  throw new WaybillError(
    'PERIOD_PARTIAL',
    `${window.name} shares the place of ${period.name} with ${others.length} others and cannot be taken out alone`,
    {
      ids: { window: window.name, period: period.name, from: period.firstDay, to: period.lastDay },
      hint: `Load the whole period again: waybill backfill FLOW ${call(period)}.`,
    },
  );
}

const call = (period: Period): string => `--from ${period.firstDay} --to ${period.lastDay}`;

const isAgain = (loads: readonly LoadRow[], window: Window): boolean =>
  loads.some((load) => load.window.name === window.name && load.state === 'published');

const inPeriod = (loads: readonly LoadRow[], flow: FlowFacts, period: Period): readonly LoadRow[] =>
  loads.filter((load) => periodFor(flow, load.window).name === period.name);

function kindOf({ load, window }: FlowFacts): LoadSettings['period'] {
  return load.period ?? (window === 'all' || window === 'hour' ? undefined : window);
}

function periodFor(flow: FlowFacts, window: Window): Period {
  const kind = kindOf(flow);
  assert(kind !== undefined, 'strategy.fits-its-flow');
  return periodOf(window, kind);
}
