import { corrupt } from '../books/corrupt.ts';
import type { Asking, Param, Query, Store, Table } from '../books/store.ts';
import { type Cell, RowDigest } from '../row-digest.ts';
import { toParam } from './cells.ts';
import { sqlState } from './failure.ts';
import { type ColumnTypes, Pending } from './pending.ts';
import type { Answered, Session } from './session.ts';

/** Rows of a cursor that are on their way at a time. */
const ROWS_AT_ONCE = 1_000;

/**
 * One connection, in one transaction that somebody else begins and ends. Writes wait until something is asked, or
 * until the end: then they travel together with what comes next, and nobody waits for them alone.
 */
export class PostgresStore implements Store {
  readonly place: string;
  readonly #digest: RowDigest;
  readonly #pending: Pending;

  constructor(place: string, seed: Uint8Array, types: ColumnTypes) {
    this.place = place;
    this.#digest = new RowDigest(seed);
    this.#pending = new Pending(this.#digest, types);
  }

  *one(question: Query, ...params: Param[]): Asking<Cell[] | undefined> {
    const [row] = yield { sql: question.sql, params };
    return row === undefined ? undefined : this.#checked(question.table, row);
  }

  *many(question: Query, ...params: Param[]): Asking<Cell[][]> {
    const rows = yield { sql: question.sql, params };
    for (const row of rows) this.#checked(question.table, row);
    return rows;
  }

  *each(question: Query, params: readonly Param[], take: (cells: Cell[]) => void): Asking<void> {
    yield { sql: question.sql, params, each: (cells) => take(this.#checked(question.table, cells)) };
  }

  *scalar(sql: string, ...params: Param[]): Asking<Cell> {
    const [row] = yield { sql, params };
    return row?.[0] ?? null;
  }

  *plain(sql: string, ...params: Param[]): Asking<Cell[][]> {
    return yield { sql, params };
  }

  *walk(sql: string, params: readonly Param[], take: (cells: Cell[]) => void): Asking<void> {
    yield { sql, params, each: take };
  }

  *largest(of: Table): Asking<number> {
    const there = `SELECT max(${of.columns[0] ?? ''}) FROM ${of.name}`;
    const ever = of.once ? `greatest((${there}), (SELECT id FROM removed WHERE name = '${of.name}'))` : `(${there})`;
    return ((yield* this.scalar(`SELECT ${ever}`)) as number | null) ?? 0;
  }

  insert(into: Table, cells: readonly Cell[]): void {
    this.#pending.insert(into, cells);
  }

  update(of: Table, cells: readonly Cell[]): void {
    this.#pending.update(of, cells);
  }

  remove(from: Table, ...keys: Param[]): void {
    this.#pending.remove(from, keys);
  }

  removeAll(from: Table, key: Param): void {
    this.#pending.removeAll(from, key);
  }

  fits(of: Table, row: readonly Cell[]): boolean {
    return row[of.columns.length] === this.#digest.of(of.tag, row, of.columns.length);
  }

  print(cells: readonly Cell[]): number {
    return this.#digest.of(0, cells);
  }

  // biome-ignore lint/correctness/useYield: the server looks after its own files; what it cannot read, it says.
  *damage(): Asking<string[]> {
    return [];
  }

  isDamage(error: unknown): boolean {
    return sqlState(error)?.startsWith('XX') === true;
  }

  /** Sends everything that waits. The answers come later, one for each statement, in their order. */
  send(session: Session): Promise<Answered>[] {
    return this.#pending.take().map(({ sql, values }) => session.ask(sql, values));
  }

  forget(): void {
    this.#pending.clear();
  }

  /** Carries work on the books out on a connection, question by question. */
  async carry<T>(session: Session, asking: Asking<T>): Promise<T> {
    let step = asking.next();
    while (step.done !== true) {
      const { sql, params, each } = step.value;
      let rows: Cell[][] = [];
      try {
        rows = await this.#answer(session, sql, params.map(toParam), each);
      } catch (error) {
        // The rule may know what to do about it, as the one that looks for damage does.
        step = asking.throw(error);
        continue;
      }
      step = asking.next(rows);
    }
    return step.value;
  }

  async #answer(
    session: Session,
    sql: string,
    params: readonly Param[],
    each: ((cells: Cell[]) => void) | undefined,
  ): Promise<Cell[][]> {
    const sent = this.send(session);
    if (each === undefined) {
      const answers = await together([...sent, session.ask(sql, params)]);
      return (answers[answers.length - 1] as Answered).rows;
    }
    await together([...sent, session.ask(`DECLARE walk NO SCROLL CURSOR FOR ${sql}`, params)]);
    await walkThrough(session, each);
    return [];
  }

  #checked(of: Table, row: Cell[]): Cell[] {
    if (!of.signed || this.fits(of, row)) return row;
    const key = row.slice(0, of.keys).map(String).join('/');
    throw corrupt(this.place, `row ${key} of ${of.name} is not what was written`, { table: of.name, row: key });
  }
}

/** Whoever takes the rows may have had enough of them, and the transaction goes on all the same. */
async function walkThrough(session: Session, each: (cells: Cell[]) => void): Promise<void> {
  let stopped: { readonly error: unknown } | undefined;
  for (let more = true; more && stopped === undefined; ) {
    const { rows } = await session.run(`FETCH ${ROWS_AT_ONCE} FROM walk`);
    more = rows.length === ROWS_AT_ONCE;
    try {
      for (const row of rows) each(row);
    } catch (error) {
      stopped = { error };
    }
  }
  await session.run('CLOSE walk');
  if (stopped !== undefined) throw stopped.error;
}

/**
 * Waits until every one of them has its answer, and throws the first error as they were sent: those behind it only
 * say that the transaction has failed.
 */
export async function together<T>(answers: readonly Promise<T>[]): Promise<T[]> {
  const settled = await Promise.allSettled(answers);
  return settled.map((one) => {
    if (one.status === 'rejected') throw one.reason;
    return one.value;
  });
}
