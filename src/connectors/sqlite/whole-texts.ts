import { isUtf8 } from 'node:buffer';
import type { Statement } from './database.ts';

/** What the driver puts for bytes that are not UTF-8; it may as well be what was stored. */
const MARK = '\ufffd';

const isMarked = (value: unknown): boolean => typeof value === 'string' && value.includes(MARK);

/**
 * Tells rows whose texts are not UTF-8: SQLite stores any bytes as text, and the driver gives others for them without a
 * word. Only where a row has the mark it is looked at again, as bytes, by a second reading of the same state that goes
 * along with the first from there on.
 */
export class WholeTexts {
  readonly #statement: Statement;
  readonly #values: Record<string, unknown>;
  /** A file that keeps UTF-16 has other bytes, and no text that could not be read. */
  readonly #isUtf8: boolean;
  #bytes: Iterator<readonly unknown[]> | undefined;
  /** Rows that the second reading has passed. */
  #passed = 0;

  constructor(statement: Statement, values: Record<string, unknown>) {
    this.#statement = statement;
    this.#values = values;
    this.#isUtf8 = statement.database.pragma('encoding', { simple: true }) === 'UTF-8';
  }

  /** `nth`: the place of the row, 0-based; asked for rows in their order. */
  isWhole(row: readonly unknown[], nth: number): boolean {
    if (!this.#isUtf8 || !row.some(isMarked)) return true;
    const bytes = this.#bytesOf(nth);
    // Where the two readings do not agree, nobody can vouch for the text.
    return row.every((value, at) => {
      const stored = bytes?.[at];
      return !isMarked(value) || (stored instanceof Uint8Array && isUtf8(stored) && String(stored) === value);
    });
  }

  end(): void {
    this.#bytes?.return?.();
  }

  #bytesOf(nth: number): readonly unknown[] | undefined {
    this.#bytes ??= this.#again();
    for (; this.#passed < nth; this.#passed++) this.#bytes.next();
    this.#passed += 1;
    return this.#bytes.next().value as readonly unknown[] | undefined;
  }

  #again(): Iterator<readonly unknown[]> {
    const { source, database } = this.#statement;
    const names = this.#statement.columns().map((_column, at) => `c${at}`);
    const query = source.replace(/[;\s]*$/, '');
    const sql = `with r(${names.join(', ')}) as (\n${query}\n)
      select ${names.map((name) => `cast(${name} as blob)`).join(', ')} from r`;
    const statement: Statement = database.prepare(sql);
    return statement.raw(true).iterate(this.#values);
  }
}
