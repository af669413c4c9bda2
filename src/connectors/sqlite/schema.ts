import { declaredType, exactType } from '../../formats/columns/sqlite-types.ts';
import { type Columns, type ColumnType, showColumnType } from '../../model/columns.ts';
import { NotAppliedError, RefusedError } from '../../model/errors.ts';
import type { Carrier, SchemaAction, SinkColumn, SinkColumns } from '../../model/schema.ts';
import type { SchemaHow, SinkSchema } from '../connector.ts';
import { type Handle, kindOf, quoteName, sqliteCode } from './database.ts';

import type { SqliteSession } from './session.ts';

/** What the sink was set up with; `columns` grow by what it is told later. */
export interface LiveOptions {
  readonly table: string;
  readonly key?: readonly string[];
  columns?: Readonly<Record<string, string>>;
}

interface SchemaParts {
  readonly options: LiveOptions;
  readonly session: SqliteSession;
  /** What is known of tables is not so any more. */
  forget(): void;
}

interface ColumnRow {
  readonly name: string;
  readonly type: string;
  readonly required: bigint;
}

type Alteration = Exclude<SchemaAction, { readonly kind: 'create' }>;

/** The columns of the sink's table, and how they are changed. Every change is one transaction. */
export class SqliteSchema implements SinkSchema {
  readonly #parts: SchemaParts;

  constructor(parts: SchemaParts) {
    this.#parts = parts;
  }

  carrier(type: ColumnType): Carrier {
    return { type, as: declaredType(type) };
  }

  async read(signal: AbortSignal): Promise<SinkColumns | undefined> {
    const { session, options } = this.#parts;
    if (signal.aborted) throw new NotAppliedError('the question was given up before it was asked');
    const rows = session.transaction((database) => rowsOf(database, options.table));
    return rows.length === 0 ? undefined : rows.map(sinkColumn);
  }

  async change(actions: readonly SchemaAction[], how: SchemaHow): Promise<void> {
    const { session, options } = this.#parts;
    if (how.signal.aborted) throw new NotAppliedError('the change was given up before it began');
    this.#parts.forget();
    session.transaction((database) => {
      for (const action of actions) {
        if (action.kind === 'create') create(database, action.columns, options, how);
        else alter(database, action, options, how);
      }
    });
    this.#parts.forget();
  }
}

const rowsOf = (database: Handle, table: string): readonly ColumnRow[] =>
  database
    .prepare<[string], ColumnRow>(
      `select name, type, "notnull" = 1 and dflt_value is null as required from pragma_table_xinfo(?) where hidden = 0`,
    )
    .all(table);

/** Types by SQLite's own words; of anybody else's only the store knows what they mean. */
const OWN: Readonly<Record<string, ColumnType>> = {
  INTEGER: { kind: 'int64' },
  REAL: { kind: 'float64' },
  TEXT: { kind: 'text' },
  BLOB: { kind: 'bytes' },
};

function sinkColumn({ name, type: declared, required }: ColumnRow): SinkColumn {
  const type = exactType(declared) ?? OWN[declared.toUpperCase()];
  return { name, required: required === 1n, ...(type === undefined ? {} : { type }) };
}

/** What the settings say of a column counts more than what its source calls it. */
function create(database: Handle, columns: Columns, options: LiveOptions, { later, load }: SchemaHow): void {
  const { key = [], table } = options;
  const missing = key.filter((name) => !columns.some((column) => column.name === name));
  if (missing.length > 0) throw cannot(`the columns of \`key\` (${missing.join(', ')}) are not among those to be made`);
  const types = columns.map(({ name, type, nullable }) => {
    const required = nullable && !key.includes(name) ? '' : ' not null';
    return [name, `${declaredType(type)}${required}`] as const;
  });
  const all = { ...Object.fromEntries(types), ...options.columns };
  options.columns = all;
  // A name that leads to a view in the end must not be taken by a table before.
  if (load !== undefined && kindOf(database, load.id) === 'table') {
    for (const column of columns) alterTable(database, load.id, { kind: 'add', column });
  }
  if (later || kindOf(database, table) !== 'none') return;
  const lines = Object.entries(all).map(([name, type]) => `${quoteName(name)} ${type}`);
  if (key.length > 0) lines.push(`primary key (${key.map(quoteName).join(', ')})`);
  database.exec(`create table ${quoteName(table)} (${lines.join(', ')})`);
}

/** Where the name leads to tables of loads, the next load brings the change: it is made as `columns` say. */
function alter(database: Handle, action: Alteration, options: LiveOptions, { load }: SchemaHow): void {
  const { table } = options;
  if (kindOf(database, table) === 'table') alterTable(database, table, action);
  else {
    const there = rowsOf(database, table).map(({ name, type }) => [name, type] as const);
    const [name, type] = action.kind === 'add' ? [action.column.name, action.column.type] : [action.column, action.to];
    options.columns = { ...Object.fromEntries(there), ...options.columns, [name]: declaredType(type) };
  }
  // A load that is being collected goes on in a place with the new columns.
  if (load !== undefined && kindOf(database, load.id) === 'table') alterTable(database, load.id, action);
}

/** Only what is not so yet. */
function alterTable(database: Handle, table: string, action: Alteration): void {
  const now = rowsOf(database, table);
  if (action.kind === 'add') {
    const { name, type } = action.column;
    if (now.some((one) => one.name === name)) return;
    database.exec(`alter table ${quoteName(table)} add column ${quoteName(name)} ${declaredType(type)}`);
    return;
  }
  const column = now.find((one) => one.name === action.column);
  const type = column === undefined ? undefined : sinkColumn(column).type;
  if (type === undefined || showColumnType(type) === showColumnType(action.to)) return;
  widen(database, table, action);
}

/** SQLite changes no types: a new column takes the place of the old one, in the same transaction. */
function widen(database: Handle, table: string, { column, to }: Extract<Alteration, { kind: 'widen' }>): void {
  const [name, old, fresh] = [table, column, `${column}_waybill_wider`].map(quoteName);
  try {
    database.exec(`alter table ${name} add column ${fresh} ${declaredType(to)};
      update ${name} set ${fresh} = ${old};
      alter table ${name} drop column ${old};
      alter table ${name} rename column ${fresh} to ${old}`);
  } catch (error) {
    if (sqliteCode(error) !== 'SQLITE_ERROR') throw error;
    throw cannot(`the column ${JSON.stringify(column)} is part of a key, an index or a view`);
  }
}

const cannot = (why: string): RefusedError =>
  new RefusedError(`the table cannot be made as it is needed: ${why}`, {
    reason: 'table-not-made',
    about: 'request',
    hint: 'Make or change the table by hand.',
  });
