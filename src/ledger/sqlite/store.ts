import { type Cell, RowDigest } from '../row-digest.ts';
import type { Connection, Prepared } from './connection.ts';
import { corrupt } from './failure.ts';

/**
 * A table as its rows are read and written: as arrays of cells in a fixed order, the digest of the row last. The order
 * is that of the digest too, so it never changes within a schema version.
 */
export interface Table {
  readonly name: string;
  readonly tag: number;
  readonly columns: readonly string[];
  readonly keys: number;
  /** Columns that `update` leaves alone: the keys and those that never change. Keeps indexes over them untouched. */
  readonly fixed: number;
  readonly insert: string;
  readonly update: string;
  readonly remove: string;
}

/** `tag`: unlike that of any other table, so that a row cannot pass for one of another table. */
export function table(name: string, tag: number, columns: { keys: string[]; fixed?: string[]; rest: string[] }): Table {
  const all = [...columns.keys, ...(columns.fixed ?? []), ...columns.rest];
  const byKey = columns.keys.map((key) => `${key} = ?`).join(' AND ');
  return {
    name,
    tag,
    columns: all,
    keys: columns.keys.length,
    fixed: all.length - columns.rest.length,
    insert: `INSERT INTO ${name} (${all.join(', ')}, chk) VALUES (${all.map(() => '?').join(', ')}, ?)`,
    update: `UPDATE ${name} SET ${[...columns.rest, 'chk'].map((column) => `${column} = ?`).join(', ')} WHERE ${byKey}`,
    remove: `DELETE FROM ${name} WHERE ${byKey}`,
  };
}

/** A question for whole rows of one table. Made once, at the top of a module: statements are cached by it. */
export interface Query {
  readonly table: Table;
  readonly sql: string;
}

/** `rest`: what stands after `SELECT … FROM table`. */
export function query(of: Table, rest: string): Query {
  const columns = [...of.columns, 'chk'].map((column) => `${of.name}.${column}`).join(', ');
  return { table: of, sql: `SELECT ${columns} FROM ${of.name} ${rest}` };
}

/** The largest id that a table has ever given out, rows that are gone again included. */
export const lastIdEver = (of: string): string =>
  `SELECT max(coalesce((SELECT max(id) FROM ${of}), 0),
     coalesce((SELECT seq FROM sqlite_sequence WHERE name = '${of}'), 0))`;

export type Param = number | string | Uint8Array | null;
type Statement = Prepared<Param[], Cell[]>;

/**
 * One connection: prepared statements, and rows that are signed when written and checked whenever they are read.
 * Everything throws LEDGER_CORRUPT with table and row when a digest does not fit.
 */
export class Store {
  readonly db: Connection;
  readonly place: string;
  readonly #digest: RowDigest;
  readonly #statements = new Map<Query | string, Statement>();

  constructor(db: Connection, place: string, seed: Uint8Array) {
    this.db = db;
    this.place = place;
    this.#digest = new RowDigest(seed);
  }

  one(question: Query, ...params: Param[]): Cell[] | undefined {
    const row = this.#reading(question, question.sql).get(...params);
    return row === undefined ? undefined : this.#checked(question.table, row);
  }

  many(question: Query, ...params: Param[]): Cell[][] {
    const rows = this.#reading(question, question.sql).all(...params);
    for (const row of rows) this.#checked(question.table, row);
    return rows;
  }

  /** Row by row, for what does not fit into memory. The connection can do nothing else meanwhile. */
  *each(question: Query, ...params: Param[]): Generator<Cell[]> {
    for (const row of this.#reading(question, question.sql).iterate(...params))
      yield this.#checked(question.table, row);
  }

  /** The first column of the first row; for sums, ends of ranges and the like, which carry no digest. */
  scalar(sql: string, ...params: Param[]): Cell {
    return this.#reading(sql, sql).get(...params)?.[0] ?? null;
  }

  /** Rows that are not whole rows of one table. */
  plain(sql: string, ...params: Param[]): Cell[][] {
    return this.#reading(sql, sql).all(...params);
  }

  /** The same, one at a time; the connection can do nothing else meanwhile. */
  walk(sql: string, ...params: Param[]): IterableIterator<Cell[]> {
    return this.#reading(sql, sql).iterate(...params);
  }

  /** `cells`: all columns but the digest. */
  insert(into: Table, cells: readonly Cell[]): void {
    this.#writing(into.insert).run(...cells, this.sign(into, cells));
  }

  /** Finds the row by its keys and writes every column that may change. */
  update(of: Table, cells: readonly Cell[]): void {
    const params = [...cells.slice(of.fixed), this.sign(of, cells), ...cells.slice(0, of.keys)];
    const { changes } = this.#writing(of.update).run(...params);
    if (changes !== 1) throw corrupt(this.place, `${changes} rows of ${of.name} have one key`, { table: of.name });
  }

  remove(from: Table, ...keys: Param[]): void {
    this.#writing(from.remove).run(...keys);
  }

  execute(sql: string, ...params: Param[]): number {
    return this.#writing(sql).run(...params).changes;
  }

  sign(of: Table, cells: readonly Cell[]): number {
    return this.#digest.of(of.tag, cells, of.columns.length);
  }

  /** Whether a row, digest last, is what was written. */
  fits(of: Table, row: readonly Cell[]): boolean {
    return row[of.columns.length] === this.#digest.of(of.tag, row, of.columns.length);
  }

  /** A digest of something that is no row. */
  print(cells: readonly Cell[]): number {
    return this.#digest.of(0, cells);
  }

  #checked(of: Table, row: Cell[]): Cell[] {
    if (this.fits(of, row)) return row;
    const key = row.slice(0, of.keys).map(String).join('/');
    throw corrupt(this.place, `row ${key} of ${of.name} is not what was written`, { table: of.name, row: key });
  }

  #reading(key: Query | string, sql: string): Statement {
    let statement = this.#statements.get(key);
    if (statement === undefined) {
      statement = this.db.prepare<Param[], Cell[]>(sql).raw(true);
      this.#statements.set(key, statement);
    }
    return statement;
  }

  #writing(sql: string): Statement {
    let statement = this.#statements.get(sql);
    if (statement === undefined) {
      statement = this.db.prepare<Param[], Cell[]>(sql);
      this.#statements.set(sql, statement);
    }
    return statement;
  }
}
