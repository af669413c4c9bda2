import type * as Pg from 'pg';
import { RefusedError } from '../../model/errors.ts';
import { quoteName, sqlState } from './connection.ts';
import { type Place, readShape, type Shape, type ShapeColumn, type Target } from './shape.ts';

/** Throws RefusedError where the name of the sink belongs to something that a view may not take the place of. */
export function expectViewable(target: Target, own: boolean): void {
  const { shape, quoted, name } = target;
  if (shape === undefined || (shape.kind === 'view' && own)) return;
  if (shape.kind === 'view') {
    throw new RefusedError(`${quoted} is a view that this sink has not made`, {
      reason: 'view-foreign',
      about: 'request',
      hint: 'Name another table in the flow, or remove the view.',
    });
  }
  throw new RefusedError(`${quoted} is a table, and readers are to find a view of this name`, {
    reason: 'table-in-the-way',
    about: 'request',
    hint:
      `Move it out of the way: alter table ${quoted} rename to ${quoteName(`${name}_before`)}; ` +
      'the next load makes the view, and what the old table holds has to be loaded again.',
  });
}

/** What somebody has said about a view: who may read it, and its options (`security_invoker`), as SQL writes them. */
export interface ViewTraits {
  readonly readers: readonly string[];
  readonly options: string;
}

/**
 * Lets the name show something else. In one transaction, so no reader misses it; columns that go away or change their
 * type need a new view, which gets what was said about the old one. `taken`: what was said about one that was taken
 * down before.
 */
export async function showAs(
  client: Pg.Client,
  target: Target,
  { query, columns, taken }: { query: string; columns: readonly ShapeColumn[]; taken?: ViewTraits | undefined },
): Promise<void> {
  const { shape, quoted } = target;
  if (shape !== undefined && goesOn(shape, columns)) {
    // A view that is replaced loses the options that are not said again.
    await client.query(`create or replace view ${quoted} ${await optionsOf(client, shape)} as ${query}`);
    return;
  }
  const gone = shape?.columns.filter((one) => !columns.some((other) => isSame(one, other))) ?? [];
  const traits = shape === undefined ? taken : await takeDown(client, shape, gone);
  await client.query(`create view ${quoted} ${traits?.options ?? ''} as ${query}`);
  await letRead(client, target, traits?.readers ?? []);
}

/** Removes the view, to be made again in the same transaction. Answers what was said about it. */
export async function takeDown(
  client: Pg.Client,
  view: Shape,
  changed: readonly Pick<ShapeColumn, 'name'>[],
): Promise<ViewTraits> {
  const traits = { readers: await readersOf(client, view), options: await optionsOf(client, view) };
  try {
    await client.query(`drop view ${view.quoted}`);
  } catch (error) {
    if (sqlState(error) !== '2BP01') throw error;
    const names = changed.map(({ name }) => name);
    throw new RefusedError(
      `columns of ${view.quoted} went away or changed, and other views rest on it: ${names.join(', ')}`,
      {
        reason: 'view-needed',
        about: 'request',
        ids: { columns: names },
        hint: 'Remove the views that rest on it, or keep its columns.',
      },
    );
  }
  return traits;
}

async function optionsOf(client: Pg.Client, { oid }: Pick<Shape, 'oid'>): Promise<string> {
  const { rows } = await client.query<{ options: string | null }>(
    `select 'with (' || string_agg(quote_ident(option_name) || ' = ' || quote_literal(option_value), ', ') || ')'
      as options from pg_catalog.pg_class c, pg_options_to_table(c.reloptions) where c.oid = $1`,
    [oid],
  );
  return rows[0]?.options ?? '';
}

const goesOn = (shape: Shape, columns: readonly ShapeColumn[]): boolean =>
  shape.columns.every((column, nth) => columns[nth] !== undefined && isSame(column, columns[nth]));

const isSame = (one: ShapeColumn, other: ShapeColumn): boolean => one.name === other.name && one.type === other.type;

/** Roles that may read it, as SQL writes them. */
export async function readersOf(client: Pg.Client, { oid }: Pick<Shape, 'oid'>): Promise<readonly string[]> {
  const { rows } = await client.query<{ role: string }>(
    `select case when grantee = 0 then 'public' else quote_ident(pg_get_userbyid(grantee)) end as role
      from pg_catalog.pg_class c, aclexplode(c.relacl) where c.oid = $1 and privilege_type = 'SELECT'
        and grantee <> c.relowner`,
    [oid],
  );
  return rows.map(({ role }) => role);
}

export async function letRead(client: Pg.Client, { quoted }: Place, roles: readonly string[]): Promise<void> {
  if (roles.length > 0) await client.query(`grant select on ${quoted} to ${roles.join(', ')}`);
}

/**
 * Nobody writes to the table any more: not by rights, and not by those of a superuser or of its owner either, whom
 * rights do not stop.
 */
export async function closeForWriting(client: Pg.Client, place: Place, markerSchema: string): Promise<void> {
  const shape = await readShape(client, place.quoted);
  await client.query(
    `create trigger waybill_write_once before insert or update or delete or truncate on ${place.quoted}
      for each statement execute function ${quoteName(markerSchema)}.waybill_write_once();
     alter table ${place.quoted} enable always trigger waybill_write_once`,
  );
  const { rows } = await client.query<{ role: string }>(
    `select distinct case when grantee = 0 then 'public' else quote_ident(pg_get_userbyid(grantee)) end as role
      from pg_catalog.pg_class c, aclexplode(coalesce(c.relacl, acldefault('r', c.relowner))) where c.oid = $1
        and privilege_type in ('INSERT', 'UPDATE', 'DELETE', 'TRUNCATE')`,
    [shape?.oid],
  );
  for (const { role } of rows) {
    await client.query(`revoke insert, update, delete, truncate on ${place.quoted} from ${role}`);
  }
}

/** Removes a table, unless somebody holds on to it: then it stays, and publishing does not fail for it. */
export async function removeUnlessHeld(client: Pg.Client, quoted: string): Promise<boolean> {
  await client.query("savepoint waybill_removal; set local lock_timeout = '500ms'");
  try {
    await client.query(`drop table if exists ${quoted}`);
  } catch (error) {
    if (!HELD.has(sqlState(error) ?? '')) throw error;
    await client.query('rollback to savepoint waybill_removal');
    return false;
  }
  await client.query('release savepoint waybill_removal');
  return true;
}

/** A lock that is not given, and something else that rests on the table. */
const HELD: ReadonlySet<string> = new Set(['55P03', '2BP01']);
