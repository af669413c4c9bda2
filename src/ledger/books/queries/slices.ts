import { KEY_BYTES } from '../../../model/chunk.ts';
import type { Columns } from '../../../model/columns.ts';
import type { HistoryRow, LookRow, SliceRow } from '../../../model/slice.ts';
import type { Cell } from '../../row-digest.ts';
import { type Asking, query, type Store, UP_TO } from '../store.ts';
import { decodeHistory, decodeLook, decodeSlice, HISTORY_ROW, LOOK, SLICE } from '../tables/slices.ts';
import { limitOf, type Reading } from './reading.ts';

const SLICES = query(SLICE, `WHERE flow = ? AND source = coalesce(?, source) AND id > ? ORDER BY id ${UP_TO}`);
const LAST = query(SLICE, 'WHERE flow = ? ORDER BY id DESC LIMIT 1');
const WITH_COLUMNS = query(SLICE, 'WHERE flow = ? AND columns IS NOT NULL ORDER BY id DESC LIMIT 1');
const PARTS = 'SELECT part FROM slice WHERE flow = ? AND source = ? AND part IS NOT NULL';

/** So many keys are asked for at once; a last question that has fewer names one of them again. */
const KEYS_ASKED = 256;
const HISTORY_OF = query(HISTORY_ROW, `WHERE flow = ? AND "key" IN (${Array(KEYS_ASKED).fill('?').join(', ')})`);
const HISTORY_AFTER = query(HISTORY_ROW, `WHERE flow = ? AND "key" > ? ORDER BY "key" ${UP_TO}`);
const LOOKS = query(LOOK, 'WHERE flow = ? ORDER BY source');

export function* slices(
  { store }: Reading,
  filter: { flow: string; source?: string; after?: number; limit?: number },
): Asking<SliceRow[]> {
  const { flow, source = null, after = 0, limit } = filter;
  return (yield* store.many(SLICES, flow, source, after, limitOf(limit))).map(decodeSlice);
}

export function* findLastSlice(store: Store, flow: string): Asking<SliceRow | undefined> {
  const cells = yield* store.one(LAST, flow);
  return cells === undefined ? undefined : decodeSlice(cells);
}

export function* columns({ store }: Reading, flow: string): Asking<Columns | undefined> {
  const cells = yield* store.one(WITH_COLUMNS, flow);
  return cells === undefined ? undefined : decodeSlice(cells).columns;
}

export function* parts({ store }: Reading, filter: { flow: string; source: string }): Asking<string[]> {
  const found: string[] = [];
  yield* store.walk(PARTS, [filter.flow, filter.source], ([part]) => found.push(part as string));
  return found;
}

export function* history({ store }: Reading, { flow, keys }: { flow: string; keys: Uint8Array }): Asking<HistoryRow[]> {
  const found: HistoryRow[] = [];
  const count = keys.length / KEY_BYTES;
  for (let at = 0; at < count; at += KEYS_ASKED) {
    const asked = Array.from({ length: KEYS_ASKED }, (_, nth) => keyAt(keys, Math.min(at + nth, count - 1)));
    for (const cells of yield* store.many(HISTORY_OF, flow, ...asked)) found.push(decodeHistory(cells));
  }
  return found;
}

const keyAt = (keys: Uint8Array, nth: number): Uint8Array => keys.subarray(nth * KEY_BYTES, (nth + 1) * KEY_BYTES);

export function* historyAfter(
  { store }: Reading,
  ask: { flow: string; after?: Uint8Array; limit?: number },
): Asking<HistoryRow[]> {
  const rows: Cell[][] = yield* store.many(HISTORY_AFTER, ask.flow, ask.after ?? new Uint8Array(0), limitOf(ask.limit));
  return rows.map(decodeHistory);
}

export function* looks({ store }: Reading, flow: string): Asking<LookRow[]> {
  return (yield* store.many(LOOKS, flow)).map((cells) => decodeLook(store, cells));
}
