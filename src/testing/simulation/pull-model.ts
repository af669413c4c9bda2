import { OPERATION } from '../../model/history.ts';
import { OPERATION_COLUMN, PLACE, type PullScenario } from './pull-scenario.ts';

export type LogRow = Readonly<Record<string, unknown>>;
/** What a slice of these rows makes; it knows what the slices before have made. */
export type HistoryModel = (rows: readonly LogRow[]) => readonly LogRow[];

export const NO_HISTORY: HistoryModel = (rows) => rows;

/** The merges as somebody would do them by hand, over a map of what there is. */
export function expectedHistory(merge: PullScenario['merge']): HistoryModel {
  const there = new Map<string, LogRow>();
  if (merge === 'ledger') return (rows) => rows.flatMap((row) => onlyOnce(row, there));
  if (merge === 'upsert-stream') return (rows) => lastOfEach(rows).flatMap((row) => upserted(row, there));
  return (rows) => rows.map((row) => did(OPERATION.append, row));
}

const keyOf = (row: LogRow): string => String(row.id);
const did = (operation: number, row: LogRow): LogRow => ({ ...row, [OPERATION_COLUMN]: operation });
const retracts = (row: LogRow): boolean => row[OPERATION_COLUMN] === '-R';

function onlyOnce(row: LogRow, there: Map<string, LogRow>): readonly LogRow[] {
  if (there.has(keyOf(row))) return [];
  there.set(keyOf(row), row);
  return [did(OPERATION.append, row)];
}

function lastOfEach(rows: readonly LogRow[]): readonly LogRow[] {
  return rows.filter((row, at) => !rows.some((later, nth) => nth > at && keyOf(later) === keyOf(row)));
}

function upserted(row: LogRow, there: Map<string, LogRow>): readonly LogRow[] {
  const before = there.get(keyOf(row));
  if (retracts(row)) {
    there.delete(keyOf(row));
    return before === undefined ? [] : [did(OPERATION.retract, before)];
  }
  if (before !== undefined && contentOf(before) === contentOf(row)) return [];
  there.set(keyOf(row), row);
  return before === undefined
    ? [did(OPERATION.append, row)]
    : [did(OPERATION.before, before), did(OPERATION.after, row)];
}

/** What a row says, wherever it stood. */
function contentOf({ [PLACE]: _, [OPERATION_COLUMN]: __, ...rest }: LogRow): string {
  return JSON.stringify(Object.entries(rest).sort());
}
