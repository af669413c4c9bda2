import type * as Pg from 'pg';
import { RefusedError } from '../../model/errors.ts';
import type { Period } from '../../model/load.ts';
import { quoteName } from './connection.ts';
import { expectAll } from './copy-batch.ts';
import { FIELDS } from './load-place.ts';
import { type Done, ofAnotherFlow, type Publishing } from './load-steps.ts';
import { nameBeside, type Place, placeOf, quoteNames, readShape, type Shape, type ShapeColumn } from './shape.ts';
import { columnList, quoteTable } from './table.ts';
import { expectViewable, letRead, readersOf, showAs, takeDown } from './views.ts';
import { narrowerThan, widenColumns } from './widening.ts';

interface PeriodEntry {
  readonly period: string;
  /** Its table, as SQL writes it. */
  readonly place: string;
  readonly frozen: boolean;
}

/**
 * A table for each period, and one view over them all. A period that begins again gets a new table, and the old one is
 * dropped: what that costs does not depend on what any table holds. Its rows are added before the name changes hands,
 * so readers wait for the change of the view only.
 */
export async function addPlaceToPeriod(publishing: Publishing, period: Period, fresh: boolean): Promise<Done> {
  const { client, target, options, records } = publishing;
  const entries = await periodsOf(publishing);
  expectViewable(target, entries.length > 0);
  const entry = entries.find((one) => one.period === period.name);
  if (entry?.frozen === true) throw frozen(entry);
  const begins = fresh || entry === undefined;
  const named = placeOf(target.schema, nameBeside(target.name, period.name));
  if (entry === undefined) await expectFree(client, named);
  if (begins && entry !== undefined) await expectOwn(publishing, entry);
  const into = begins ? await newTable(publishing, entries) : (await readShape(client, entry.place))!;
  const narrow = await narrowerThan(client, into, publishing.place);
  // A column that a view shows keeps its type for as long as the view is there.
  const down = !begins && narrow.length > 0 && target.shape !== undefined;
  const taken = down ? await takeDown(client, target.shape, narrow) : undefined;
  await widenColumns(client, into, narrow);
  const shown = target.shape?.columns ?? [];
  const columns = await widen(publishing, into, shown);
  await insert(publishing, into);
  const rest = entries.filter((one) => one !== entry);
  const late = await widenOthers(publishing, rest, columns);
  if (begins || down || columns.length > shown.length) {
    const tables = [...rest.map(({ place }) => place), into.quoted];
    const view = down ? placeOf(target.schema, target.name) : target;
    await showAs(client, view, { query: unionOf(tables, columns), columns, taken });
  }
  if (begins) await takeName(client, { into, named, entry });
  if (entry === undefined) await enter(publishing, period, named);
  const count = new Set([...rest.map(({ place }) => place), named.quoted]).size;
  return {
    receipt: {
      summary: [
        `${records} rows ${begins ? 'begin' : 'added to'} ${named.quoted}; ${target.quoted} shows ${count} tables`,
        ...(late.length === 0 ? [] : [lateWords(late)]),
        ...(count >= options.periodTablesMax ? [limitWords(count)] : []),
      ].join('; '),
      facts: { table: named.quoted, rows: records, tables: count, emptied: fresh && entry !== undefined ? 1 : 0 },
    },
  };
}

const entriesOf = ({ options }: Publishing): string => quoteTable([options.markerSchema, 'waybill_period']);

/** The periods whose tables are there, in the order of time. */
async function periodsOf(publishing: Publishing): Promise<readonly PeriodEntry[]> {
  const { rows } = await publishing.client.query<PeriodEntry>(
    `select period, place, frozen from ${entriesOf(publishing)}
      where target = $1 and to_regclass(place) is not null order by first_day, period`,
    [publishing.target.quoted],
  );
  return rows;
}

/** What is about to be dropped was brought by this flow, and nobody else has to bring it again. */
async function expectOwn(publishing: Publishing, { period, place }: PeriodEntry): Promise<void> {
  const { client, options, target, step } = publishing;
  const { rows } = await client.query<{ flow: string }>(
    `select flow from ${quoteTable([options.markerSchema, 'waybill_load'])}
      where target = $1 and receipt #>> '{facts,table}' = $2 and flow <> $3 order by nth desc limit 1`,
    [target.quoted, place, step.load.flow],
  );
  if (rows[0] !== undefined) throw ofAnotherFlow(`the period ${period} of ${target.quoted}`, rows[0].flow, publishing);
}

const frozen = ({ period, place }: PeriodEntry): RefusedError =>
  new RefusedError(`the period ${period} is frozen in ${place} and takes no loads any more`, {
    reason: 'period-frozen',
    about: 'request',
    ids: { period },
    hint: 'Set `frozen` to false in waybill_period where it has a table of its own.',
  });

async function expectFree(client: Pg.Client, named: Place): Promise<void> {
  if ((await readShape(client, named.quoted)) === undefined) return;
  throw new RefusedError(`${named.quoted} is there already, and it is no table of this sink`, {
    reason: 'period-in-the-way',
    about: 'request',
    hint: 'Rename it: the period needs a table of this name.',
  });
}

