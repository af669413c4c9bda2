import type { Source } from '../src/connectors/connector.ts';
import type { CursorSession, CursorSource, Top } from '../src/cursors/cursor.ts';
import { cursorParts, readByCursor } from '../src/cursors/pull.ts';
import type { Stretch } from '../src/cursors/stretch.ts';
import { type CursorRows, valuesInJson } from '../src/cursors/ties.ts';
import { encodeRows } from '../src/formats/rows.ts';

export interface MemoryRow {
  readonly id: number;
  readonly v: number;
  readonly at: number;
}

/** A table of numbers in memory, read by the same rules as those of a database, in chunks of any size. */
export function memoryCursor(
  rows: () => readonly MemoryRow[],
  columns: readonly ('at' | 'id')[],
  options: { readonly chunkRows: number; readonly settled?: boolean },
): Source {
  const cursor: CursorSource = {
    columns,
    sourceName: 'memory',
    open: async () => new MemorySession([...rows()], columns, options),
  };
  return {
    emits: ['ndjson'],
    resumable: true,
    read: (range, signal) => readByCursor(cursor, range, signal),
    ...cursorParts(cursor),
  };
}

class MemorySession implements CursorSession {
  readonly types: readonly string[];
  readonly settled: boolean;
  readonly #rows: readonly MemoryRow[];
  readonly #columns: readonly ('at' | 'id')[];
  readonly #chunkRows: number;

  constructor(
    rows: readonly MemoryRow[],
    columns: readonly ('at' | 'id')[],
    { chunkRows, settled = false }: { readonly chunkRows: number; readonly settled?: boolean },
  ) {
    this.types = columns.map(() => 'integer');
    this.settled = settled;
    this.#columns = columns;
    this.#rows = rows.toSorted((a, b) => this.#compare(this.#values(a), this.#values(b)));
    this.#chunkRows = chunkRows;
  }

  async top(): Promise<Top> {
    const last = this.#rows.at(-1);
    return last === undefined ? {} : { newest: String(last[this.#columns[0]!]) };
  }

  async *rows(stretch: Stretch): AsyncGenerator<CursorRows> {
    const rows = this.#within(stretch);
    for (let at = 0; at < rows.length; at += this.#chunkRows) {
      const records = rows.slice(at, at + this.#chunkRows).map((row) => ({ ...row }));
      const chunk = encodeRows(records, 'ndjson', { firstRow: at + 1 });
      yield { chunk, valuesAt: valuesInJson(chunk, this.#columns) };
    }
  }

  async count(stretch: Stretch | 'nulls', max: number): Promise<number> {
    return stretch === 'nulls' ? 0 : Math.min(this.#within(stretch).length, max);
  }

  async end(): Promise<void> {
    // There is nothing to be let go of.
  }

  #within({ at, after }: Stretch): readonly MemoryRow[] {
    return this.#rows.filter((row) => {
      const values = this.#values(row);
      if (at !== undefined && this.#compare(values, at.map(Number)) !== 0) return false;
      return after === undefined || this.#compare(values, after.map(Number)) > 0;
    });
  }

  #values(row: MemoryRow): readonly number[] {
    return this.#columns.map((column) => row[column]);
  }

  #compare(a: readonly number[], b: readonly number[]): number {
    const differs = a.findIndex((value, at) => value !== b[at]);
    return differs < 0 ? 0 : a[differs]! - b[differs]!;
  }
}
