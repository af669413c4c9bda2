import { assert } from '../model/assert.ts';
import { loadingStrategy } from './loading.ts';

/** Adds everything that a window brings, in one transaction of the sink. */
export const transactionalWriter = loadingStrategy({
  name: 'transactional-writer',
  summary: 'Adds all that a window brings in one transaction; nothing of it is seen before.',
  promise: 'Readers see every record of the window or none of it, each once.',
  lacks: (sink) =>
    sink.can.appendLoad === undefined
      ? 'the sink cannot add a whole load in one step: it has no appendLoad'
      : undefined,
  // Each adds its own rows in one transaction of its own.
  windows: () => 'any',
  load: {
    uses: ['onRefused'],
    replaces: false,
    async publish({ sink, step }) {
      assert(sink.can.appendLoad !== undefined, 'strategy.fits-its-sink');
      return { receipt: await sink.can.appendLoad(step) };
    },
    warnings({ loads, window }) {
      const again = loads.some((load) => load.state === 'published' && load.window.name === window.name);
      return again
        ? [
            `${window.name} has been published before; reading it again adds its records once more. ` +
              'A backfill needs a strategy that takes the place of what is there: data-overwrite or merger.',
          ]
        : [];
    },
  },
});
