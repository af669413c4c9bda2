import { RefusedError } from '../../model/errors.ts';
import type { MergeBy } from '../../model/load.ts';
import { type Handle, kindOf, quoteName } from './database.ts';
import { expectNone, mayLeaveOut } from './left-out.ts';
import { type Done, type PlaceRow, surelyOwn } from './load-books.ts';
import { FIELDS, rowsOf } from './load-fields.ts';
import { type Merged, type Merging, mergeRows, oneRowAKey, spell } from './load-merge.ts';
import { columnNames, makePlace, type Target } from './load-place.ts';
import { surelyTable } from './load-rows.ts';

const LOAD = 'wb_load';
const AT = 'wb_at';
/** What was in the target before its history began stands under this name, and comes before every load. */
const BASE = '';

/**
 * Every load stays in a table beside the target, with the time that it was meant for. A load for a time that is not the
 * latest takes out what is as late or later: every key that this has named is made again of what is left, and of the
 * load itself, so that a row which stays is changed where it stands, and what refers to it stays, too.
 */
export function mergeAtTime(database: Handle, merging: MergingAt): Done {
  const { place, target, by, at } = merging;
  surelyTable(database, target);
  const history = `waybill_history_${target.table}`;
  openHistory(database, history, merging);
  const repeats = oneRowAKey(database, merging);
  const back = putBack(database, { history, merging });
  keep(database, { history, merging });
  const then = mergeRows(database, rowsOf(database, place), { place, target, by });
  const facts = {
    inserted: back.inserted + then.inserted,
    updated: back.updated + then.updated,
    deleted: back.deleted + then.deleted,
  };
  const words = back.takenOut === 0 ? '' : `${back.takenOut} loads of ${at} and later taken out; `;
  const summary = `${words}${spell(facts)}${repeats}`;
  const { takenOut, takenOutRows } = back;
  return { receipt: { summary, facts: { ...facts, takenOut, takenOutRows } } };
}

type MergingAt = Merging & { readonly at: string };

function openHistory(database: Handle, history: string, { target: { table }, by }: Merging): void {
  const there = kindOf(database, history) === 'table' ? columnNames(database, history) : [];
  if (there.length > 0 && !there.includes(LOAD)) {
    throw new RefusedError(`there is a table ${JSON.stringify(history)} that was not made for a history of loads`, {
      reason: 'history',
      about: 'request',
      ids: { table: history },
      hint: 'Give that table another name: this one is where every load is kept with its time.',
    });
  }
  if (there.length === 0) makeHistory(database, history, { table, key: by.key });
  if (there.length > 0) addColumns(database, history, [FIELDS]);
  // Earlier loads are merged again by it, also those whose records never named it.
  if (by.deleted !== undefined) addColumns(database, history, [by.deleted.column]);
}

interface Kept {
  readonly table: string;
  readonly key: readonly string[];
}

function makeHistory(database: Handle, history: string, { table, key }: Kept): void {
  const found = [LOAD, ...key.map(quoteName)].join(', ');
  const columns = columnNames(database, table).map(quoteName).join(', ');
  database.exec(
    `create table ${quoteName(history)} as
       select '${BASE}' as ${LOAD}, '' as ${AT}, 0 as ${FIELDS}, ${columns} from ${quoteName(table)};
     create index ${quoteName(`${history}_by_load`)} on ${quoteName(history)} (${found})`,
  );
}

interface Again {
  readonly history: string;
  readonly merging: MergingAt;
}

interface Back extends Merged {
  readonly takenOut: number;
  readonly takenOutRows: number;
}

/** Takes out what is as late as this load or later, and makes the rows that it has named what they were without it. */
function putBack(database: Handle, { history, merging }: Again): Back {
  const { place, target, by, at } = merging;
  const since = BigInt(Date.parse(at));
  surelyOwn(database, { target: target.table, flow: place.flow }, { sql: 'at_ms >= ?', value: since });
  const all = loadsOf(database, target.table);
  const later = all.filter((load) => load.at_ms >= since);
  if (later.length === 0) return { inserted: 0, updated: 0, deleted: 0, takenOut: 0, takenOutRows: 0 };
  const key = by.key.map(quoteName).join(', ');
  const loads = later.map(({ load }) => literal(load)).join(', ');
  database.exec(
    `create temp table ${TOUCHED} as select distinct ${key} from ${quoteName(history)} where ${LOAD} in (${loads});
     create index temp.${TOUCHED}_key on ${TOUCHED} (${key})`,
  );
  const takenOutRows = database.prepare(`delete from ${quoteName(history)} where ${LOAD} in (${loads})`).run().changes;
  database.prepare(`update waybill_load set at_ms = null where load in (${loads})`).run();
  const before = `${place.place}_before`;
  makePlace(database, target, before);
  replay(database, before, { history, merging }, all.slice(0, all.length - later.length));
  const named = [...new Set([...all, place].flatMap((load) => load.named))];
  const merged = makeLike(database, before, { history, merging }, named);
  database.exec(`drop table ${quoteName(before)}; drop table temp.${TOUCHED}`);
  return { ...merged, takenOut: later.length, takenOutRows };
}

