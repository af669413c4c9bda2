import type { ColumnType } from '../../src/model/columns.ts';

/** What the page of types says that Parquet has not: the tests of its writer see that it is refused. */
export function isInParquet(type: ColumnType, text: string): boolean {
  if (type.array === true) return true;
  if (type.precision !== undefined) return text !== 'NaN';
  if (type.kind === 'date') return !text.endsWith('infinity');
  return !type.kind.startsWith('timestamp') || !(text.endsWith('infinity') || text.startsWith('294276'));
}
