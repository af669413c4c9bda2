import type { Load, LoadStep, StepReceipt } from '../model/load.ts';
import { admit, type Books, entered, fromHereOn, type ListedLoad, publishedBefore } from './books.ts';
import { sumOf } from './place.ts';
import { asked, collected, type Show, type Showing } from './show.ts';

/** How the loads that readers see follow from those that they saw. */
type Turn = (books: Books, load: ListedLoad) => { readonly loads: readonly ListedLoad[]; readonly keep: number };

/** What a replaced load still lies there for: whoever read the manifest just before the switch goes on reading. */
const KEPT_FOR_READERS = 1;
/** How many that were to be removed before are looked after again. */
const DROPPED_MAX = 5;

/** Objects stay where they were collected; a manifest, replaced in one step, says which of them are the data. */
export function manifestShow(showing: Showing): Show {
  return {
    facts: {
      retention:
        'Earlier loads stay readable until `keep` newer ones are there; a load that was replaced stays until the next.',
    },
    shown: async (load, signal) => {
      const { loads, earlier } = await showing.booksOf(load).read(signal);
      return new Set([...loads, ...earlier].map((one) => one.load));
    },
    replace: (step) => shown(showing, step, (_books, load) => ({ loads: [load], keep: KEPT_FOR_READERS })),
    publish: (step, keep) => shown(showing, step, (_books, load) => ({ loads: [load], keep })),
    append: (step) =>
      shown(showing, step, ({ loads }, load) => ({ loads: [...loads, load], keep: Number.MAX_SAFE_INTEGER })),
  };
}

async function shown(showing: Showing, step: LoadStep, turn: Turn): Promise<StepReceipt> {
  const { load, signal } = step;
  const books = showing.booksOf(load);
  const before = await asked(books.read(signal));
  const known = publishedBefore(before, step);
  if (known === undefined) {
    admit(before, step);
    const listed = await sealed(showing, step);
    const after = await books.change(signal, (now) => turned(now, step, listed, turn));
    return await fromHereOn(finished(showing, after, step));
  }
  return await fromHereOn(finished(showing, before, step));
}

/** What a manifest says of a load. Its objects are protected before anybody is led to them. */
async function sealed(showing: Showing, step: LoadStep): Promise<ListedLoad & { readonly how?: string }> {
  const { store, place } = showing;
  const parts = await collected(showing, step);
  const names = parts.map(({ name }) => name);
  const protection = await store.protect?.(names, step.signal);
  const listed = place.listedLoad(step, parts, protection?.versions ?? new Map());
  return protection === undefined ? listed : { ...listed, how: protection.how };
}

function turned(
  books: Books,
  step: LoadStep,
  { how, ...listed }: ListedLoad & { readonly how?: string },
  turn: Turn,
): Books | undefined {
  if (publishedBefore(books, step) !== undefined) return undefined;
  admit(books, step);
  const { loads, keep } = turn(books, listed);
  const gone = books.loads.filter(({ load }) => !loads.some((one) => one.load === load));
  const earlier = [...gone.reverse(), ...books.earlier];
  const dropped = earlier.slice(keep);
  const kept = earlier.slice(0, keep);
  const receipt: StepReceipt = {
    summary: summaryOf({ listed, loads, gone, kept, dropped, how }),
    facts: {
      records: listed.records,
      bytes: listed.bytes,
      objects: listed.objects.length,
      shown: loads.length,
      replaced: sumOf(gone, ({ records }) => records),
      earlier: kept.length,
      removed: dropped.length,
    },
  };
  // Those of before, too: whoever showed the last load may have died before it had removed them.
  const ids = dropped.map(({ load }) => load);
  const remove = [...ids, ...books.dropped].slice(0, Math.max(ids.length, DROPPED_MAX));
  const next: Books = { ...books, loads, earlier: kept, dropped: remove };
  return entered(next, step, receipt);
}

function summaryOf(what: {
  readonly listed: ListedLoad;
  readonly loads: readonly ListedLoad[];
  readonly gone: readonly ListedLoad[];
  readonly kept: readonly ListedLoad[];
  readonly dropped: readonly ListedLoad[];
  readonly how: string | undefined;
}): string {
  const { listed, loads, gone, kept, dropped, how } = what;
  const parts = [`${listed.records} records in ${listed.objects.length} objects shown`];
  if (loads.length > 1) parts.push(`beside ${loads.length - 1} other loads`);
  if (gone.length > 0) parts.push(`instead of ${sumOf(gone, ({ records }) => records)} records`);
  const dead = sumOf(kept, ({ bytes }) => bytes);
  if (kept.length > 0) parts.push(`${kept.length} earlier loads still lie there (${dead} bytes)`);
  if (dropped.length > 0) parts.push(`${dropped.length} removed`);
  if (how !== undefined) parts.push(how);
  return parts.join('; ');
}

/** What may be done when the switch is made, and again whenever the step is asked again. */
async function finished({ place }: Showing, books: Books, step: LoadStep): Promise<StepReceipt> {
  const { load, signal } = step;
  await place.shut(load.id, signal);
  for (const id of droppedNow(books, load)) await place.removed(id, signal);
  return publishedBefore(books, step)!;
}

const droppedNow = ({ dropped, loads, earlier }: Books, { id }: Load): readonly string[] =>
  dropped.filter((one) => one !== id && ![...loads, ...earlier].some(({ load }) => load === one));
