import { assert } from '../model/assert.ts';
import type { LoadSettings, Scope } from '../model/load.ts';
import { daysOf } from '../model/period.ts';
import type { Window } from '../model/window.ts';
import { loadingStrategy, shownAlone } from './loading.ts';

/** Replaces what the window had brought, or everything, by what it brings now. */
export const dataOverwrite = loadingStrategy({
  name: 'data-overwrite',
  rewrites: true,
  summary: 'Replaces a table, a prefix or the rows of the window by what the window brings.',
  promise: 'Readers see what was there before or all that the window brings now; the rest is untouched.',
  lacks: (sink, flow) => {
    if (sink.can.replace === undefined) return 'the sink cannot replace rows by others in one step: it has no replace';
    if (flow.load.scope !== undefined && sink.facts.replacesWhole === true) {
      return (
        'the sink replaces what it names as a whole, and no rows by the values of a column; leave out ' +
        '`load: { scope: … }` and give each window a place of its own'
      );
    }
    const alone = shownAlone(flow);
    if (alone !== undefined) return alone;
    if (flow.window === 'all' || flow.load.scope !== undefined || sink.facts.placePerWindow === true) return undefined;
    return (
      'every window would replace all that the sink holds; say which rows belong to a window with ' +
      '`load: { scope: { column: … } }`, or use a flow without windows'
    );
  },
  // Windows that replace the same rows take each other's place, so the latest must come last.
  windows: (sink, { load: { scope }, window }) =>
    sink.facts.placePerWindow === true || (window !== 'all' && scope !== undefined && scope.value === undefined)
      ? 'any'
      : 'in-order',
  load: {
    uses: ['scope', 'onRefused'],
    replaces: true,
    displaces: ({ scope }) => scope?.value === undefined,
    async publish({ sink, step, flow }) {
      assert(sink.can.replace !== undefined, 'strategy.fits-its-sink');
      return { receipt: await sink.can.replace(step, scopeOf(flow.load, step.load.window)) };
    },
  },
});

function scopeOf({ scope }: LoadSettings, window: Window): Scope {
  if (scope === undefined) return { kind: 'all' };
  const { column, value } = scope;
  if (value !== undefined) return { kind: 'equals', column, value };
  const { start, end } = window;
  if (start === undefined || end === undefined) return { kind: 'all' };
  const days = daysOf(window);
  return { kind: 'range', column, from: start, to: end, ...(days === undefined ? {} : { days }) };
}
