import type * as Pg from 'pg';
import { RefusedError } from '../../model/errors.ts';

/** Whether a trigger, a rule or a policy of the table, or of a part of it, could leave out rows silently. */
export async function mayLeaveOut(client: Pg.Client, quoted: string): Promise<boolean> {
  const { rows } = await client.query<{ may: boolean }>(
    `with recursive tree as (
       select to_regclass($1)::oid as relid
       union all select inhrelid from pg_catalog.pg_inherits join tree on inhparent = relid)
     select exists (
         select from pg_catalog.pg_trigger join tree on tgrelid = relid
         where not tgisinternal and tgtype & ${BEFORE_EACH_ROW} = ${BEFORE_EACH_ROW})
       or exists (select from pg_catalog.pg_class c join tree on c.oid = relid where relhasrules)
       or exists (select from tree where row_security_active(relid)) as may`,
    [quoted],
  );
  return rows[0]!.may;
}

/** Bits of `tgtype`: for each row, and before it. */
const BEFORE_EACH_ROW = 1 + 2;

export const LEFT_OUT = 'a trigger or a rule has left it out';
export const LEFT_OUT_HINT = 'Write to the table that the trigger writes to, or correct the trigger.';

/**
 * Rows that were to be deleted and are still there would stand beside those that take their place. `from`: where they
 * would be, as it stands behind `from`.
 */
export async function expectDeleted(
  client: Pg.Client,
  quoted: string,
  { from, values = [] }: { readonly from: string; readonly values?: readonly unknown[] },
): Promise<void> {
  if (!(await mayLeaveOut(client, quoted))) return;
  const { rows } = await client.query<{ left: number }>(`select count(*)::float8 as left from ${from}`, [...values]);
  const left = rows[0]!.left;
  if (left === 0) return;
  throw new RefusedError(
    `${left} rows of ${quoted} were to be deleted and are still there: a trigger, a rule or a policy kept them`,
    {
      reason: 'rows-kept',
      about: 'request',
      ids: { rows: left },
      hint: 'Let the user of the connection delete them, or write to a table that has no such trigger.',
    },
  );
}
