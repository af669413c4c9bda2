import { RefusedError } from '../../model/errors.ts';
import type { Period } from '../../model/load.ts';
import { type Handle, kindOf, quoteName } from './database.ts';
import { type Done, type OpenPlace, publishedPlaces, removePlace, surelyOwn } from './load-books.ts';
import { columnNames, columnsOfEach } from './load-place.ts';

/** SQLite joins at most 500 queries by UNION ALL; more are joined in groups of groups. */
const UNION_MAX = 400;

interface Joining {
  readonly place: OpenPlace;
  readonly table: string;
  readonly period: Period;
  readonly fresh: boolean;
}

/**
 * A table a period, and a view over all of them. The place of a load becomes the table of a period that begins, so
 * nothing is copied, and the old table is dropped as a whole: neither depends on what other periods hold.
 */
export function joinPeriod(database: Handle, { place, table, period, fresh }: Joining): Done {
  const parts = surelyOwnView(database, table, 'periods');
  const name = `${table}_${period.name}`;
  const there = parts.find((part) => part.part === period.name);
  if (there === undefined && kindOf(database, name) !== 'none') throw taken(name, 'a period needs this name');
  const rows = countOf(database, place.place);
  const replaced = there !== undefined && fresh;
  if (replaced) surelyOwn(database, { target: table, flow: place.flow }, { sql: IN_PERIOD, value: name });
  // A view that names a table which is not there any more would stop the renaming.
  database.exec(`drop view if exists ${quoteName(table)}`);
  if (replaced) database.exec(`drop table ${quoteName(name)}`);
  if (there === undefined || fresh) {
    rename(database, place.place, name);
    database.prepare(`update waybill_load set place = null where load = ?`).run(place.load);
    database
      .prepare(`insert or replace into waybill_load_view values (?, ?, ?, 'periods')`)
      .run(table, period.name, name);
  } else {
    addMissingColumns(database, name, place);
    const columns = columnNames(database, place.place).map(quoteName).join(', ');
    database.exec(`insert into ${quoteName(name)} (${columns}) select ${columns} from ${quoteName(place.place)}`);
    removePlace(database, place);
  }
  const places = partsOf(database, table).map((part) => part.place);
  makeView(database, table, places);
  const how = replaced ? 'begun again' : there === undefined ? 'begun' : 'joined';
  const summary = `${rows} rows, the period ${period.name} ${how}; ${places.length} periods are shown`;
  return { receipt: { summary, facts: { inserted: rows, period: name, periods: places.length } }, keeps: true };
}

const IN_PERIOD = `exists (select 1 from waybill_load_step s
  where s.load = waybill_load.load and s.step = 'addToPeriod' and json_extract(s.told, '$.facts.period') = ?)`;

interface Showing {
  readonly place: OpenPlace;
  readonly table: string;
  readonly keep: number;
}

/** The view of the target's name leads to the place of this load, which nobody may write to from now on. */
export function showNewest(database: Handle, { place, table, keep }: Showing): Done {
  surelyOwnView(database, table, 'newest');
  const rows = countOf(database, place.place);
  for (const event of ['insert', 'update', 'delete']) {
    database.exec(
      `create trigger ${quoteName(`${place.place}_no_${event}`)} before ${event} on ${quoteName(place.place)}
       begin select raise(abort, 'a load that was published is never changed'); end`,
    );
  }
  database.exec(`drop view if exists ${quoteName(table)}`);
  makeView(database, table, [place.place]);
  database.prepare(`insert or replace into waybill_load_view values (?, '', ?, 'newest')`).run(table, place.place);
  const [, ...others] = publishedPlaces(database, table);
  const dropped = others.slice(keep);
  for (const other of dropped) removePlace(database, other);
  const kept = others.length - dropped.length;
  const gone = dropped.length === 0 ? '' : `, ${dropped.length} removed`;
  const summary = `${rows} rows are shown; ${kept} earlier loads stay as tables${gone}`;
  const facts = { inserted: rows, place: place.place, kept, removed: dropped.length };
  return { receipt: { summary, facts }, keeps: true };
}

interface Part {
  readonly part: string;
  readonly place: string;
  readonly kind: string;
}

const partsOf = (database: Handle, table: string): readonly Part[] =>
  database
    .prepare<[string], Part>('select part, place, kind from waybill_load_view where target = ? order by part')
    .all(table);

/** The name must be free, or that of a view that was made here for the same purpose. */
function surelyOwnView(database: Handle, table: string, kind: 'periods' | 'newest'): readonly Part[] {
  const parts = partsOf(database, table);
  const there = kindOf(database, table);
  if (there === 'table' || (there === 'view' && parts.length === 0)) throw taken(table, 'readers find a view there');
  if (parts.some((part) => part.kind !== kind)) throw taken(table, 'another strategy has made a view of this name');
  return parts;
}

function taken(name: string, why: string): RefusedError {
  return new RefusedError(`the name ${JSON.stringify(name)} is taken: ${why}`, {
    reason: 'name-taken',
    about: 'request',
    ids: { table: name },
    hint: 'Rename what is there, or name another table in the flow file; nothing was changed.',
  });
}

/** A column that only some of the tables have is null in the rows of the others. */
function makeView(database: Handle, view: string, tables: readonly string[]): void {
  const columns = columnsOfEach(database, tables);
  const all = [...new Set(columns.flat())];
  const selects = tables.map((table, at) => {
    const there = new Set(columns[at]);
    const list = all.map((name) => (there.has(name) ? quoteName(name) : `null as ${quoteName(name)}`));
    return `select ${list.join(', ')} from ${quoteName(table)}`;
  });
  database.exec(`create view ${quoteName(view)} as ${union(selects)}`);
}

function union(selects: readonly string[]): string {
  if (selects.length <= UNION_MAX) return selects.join(' union all ');
  const groups: string[] = [];
  for (let at = 0; at < selects.length; at += UNION_MAX) {
    groups.push(`select * from (${selects.slice(at, at + UNION_MAX).join(' union all ')})`);
  }
  return union(groups);
}

/** As the old way of renaming does it: without reading every view and trigger of the database, which may be broken. */
function rename(database: Handle, from: string, to: string): void {
  database.pragma('legacy_alter_table = ON');
  try {
    database.exec(`alter table ${quoteName(from)} rename to ${quoteName(to)}`);
  } finally {
    database.pragma('legacy_alter_table = OFF');
  }
}

function addMissingColumns(database: Handle, table: string, { place }: OpenPlace): void {
  const there = new Set(columnNames(database, table));
  for (const name of columnNames(database, place)) {
    if (!there.has(name)) database.exec(`alter table ${quoteName(table)} add column ${quoteName(name)}`);
  }
}

const countOf = (database: Handle, table: string): number =>
  Number(database.prepare<[], { n: bigint }>(`select count(*) as n from ${quoteName(table)}`).get()!.n);