/** The keys that what is taken out has named. */
const TOUCHED = 'waybill_touched';
const touched = (by: MergeBy, table: string): string =>
  `exists (select 1 from temp.${TOUCHED} as k where ${sameKey(by, table, 'k')})`;

/** What the loads that are left have made of these keys, and then this load, in a table that is empty. */
function replay(database: Handle, before: string, { history, merging }: Again, left: readonly PastLoad[]): void {
  const { place, by } = merging;
  const target: Target = { table: before };
  const columns = columnsOfBase(database, history, before);
  const list = columns.map(quoteName).join(', ');
  const from = `${quoteName(history)} as h`;
  database.exec(
    `insert into ${quoteName(before)} (${list})
       select ${list} from ${from} where ${LOAD} = '${BASE}' and ${touched(by, 'h')}`,
  );
  for (const load of left) {
    const rows = `(select h.* from ${from} where h.${LOAD} = ${literal(load.load)} and ${touched(by, 'h')})`;
    mergeRows(database, rows, { place: { ...place, ...load }, target, by });
  }
  const rows = `(select n.* from ${rowsOf(database, place)} as n where ${touched(by, 'n')})`;
  mergeRows(database, rows, { place, target, by });
}

/** Columns of the base that are still there. */
function columnsOfBase(database: Handle, history: string, table: string): readonly string[] {
  const known = new Set(columnNames(database, history));
  return columnNames(database, table).filter((name) => known.has(name));
}

/** What neither the base nor any load has told of a row is left to the target. */
function makeLike(database: Handle, before: string, { history, merging }: Again, named: readonly string[]): Merged {
  const { place, target, by } = merging;
  const there = new Set(columnNames(database, target.table));
  const base = columnsOfBase(database, history, target.table);
  const loads = named.filter((name) => there.has(name));
  const table = `${quoteName(target.table)} as t`;
  const gone = `exists (select 1 from temp.${TOUCHED} as k where ${sameKey(by, 't', 'k')}
    and not exists (select 1 from ${quoteName(before)} as b where ${sameKey(by, 'b', 'k')}))`;
  const deleted = database.prepare(`delete from ${table} where ${gone}`).run().changes;
  if (mayLeaveOut(database, target.table)) {
    expectNone(database, target.table, { left: `${table} where ${gone}`, stayed: true });
  }
  const inBase = `h.${LOAD} = '${BASE}' and ${sameKey(by, 'h', 'b')}`;
  const isBase = `exists (select 1 from ${quoteName(history)} as h where ${inBase})`;
  const rows = `(select b.*, case when ${isBase} then 0 else 1 end as ${FIELDS} from ${quoteName(before)} as b)`;
  const made = { ...place, named: [...new Set([...base, ...loads])], sets: [base, loads] };
  const merged = mergeRows(database, rows, { place: made, target, by: { key: by.key } });
  return { ...merged, deleted: merged.deleted + deleted };
}

type PastLoad = Pick<PlaceRow, 'load' | 'named' | 'sets'> & { readonly at_ms: bigint };

/** Oldest first. */
function loadsOf(database: Handle, table: string): readonly PastLoad[] {
  return database
    .prepare<[string], { load: string; named: string; sets: string; at_ms: bigint }>(
      'select load, named, sets, at_ms from waybill_load where target = ? and at_ms is not null order by at_ms, nth',
    )
    .all(table)
    .map(({ load, named, sets, at_ms }) => ({
      load,
      named: JSON.parse(named) as string[],
      sets: JSON.parse(sets) as string[][],
      at_ms,
    }));
}

const sameKey = ({ key }: MergeBy, one: string, other: string): string =>
  key.map((name) => `${one}.${quoteName(name)} = ${other}.${quoteName(name)}`).join(' and ');

const literal = (text: string): string => `'${text.replaceAll("'", "''")}'`;

/** What the records have named goes into the history, also what the target does not have: a flag of deletion. */
function keep(database: Handle, { history, merging: { place, at } }: Again): void {
  addColumns(database, history, place.named);
  const columns = place.named.map((name) => `, ${quoteName(name)}`).join('');
  database
    .prepare(
      `insert into ${quoteName(history)} (${LOAD}, ${AT}, ${FIELDS}${columns})
       select ?, ?, ${place.sets.length < 2 ? '0' : FIELDS}${columns} from ${rowsOf(database, place)}`,
    )
    .run(place.load, at);
  database
    .prepare('update waybill_load set at = ?, at_ms = ? where load = ?')
    .run(at, BigInt(Date.parse(at)), place.load);
}

function addColumns(database: Handle, history: string, names: readonly string[]): void {
  const there = new Set(columnNames(database, history));
  for (const name of names) {
    if (!there.has(name)) database.exec(`alter table ${quoteName(history)} add column ${quoteName(name)}`);
  }
}
