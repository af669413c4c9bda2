import { KEY_BYTES } from '../../../model/chunk.ts';
import {
  ENTRIES_PER_PAGE,
  entriesOf,
  joinEntries,
  type KeyPage,
  type KeysOfBatches,
  mergeEntries,
  pageOf,
  toEntries,
} from '../../key-index.ts';
import { type Asking, inTurn } from '../store.ts';
import { type MembersRecord, membersAfter, readMembers } from '../tables/members.ts';
import { batchesIn } from './batches.ts';
import { indexedUpTo, type KeyPart, keyPage, type PartRest, partsOf } from './key-pages.ts';
import type { Reading } from './reading.ts';

/** Eight bytes each: 32 MiB. */
const KEPT_MAX = 2 ** 22;
/** As much of it is left for what the index does not cover, which each question would walk through as a whole. */
const FOR_UNINDEXED = 1 / 4;
/** Of lanes that nothing was asked about for longest, nothing is kept. */
const LANES_MAX = 16;
/** Rows of members that the index does not cover are sorted together up to so many entries. */
const STRETCH_ENTRIES = 65_536;

/** Where the entries of a lane are found, as of one moment. */
export interface Entered {
  /** Sorted each. They may propose batches that are not there any more, or not yet. */
  readonly kept: readonly KeyPage[];
  /** What there is of the index beside that. */
  readonly rests: readonly PartRest[];
  /** The keys of rows of members behind this one are in neither of them; undefined where there are no such rows. */
  readonly restAfter: number | undefined;
}

/** A part of the index, the first of its pages in memory. */
interface Part extends PartRest {
  readonly page: KeyPage;
}

/** The keys of rows of members behind `after`, as far as `upTo`. */
interface Stretch {
  readonly after: number;
  readonly upTo: number;
  readonly page: KeyPage;
}

interface KeptOfLane {
  readonly parts: readonly Part[];
  /** What the index does not cover, without a gap, oldest first. */
  readonly stretches: readonly Stretch[];
  /** Keys that were looked up in what is not kept of the index, since more of it was. */
  readonly asked: number;
}

const NOTHING: KeptOfLane = { parts: [], stretches: [], asked: 0 };

/**
 * What is kept in memory of the keys of lanes from one question to the next: an extraction that reads a window again
 * asks about all of it, a chunk at a time, and each chunk would read nearly every page anew. What was written since is
 * seen at each question: parts say by their ends whether they are what they were, and rows of members never change.
 * What is kept is replaced as a whole, so that questions which wait for their database do not disturb each other.
 */
export class KeyMemory {
  readonly #max: number;
  /** The lane that was asked about last comes last. */
  readonly #lanes = new Map<number, KeptOfLane>();
  /** One at a time: a row of members can be megabytes. What is read in its order is found in the same one for long. */
  #members: MembersRecord | undefined;

  /** `max`: entries. With none, nothing but the last row of members is kept. */
  constructor(max = KEPT_MAX) {
    this.#max = max;
  }

  *members(r: Reading, id: number): Asking<MembersRecord> {
    const members = this.#members?.id === id ? this.#members : yield* readMembers(r.store, id);
    this.#members = members;
    return members;
  }

