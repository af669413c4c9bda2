import type { Buffer } from 'node:buffer';
import type { Payload } from '../../model/batch.ts';
import { RefusedError, WaybillError } from '../../model/errors.ts';
import { CopyRows, membersOf } from './copy-rows.ts';
import { unfit } from './input-text.ts';
import type { Table, TableColumn } from './table.ts';

export interface BatchRowsOptions {
  /**
   * `defaults`: records that lack a column without a default may share a COPY with others, since its null is what the
   * server would put there. `fields`: only records with the same fields share one.
   */
  readonly together: 'defaults' | 'fields';
  /** Two more fields of each row: the place of its record in the batch, and which COPY it came with. */
  readonly numbered?: boolean;
}

/** The records of one COPY. */
export interface RowGroup {
  /** 0-based. */
  readonly nth: number;
  readonly columns: readonly TableColumn[];
  /** Places in the batch, of row after row; known once its frames have been made. */
  readonly records: number[];
}

type Members = ReadonlyMap<string, string>;

/**
 * The records of a batch as rows for COPY. A COPY names its columns once, and a column that it does not name gets its
 * default; so records that lack different columns with defaults go in different ones. Usually one takes them all.
 */
export class BatchRows {
  readonly #payload: Payload;
  readonly #table: Table;
  readonly #options: BatchRowsOptions;
  /** Places of records that fit none of the groups so far; undefined: all of them. */
  #left: number[] | undefined;
  #groups = 0;

  constructor(payload: Payload, table: Table, options: BatchRowsOptions) {
    this.#payload = payload;
    this.#table = table;
    this.#options = options;
  }

  /** The next COPY, or undefined when every record is in one. Throws RefusedError for a field that is no column. */
  next(): RowGroup | undefined {
    const left = this.#left ?? [0];
    if (left.length === 0) return undefined;
    const names = this.#left === undefined ? this.#namesOf(0) : this.#unitedNames(this.#left);
    const columns = names.map((name) => this.#table.columns.get(name)!);
    return { nth: this.#groups++, columns: columns.length > 0 ? columns : this.#someColumn(), records: [] };
  }

  /** Its rows. Throws RefusedError, with the place of the record, for one that cannot be written. */
  *frames(group: RowGroup): Generator<Buffer> {
    const rows = new CopyRows(group.columns);
    const shared = { ...group, share: this.#shareOf(group.columns.map(({ name }) => name)) };
    const later: number[] = [];
    const count = this.#left?.length ?? this.#payload.spans.length / 2;
    for (let nth = 0; nth < count; nth++) {
      const place = this.#left?.[nth] ?? nth;
      const written = this.#write(rows, place, shared);
      (written ? group.records : later).push(place);
      if (rows.full) yield rows.frame();
    }
    this.#left = later;
    if (!rows.empty) yield rows.frame();
  }

  /** False for a record that belongs in another COPY. */
  #write(rows: CopyRows, place: number, group: RowGroup & { readonly share: string }): boolean {
    const { bytes, spans } = this.#payload;
    const tail = this.#options.numbered === true ? `\t${place}\t${group.nth}` : '';
    try {
      if (rows.addBytes(bytes, spans[place * 2]!, spans[place * 2 + 1]!, tail)) return true;
      const members = this.#membersAt(place);
      if (!this.#fits(members, group)) return false;
      rows.addMembers(members, tail);
      return true;
    } catch (error) {
      throw atRecord(error, place);
    }
  }

  #fits(members: Members, group: RowGroup & { readonly share: string }): boolean {
    const names = this.#known(members);
    if (this.#shareOf(names) !== group.share) return false;
    return names.every((name) => group.columns.some((column) => column.name === name));
  }

  /** What the fields of records have to have in common to go in one COPY. */
  #shareOf(names: readonly string[]): string {
    const matters = (name: string): boolean =>
      this.#options.together === 'fields' || this.#table.columns.get(name)!.defaulted;
    return JSON.stringify(names.filter(matters).sort());
  }

  #namesOf(place: number): readonly string[] {
    try {
      return this.#known(this.#membersAt(place));
    } catch (error) {
      throw atRecord(error, place);
    }
  }

  /** All columns of the records that go together with the first of these. */
  #unitedNames(places: readonly number[]): readonly string[] {
    const first = this.#namesOf(places[0]!);
    const share = this.#shareOf(first);
    const united = new Set(first);
    for (const place of places) {
      const names = this.#namesOf(place);
      if (this.#shareOf(names) === share) for (const name of names) united.add(name);
    }
    return [...united];
  }

  #membersAt(place: number): Members {
    const { bytes, spans } = this.#payload;
    return membersOf(bytes, spans[place * 2]!, spans[place * 2 + 1]!);
  }

  #known(members: Members): string[] {
    const names = [...members.keys()];
    for (const name of names) {
      const column = this.#table.columns.get(name);
      if (column === undefined) {
        throw new RefusedError(`the table ${this.#table.name} has no column ${JSON.stringify(name)}`, {
          reason: 'column-unknown',
        });
      }
      if (column.generated) throw unfit(name, 'is computed by the server and cannot be written', 'column-generated');
    }
    return names;
  }

  /** For records without fields: a COPY has to name a column, so one whose null is its default. */
  #someColumn(): readonly TableColumn[] {
    const free = [...this.#table.columns.values()].find((column) => !column.defaulted && !column.generated);
    if (free !== undefined) return [free];
    throw new RefusedError('a record without fields cannot be written to this table', { reason: 'record-empty' });
  }
}

/** Which record it was, without a word of its content. */
function atRecord(error: unknown, place: number): unknown {
  if (!(error instanceof WaybillError)) return error;
  const reason = error instanceof RefusedError ? error.reason : error.code;
  return new RefusedError(`record ${place + 1} of the batch: ${error.message}`, { reason, cause: error });
}
