import type { Delivery } from '../../model/delivery.ts';
import { RefusedError } from '../../model/errors.ts';
import type { Scope } from '../../model/load.ts';
import { type Handle, kindOf, quoteName } from './database.ts';
import { noteDelivery } from './deliveries.ts';
import { expectNone, leftOut, mayLeaveOut, orAbort } from './left-out.ts';
import type { Done, OpenPlace } from './load-books.ts';
import { columnNames, columnsInto, makeTarget, rowNumberOf, type Target } from './load-place.ts';
import { type Condition, conditionOf, outsideScope } from './scope.ts';

/** The rows of the load join those that are there, in the order in which they came. */
export function addAll(database: Handle, { place, target, delivery, atMs }: Adding): Done {
  surelyTable(database, target);
  noteDelivery(database, delivery, { table: target.table, atMs });
  const inserted = insertRows(database, place, target);
  return { receipt: { summary: `${inserted} rows added in one transaction`, facts: { inserted } } };
}

interface Adding {
  readonly place: OpenPlace;
  readonly target: Target;
  readonly delivery: Delivery;
  readonly atMs: number;
}

interface Replacing {
  readonly place: OpenPlace;
  readonly target: Target;
  readonly scope: Scope;
}

export function replaceScope(database: Handle, { place, target, scope }: Replacing): Done {
  surelyTable(database, target);
  const { sql, values } = conditionOf(database, target.table, scope);
  surelyInside(database, place, { scope, condition: { sql, values } });
  const deleted = database.prepare(`delete from ${quoteName(target.table)} where ${sql}`).run(...values).changes;
  if (mayLeaveOut(database, target.table)) {
    expectNone(database, target.table, { left: `${quoteName(target.table)} where ${sql}`, values, stayed: true });
  }
  const inserted = insertRows(database, place, target);
  const free = Number(database.pragma('freelist_count', { simple: true }));
  const dead = free === 0 ? '' : `; ${free} pages of the file hold nothing, VACUUM gives them back`;
  const summary = `${inserted} rows took the place of ${deleted}${dead}`;
  return { receipt: { summary, facts: { inserted, deleted, freePages: free } } };
}

/** What is published into rows needs a table, or says what it is to be. */
export function surelyTable(database: Handle, target: Target): void {
  if (kindOf(database, target.table) === 'view') {
    throw new RefusedError(`${JSON.stringify(target.table)} is a view; this way to publish needs a table`, {
      reason: 'not-a-table',
      about: 'request',
      ids: { table: target.table },
      hint: 'The proxy or the metadata-cleaner has made it, or somebody else; name another table in the flow file.',
    });
  }
  makeTarget(database, target);
}

function insertRows(database: Handle, place: OpenPlace, { table }: Target): number {
  const columns = columnsInto(database, table, place);
  if (columns.length === 0) return insertEmpty(database, place, table);
  const list = columns.map(quoteName).join(', ');
  const order = rowNumberOf(columnNames(database, place.place));
  const { changes } = database
    .prepare(
      `${orAbort(database, 'insert', table)} into ${quoteName(table)} (${list})
        select ${list} from ${quoteName(place.place)} order by ${order}`,
    )
    .run();
  const rows = countOf(database, place.place);
  if (changes !== rows) throw leftOut(table, rows - changes);
  return changes;
}

/** Records without a field are rows, too: each is what the target makes of nothing. */
function insertEmpty(database: Handle, { place }: OpenPlace, table: string): number {
  const rows = countOf(database, place);
  const insert = database.prepare(`${orAbort(database, 'insert', table)} into ${quoteName(table)} default values`);
  for (let at = 0; at < rows; at++) if (insert.run().changes === 0) throw leftOut(table, 1);
  return rows;
}

const countOf = (database: Handle, table: string): number =>
  Number(database.prepare<[], { n: bigint }>(`select count(*) as n from ${quoteName(table)}`).get()!.n);

interface Inside {
  readonly scope: Scope;
  readonly condition: Condition;
}

function surelyInside(database: Handle, { place }: OpenPlace, { scope, condition }: Inside): void {
  if (scope.kind === 'all') return;
  const row = rowNumberOf(columnNames(database, place));
  const outside = database
    .prepare<unknown[], { n: bigint; first: bigint }>(
      `select count(*) as n, min(${row}) as first from ${quoteName(place)} where not (${condition.sql})`,
    )
    .get(...condition.values)!;
  if (outside.n > 0n) throw outsideScope(Number(outside.n), scope, Number(outside.first));
}
