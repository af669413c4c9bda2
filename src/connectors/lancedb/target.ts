import type * as Lance from '@lancedb/lancedb';
import type { Columns } from '../../model/columns.ts';
import { RefusedError } from '../../model/errors.ts';
import type { TableColumn } from './batch-rows.ts';
import type { Books } from './books.ts';
import type { LanceDatabase, Opened } from './database.ts';
import { inferColumns } from './infer.ts';

export interface TargetOptions {
  readonly table: string;
  /** Columns by which rows are found again. Absent: rows are told apart by `rowColumn` alone. */
  readonly key?: readonly string[];
  /** A column that Waybill fills: which batch a row came with, and as which of it. */
  readonly rowColumn: string;
  /** What the flow writes, and its types where the table is made. */
  readonly columns?: Columns;
}

/** The table that readers know. */
export class Target {
  readonly options: TargetOptions;
  readonly database: LanceDatabase;
  readonly books: Books;

  constructor(options: TargetOptions, database: LanceDatabase, books: Books) {
    this.options = options;
    this.database = database;
    this.books = books;
  }

  /** What rows are found by. */
  get on(): readonly string[] {
    return this.options.key ?? [this.options.rowColumn];
  }

  async find(): Promise<Lance.Table | undefined> {
    const opened = await this.database.open();
    const table = await opened.find(this.options.table);
    if (table !== undefined) await opened.surelyKeyed(table, this.on);
    return table;
  }

  /** What a flow writes into the table, or into one that is to be made; undefined when only records can tell. */
  async columns(opened: Opened, table: Lance.Table | undefined): Promise<readonly TableColumn[] | undefined> {
    const { columns, rowColumn } = this.options;
    if (table !== undefined) {
      const all = (await table.schema()).fields.map(({ name }) => name);
      const names = columns?.map(({ name }) => name) ?? all.filter((name) => name !== rowColumn);
      return await opened.columnsOf(table, names);
    }
    return columns === undefined ? undefined : this.#made(opened, columns);
  }

  async columnsFor(opened: Opened, table: Lance.Table | undefined, records: readonly string[]) {
    return (await this.columns(opened, table)) ?? this.#made(opened, inferColumns(records));
  }

  #made(opened: Opened, columns: Columns): readonly TableColumn[] {
    const missing = (this.options.key ?? []).filter((name) => columns.every((column) => column.name !== name));
    if (missing.length > 0) {
      throw new RefusedError(`the key column ${missing.join(', ')} is not among the columns`, {
        reason: 'key-missing',
        about: 'request',
      });
    }
    return opened.newColumns(columns, this.options.key ?? []);
  }

  async make(opened: Opened, columns: readonly TableColumn[]): Promise<Lance.Table> {
    const { table, key } = this.options;
    const fields = columns.map(({ field }) => field);
    const made = await opened.make(table, key === undefined ? [...fields, this.rowField(opened)] : fields);
    // Only a table that is still at its first version is surely the one that was made here, as it was made here.
    if ((await made.version()) === 1) await this.books.put('table', table, { stable: true });
    return made;
  }

  rowField(opened: Opened) {
    const type = { kind: 'text' } as const;
    return opened.newColumns([{ name: this.options.rowColumn, type, nullable: false }], this.on)[0]!.field;
  }

  async isStable(): Promise<boolean> {
    return (await this.books.get('table', this.options.table))?.stable === true;
  }
}
