import { describeError, WaybillError } from '../model/errors.ts';
import type { LoadStep, StepReceipt } from '../model/load.ts';
import { admit, fromHereOn, publishedBefore, recorded } from './books.ts';
import { type Part, sumOf } from './place.ts';
import { asked, collected, type Show, type Showing } from './show.ts';
import type { Listed } from './store.ts';

/**
 * Readers list a folder or a prefix, so there is no single step: the new objects come first, and then the old ones go.
 * Whoever reads meanwhile finds rows twice, and never too few of them.
 */
export function listedShow(showing: Showing): Show {
  return {
    facts: { seenByHalves: true },
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
    const parts = await collected(showing, step);
    const receipt = await fromHereOn(exchanged(showing, step, parts));
    known = await fromHereOn(recorded(books, step, receipt));
  }
  await fromHereOn(showing.place.removed(load.id, signal));
  return known;
}

async function exchanged(showing: Showing, step: LoadStep, parts: readonly Part[]): Promise<StepReceipt> {
  const { store, pathOf } = showing;
  const { load, signal } = step;
  const [beginning, ending] = pathOf(load);
  const nameOf = (part: Part): string => `${beginning}${load.id}-${String(part.seq).padStart(9, '0')}${ending}`;
  const mine = new Set(parts.map(nameOf));
  const isOld = ({ name }: Listed): boolean => {
    const middle = name.slice(beginning.length, name.length - ending.length);
    const here = name.endsWith(ending) && middle !== '' && !middle.includes('/');
    return here && !mine.has(name) && !isOfLongerPath(middle);
  };
  const old = (await store.list(beginning, signal)).filter(isOld);
  for (const part of parts) await store.copy(part.name, nameOf(part), signal);
  await stillAllowed(showing, step, [...mine]);
  const names = old.map(({ name }) => name);
  await store.remove(names, signal);
  const records = sumOf(parts, (part) => part.records);
  const [bytes, oldBytes] = [sumOf(parts, (part) => part.bytes), sumOf(old, (one) => one.bytes)];
  const gone =
    old.length === 0 ? '' : `; ${old.length} objects of ${oldBytes} bytes removed, ${await store.afterlife(signal)}`;
  return {
    summary: `${records} records in ${parts.length} objects as ${store.address(beginning)}*${ending}${gone}`,
    facts: { records, bytes, objects: parts.length, replaced: old.length, replacedBytes: oldBytes },
  };
}

/** A start that is no longer the newest takes its own objects back; it removes nothing of others. */
async function stillAllowed({ store, booksOf }: Showing, step: LoadStep, mine: readonly string[]): Promise<void> {
  try {
    admit(await booksOf(step.load).read(step.signal), step);
  } catch (error) {
    await store.remove(mine, step.signal);
    throw new WaybillError('SINK_FAILED', `gave way to a later start: ${describeError(error)}`, { cause: error });
  }
}

/** What stands for `{{ batch }}` in a name: of a load, and of a batch that was added by itself. */
const BATCH_NAME = /wb_[a-z0-9_]+-\d{9,}|wb-[\w-]{8}-\d+-[0-9a-f]{16}/;

/**
 * Whether what stands between beginning and ending is more than a name that Waybill gives: the beginning or the ending
 * of this path is part of that of another, `a/1{{ batch }}` of `a/10{{ batch }}`, and that one's objects are not meant.
 */
function isOfLongerPath(middle: string): boolean {
  const [batch] = BATCH_NAME.exec(middle) ?? [];
  return batch !== undefined && batch !== middle;
}
