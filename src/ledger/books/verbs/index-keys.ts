import type { RunId } from '../../../model/ids.ts';
import {
  ENTRIES_PER_PAGE,
  ENTRY_BYTES,
  type Entries,
  entriesOf,
  joinEntries,
  mergeable,
  mergeEntries,
  toEntries,
  toPages,
} from '../../key-index.ts';
import { GENERATION_STATE, toCode } from '../codes.ts';
import {
  indexedUpTo,
  KEY_LANE,
  KEY_PAGE,
  KEY_PART,
  type KeyPart,
  keyPage,
  pageId,
  partsOf,
} from '../queries/key-pages.ts';
import { type Asking, inTurn, query } from '../store.ts';
import { type MembersRecord, membersAfter } from '../tables/members.ts';
import type { Transaction } from '../transaction.ts';

/**
 * How large one step is: so many entries are hashed and sorted, or merged, in some tens of milliseconds. Parts of one
 * level are merged when there are `FAN_IN` of them, which keeps a look-up of one key at milliseconds. An extraction
 * that reads a window again looks up all of its keys: before it, all small parts are merged if there are more than a
 * few. Most windows are read once, and merging would be as much work as all the rest of the index.
 */
const NEW_ENTRIES = 262_144;
const STEP_ENTRIES = 65_536;
const FAN_IN = 64;
const PARTS_MAX = 8;

const LANE_ROW = query(KEY_LANE, 'WHERE lane = ?');
const IN_STATE = 'SELECT count(*) FROM generation WHERE run = (SELECT run FROM lane WHERE id = ?) AND state = ?';
const LANES = 'SELECT id FROM lane WHERE run = coalesce(?, run) ORDER BY id';

interface Ask {
  readonly run?: RunId;
  readonly only?: 'parts' | 'full-parts';
}

export function* indexKeys(tx: Transaction, ask: Ask): Asking<{ done: boolean }> {
  for (const [lane] of yield* tx.store.plain(LANES, ask.run ?? null)) {
    if (yield* stepLane(tx, lane as number, ask)) return { done: false };
  }
  return { done: true };
}

/** One step for one lane; false when it has nothing left to do. */
function* stepLane(tx: Transaction, lane: number, { only }: Ask): Asking<boolean> {
  const parts = yield* partsOf(tx.store, lane);
  const target = parts.find((part) => parts.some((other) => other.into === part.id));
  if (target !== undefined) {
    yield* mergeStep(
      tx,
      target,
      parts.filter((part) => part.into === target.id),
    );
    return true;
  }
  if (yield* addPart(tx, lane, only === 'full-parts')) return true;
  const full = fullLevel(parts);
  const chosen = full.length > 0 || only !== undefined ? full : yield* smallParts(tx, lane, parts);
  if (chosen.length < 2) return false;
  yield* beginMerge(tx, lane, chosen);
  return true;
}

/** Indexes the next rows of members as a part of its own. */
function* addPart(tx: Transaction, lane: number, full: boolean): Asking<boolean> {
  const rows: MembersRecord[] = [];
  let [upto, bytes] = [yield* indexedUpTo(tx.store, lane), 0];
  while (bytes < NEW_ENTRIES * 16) {
    const members = yield* membersAfter(tx.store, lane, upto);
    if (members === undefined) break;
    upto = members.id;
    bytes += members.keys.length;
    rows.push(members);
  }
  if (rows.length === 0 || (full && bytes < NEW_ENTRIES * 16)) return false;
  const keyed = yield* inTurn(rows, function* (members) {
    return { keys: members.keys, firstBatch: members.firstBatch, ends: yield* endsOf(tx, members) };
  });
  const entries = entriesOf(keyed);
  const part = yield* createPart(tx, lane, 0);
  yield* append(tx, part, entries);
  savePart(tx, part);
  if ((yield* tx.store.one(LANE_ROW, lane)) === undefined) tx.store.insert(KEY_LANE, [lane, upto]);
  else tx.store.update(KEY_LANE, [lane, upto]);
  return true;
}

const RECORDS_OF = 'SELECT records FROM batch WHERE id BETWEEN ? AND ? ORDER BY id';

/** The places in a row of members where its batches end. */
function* endsOf(tx: Transaction, members: MembersRecord): Asking<number[]> {
  const sizes = yield* tx.store.plain(RECORDS_OF, members.firstBatch, members.firstBatch + members.batches - 1);
  let end = 0;
  return sizes.map(([records]) => {
    end += records as number;
    return end;
  });
}

/** As many of the lowest level that has them as are merged whatever happens. */
function fullLevel(parts: readonly KeyPart[]): KeyPart[] {
  const levels = new Map<number, KeyPart[]>();
  for (const part of parts) levels.set(part.level, [...(levels.get(part.level) ?? []), part]);
  const lowest = [...levels].sort(([a], [b]) => a - b);
  return lowest.find(([, same]) => same.length >= FAN_IN)?.[1].slice(0, FAN_IN) ?? [];
}

