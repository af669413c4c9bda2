import type { LoadAbilities } from '../connector.ts';
import { mergePlaceAt } from './history.ts';
import { LoadBooks } from './load-books.ts';
import { type LoadParts, LoadPlaces } from './load-place.ts';
import { LoadSteps } from './load-steps.ts';
import { mergePlace } from './merge.ts';
import { addPlaceToPeriod } from './periods.ts';
import { showLoad } from './publish.ts';
import { appendPlace, replacePlace } from './replace.ts';

export interface Loads {
  readonly can: Omit<LoadAbilities, 'versions'>;
  /** The columns of what is being collected may be others now. */
  forget(): void;
}

/** Collecting what a window brings in a table of its own, and every way to publish it. */
export function loadAbilities(given: Omit<LoadParts, 'loads'>): Loads {
  const loads = new LoadBooks(given.options.markerSchema);
  const parts: LoadParts = { ...given, loads };
  const places = new LoadPlaces(parts);
  const steps = new LoadSteps(parts);
  const can: Loads['can'] = {
    load: { open: (step) => places.open(step), add: (permit) => places.add(permit) },
    appendLoad: (step) => steps.run(step, (one) => appendPlace(one, given.books.deliveries)),
    replace: (step, scope) => steps.run(step, (one) => replacePlace(one, scope)),
    merge: (step, by) => steps.run(step, (one) => mergePlace(one, by)),
    mergeAt: (step, by, at) => steps.run(step, (one) => mergePlaceAt(one, by, at)),
    addToPeriod: (step, period, fresh) => steps.run(step, (one) => addPlaceToPeriod(one, period, fresh)),
    publish: (step, keep) => steps.run(step, (one) => showLoad(one, loads, keep)),
  };
  return { can, forget: () => places.forget() };
}
