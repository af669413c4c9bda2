import { RefusedError } from '../../model/errors.ts';
import type { Scope } from '../../model/load.ts';
import { type Handle, quoteName } from './database.ts';
import { surelyColumn } from './load-place.ts';
import { boundValue } from './records.ts';

/** A condition of SQL, with what is bound to it. */
export interface Condition {
  readonly sql: string;
  readonly values: readonly unknown[];
}

type Range = Extract<Scope, { kind: 'range' }>;

/** Which rows of the table the scope means. Throws RefusedError for a column that the table does not have. */
export function conditionOf(database: Handle, table: string, scope: Scope): Condition {
  if (scope.kind === 'all') return { sql: 'true', values: [] };
  surelyColumn(database, table, scope.column);
  const column = quoteName(scope.column);
  if (scope.kind === 'equals') return { sql: `coalesce(${column} = ?, false)`, values: [boundValue(scope.value)] };
  // SQLite has no type for time: only a look at each value can tell a day from an instant.
  database.function('waybill_within', { deterministic: true }, (value: unknown) => (isWithin(value, scope) ? 1n : 0n));
  return { sql: `waybill_within(${column})`, values: [] };
}

const DAY = /^\d{4}-\d\d-\d\d$/;
const LOCAL = /^\d{4}-\d\d-\d\d[T ]\d\d:\d\d(:\d\d(\.\d+)?)?$/;
const ZONED = /^\d{4}-\d\d-\d\d[T ]\d\d:\d\d(:\d\d(\.\d+)?)?(Z|[+-]\d\d:?\d\d)$/;

/**
 * Days and times without a zone are local ones, so they are held against the window's days where it has some; else they
 * are taken for UTC. Numbers could be seconds or milliseconds since anything: they lie in no range.
 */
export function isWithin(value: unknown, { from, to, days }: Range): boolean {
  if (typeof value !== 'string') return false;
  const local = DAY.test(value) || LOCAL.test(value);
  if (local && days !== undefined) return value.slice(0, 10) >= days.from && value.slice(0, 10) < days.to;
  if (!local && !ZONED.test(value)) return false;
  const instant = Date.parse(DAY.test(value) || !local ? value.replace(' ', 'T') : `${value.replace(' ', 'T')}Z`);
  return instant >= Date.parse(from) && instant < Date.parse(to);
}

export function outsideScope(rows: number, scope: Scope, first: number): RefusedError {
  const column = scope.kind === 'all' ? '' : ` (column ${JSON.stringify(scope.column)})`;
  return new RefusedError(
    `${rows} rows of the load lie outside of what it takes the place of${column}, the first of them is row ${first}`,
    {
      reason: 'outside-scope',
      ids: { rows },
      hint: 'Let the query bring only rows of the window, or correct `load: { scope: … }`; nothing was changed.',
    },
  );
}
