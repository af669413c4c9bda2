import { assert } from '../../model/assert.ts';
import { corrupt } from '../books/corrupt.ts';
import type { Asking, Param, Query, Store, Table } from '../books/store.ts';
import { type Cell, RowDigest } from '../row-digest.ts';
import type { Connection, Prepared } from './connection.ts';

type Statement = Prepared<Param[], Cell[]>;

/** How many rows without a digest go into one statement: a call costs more than a row. */
const ROWS_AT_ONCE = 16;

/** The statements that write a table, each prepared at its first use. */
class Writing {
  readonly #db: Connection;
  readonly #table: Table;
  #insert: Statement | undefined;
  #insertMany: Statement | undefined;
  #update: Statement | undefined;
  #remove: Statement | undefined;
  #removeAll: Statement | undefined;

  constructor(db: Connection, table: Table) {
    this.#db = db;
    this.#table = table;
  }

  get insert(): Statement {
    this.#insert ??= this.#prepare(this.#inserting(1));
    return this.#insert;
  }

  get insertMany(): Statement {
    this.#insertMany ??= this.#prepare(this.#inserting(ROWS_AT_ONCE));
    return this.#insertMany;
  }

  get update(): Statement {
    this.#update ??= this.#prepare(this.#updating);
    return this.#update;
  }

  get remove(): Statement {
    this.#remove ??= this.#prepare(`DELETE FROM ${this.#table.name} WHERE ${this.#byKey}`);
    return this.#remove;
  }

  get removeAll(): Statement {
    this.#removeAll ??= this.#prepare(
      `DELETE FROM ${this.#table.name} WHERE ${quoted(this.#table.columns[0] ?? '')} = ?`,
    );
    return this.#removeAll;
  }

  get #stored(): readonly string[] {
    return [...this.#table.columns, ...(this.#table.signed ? ['chk'] : [])];
  }

  get #updating(): string {
    const changed = this.#stored.slice(this.#table.fixed).map((column) => `${quoted(column)} = ?`);
    return `UPDATE ${this.#table.name} SET ${changed.join(', ')} WHERE ${this.#byKey}`;
  }

  get #byKey(): string {
    const { columns, keys } = this.#table;
    return columns
      .slice(0, keys)
      .map((key) => `${quoted(key)} = ?`)
      .join(' AND ');
  }

  #inserting(rows: number): string {
    const row = `(${this.#stored.map(() => '?').join(', ')})`;
    const columns = this.#stored.map(quoted).join(', ');
    return `INSERT INTO ${this.#table.name} (${columns}) VALUES ${Array(rows).fill(row).join(', ')}`;
  }

  #prepare(sql: string): Statement {
    return this.#db.prepare<Param[], Cell[]>(sql);
  }
}

const quoted = (column: string): string => `"${column}"`;

/** One connection to a file. Every question is answered on the spot: no rule of the ledger is ever left half-way. */
export class SqliteStore implements Store {
  readonly db: Connection;
  readonly place: string;
  readonly #digest: RowDigest;
  readonly #statements = new Map<Query | string, Statement>();
  readonly #writings = new Map<Table, Writing>();
  /** Cells of rows without a digest that are not written yet, one after the other, by their table. */
  readonly #waiting = new Map<Table, Cell[]>();

  constructor(db: Connection, place: string, seed: Uint8Array) {
    this.db = db;
    this.place = place;
    this.#digest = new RowDigest(seed);
  }

  // biome-ignore lint/correctness/useYield: it answers on the spot, where another database would have to ask.
  *one(question: Query, ...params: Param[]): Asking<Cell[] | undefined> {
    return this.oneNow(question, ...params);
  }

  oneNow(question: Query, ...params: Param[]): Cell[] | undefined {
    const row = this.#reading(question, question.sql).get(...params);
    return row === undefined ? undefined : this.#checked(question.table, row);
  }

  // biome-ignore lint/correctness/useYield: as above.
  *many(question: Query, ...params: Param[]): Asking<Cell[][]> {
    const rows = this.#reading(question, question.sql).all(...params);
    for (const row of rows) this.#checked(question.table, row);
    return rows;
  }

