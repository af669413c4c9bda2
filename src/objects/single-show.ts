import { RefusedError } from '../model/errors.ts';
import type { LoadStep, StepReceipt } from '../model/load.ts';
import { admit, fromHereOn, publishedBefore, recorded } from './books.ts';
import { type Part, sumOf } from './place.ts';
import { asked, collected, type Show, type Showing } from './show.ts';

/** Somebody else replaced it this often between a look and the swap: they can have it. */
const TRIES_MAX = 10;

/** One object for each window, or one at all: what was collected is joined, and takes its place in one step. */
export function singleShow(showing: Showing): Show {
  return {
    facts: {},
    shown: async () => new Set(),
    replace: (step) => replaced(showing, step),
  };
}

async function replaced(showing: Showing, step: LoadStep): Promise<StepReceipt> {
  const { load, signal } = step;
  const books = showing.booksOf(load);
  const before = await asked(books.read(signal));
  let known = publishedBefore(before, step);
  if (known === undefined) {
    admit(before, step);
    const receipt = await swapped(showing, step, await collected(showing, step));
    known = await fromHereOn(recorded(books, step, receipt));
  }
  await fromHereOn(showing.place.removed(load.id, signal));
  return known;
}

async function swapped(showing: Showing, step: LoadStep, parts: readonly Part[]): Promise<StepReceipt> {
  const { store, place, pathOf, booksOf } = showing;
  const { load, signal } = step;
  const name = pathOf(load).join('');
  const content = place.joined(parts, signal);
  for (let tries = 0; tries < TRIES_MAX; tries++) {
    const version = await asked(store.version(name, signal));
    // After the look at the version: whoever opened a later start by then is seen, and later ones change the version.
    admit(await asked(booksOf(load).read(signal)), step);
    if ((await asked(store.swap(name, content, version, signal))) === 'changed') continue;
    const records = sumOf(parts, (part) => part.records);
    const what = version === null ? 'written' : 'replaced';
    const after = version === null ? '' : `; ${await fromHereOn(store.afterlife(signal))}`;
    return {
      summary: `${store.address(name)} ${what}: ${records} records, ${content.bytes} bytes${after}`,
      facts: { records, bytes: content.bytes, replaced: version === null ? 0 : 1, object: store.address(name) },
    };
  }
  throw new RefusedError(`${name} was changed by somebody else ${TRIES_MAX} times meanwhile`, {
    reason: 'changed',
    about: 'request',
  });
}
