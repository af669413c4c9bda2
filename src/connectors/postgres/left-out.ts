import type * as Pg from 'pg';

/** Whether a trigger or a rule of the table, or of a part of it, could leave out rows without an error. */
export async function mayLeaveOut(client: Pg.Client, quoted: string): Promise<boolean> {
  const { rows } = await client.query<{ may: boolean }>(
    `with recursive tree as (
       select to_regclass($1)::oid as relid
       union all select inhrelid from pg_catalog.pg_inherits join tree on inhparent = relid)
     select exists (
         select from pg_catalog.pg_trigger join tree on tgrelid = relid
         where not tgisinternal and tgtype & ${BEFORE_EACH_ROW} = ${BEFORE_EACH_ROW})
       or exists (select from pg_catalog.pg_class c join tree on c.oid = relid where relhasrules) as may`,
    [quoted],
  );
  return rows[0]!.may;
}

/** Bits of `tgtype`: for each row, and before it. */
const BEFORE_EACH_ROW = 1 + 2;

export const LEFT_OUT = 'a trigger or a rule has left it out';
export const LEFT_OUT_HINT = 'Write to the table that the trigger writes to, or correct the trigger.';
