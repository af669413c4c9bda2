import { KEY_BYTES } from '../../../model/chunk.ts';
import { type Entries, entriesOf, mergeEntries, toEntries } from '../../key-index.ts';
import type { Asking, Store } from '../store.ts';
import { membersAfter } from '../tables/members.ts';
import { batchesIn } from './batches.ts';
import { indexedUpTo, keyPage, partsOf } from './key-pages.ts';
import type { Reading } from './reading.ts';

/** An index that is missing altogether needs no line for every record. */
const PROBLEMS_MAX = 100;

/**
 * Every key up to where the index has come must be in it, as often as it was sealed; what the index holds beyond that
 * proposes a batch in vain and does no harm. Both sides as sorted numbers: 16 bytes a record in all.
 */
export function* indexProblems(r: Reading, lane: number): Asking<string[]> {
  const problems: string[] = [];
  const there = yield* indexed(r.store, lane, problems);
  let at = 0;
  for (const entry of yield* sealed(r, lane)) {
    while (at < there.length && (there[at] as bigint) < entry) at++;
    if (there[at] === entry) at++;
    else problems.push(`a record of batch b${Number(entry & 0xffff_ffffn)} is not in the key index`);
    if (problems.length >= PROBLEMS_MAX) break;
  }
  return problems;
}

function* sealed(r: Reading, lane: number): Asking<Entries> {
  const upto = yield* indexedUpTo(r.store, lane);
  const runs: Entries[] = [];
  let members = yield* membersAfter(r.store, lane, 0);
  for (; members !== undefined && members.id <= upto; members = yield* membersAfter(r.store, lane, members.id)) {
    const { firstBatch, keys } = members;
    const batches = yield* batchesIn(r, members);
    const ends = [...batches.slice(1).map(({ memberAt }) => memberAt), keys.length / KEY_BYTES];
    runs.push(entriesOf([{ keys, firstBatch, ends }]));
  }
  return mergeEntries(runs);
}

function* indexed(store: Store, lane: number, problems: string[]): Asking<Entries> {
  const runs: Entries[] = [];
  for (const part of yield* partsOf(store, lane)) {
    let [entries, before] = [0, 0];
    for (let nth = part.firstPage; nth < part.endPage; nth++) {
      const page = yield* keyPage(store, part.id, nth);
      if (page.first < before) problems.push(`page ${nth} of part ${part.id} of the key index is out of order`);
      before = page.last;
      entries += page.count;
      runs.push(toEntries(page));
    }
    if (entries !== part.entries)
      problems.push(`part ${part.id} of the key index holds ${entries} entries, not ${part.entries}`);
  }
  return mergeEntries(runs);
}
