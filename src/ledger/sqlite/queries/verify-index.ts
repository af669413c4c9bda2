import { type Entries, entriesOf, mergeEntries, toEntries } from '../../key-index.ts';
import type { Store } from '../store.ts';
import { decodeMembers, MEMBERS_AFTER, type MembersRecord } from '../tables/members.ts';
import { indexedUpTo, keyPage, partsOf } from './key-pages.ts';
import { batchesIn } from './key-search.ts';
import type { Reading } from './reading.ts';

/** An index that is missing altogether needs no line for every record. */
const PROBLEMS_MAX = 100;

/** The rows of members of a lane, oldest first and one at a time: each can be megabytes. */
export function* membersOf(store: Store, lane: number): Generator<MembersRecord> {
  for (let last = 0; ; ) {
    const [cells] = store.many(MEMBERS_AFTER, lane, last, 1);
    if (cells === undefined) return;
    const members = decodeMembers(cells);
    last = members.id;
    yield members;
  }
}

/**
 * Every key up to where the index has come must be in it, as often as it was sealed; what the index holds beyond that
 * proposes a batch in vain and does no harm. Both sides as sorted numbers: 16 bytes a record in all.
 */
export function indexProblems(r: Reading, lane: number): string[] {
  const problems: string[] = [];
  const there = indexed(r.store, lane, problems);
  let at = 0;
  for (const entry of sealed(r, lane)) {
    while (at < there.length && (there[at] as bigint) < entry) at++;
    if (there[at] === entry) at++;
    else problems.push(`a record of batch b${Number(entry & 0xffff_ffffn)} is not in the key index`);
    if (problems.length >= PROBLEMS_MAX) break;
  }
  return problems;
}

function sealed(r: Reading, lane: number): Entries {
  const upto = indexedUpTo(r.store, lane);
  const runs: Entries[] = [];
  for (const members of membersOf(r.store, lane)) {
    if (members.id > upto) break;
    const batches = batchesIn(r, members);
    let nth = 0;
    // Asked with rising places.
    const batchOf = (place: number): number => {
      while (place >= (batches[nth + 1]?.memberAt ?? Number.POSITIVE_INFINITY)) nth++;
      return members.firstBatch + nth;
    };
    runs.push(entriesOf(members.keys, batchOf));
  }
  return mergeEntries(runs);
}

function indexed(store: Store, lane: number, problems: string[]): Entries {
  const runs: Entries[] = [];
  for (const part of partsOf(store, lane)) {
    let [entries, before] = [0, 0];
    for (let nth = part.firstPage; nth < part.endPage; nth++) {
      const page = keyPage(store, part.id, nth);
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
