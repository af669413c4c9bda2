import { encodeRecord } from '../../formats/encode.ts';
import type { DataRecord } from '../../model/chunk.ts';
import { RefusedError } from '../../model/errors.ts';
import type { MergeBy, Scope } from '../../model/load.ts';

export type Rows = readonly DataRecord[];

const refused = (reason: string, message: string): RefusedError =>
  new RefusedError(`${message}; nothing was changed`, { reason });

/** Records have no declared fields here: a field that no record has, new or old, is one that nobody knows. */
export function surelyField(field: string, rows: Rows, there: Rows): void {
  if (rows.length === 0 || [...rows, ...there].some((row) => Object.hasOwn(row, field))) return;
  throw refused('column-unknown', `no record has a field ${JSON.stringify(field)}`);
}

/** One row a key. Throws RefusedError where it may not choose, or where a row has no key. */
export function oneRowAKey(rows: Rows, { key, latestBy, deleted }: MergeBy, there: Rows): Rows {
  for (const field of [latestBy, deleted?.column]) if (field !== undefined) surelyField(field, rows, there);
  const groups = new Map<string, DataRecord[]>();
  for (const row of rows) {
    const name = keyOf(row, key);
    groups.set(name, [...(groups.get(name) ?? []), row]);
  }
  return [...groups.values()].map((group) => {
    const [first, ...others] = distinct(latestBy === undefined ? group : latest(group, latestBy));
    if (others.length > 0)
      throw refused('key-repeated', 'rows of one key differ, and nothing says which is the latest');
    return first!;
  });
}

/** What is there after the rows of a load were merged into it. */
export function mergeRows(there: Rows, rows: Rows, by: MergeBy): Merged {
  const byKey = new Map(there.map((row) => [keyOf(row, by.key), row]));
  const counts = { inserted: 0, updated: 0, deleted: 0 };
  for (const row of rows) {
    const key = keyOf(row, by.key);
    const old = byKey.get(key);
    const gone = by.deleted?.values.includes(row[by.deleted.column] as never) === true;
    if (gone && (old === undefined || by.deleted!.how === 'remove')) {
      if (byKey.delete(key)) counts.deleted += 1;
    } else {
      if (old === undefined) counts.inserted += 1;
      else if (spell(old) !== spell(row)) counts.updated += 1;
      byKey.set(key, row);
    }
  }
  return { rows: [...byKey.values()], counts };
}

export interface Merged {
  readonly rows: Rows;
  readonly counts: { readonly inserted: number; readonly updated: number; readonly deleted: number };
}

/** Whether a row belongs to what a load takes the place of. */
export function isWithin(row: DataRecord, scope: Scope): boolean {
  if (scope.kind === 'all') return true;
  const value = row[scope.column];
  if (scope.kind === 'equals') return value === scope.value;
  if (typeof value !== 'string') return false;
  const { days } = scope;
  if (/^\d{4}-\d\d-\d\d$/.test(value) && days !== undefined) return value >= days.from && value < days.to;
  return Date.parse(value) >= Date.parse(scope.from) && Date.parse(value) < Date.parse(scope.to);
}

export function surelyInside(rows: Rows, scope: Scope, there: Rows): void {
  if (scope.kind !== 'all') surelyField(scope.column, rows, there);
  const outside = rows.filter((row) => !isWithin(row, scope)).length;
  if (outside > 0)
    throw refused('outside-scope', `${outside} rows of the load lie outside of what it takes the place of`);
}

function keyOf(row: DataRecord, key: readonly string[]): string {
  const values = key.map((field) => row[field]);
  if (values.some((value) => value === null || value === undefined)) {
    throw refused('key-missing', 'a row of the load has no value in a field of the key');
  }
  return spell(Object.fromEntries(values.map((value, at) => [String(at), value])));
}

function latest(rows: Rows, field: string): Rows {
  const most = rows.reduce((best, row) => (compare(row[field], best[field]) > 0 ? row : best));
  return rows.filter((row) => compare(row[field], most[field]) === 0);
}

/** Null is the smallest; what cannot be compared is equal, and then refused if it differs elsewhere. */
function compare(a: unknown, b: unknown): number {
  if (a === b) return 0;
  if (a === null || a === undefined) return -1;
  if (b === null || b === undefined || a > b) return 1;
  return a < b ? -1 : 0;
}

const distinct = (rows: Rows): Rows => [...new Map(rows.map((row) => [spell(row), row])).values()];

const spell = (row: DataRecord): string =>
  encodeRecord(Object.fromEntries(Object.entries(row).sort(([a], [b]) => (a < b ? -1 : 1))));
