import type { AbilityFacts, Permit, Sink } from '../connectors/connector.ts';
import { RefusedError } from '../model/errors.ts';
import type { Load, LoadStep, Scope, StepReceipt } from '../model/load.ts';
import { admit, BookKeeper, entered, publishedBefore } from './books.ts';
import { listedShow } from './listed-show.ts';
import { manifestShow } from './manifest-show.ts';
import { fillPath, placeholdersOf } from './paths.ts';
import { type EncodedBatch, LOADS_FOLDER, LoadPlace } from './place.ts';
import type { Show, Showing } from './show.ts';
import { singleShow } from './single-show.ts';
import type { ObjectStore } from './store.ts';

export interface ObjectLoadsOptions {
  readonly store: ObjectStore;
  /** With `{{ batch }}` one object a batch; without it one object that all batches are joined to. */
  readonly path: string;
  /** Where the manifest lies that leads readers to the objects. Without one they are led by names. */
  readonly manifest?: string | undefined;
  /** Where the manifest lies, when that is not where the objects are. */
  readonly books?: ObjectStore | undefined;
  encode(permit: Permit): Promise<EncodedBatch>;
}

export interface LoadSink {
  readonly can: Pick<Sink['can'], 'load' | 'replace' | 'publish' | 'appendLoad'>;
  readonly facts: AbilityFacts;
}

/** The abilities of a sink that keeps loads as objects under names. */
export function objectLoads(options: ObjectLoadsOptions): LoadSink {
  const showing = showingOf(options);
  const show = showOf(options, showing);
  const { publish, append } = show;
  const perWindow = ofEachWindow(options.manifest ?? options.path);
  return {
    can: {
      load: {
        open: (step) => opened(showing, show, step),
        add: async (permit) => await showing.place.add(permit, loadOf(permit), options.encode),
      },
      replace: async (step, scope) => {
        expectWhole(scope);
        return await show.replace(step);
      },
      // One name shows one load; with a name for each window there is one for each, which is what `replace` gives.
      ...(publish === undefined || perWindow ? {} : { publish: (step, keep) => publish(step, keep) }),
      ...(append === undefined ? {} : { appendLoad: (step) => append(step) }),
    },
    facts: { ...show.facts, loadRung: 'marker', placePerWindow: perWindow, replacesWhole: true },
  };
}

function showOf({ manifest, path }: ObjectLoadsOptions, showing: Showing): Show {
  if (manifest !== undefined) return manifestShow(showing);
  return placeholdersOf(path).includes('batch') ? listedShow(showing) : singleShow(showing);
}

function showingOf({ store, path, manifest, books = store }: ObjectLoadsOptions): Showing {
  const home = homeOf(path);
  const values = ({ flow, lane, window }: Load) => ({ flow, lane, window: window.name });
  return {
    store,
    place: new LoadPlace(store, home, endingOf(path)),
    pathOf: (load) => {
      const [before = '', after = ''] = path.split(BATCH);
      return [fillPath(before, values(load)), fillPath(after, values(load))];
    },
    booksOf: (load) => {
      const name =
        manifest === undefined ? `${home}${LOADS_FOLDER}/${load.family}.json` : fillPath(manifest, values(load));
      return new BookKeeper(books, name);
    },
  };
}

const BATCH = /\{\{\s*batch\s*\}\}/;

/** The folder that all names of a path lie in, with a slash at its end. */
const homeOf = (path: string): string => path.slice(0, path.split('{{')[0]!.lastIndexOf('/') + 1);
const endingOf = (path: string): string => /(\.[a-z0-9]+)+$/i.exec(path)?.[0].toLowerCase() ?? '';
const ofEachWindow = (path: string): boolean => placeholdersOf(path).includes('window');

function loadOf({ load }: Permit): Load {
  if (load !== undefined) return load;
  throw new RefusedError('the batch belongs to no load', { reason: 'load', about: 'request' });
}

function expectWhole(scope: Scope): void {
  if (scope.kind === 'all') return;
  throw new RefusedError(`objects are replaced as a whole, not by the values of ${scope.column}`, {
    reason: 'scope',
    about: 'request',
    hint: 'Leave out `load: { scope: … }`, and give each window objects of its own: `{{ window }}` in the path.',
  });
}

async function opened({ place, booksOf }: Showing, show: Show, step: LoadStep): Promise<StepReceipt> {
  const { load, signal } = step;
  const books = await booksOf(load).change(signal, (before) => {
    if (publishedBefore(before, step) !== undefined) return undefined;
    admit(before, step);
    return before.families[load.family]?.fence === step.fence ? undefined : entered(before, step);
  });
  const published = publishedBefore(books, step);
  if (published !== undefined) return published;
  const shown = await show.shown(load, signal);
  const left = (await place.earlierOf(step)).filter((id) => !shown.has(id));
  for (const id of left) await place.removed(id, signal);
  await place.open(step);
  return {
    summary: `collected in ${place.folder(load.id)}`,
    ...(left.length === 0 ? {} : { facts: { removed: left.length } }),
  };
}
