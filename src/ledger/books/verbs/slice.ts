import { KEY_BYTES } from '../../../model/chunk.ts';
import { WaybillError } from '../../../model/errors.ts';
import { showRun } from '../../../model/ids.ts';
import type { Position } from '../../../model/position.ts';
import { HISTORY, type HistoryChanges, type LookRow, type Slice } from '../../../model/slice.ts';
import { findLastSlice } from '../queries/slices.ts';
import { expectSound } from '../sight.ts';
import { type Asking, query } from '../store.ts';
import type { GenerationRecord } from '../tables/generations.ts';
import { readRun } from '../tables/runs.ts';
import { decodeLook, encodeLook, encodeSlice, HISTORY_ROW, LOOK, SLICE } from '../tables/slices.ts';
import type { Transaction } from '../transaction.ts';

/**
 * In the transaction of the batches that the slice stands for. MOVE_FORBIDDEN when another has been written since its
 * offset was counted: its records would carry offsets that are taken.
 */
export function* addSlice(
  tx: Transaction,
  generation: GenerationRecord,
  { slice, position, history }: { slice: Slice; position: Position; history?: HistoryChanges | undefined },
): Asking<void> {
  const { flow, id: run } = yield* readRun(tx.store, generation.run);
  const last = yield* findLastSlice(tx.store, flow);
  const offset = last === undefined ? 0 : last.offset + last.records;
  if (slice.offset !== offset) {
    const message = `a slice of ${flow} begins at ${slice.offset}, and the one before it ends at ${offset}`;
    throw new WaybillError('MOVE_FORBIDDEN', message, { ids: { run: showRun(run), flow } });
  }
  const id = yield* tx.next(SLICE);
  tx.store.insert(SLICE, encodeSlice({ ...slice, id, flow, run, generation: generation.generation, position }));
  if (history !== undefined) keepHistory(tx, flow, history);
}

function keepHistory(tx: Transaction, flow: string, { kinds, keys, lengths, rows }: HistoryChanges): void {
  let from = 0;
  let row = 0;
  kinds.forEach((kind, nth) => {
    const key = keys.slice(nth * KEY_BYTES, (nth + 1) * KEY_BYTES);
    if (kind === HISTORY.remove) {
      tx.store.remove(HISTORY_ROW, flow, key);
      return;
    }
    const to = from + lengths[row++]!;
    const cells = [flow, key, rows.slice(from, to)];
    from = to;
    if (kind === HISTORY.insert) tx.store.insert(HISTORY_ROW, cells);
    else tx.store.update(HISTORY_ROW, cells);
  });
}

const LOOK_AT = query(LOOK, 'WHERE flow = ? AND source = ?');

/** Somebody has looked whether there is anything new. */
export function* looked(
  tx: Transaction,
  ask: { flow: string; sourceName: string } & Pick<LookRow, 'kind' | 'why'>,
): Asking<void> {
  const { flow, ...look } = ask;
  const before = yield* tx.store.one(LOOK_AT, flow, look.sourceName);
  if (before === undefined) yield* expectSound(tx.store, LOOK);
  const inVain = look.kind === 'new' ? 0 : (before === undefined ? 0 : decodeLook(tx.store, before).inVain) + 1;
  const cells = encodeLook(flow, { ...look, atMs: tx.nowMs, inVain });
  if (before === undefined) tx.store.insert(LOOK, cells);
  else tx.store.update(LOOK, cells);
}
