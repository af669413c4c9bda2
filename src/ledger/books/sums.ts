import type { Cell } from '../row-digest.ts';
import type { Table } from './store.ts';

/** What a table adds up to: the same for the same rows, in whatever order they come. */
export interface TableSum {
  readonly table: string;
  readonly rows: number;
  readonly digest: string;
}

/** Adds up the digests of rows. Of a row without one, its last cell counts: an event ends with its place in a chain. */
export class Summing {
  readonly #table: Table;
  #rows = 0;
  #sum = 0n;

  constructor(table: Table) {
    this.#table = table;
  }

  /** A row as it is stored, digest last. */
  add(row: readonly Cell[]): void {
    const last = row[row.length - 1];
    this.#rows++;
    this.#sum += last instanceof Uint8Array ? BigInt(`0x${Buffer.from(last).toString('hex')}`) : BigInt(last as number);
  }

  get sum(): TableSum {
    return { table: this.#table.name, rows: this.#rows, digest: this.#sum.toString(16) };
  }
}
