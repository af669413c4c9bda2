import { assert } from '../model/assert.ts';
import { inOrderOfTime, isLater, loadingStrategy, publishedElsewhere } from './loading.ts';
import { lacksKey, mergeBy } from './merge-by.ts';

/** Brings what is there up to date: inserts, changes and removes by key. */
export const merger = loadingStrategy({
  name: 'merger',
  rewrites: true,
  summary: 'Inserts, changes and removes rows by key; what the window does not name is left alone.',
  promise: 'Each key that the window names is in the sink once, as the window says; all of it changes at once.',
  lacks: (sink, flow) =>
    sink.can.merge === undefined ? 'the sink cannot merge rows by key in one step: it has no merge' : lacksKey(flow),
  // What two windows say of one key, the later one must say last.
  windows: () => 'in-order',
  load: {
    uses: ['deleted', 'latestBy', 'onRefused'],
    replaces: true,
    async publish({ sink, step, flow }) {
      assert(sink.can.merge !== undefined, 'strategy.fits-its-sink');
      return { receipt: await sink.can.merge(step, mergeBy(flow)) };
    },
    warnings({ loads, window }) {
      const later = inOrderOfTime(publishedElsewhere(loads, window).filter((load) => isLater(load, window)));
      if (later.length === 0) return [];
      const until = later.at(-1)!.window.name;
      return [
        `${later.length} later windows have been merged already, up to ${until}. Rows that they changed take the ` +
          `state of ${window.name} until they are merged again, and readers see states that never were. ` +
          'The stateful-merger goes back in time first.',
      ];
    },
  },
});
