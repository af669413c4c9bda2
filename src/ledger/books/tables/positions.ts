import type { RunId } from '../../../model/ids.ts';
import type { Position } from '../../../model/position.ts';
import type { Cell } from '../../row-digest.ts';
import { type Asking, query, type Store, table } from '../store.ts';

export const POSITION = table('position', 14, { keys: ['flow', 'source'], rest: ['kind', 'value', 'at', 'run'] });

export interface PositionRecord {
  readonly position: Position;
  readonly atMs: number;
  readonly run: RunId | null;
}

const ONE = query(POSITION, 'WHERE flow = ? AND source = ?');
const OF_FLOW = query(POSITION, 'WHERE flow = ? ORDER BY source');

export function* findPosition(store: Store, flow: string, sourceName: string): Asking<PositionRecord | undefined> {
  const cells = yield* store.one(ONE, flow, sourceName);
  return cells === undefined ? undefined : decode(cells);
}

export function* positionsOf(store: Store, flow: string): Asking<PositionRecord[]> {
  return (yield* store.many(OF_FLOW, flow)).map(decode);
}

/** Null removes it. */
export function* putPosition(
  store: Store,
  put: { flow: string; sourceName: string; position: Position | null; atMs: number; run: RunId | null },
): Asking<void> {
  const there = (yield* store.one(ONE, put.flow, put.sourceName)) !== undefined;
  if (put.position === null) {
    if (there) store.remove(POSITION, put.flow, put.sourceName);
    return;
  }
  const cells = [put.flow, put.sourceName, put.position.kind, put.position.value, put.atMs, put.run];
  if (there) store.update(POSITION, cells);
  else store.insert(POSITION, cells);
}

const decode = (c: readonly Cell[]): PositionRecord => ({
  position: { sourceName: c[1] as string, kind: c[2] as string, value: c[3] as string },
  atMs: c[4] as number,
  run: c[5] as RunId | null,
});
