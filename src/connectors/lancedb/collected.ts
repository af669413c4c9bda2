import type * as Lance from '@lancedb/lancedb';
import type * as Arrow from 'apache-arrow';
import { readText } from '../../formats/columns/values.ts';
import { RefusedError } from '../../model/errors.ts';
import type { MergeBy } from '../../model/load.ts';
import { orderOf, textsOf } from './arrow-read.ts';
import type { TableColumn } from './batch-rows.ts';
import type { Opened } from './database.ts';
import { withKeys } from './predicate.ts';

/** Keys that are asked for at once. */
const KEYS_PER_QUESTION = 2000;

export interface Ask {
  /** Columns of the place that go into the table. */
  readonly columns: readonly TableColumn[];
  /** Of those, the ones by which rows are found. */
  readonly on: readonly string[];
  readonly rowColumn: string;
  readonly by?: MergeBy;
  /** Where rows that are only to be marked are looked for. */
  readonly target: Lance.Table;
}

/** What a load brings in the end: each key once, and the keys of what it takes out. */
export interface Collected {
  readonly rows: Arrow.Table;
  readonly removed: readonly (readonly string[])[];
}

/** The columns of a place that decide, as texts, and where each row is. */
interface Control {
  readonly rows: number;
  readonly ids: readonly bigint[];
  text(column: string, row: number): string | null;
}

export async function collect(opened: Opened, place: Lance.Table, ask: Ask): Promise<Collected> {
  const names = ask.columns.map(({ name }) => name);
  const control = await readControl(opened, place, ask);
  const chosen = await oneOfEachKey(opened, place, ask, control);
  const { kept, removed } = await withoutDeleted(opened, ask, control, chosen);
  if (kept.length === control.rows && kept.length > 0) {
    return { rows: await place.query().select(names).toArrow(), removed };
  }
  return {
    rows: await taken(
      opened,
      place,
      ask,
      kept.map((row) => control.ids[row]!),
    ),
    removed,
  };
}

async function taken(
  opened: Opened,
  place: Lance.Table,
  { columns }: Ask,
  ids: readonly bigint[],
): Promise<Arrow.Table> {
  if (ids.length === 0) return emptyTable(opened.arrow, columns);
  return await place
    .takeRowIds(ids)
    .select(columns.map(({ name }) => name))
    .toArrow();
}

export function emptyTable(arrow: typeof Arrow, columns: readonly TableColumn[]): Arrow.Table {
  const schema = new arrow.Schema(columns.map(({ field }) => field));
  return new arrow.Table(schema, []);
}

async function readControl(opened: Opened, place: Lance.Table, { on, by, rowColumn }: Ask): Promise<Control> {
  const names = [
    ...new Set([...on, rowColumn, ...[by?.deleted?.column, by?.latestBy].filter((name) => name !== undefined)]),
  ];
  if ((await place.countRows()) === 0) return { rows: 0, ids: [], text: () => null };
  const table = await place
    .query()
    .select([...names, '_rowid'])
    .toArrow();
  const texts = new Map(names.map((name) => [name, textsOf(opened.arrow, table.getChild(name)!)]));
  const ids = textsOf(opened.arrow, table.getChild('_rowid')!).map((text) => BigInt(text!));
  return { rows: ids.length, ids, text: (column, row) => texts.get(column)![row] ?? null };
}

const keyAt = ({ on }: Ask, control: Control, row: number): string =>
  JSON.stringify(on.map((name) => control.text(name, row)));

/** The row that counts of each key, in the order of the place. Throws RefusedError where nothing says which. */
async function oneOfEachKey(opened: Opened, place: Lance.Table, ask: Ask, control: Control): Promise<number[]> {
  const seen = new Set<string | null>();
  const groups = new Map<string, number | number[]>();
  for (let row = 0; row < control.rows; row++) {
    const name = control.text(ask.rowColumn, row);
    // A batch that was given up and repeated may be there twice.
    if (seen.has(name)) continue;
    seen.add(name);
    const key = keyAt(ask, control, row);
    const before = groups.get(key);
    groups.set(key, before === undefined ? row : [...(typeof before === 'number' ? [before] : before), row]);
  }
  const rivals = [...groups.values()].filter((group) => typeof group !== 'number');
  const finalists = rivals.map((group) => latest(opened, ask, control, group));
  const contents = await contentsOf(opened, place, ask, finalists.filter((group) => group.length > 1).flat(), control);
  const different = finalists.filter((group) => new Set(group.map((row) => contents.get(row))).size > 1).length;
  if (different > 0) throw manyRows(ask, different);
  const settled = new Map(rivals.map((group, nth) => [group, finalists[nth]![0]!]));
  return [...groups.values()].map((group) => (typeof group === 'number' ? group : settled.get(group)!));
}

