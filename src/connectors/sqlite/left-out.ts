import { RefusedError } from '../../model/errors.ts';
import { type Handle, quoteName } from './database.ts';

/** Whether a trigger (`raise(ignore)`) or a clause of the table could leave out rows without an error. */
export function mayLeaveOut(database: Handle, table: string): boolean {
  return (
    database
      .prepare<[string]>(
        `select 1 from sqlite_schema where tbl_name = ? collate nocase
          and (type = 'trigger' and sql like '%raise%ignore%' or type = 'table' and sql like '%conflict%ignore%')`,
      )
      .get(table) !== undefined
  );
}

/**
 * How a statement begins that changes rows of the table (`insert`, `update`). A clause of the table, `on conflict
 * replace`, would have it take away others that are in its way. Not said where no clause asks for it: it would count
 * for statements of triggers as well. Such a clause of `not null` takes nothing away: it puts the default for a null.
 */
export function orAbort(database: Handle, verb: 'insert' | 'update', table: string): string {
  const sql = database
    .prepare<[string], string>(`select sql from sqlite_schema where name = ? collate nocase and type = 'table'`)
    .pluck()
    .get(table);
  const ofRows = sql?.replaceAll(/\bnot\s+null\s+on\s+conflict\s+replace\b/gi, '') ?? '';
  return /\bconflict\b.*?\breplace\b/is.test(ofRows) ? `${verb} or abort` : verb;
}

/** Throws RefusedError when rows did not get to the table, or stayed there. `left`: what stands behind `from`. */
export function expectNone(
  database: Handle,
  table: string,
  {
    left,
    values = [],
    stayed,
  }: { readonly left: string; readonly values?: readonly unknown[]; readonly stayed: boolean },
): void {
  const row = database.prepare<unknown[], { n: bigint }>(`select count(*) as n from ${left}`).get(...values)!;
  if (row.n > 0n) throw leftOut(table, Number(row.n), stayed);
}

export function leftOut(table: string, rows: number, stayed = false): RefusedError {
  const what = stayed ? 'were to be deleted and are still there' : 'did not get there';
  return new RefusedError(
    `${rows} rows of ${quoteName(table)} ${what}: a trigger or a clause left them out; nothing was changed`,
    {
      reason: stayed ? 'rows-kept' : 'rows-left-out',
      ids: { table, rows },
      hint: 'Write to a table without such a trigger or clause, or correct it.',
    },
  );
}
