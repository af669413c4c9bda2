import { type KeyPage, pageHolds, readPage } from '../../key-index.ts';
import { corrupt } from '../corrupt.ts';
import { type Asking, query, type Store, table } from '../store.ts';

export const KEY_LANE = table('key_lane', 16, { keys: ['lane'], rest: ['upto'] });
export const KEY_PART = table(
  'key_part',
  17,
  {
    keys: ['id'],
    fixed: ['lane'],
    rest: ['level', 'into_part', 'first_page', 'end_page', 'entries'],
  },
  { once: true },
);
export const KEY_PAGE = table('key_page', 18, { keys: ['id'], rest: ['entries'] });

/** A sorted part of the index of a lane: its pages from `firstPage` to before `endPage`. */
export interface KeyPart {
  readonly id: number;
  readonly lane: number;
  level: number;
  /** The part that this one is being merged into, piece by piece: what is there already is gone from here. */
  into: number | null;
  firstPage: number;
  endPage: number;
  entries: number;
}

const PAGES_IN_PART = 2 ** 20;
export const pageId = (part: number, nth: number): number => part * PAGES_IN_PART + nth;

const LANE = query(KEY_LANE, 'WHERE lane = ?');
const PARTS = query(KEY_PART, 'WHERE lane = ? ORDER BY id');
const PAGE = query(KEY_PAGE, 'WHERE id = ?');

/** The last row of members that the index of a lane covers. */
export function* indexedUpTo(store: Store, lane: number): Asking<number> {
  return ((yield* store.one(LANE, lane))?.[1] as number | undefined) ?? 0;
}

export function* partsOf(store: Store, lane: number): Asking<KeyPart[]> {
  return (yield* store.many(PARTS, lane)).map((c) => ({
    id: c[0] as number,
    lane: c[1] as number,
    level: c[2] as number,
    into: c[3] as number | null,
    firstPage: c[4] as number,
    endPage: c[5] as number,
    entries: c[6] as number,
  }));
}

export function* keyPage(store: Store, part: number, nth: number): Asking<KeyPage> {
  const cells = yield* store.one(PAGE, pageId(part, nth));
  if (cells === undefined)
    throw corrupt(store.place, `page ${nth} of part ${part} of the key index is missing`, {
      table: 'key_page',
      row: pageId(part, nth),
    });
  return readPage(cells[1] as Uint8Array);
}

/** What there is to be read of a part. */
export interface PartRest {
  readonly part: KeyPart;
  /** Its pages from this one on. */
  readonly from: number;
  /** The last hash before them, which may go on in them. */
  readonly above: number;
  /** Where pages end, by their ids, as far as that was met: searches begin by it. */
  readonly lasts: Map<number, number>;
}

/** The index of one lane, as far as it has to be read, for the keys of one question. */
export class KeyIndex {
  readonly #store: Store;
  readonly #rests: readonly PartRest[];
  /** The last one, which a neighbouring hash may be on too. */
  #page: { readonly id: number; readonly page: KeyPage } | undefined;

  constructor(store: Store, rests: readonly PartRest[]) {
    this.#store = store;
    this.#rests = rests;
  }

  /** Batches that may hold a key with this hash, oldest first. */
  *candidates(hash: number): Asking<number[]> {
    const found = new Set<number>();
    for (const rest of this.#rests) {
      if (hash < rest.above) continue;
      for (let nth = yield* this.#firstPageFor(rest, hash); nth < rest.part.endPage; nth++) {
        const page = yield* this.#read(rest, nth);
        for (const batch of pageHolds(page, hash)) found.add(batch);
        if (page.last > hash) break;
      }
    }
    return [...found].sort((a, b) => a - b);
  }

  /** The first page whose last hash is not below the one that is looked for. */
  *#firstPageFor(rest: PartRest, hash: number): Asking<number> {
    let [low, high] = [rest.from, rest.part.endPage];
    while (low < high) {
      const middle = (low + high) >>> 1;
      const last = rest.lasts.get(pageId(rest.part.id, middle)) ?? (yield* this.#read(rest, middle)).last;
      if (last < hash) low = middle + 1;
      else high = middle;
    }
    return low;
  }

  *#read({ part, lasts }: PartRest, nth: number): Asking<KeyPage> {
    const id = pageId(part.id, nth);
    if (this.#page?.id !== id) this.#page = { id, page: yield* keyPage(this.#store, part.id, nth) };
    lasts.set(id, this.#page.page.last);
    return this.#page.page;
  }
}