/** Empty, with the columns, checks and indexes of the newest period, and readers of its own name as that has. */
async function newTable(
  { client, target, options, step, place }: Publishing,
  entries: readonly PeriodEntry[],
): Promise<Shape> {
  const made = placeOf(target.schema, nameBeside(step.load.id, 'new'));
  const model = entries.findLast((one) => !one.frozen) ?? entries.at(-1);
  if (model !== undefined) {
    await client.query(`create table ${made.quoted} (like ${model.place} including all)`);
    const shape = await readShape(client, model.place);
    if (shape !== undefined) await letRead(client, made, await readersOf(client, shape));
  } else if (options.create !== undefined) {
    await client.query(`create table ${made.quoted} (${columnList(options.create, options.key)})`);
  } else {
    await client.query(`create table ${made.quoted} (like ${place.quoted} including defaults including constraints)`);
    await client.query(`alter table ${made.quoted} drop column ${FIELDS}`);
  }
  return (await readShape(client, made.quoted))!;
}

/** Columns that the load brings, or that the view had, and the table lacks. Answers those that the view is to have. */
async function widen(
  publishing: Publishing,
  into: Shape,
  shown: readonly ShapeColumn[],
): Promise<readonly ShapeColumn[]> {
  const brings = publishing.place.columns.filter(({ name }) => name !== FIELDS);
  await addColumns(publishing.client, into, [...shown, ...brings]);
  const all = (await readShape(publishing.client, into.quoted))!.columns;
  const first = shown.flatMap(({ name }) => all.filter((one) => one.name === name));
  return [...first, ...all.filter(({ name }) => !shown.some((one) => one.name === name))];
}

interface Late {
  readonly column: string;
  readonly tables: number;
  readonly required: boolean;
}

/** A new column reaches the older periods without values: where it is required, they have to be loaded again. */
async function widenOthers(
  publishing: Publishing,
  others: readonly PeriodEntry[],
  columns: readonly ShapeColumn[],
): Promise<readonly Late[]> {
  const { client, target, place } = publishing;
  const shown = new Set(target.shape?.columns.map(({ name }) => name));
  const fresh = columns.filter(({ name }) => !shown.has(name));
  if (fresh.length === 0 || others.length === 0) return [];
  for (const quoted of new Set(others.map((one) => one.place))) {
    const shape = await readShape(client, quoted);
    if (shape !== undefined) await addColumns(client, shape, fresh);
  }
  const required = new Set(place.columns.filter((one) => one.required).map(({ name }) => name));
  return fresh.map(({ name }) => ({ column: name, tables: others.length, required: required.has(name) }));
}

async function addColumns(client: Pg.Client, table: Shape, columns: readonly ShapeColumn[]): Promise<void> {
  const there = new Set(table.columns.map(({ name }) => name));
  for (const { name, type } of columns) {
    if (there.has(name)) continue;
    there.add(name);
    await client.query(`alter table ${table.quoted} add column ${quoteName(name)} ${type}`);
  }
}

async function insert({ client, place, records }: Publishing, into: Shape): Promise<void> {
  const generated = new Set(into.columns.filter((one) => one.generated).map(({ name }) => name));
  const names = place.columns.filter((one) => one.name !== FIELDS && !one.generated && !generated.has(one.name));
  const columns = quoteNames(names.map(({ name }) => name));
  const { rowCount } = await client.query(
    `insert into ${into.quoted} (${columns}) overriding system value select ${columns} from ${place.quoted}`,
  );
  expectAll(rowCount ?? 0, records);
}

/** Every table once: several periods that are frozen may share one. */
function unionOf(tables: readonly string[], columns: readonly ShapeColumn[]): string {
  const names = quoteNames(columns.map(({ name }) => name));
  return [...new Set(tables)].map((table) => `select ${names} from ${table}`).join(' union all ');
}

interface Naming {
  readonly into: Shape;
  readonly named: Place;
  readonly entry: PeriodEntry | undefined;
}

async function takeName(client: Pg.Client, { into, named, entry }: Naming): Promise<void> {
  if (entry !== undefined) await client.query(`drop table ${entry.place}`);
  await client.query(`alter table ${into.quoted} rename to ${quoteName(named.name)}`);
}

async function enter(publishing: Publishing, period: Period, named: Place): Promise<void> {
  await publishing.client.query(
    `insert into ${entriesOf(publishing)} (target, period, first_day, last_day, place) values ($1, $2, $3, $4, $5)
      on conflict (target, period) do update set place = excluded.place, frozen = false`,
    [publishing.target.quoted, period.name, period.firstDay, period.lastDay, named.quoted],
  );
}

const lateWords = (late: readonly Late[]): string =>
  late
    .map(({ column, tables, required }) =>
      required
        ? `the column ${column} is required and ${tables} older periods have no value in it: load them again`
        : `the column ${column} is new, and empty in ${tables} older periods`,
    )
    .join('; ');

const limitWords = (count: number): string =>
  `WARNING: ${count} tables under one view; freeze old periods in one table before queries become slow to plan`;
