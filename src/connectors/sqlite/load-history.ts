import { RefusedError } from '../../model/errors.ts';
import { type Handle, quoteName } from './database.ts';
import { type Done, surelyOwn } from './load-books.ts';
import { type Merging, mergeRows, oneRowAKey, spell } from './load-merge.ts';
import { columnNames, kindOf } from './load-place.ts';
import { surelyTable } from './load-rows.ts';

const LOAD = 'wb_load';
const AT = 'wb_at';
/** What was in the target before its history began stands under this name, and comes before every load. */
const BASE = '';

interface KeptLoad {
  readonly load: string;
  readonly named: readonly string[];
}

/**
 * Every load stays in a table beside the target, with the time that it was meant for. A load for a time that is not the
 * latest takes out what is as late or later, and makes the target again of what is left, oldest first.
 */
export function mergeAtTime(database: Handle, merging: Merging & { readonly at: string }): Done {
  const { place, target, by, at } = merging;
  surelyTable(database, target);
  const history = `waybill_history_${target.table}`;
  openHistory(database, history, merging);
  const repeats = oneRowAKey(database, merging);
  const takenOut = takeOut(database, { history, table: target.table, at, flow: place.flow });
  if (takenOut.loads > 0) beginAgain(database, { history, merging });
  keep(database, { history, merging });
  const facts = mergeRows(database, quoteName(place.place), { place, target, by });
  const back = takenOut.loads === 0 ? '' : `${takenOut.loads} loads of ${at} and later taken out; `;
  const summary = `${back}${spell(facts)}${repeats}`;
  return { receipt: { summary, facts: { ...facts, takenOut: takenOut.loads, takenOutRows: takenOut.rows } } };
}

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
       select '${BASE}' as ${LOAD}, '' as ${AT}, ${columns} from ${quoteName(table)};
     create index ${quoteName(`${history}_by_load`)} on ${quoteName(history)} (${found})`,
  );
}

interface Past {
  readonly history: string;
  readonly table: string;
  readonly at: string;
  readonly flow: string | null;
}

function takeOut(
  database: Handle,
  { history, table, at, flow }: Past,
): { readonly loads: number; readonly rows: number } {
  const since = BigInt(Date.parse(at));
  surelyOwn(database, { target: table, flow }, { sql: 'at_ms >= ?', value: since });
  const later = database
    .prepare<[string, bigint], { load: string }>('select load from waybill_load where target = ? and at_ms >= ?')
    .all(table, since);
  const remove = database.prepare(`delete from ${quoteName(history)} where ${LOAD} = ?`);
  const forget = database.prepare('update waybill_load set at_ms = null where load = ?');
  let rows = 0;
  for (const { load } of later) {
    rows += remove.run(load).changes;
    forget.run(load);
  }
  return { loads: later.length, rows };
}

interface Again {
  readonly history: string;
  readonly merging: Merging & { readonly at: string };
}

/** The target as the loads that are left have made it, one after the other. */
function beginAgain(database: Handle, { history, merging }: Again): void {
  const { target, by } = merging;
  const table = quoteName(target.table);
  database.exec(`delete from ${table}`);
  const known = new Set(columnNames(database, history));
  const columns = columnNames(database, target.table)
    .filter((name) => known.has(name))
    .map(quoteName)
    .join(', ');
  database.exec(
    `insert into ${table} (${columns}) select ${columns} from ${quoteName(history)} where ${LOAD} = '${BASE}'`,
  );
  for (const { load, named } of earlierLoads(database, target.table)) {
    const rows = `(select * from ${quoteName(history)} where ${LOAD} = '${load.replaceAll("'", "''")}')`;
    mergeRows(database, rows, { place: { ...merging.place, load, named }, target, by });
  }
}

function earlierLoads(database: Handle, table: string): readonly KeptLoad[] {
  return database
    .prepare<[string], { load: string; named: string }>(
      'select load, named from waybill_load where target = ? and at_ms is not null order by at_ms, nth',
    )
    .all(table)
    .map(({ load, named }) => ({ load, named: JSON.parse(named) as string[] }));
}

/** What the records have named goes into the history, also what the target does not have: a flag of deletion. */
function keep(database: Handle, { history, merging: { place, at } }: Again): void {
  addColumns(database, history, place.named);
  const columns = place.named.map((name) => `, ${quoteName(name)}`).join('');
  database
    .prepare(
      `insert into ${quoteName(history)} (${LOAD}, ${AT}${columns})
       select ?, ?${columns} from ${quoteName(place.place)}`,
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