  // biome-ignore lint/correctness/useYield: as above.
  *each(question: Query, params: readonly Param[], take: (cells: Cell[]) => void): Asking<void> {
    for (const row of this.#reading(question, question.sql).iterate(...params))
      take(this.#checked(question.table, row));
  }

  // biome-ignore lint/correctness/useYield: as above.
  *scalar(sql: string, ...params: Param[]): Asking<Cell> {
    return this.scalarNow(sql, ...params);
  }

  scalarNow(sql: string, ...params: Param[]): Cell {
    return this.#reading(sql, sql).get(...params)?.[0] ?? null;
  }

  // biome-ignore lint/correctness/useYield: as above.
  *plain(sql: string, ...params: Param[]): Asking<Cell[][]> {
    return this.#reading(sql, sql).all(...params);
  }

  // biome-ignore lint/correctness/useYield: as above.
  *walk(sql: string, params: readonly Param[], take: (cells: Cell[]) => void): Asking<void> {
    for (const row of this.#reading(sql, sql).iterate(...params)) take(row);
  }

  /** SQLite itself remembers the largest id of a table whose ids it gives out only once. */
  // biome-ignore lint/correctness/useYield: as above.
  *largest(of: Table): Asking<number> {
    const there = (this.scalarNow(`SELECT max(${of.columns[0] ?? ''}) FROM ${of.name}`) as number | null) ?? 0;
    if (!of.once) return there;
    const ever = this.scalarNow('SELECT seq FROM sqlite_sequence WHERE name = ?', of.name) as number | null;
    return Math.max(there, ever ?? 0);
  }

  insert(into: Table, cells: readonly Cell[]): void {
    if (into.signed) this.#writingOf(into).insert.run(...cells, this.#sign(into, cells));
    else this.#keepBack(into, cells);
  }

  update(of: Table, cells: readonly Cell[]): void {
    const params = [...cells.slice(of.fixed), this.#sign(of, cells), ...cells.slice(0, of.keys)];
    const { changes } = this.#writingOf(of).update.run(...params);
    if (changes !== 1) throw corrupt(this.place, `${changes} rows of ${of.name} have one key`, { table: of.name });
  }

  remove(from: Table, ...keys: Param[]): void {
    this.#writingOf(from).remove.run(...keys);
  }

  removeAll(from: Table, key: Param): void {
    this.#writingOf(from).removeAll.run(key);
  }

  execute(sql: string, ...params: Param[]): number {
    return this.#writing(sql).run(...params).changes;
  }

  fits(of: Table, row: readonly Cell[]): boolean {
    return row[of.columns.length] === this.#sign(of, row);
  }

  print(cells: readonly Cell[]): number {
    return this.#digest.of(0, cells);
  }

  *damage(of?: Table): Asking<string[]> {
    const lines = (yield* this.plain(`PRAGMA integrity_check(${of?.name ?? 100})`)).map(([line]) => String(line));
    return lines.filter((line) => line !== 'ok').map((line) => `file: ${line}`);
  }

  isDamage(error: unknown): boolean {
    return error instanceof Error && error.name === 'SqliteError';
  }

  /** Writes what was kept back; before any question that could be about it, and before the commit. */
  settle(): void {
    for (const [into, cells] of this.#waiting) this.#insertWaiting(into, cells);
    this.#waiting.clear();
  }

  /** After a rollback. */
  forget(): void {
    this.#waiting.clear();
  }

  #keepBack(into: Table, cells: readonly Cell[]): void {
    const waiting = this.#waiting.get(into);
    if (waiting === undefined) this.#waiting.set(into, [...cells]);
    else for (const cell of cells) waiting.push(cell);
  }

  #insertWaiting(into: Table, cells: readonly Cell[]): void {
    const writing = this.#writingOf(into);
    const row = into.columns.length;
    let from = 0;
    for (; cells.length - from >= row * ROWS_AT_ONCE; from += row * ROWS_AT_ONCE)
      writing.insertMany.run(...cells.slice(from, from + row * ROWS_AT_ONCE));
    for (; from < cells.length; from += row) writing.insert.run(...cells.slice(from, from + row));
  }

  #sign(of: Table, cells: readonly Cell[]): number {
    return this.#digest.of(of.tag, cells, of.columns.length);
  }

  #checked(of: Table, row: Cell[]): Cell[] {
    if (!of.signed || this.fits(of, row)) return row;
    const key = row.slice(0, of.keys).map(String).join('/');
    throw corrupt(this.place, `row ${key} of ${of.name} is not what was written`, { table: of.name, row: key });
  }

  #writingOf(of: Table): Writing {
    let writing = this.#writings.get(of);
    if (writing === undefined) {
      writing = new Writing(this.db, of);
      this.#writings.set(of, writing);
    }
    return writing;
  }

  #reading(key: Query | string, sql: string): Statement {
    if (this.#waiting.size > 0) this.settle();
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

/** Carries out work on the books to its end, at once. */
export function now<T>(asking: Asking<T>): T {
  const step = asking.next();
  assert(step.done === true, 'ledger.answers-on-the-spot');
  return step.value;
}
