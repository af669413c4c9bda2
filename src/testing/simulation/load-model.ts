import { periodOf } from '../../model/period.ts';
import type { Window } from '../../model/window.ts';
import type { LoadScenario } from './load-scenario.ts';

/** One load that the sink has published, with its records as they were sent. */
export interface ModelLoad {
  readonly id: string;
  readonly window: Window;
  readonly texts: readonly string[];
  /** It was not published: the sink has gone back to where it stood before its window, which is a step of its own. */
  readonly back?: boolean;
}

interface Fields {
  readonly id: string;
  readonly v: number;
  readonly gone?: boolean;
}

/**
 * What each strategy promises, said once more and as plainly as can be: what readers see after these steps, in this
 * order; and which loads have been published and not been taken out again. Nothing of the code under test is used.
 */
export function modelOf<L extends ModelLoad>(load: LoadScenario, published: readonly L[]): Model<L> {
  switch (load.strategy) {
    case 'transactional-writer':
      return { texts: published.flatMap(({ texts }) => texts), kept: published };
    case 'data-overwrite': {
      const kept = newestOfEachWindow(published);
      const shown = load.scope === 'window' ? kept : published.slice(-1);
      return { texts: shown.flatMap(({ texts }) => texts), kept };
    }
    case 'merger':
      return { texts: merged(load, published), kept: newestOfEachWindow(published) };
    case 'stateful-merger': {
      const kept = inTime(published);
      return { texts: merged(load, kept), kept };
    }
    case 'metadata-cleaner': {
      const kept = inPeriods(load, published);
      return { texts: kept.flatMap(({ texts }) => texts), kept };
    }
    case 'proxy':
      return { texts: published.at(-1)?.texts ?? [], kept: newestOfEachWindow(published) };
  }
}

export interface Model<L extends ModelLoad> {
  readonly texts: readonly string[];
  readonly kept: readonly L[];
}

const newestOfEachWindow = <L extends ModelLoad>(published: readonly L[]): readonly L[] =>
  published.filter((one, at) => !published.slice(at + 1).some(({ window }) => window.name === one.window.name));

/** A load takes out everything of its own time and of later ones. Days are called so that their names sort. */
const inTime = <L extends ModelLoad>(published: readonly L[]): readonly L[] =>
  published.reduce<readonly L[]>((kept, one) => {
    const earlier = kept.filter(({ window }) => window.name < one.window.name);
    return one.back === true ? earlier : [...earlier, one];
  }, []);

/** A window that comes again begins its period again. */
function inPeriods<L extends ModelLoad>({ period }: LoadScenario, published: readonly L[]): readonly L[] {
  const nameOf = ({ window }: ModelLoad): string => periodOf(window, period).name;
  return published.reduce<readonly L[]>((kept, one) => {
    const again = kept.some(({ window }) => window.name === one.window.name);
    return [...kept.filter((other) => !again || nameOf(other) !== nameOf(one)), one];
  }, []);
}

function merged(load: LoadScenario, loads: readonly ModelLoad[]): readonly string[] {
  const rows = new Map<string, string>();
  for (const { texts } of loads) {
    for (const [id, text] of lastOfEachKey(texts)) {
      const gone = fieldsOf(text).gone === true;
      if (load.deletions === 'none' || !gone) rows.set(id, text);
      else if (load.deletions === 'remove') rows.delete(id);
      else if (rows.has(id)) rows.set(id, text);
    }
  }
  return [...rows.values()];
}

function lastOfEachKey(texts: readonly string[]): ReadonlyMap<string, string> {
  const last = new Map<string, string>();
  for (const text of texts) {
    const { id, v } = fieldsOf(text);
    const known = last.get(id);
    if (known === undefined || fieldsOf(known).v < v) last.set(id, text);
  }
  return last;
}

const fieldsOf = (text: string): Fields => JSON.parse(text) as Fields;