  /** For a question about so many keys. */
  *entered(r: Reading, lane: number, keys: number): Asking<Entered> {
    const before = this.#lanes.get(lane) ?? NOTHING;
    const there = (yield* partsOf(r.store, lane)).map(
      (part) => before.parts.find((one) => isSame(one.part, part)) ?? unread(part),
    );
    const indexed = yield* indexedUpTo(r.store, lane);
    const asked = there.some(hasRest) ? before.asked + keys : 0;
    const parts = yield* this.#moreParts(r, lane, { parts: there, asked });
    const { stretches, restAfter } = yield* this.#moreStretches(r, lane, {
      indexed,
      stretches: stretchesBehind(indexed, before.stretches),
      parts,
    });
    this.#keep(lane, { parts, stretches, asked: sizeOf(parts) > sizeOf(there) ? 0 : asked });
    return { kept: [...parts, ...stretches].map(({ page }) => page), rests: parts.filter(hasRest), restAfter };
  }

  /**
   * Reads pages as soon as so many keys were asked for that looking them up has read as many; those of small parts
   * first, as far as there is room.
   */
  *#moreParts(
    r: Reading,
    lane: number,
    { parts, asked }: { parts: readonly Part[]; asked: number },
  ): Asking<readonly Part[]> {
    const all: Part[] = [];
    const most = this.#max * (1 - FOR_UNINDEXED);
    let [used, pages] = [sizeOf(parts), 0];
    for (const one of [...parts].sort((a, b) => a.part.entries - b.part.entries)) {
      const rest = one.part.endPage - one.from;
      pages += rest;
      const fit = Math.min(rest, Math.floor((most - used) / ENTRIES_PER_PAGE));
      if (fit <= 0 || asked < pages || !this.#hasRoom(lane, used + fit * ENTRIES_PER_PAGE)) {
        all.push(one);
        continue;
      }
      used += fit * ENTRIES_PER_PAGE;
      all.push(yield* withPages(r, one, fit));
    }
    return all;
  }

  *#moreStretches(
    r: Reading,
    lane: number,
    { indexed, stretches, parts }: { indexed: number; stretches: readonly Stretch[]; parts: readonly Part[] },
  ): Asking<{ stretches: readonly Stretch[]; restAfter: number | undefined }> {
    for (let all = stretches; ; ) {
      const upTo = all[all.length - 1]?.upTo ?? indexed;
      if (!this.#hasRoom(lane, sizeOf(parts) + sizeOf(all) + STRETCH_ENTRIES))
        return { stretches: all, restAfter: upTo };
      const stretch = yield* nextStretch(r, lane, upTo);
      if (stretch === undefined) return { stretches: all, restAfter: undefined };
      all = withStretch(all, stretch);
    }
  }

  /** Room is made at the cost of other lanes, those first that were asked about longest ago. */
  #hasRoom(lane: number, entries: number): boolean {
    let others = [...this.#lanes].filter(([id]) => id !== lane);
    for (; others.length > 0; others = others.slice(1)) {
      if (
        entries + others.reduce((sum, [, { parts, stretches }]) => sum + sizeOf(parts) + sizeOf(stretches), 0) <=
        this.#max
      )
        return true;
      this.#lanes.delete(others[0]![0]);
    }
    return entries <= this.#max;
  }

  #keep(lane: number, kept: KeptOfLane): void {
    this.#lanes.delete(lane);
    this.#lanes.set(lane, kept);
    if (this.#lanes.size > LANES_MAX) this.#lanes.delete(this.#lanes.keys().next().value!);
  }
}

/** As a part is known when nothing of it was read. */
const unread = (part: KeyPart): Part => ({
  part,
  page: pageOf(new BigUint64Array(0)),
  from: part.firstPage,
  above: 0,
  lasts: new Map(),
});

const hasRest = ({ part, from }: Part): boolean => from < part.endPage;

function* withPages(r: Reading, one: Part, count: number): Asking<Part> {
  const { part, from, page } = one;
  const nths = Array.from({ length: count }, (_, nth) => from + nth);
  const entries = yield* inTurn(nths, function* (nth) {
    return toEntries(yield* keyPage(r.store, part.id, nth));
  });
  const joined = pageOf(joinEntries([toEntries(page), ...entries]));
  return { ...one, page: joined, from: from + count, above: joined.last };
}

/** A part grows at its end while others are merged into it, and shrinks at its beginning while it is merged. */
const isSame = (one: KeyPart, other: KeyPart): boolean =>
  one.id === other.id &&
  one.into === other.into &&
  one.firstPage === other.firstPage &&
  one.endPage === other.endPage &&
  one.entries === other.entries;

/** Without those that the index has come to cover. What begins behind it would leave a gap. */
function stretchesBehind(indexed: number, stretches: readonly Stretch[]): readonly Stretch[] {
  const left = stretches.filter(({ upTo }) => upTo > indexed);
  return (left[0]?.after ?? indexed) > indexed ? [] : left;
}

function* nextStretch(r: Reading, lane: number, after: number): Asking<Stretch | undefined> {
  const rows: KeysOfBatches[] = [];
  let upTo = after;
  for (let entries = 0; entries < STRETCH_ENTRIES; ) {
    const members: MembersRecord | undefined = yield* membersAfter(r.store, lane, upTo);
    if (members === undefined) break;
    const { keys, firstBatch } = members;
    const starts = (yield* batchesIn(r, members)).map(({ memberAt }) => memberAt);
    rows.push({ keys, firstBatch, ends: [...starts.slice(1), keys.length / KEY_BYTES] });
    entries += keys.length / KEY_BYTES;
    upTo = members.id;
  }
  return rows.length === 0 ? undefined : { after, upTo, page: pageOf(entriesOf(rows)) };
}

/** Stretches of about one size become one, so that there are never many of them. */
function withStretch(stretches: readonly Stretch[], stretch: Stretch): readonly Stretch[] {
  const last = stretches[stretches.length - 1];
  if (
    last === undefined ||
    last.page.count > stretch.page.count * 2 ||
    last.page.count + stretch.page.count > STRETCH_ENTRIES
  )
    return [...stretches, stretch];
  const page = pageOf(mergeEntries([toEntries(last.page), toEntries(stretch.page)]));
  return withStretch(stretches.slice(0, -1), { after: last.after, upTo: stretch.upTo, page });
}

const sizeOf = (all: readonly { readonly page: KeyPage }[]): number =>
  all.reduce((sum, { page }) => sum + page.count, 0);