/** Once every extraction is over, what is small beside the largest part. */
function* smallParts(tx: Transaction, lane: number, parts: readonly KeyPart[]): Asking<KeyPart[]> {
  if ((yield* tx.store.scalar(IN_STATE, lane, toCode(GENERATION_STATE, 'open'))) !== 0) return [];
  if (parts.length <= PARTS_MAX) return [];
  const sorted = [...parts].sort((a, b) => a.entries - b.entries);
  const largest = sorted[sorted.length - 1]?.entries ?? 0;
  const rest = sorted.slice(0, -1).reduce((sum, part) => sum + part.entries, 0);
  // A few late records are no reason to write millions of entries anew.
  return (rest * PARTS_MAX >= largest ? sorted : sorted.slice(0, -1)).slice(0, FAN_IN * 2);
}

function* beginMerge(tx: Transaction, lane: number, chosen: readonly KeyPart[]): Asking<void> {
  const level = Math.max(...chosen.map((part) => part.level)) + 1;
  const target = yield* createPart(tx, lane, level);
  for (const part of chosen) savePart(tx, { ...part, into: target.id });
}

/**
 * Moves the lowest entries of the sources to the end of the target. Every entry is in exactly one of them at any
 * time, so look-ups are right in between, and the pages that come free are used again at once.
 */
function* mergeStep(tx: Transaction, target: KeyPart, sources: readonly KeyPart[]): Asking<void> {
  const pages = Math.max(1, Math.floor(STEP_ENTRIES / ENTRIES_PER_PAGE / sources.length));
  const heads = yield* inTurn(sources, function* (part) {
    const end = Math.min(part.endPage, part.firstPage + pages);
    const runs: Entries[] = [];
    for (let nth = part.firstPage; nth < end; nth++) runs.push(toEntries(yield* keyPage(tx.store, part.id, nth)));
    return { part, entries: joinEntries(runs), ended: end === part.endPage };
  });
  const counts = mergeable(heads);
  // Taken away first, so that the pages that come free are filled again in the same transaction.
  for (const [nth, head] of heads.entries()) yield* consume(tx, head.part, head.entries, counts[nth] as number);
  yield* append(tx, target, mergeEntries(heads.map((head, nth) => head.entries.subarray(0, counts[nth]))));
  savePart(tx, target);
}

/** Takes the first entries away from a part; a page that is used up in part is written again with its rest. */
function* consume(tx: Transaction, part: KeyPart, loaded: Entries, count: number): Asking<void> {
  let gone = 0;
  while (part.firstPage < part.endPage && gone < count) {
    const page = yield* keyPage(tx.store, part.id, part.firstPage);
    if (gone + page.count > count) {
      const rest = loaded.slice(count, gone + page.count);
      tx.store.update(KEY_PAGE, [pageId(part.id, part.firstPage), new Uint8Array(rest.buffer)]);
      gone = count;
      break;
    }
    tx.store.remove(KEY_PAGE, pageId(part.id, part.firstPage));
    gone += page.count;
    part.firstPage++;
  }
  part.entries -= count;
  if (part.entries === 0) tx.store.remove(KEY_PART, part.id);
  else savePart(tx, part);
}

/** Adds sorted entries behind those that a part has, none of which may be larger. */
function* append(tx: Transaction, part: KeyPart, entries: Entries): Asking<void> {
  let rest = entries;
  if (part.endPage > part.firstPage) {
    const last = yield* keyPage(tx.store, part.id, part.endPage - 1);
    if (last.count < ENTRIES_PER_PAGE && entries.length > 0) {
      const filled = joinEntries([toEntries(last), entries.subarray(0, ENTRIES_PER_PAGE - last.count)]);
      tx.store.update(KEY_PAGE, [
        pageId(part.id, part.endPage - 1),
        new Uint8Array(filled.buffer, 0, filled.length * ENTRY_BYTES),
      ]);
      rest = entries.subarray(ENTRIES_PER_PAGE - last.count);
    }
  }
  for (const page of toPages(rest)) tx.store.insert(KEY_PAGE, [pageId(part.id, part.endPage++), page]);
  part.entries += entries.length;
}

function* createPart(tx: Transaction, lane: number, level: number): Asking<KeyPart> {
  const part: KeyPart = { id: yield* tx.next(KEY_PART), lane, level, into: null, firstPage: 0, endPage: 0, entries: 0 };
  tx.store.insert(KEY_PART, [part.id, lane, level, null, 0, 0, 0]);
  return part;
}

const savePart = (tx: Transaction, p: KeyPart): void =>
  tx.store.update(KEY_PART, [p.id, p.lane, p.level, p.into, p.firstPage, p.endPage, p.entries]);
