import type { Cell } from '../row-digest.ts';

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
  /** Ids of rows that were removed are never given out again. */
  readonly once: boolean;
  /** Its rows carry a digest. Events do not: their chain covers them. */
  readonly signed: boolean;
}

interface Columns {
  readonly keys: string[];
  readonly fixed?: string[];
  readonly rest: string[];
}

/** `tag`: unlike that of any other table, so that a row cannot pass for one of another table. */
export function table(
  name: string,
  tag: number,
  { keys, fixed = [], rest }: Columns,
  options: { once?: boolean; signed?: boolean } = {},
): Table {
  return {
    name,
    tag,
    columns: [...keys, ...fixed, ...rest],
    keys: keys.length,
    fixed: keys.length + fixed.length,
    once: options.once ?? false,
    signed: options.signed ?? true,
  };
}

/** A question for whole rows of one table. Made once, at the top of a module: statements are cached by it. */
export interface Query {
  readonly table: Table;
  readonly sql: string;
}

/** `rest`: what stands after `SELECT … FROM table`. In words that every database of the ledger understands. */
export function query(of: Table, rest: string): Query {
  const columns = [...of.columns, ...(of.signed ? ['chk'] : [])].map((column) => `${of.name}."${column}"`).join(', ');
  return { table: of, sql: `SELECT ${columns} FROM ${of.name} ${rest}` };
}

const SEEN = 'SELECT count(*), CAST(coalesce(sum(id), 0) AS BIGINT)';

/** Counts the rows of a table of ids in which these columns have the values that are asked for, and adds up the ids. */
export const through = (of: Table, ...columns: string[]): string =>
  `${SEEN} FROM ${of.name} WHERE ${columns.map((column) => `"${column}" = ?`).join(' AND ')}`;

/**
 * The same, answered by walking through the rows: no index knows of the columns like this, and none of the digest. An
 * index has no digest of its own, so what it has lost sight of is found here alone.
 */
export function past(of: Table, ...columns: string[]): string {
  const where = columns.map((column) => `coalesce("${column}", "${column}") = ?`);
  return `${SEEN} FROM ${of.name} WHERE ${where.join(' AND ')} AND chk = chk`;
}

/**
 * How a page ends whose size is asked for. SQLite plans a statement anew for each value that a bare `LIMIT ?` is given,
 * which takes ten times as long as most pages do.
 */
export const UP_TO = 'LIMIT ? + 0';

export type Param = number | string | Uint8Array | null;

/** A statement that a rule of the ledger waits for; `?` stands for each parameter. */
export interface Question {
  readonly sql: string;
  readonly params: readonly Param[];
  /** Takes the rows one by one, for what does not fit into memory; the answer is then empty. */
  readonly each?: (cells: Cell[]) => void;
}

/**
 * Work on the books, under way. Every rule of the ledger is written once, as a generator: where it needs rows it hands
 * out a question and goes on with the answer. A database in this process answers on the spot and so carries a whole
 * rule out in one go; one that is far away is asked, and others get their turn meanwhile.
 */
export type Asking<T> = Generator<Question, T, Cell[][]>;

/**
 * One connection, in one transaction: rows that are signed when written and checked whenever they are read. What is
 * written may wait, but never longer than until the next question: a question finds everything that was written
 * before it. Everything throws LEDGER_CORRUPT with table and row when a digest does not fit.
 */
export interface Store {
  readonly place: string;
  one(question: Query, ...params: Param[]): Asking<Cell[] | undefined>;
  many(question: Query, ...params: Param[]): Asking<Cell[][]>;
  /** Row by row, for what does not fit into memory. `take` asks nothing. */
  each(question: Query, params: readonly Param[], take: (cells: Cell[]) => void): Asking<void>;
  /** The first column of the first row; for sums, ends of ranges and the like, which carry no digest. */
  scalar(sql: string, ...params: Param[]): Asking<Cell>;
  /** Rows that are not whole rows of one table. */
  plain(sql: string, ...params: Param[]): Asking<Cell[][]>;
  /** The same, one at a time, and unchecked. `take` asks nothing. */
  walk(sql: string, params: readonly Param[], take: (cells: Cell[]) => void): Asking<void>;
  /** The largest first key that a table has, or ever had where its ids are given out only once; 0 when none. */
  largest(of: Table): Asking<number>;

  /** `cells`: all columns but the digest. */
  insert(into: Table, cells: readonly Cell[]): void;
  /** Finds the row by its keys and writes every column that may change. */
  update(of: Table, cells: readonly Cell[]): void;
  remove(from: Table, ...keys: Param[]): void;
  /** Removes every row whose first key is this. */
  removeAll(from: Table, key: Param): void;

  /** Whether a row, digest last, is what was written. */
  fits(of: Table, row: readonly Cell[]): boolean;
  /** A digest of something that is no row. */
  print(cells: readonly Cell[]): number;
  /** What the database itself finds wrong with its files, or with one table and its indexes, one line each. */
  damage(of?: Table): Asking<string[]>;
  /** The database could not read what lies in it: a finding, and no fault of ours. */
  isDamage(error: unknown): boolean;
}

/** The answers for all of these, one after the other. */
export function* inTurn<A, B>(items: Iterable<A>, ask: (item: A) => Asking<B>): Asking<B[]> {
  const answers: B[] = [];
  for (const item of items) answers.push(yield* ask(item));
  return answers;
}
