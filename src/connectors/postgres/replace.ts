import type * as Pg from 'pg';
import { deliveryOf } from '../../model/delivery.ts';
import { RefusedError } from '../../model/errors.ts';
import type { Scope } from '../../model/load.ts';
import { quoteName, sqlState } from './connection.ts';
import { expectAll } from './copy-batch.ts';
import type { Deliveries } from './deliveries.ts';
import { expectDeleted } from './left-out.ts';
import { madeTarget } from './load-place.ts';
import { columnsInBoth, countOf, type Done, lockForWriters, type Publishing } from './load-steps.ts';
import { columnOf, quoteNames, type Shape, type ShapeColumn, tableOf } from './shape.ts';

/** Adds the load to the table. */
export async function appendPlace(publishing: Publishing, deliveries: Deliveries): Promise<Done> {
  const { client, options, records, step } = publishing;
  const table = tableOf(await madeTarget(client, options));
  const note = await deliveries.noteFor(client, deliveryOf(step.load), table.quoted);
  if (note !== undefined) await client.query(note);
  await insertAll(publishing, table);
  return {
    receipt: { summary: `${records} rows added to ${table.quoted} in one transaction`, facts: { inserted: records } },
  };
}

/**
 * Removes the rows of the scope and adds those of the load. Not by TRUNCATE: readers would wait for all of it, and one
 * whose snapshot is older would see an empty table.
 */
export async function replacePlace(publishing: Publishing, scope: Scope): Promise<Done> {
  const { client, options, records } = publishing;
  const table = tableOf(await madeTarget(client, options));
  const lies = await conditionOf(client, table, scope);
  await expectInside(publishing, scope, lies);
  await lockForWriters(client, table);
  const { rowCount } = await client.query(`delete from ${table.quoted} where ${lies.text}`, [...lies.values]);
  await expectDeleted(client, table.quoted, { from: `${table.quoted} where ${lies.text}`, values: lies.values });
  const replaced = rowCount ?? 0;
  await insertAll(publishing, table);
  const vacuum = `VACUUM ${table.quoted}`;
  const dead =
    replaced === 0 ? '' : `; the ${replaced} old ones take up room until autovacuum or \`${vacuum}\` has passed`;
  return {
    receipt: {
      summary: `${replaced} rows of ${table.quoted} replaced by ${records} (${lies.words})${dead}`,
      facts: { inserted: records, replaced, dead: replaced },
    },
  };
}

async function insertAll(publishing: Publishing, table: Shape): Promise<void> {
  const { client, place, records } = publishing;
  const columns = quoteNames(columnsInBoth(publishing, table));
  const { rowCount } = await client.query(
    `insert into ${table.quoted} (${columns}) overriding system value select ${columns} from ${place.quoted}`,
  );
  expectAll(rowCount ?? 0, records);
}

/** Which rows a scope means. */
interface Condition {
  readonly text: string;
  readonly values: readonly string[];
  /** For people. */
  readonly words: string;
}

const EVERYTHING: Condition = { text: 'true', values: [], words: 'all of it' };

async function conditionOf(client: Pg.Client, table: Shape, scope: Scope): Promise<Condition> {
  if (scope.kind === 'all') return EVERYTHING;
  const column = columnOf(table, scope.column, '`load.scope`');
  const name = quoteName(column.name);
  if (scope.kind === 'equals') {
    const value = String(scope.value);
    await expectReadable(client, value, column);
    return { text: `${name} = $1::${column.type}`, values: [value], words: `${column.name} is ${value}` };
  }
  const { from, to, operand, type } = rangeOf(scope, column);
  const by = operand === undefined ? name : `${name} ${operand}`;
  return {
    text: `${by} >= $1::${type} and ${by} < $2::${type}`,
    values: [from, to],
    words: `${column.name} from ${from} to ${to}`,
  };
}

interface Range {
  readonly from: string;
  readonly to: string;
  readonly type: string;
  /** Stands behind the column. */
  readonly operand?: string;
}

/** An instant for a column that holds instants; a local day for one that knows of no zones. */
function rangeOf(scope: Scope & { readonly kind: 'range' }, column: ShapeColumn): Range {
  const { base } = column;
  if (base === 'timestamptz') return { from: scope.from, to: scope.to, type: 'timestamptz' };
  const kind = DAYS[base];
  if (kind === undefined) {
    throw unfitScope(column, `is of the type ${column.type}, in which no window can be found`);
  }
  if (scope.days === undefined) {
    throw unfitScope(column, `is of the type ${column.type}, which knows of no zones, and the window is no whole day`);
  }
  return { from: scope.days.from, to: scope.days.to, ...kind };
}

/** Texts that begin with a day as ISO 8601 writes it are ordered as their days are, byte by byte. */
const DAYS: Readonly<Record<string, Pick<Range, 'type' | 'operand'>>> = {
  date: { type: 'date' },
  timestamp: { type: 'timestamp' },
  text: { type: 'text', operand: 'collate "C"' },
  varchar: { type: 'text', operand: 'collate "C"' },
};

const unfitScope = (column: ShapeColumn, why: string): RefusedError =>
  new RefusedError(`the column ${JSON.stringify(column.name)} of \`load.scope\` ${why}`, {
    reason: 'scope-unfit',
    about: 'request',
    ids: { column: column.name },
    hint: 'Name a column of the type date or timestamptz that says to which window a row belongs.',
  });

async function expectReadable(client: Pg.Client, value: string, column: ShapeColumn): Promise<void> {
  try {
    await client.query(`select $1::${column.type}`, [value]);
  } catch (error) {
    if (sqlState(error)?.startsWith('22') !== true) throw error;
    throw unfitScope(column, `is of the type ${column.type}, and the value of the scope is none of these`);
  }
}

/** What lies outside would be added and never replaced again. */
async function expectInside({ client, place }: Publishing, scope: Scope, lies: Condition): Promise<void> {
  if (scope.kind === 'all') return;
  const outside = await countOf(
    client,
    `select count(*)::float8 as count from ${place.quoted} where (${lies.text}) is not true`,
    lies.values,
  );
  if (outside === 0) return;
  throw new RefusedError(
    `${outside} rows of the load lie outside of what it is to replace: their column ${JSON.stringify(scope.column)} ` +
      `says otherwise (${lies.words})`,
    {
      reason: 'outside-scope',
      ids: { column: scope.column, rows: outside },
      hint: 'Let the query ask for the rows of the window only, or name another column in `load.scope`.',
    },
  );
}