function manyRows({ by }: Ask, keys: number): RefusedError {
  const tie = by?.latestBy === undefined ? '' : ` with the same largest ${by.latestBy}`;
  return new RefusedError(`the load brings rows of one key${tie} that differ: ${keys} keys`, {
    reason: 'key-twice',
    hint: 'Say with `load: { latestBy: column }` which of several rows counts.',
  });
}

function latest(
  { arrow }: Opened,
  { by, columns }: Ask,
  control: Control,
  group: readonly number[],
): readonly number[] {
  const column = columns.find(({ name }) => name === by?.latestBy);
  if (column === undefined) return group;
  const orders = group.map((row) => {
    const text = control.text(column.name, row);
    return text === null ? undefined : orderOf(arrow, column.field.type, text);
  });
  const most = orders.reduce((max, order) => (max === undefined || (order !== undefined && order > max) ? order : max));
  return group.filter((_, nth) => orders[nth] === most);
}

/** All that the rows hold, as one text each. */
async function contentsOf(opened: Opened, place: Lance.Table, ask: Ask, rows: readonly number[], control: Control) {
  if (rows.length === 0) return new Map<number, string>();
  const names = ask.columns.map(({ name }) => name);
  const ids = rows.map((row) => control.ids[row]!);
  const table = await place
    .takeRowIds(ids)
    .select([...names, '_rowid'])
    .toArrow();
  const found = textsOf(opened.arrow, table.getChild('_rowid')!);
  const texts = rowTexts(opened.arrow, table, ask.columns);
  const byId = new Map(found.map((id, nth) => [id, texts[nth]!]));
  return new Map(rows.map((row) => [row, byId.get(String(control.ids[row]))!]));
}

/** Each row as one text: equal rows have equal ones. */
export function rowTexts(
  arrow: typeof Arrow,
  table: Arrow.Table,
  columns: readonly { readonly name: string }[],
): string[] {
  const texts = columns.map(({ name }) => (table.numRows === 0 ? [] : textsOf(arrow, table.getChild(name)!)));
  return Array.from({ length: table.numRows }, (_, row) => JSON.stringify(texts.map((column) => column[row])));
}

async function withoutDeleted(opened: Opened, ask: Ask, control: Control, chosen: readonly number[]) {
  const { by, columns, on } = ask;
  const deleted = by?.deleted;
  const flag = columns.find(({ name }) => name === deleted?.column);
  if (deleted === undefined || flag === undefined) return { kept: chosen, removed: [] };
  const values = new Set(deleted.values.map((value) => readText(flag.type, String(value))));
  const flagged = chosen.filter((row) => values.has(control.text(flag.name, row) ?? '\0'));
  const keys = flagged.map((row) => on.map((name) => control.text(name, row)!));
  if (deleted.how === 'remove') {
    const out = new Set(flagged);
    return { kept: chosen.filter((row) => !out.has(row)), removed: keys };
  }
  const there = await presentKeys(opened, ask.target, keyColumns(ask), keys);
  const absent = new Set(flagged.filter((row) => !there.has(keyAt(ask, control, row))));
  return { kept: chosen.filter((row) => !absent.has(row)), removed: [] };
}

export const keyColumns = ({ columns, on }: Pick<Ask, 'columns' | 'on'>): readonly TableColumn[] =>
  on.map((name) => columns.find((column) => column.name === name)!);

/** Which of these keys the table has, as the JSON of each; of all its rows, or those of `where`. */
export async function presentKeys(
  { arrow }: Opened,
  table: Lance.Table,
  columns: readonly TableColumn[],
  keys: readonly (readonly string[])[],
  where?: string,
): Promise<ReadonlySet<string>> {
  const found = new Set<string>();
  for (let at = 0; at < keys.length; at += KEYS_PER_QUESTION) {
    const asked = withKeys(columns, keys.slice(at, at + KEYS_PER_QUESTION));
    const names = columns.map(({ name }) => name);
    const query = table
      .query()
      .where(where === undefined ? asked : `(${asked}) and (${where})`)
      .select(names);
    for (const text of rowTexts(arrow, await query.toArrow(), columns)) found.add(text);
  }
  return found;
}
