import { assert } from '../model/assert.ts';
import { loadingStrategy, shownAlone } from './loading.ts';

const ALL_OF_THEM = 1_000_000;

/** Every load has a place of its own for ever; one name leads readers to the newest that is complete. */
export const proxy = loadingStrategy({
  name: 'proxy',
  rewrites: true,
  summary: 'Writes each load to a new place that is never changed again; one name shows the newest complete load.',
  promise: 'Readers of the name see the newest complete load; earlier ones can still be read and never change.',
  lacks: (sink, flow) =>
    sink.can.publish === undefined
      ? 'the sink cannot lead readers to another place in one step: it has no publish'
      : shownAlone(flow),
  // The name shows the load that was published last, and that must be the newest.
  windows: () => 'in-order',
  load: {
    uses: ['keep', 'onRefused'],
    replaces: true,
    displaces: () => true,
    async publish({ sink, step, flow }) {
      assert(sink.can.publish !== undefined, 'strategy.fits-its-sink');
      return { receipt: await sink.can.publish(step, flow.load.keep ?? ALL_OF_THEM) };
    },
  },
});
