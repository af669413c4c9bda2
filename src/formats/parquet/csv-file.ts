import type { SchemaElement } from 'hyparquet';
import type { ByteWriter, ParquetWriter } from 'hyparquet-writer';
import type { Column, Columns } from '../../model/columns.ts';
import { WaybillError } from '../../model/errors.ts';
import { csvReader } from '../pgcopy/to-copy.ts';
import { cellOf } from './cells.ts';
import { type ColumnKernel, columnKernel, NOWHERE, STRETCH_BYTES_MAX } from './column-kernel.ts';
import { bytesOfCell, ColumnPages } from './column-pages.ts';
import { loadWriter, type WriterPackage } from './package.ts';
import { type Reading, readingOf } from './reading.ts';
import { GROUP_ROWS, openWriter } from './write.ts';

/** Of a stretch, which gives a page of each column: so many that pages are few, and memory stays small all the same. */
const STRETCH_ROWS = 32_768;
const STRETCH_BYTES = 4 * 1024 ** 2;
const STRETCH_CELLS = 1024 ** 2;

/** What a file takes, of its pages. */
const SPARE = 1.1;

/** Rows of CSV. `names`: of their fields, in order. */
export interface CsvRows {
  readonly bytes: Uint8Array;
  readonly spans: Uint32Array;
  readonly names: readonly string[];
}

/**
 * The file that `ParquetFile` would make of these rows, value for value, made column by column. Undefined where a row
 * has no place in it: the way by single records says which one, and why.
 */
export async function parquetOfCsv(
  columns: Columns,
  rows: CsvRows,
  entries: Readonly<Record<string, string>>,
): Promise<Uint8Array | undefined> {
  if (!rows.names.every((name) => columns.some((column) => column.name === name))) return undefined;
  const [kernel, writerPackage] = await Promise.all([columnKernel(), loadWriter()]);
  const writer = new writerPackage.ByteWriter();
  const file = openWriter(writerPackage, writer, { columns, entries });
  const group = new CsvGroups({ kernel, writerPackage, writer, file, columns, rows });
  // Nothing is awaited while the kernel is at work: it is one for the thread.
  try {
    if (!group.write()) return undefined;
  } finally {
    kernel.release();
  }
  await file.finish();
  return writer.getBytes();
}

interface Parts {
  readonly kernel: ColumnKernel;
  readonly writerPackage: WriterPackage;
  readonly writer: ByteWriter;
  readonly file: ParquetWriter;
  readonly columns: Columns;
  readonly rows: CsvRows;
}

interface ColumnPlan {
  readonly column: Column;
  readonly element: SchemaElement;
  readonly reading: Reading;
  /** From a cell as it is spelled to its plain text. */
  readonly fields: (text: string) => (string | null)[];
}

class CsvGroups {
  readonly #parts: Parts;
  readonly #plans: readonly ColumnPlan[];
  readonly #places: Uint32Array;

  constructor(parts: Parts) {
    this.#parts = parts;
    const { columns, rows, file } = parts;
    this.#plans = columns.map((column, nth) => ({
      column,
      element: file.schema[nth + 1]!,
      reading: readingOf(column.type),
      fields: csvReader([column.name], [column]),
    }));
    // Of fields of one name the first counts, as it does for `csvReader`.
    this.#places = Uint32Array.from(rows.names, (name, at) =>
      rows.names.indexOf(name) === at ? columns.findIndex((column) => column.name === name) : NOWHERE,
    );
  }

  /** Whether all of the rows are in the file. */
  write(): boolean {
    const { spans } = this.#parts.rows;
    for (let row = 0; row < spans.length / 2; row += GROUP_ROWS) {
      if (!this.#group(row, Math.min(row + GROUP_ROWS, spans.length / 2))) return false;
    }
    return true;
  }

  #group(first: number, end: number): boolean {
    const { kernel, writerPackage, writer, file } = this.#parts;
    kernel.begin(this.#plans.map(({ reading }) => reading));
    const pages = this.#plans.map(({ element }) => new ColumnPages(element, writerPackage));
    for (let row = first; row < end; ) {
      const next = this.#stretchEnd(row, end);
      if (next === row || !this.#stretch(row, next, pages)) return false;
      row = next;
    }
    const start = writer.offset;
    // At once, instead of by doubling what is there: dictionaries and the footer come to less than is left over.
    writer.ensure(Math.ceil(pages.reduce((sum, { size }) => sum + size, 0) * SPARE));
    const written = pages.map((column, nth) => column.write(writer, kernel.dictionary(nth)));
    const columns = written.map(({ chunk }) => chunk);
    file.pendingIndexes.push(...written);
    file.num_rows += BigInt(end - first);
    file.row_groups.push({
      columns,
      num_rows: BigInt(end - first),
      total_byte_size: columns.reduce((sum, chunk) => sum + chunk.meta_data!.total_uncompressed_size, 0n),
      total_compressed_size: BigInt(writer.offset - start),
    });
    return true;
  }

  /** Behind the last row that still goes into the stretch; `row` itself where that one is too large for any. */
  #stretchEnd(row: number, end: number): number {
    const { spans } = this.#parts.rows;
    const most = Math.min(STRETCH_ROWS, Math.max(1, Math.floor(STRETCH_CELLS / this.#plans.length)));
    const last = Math.min(end, row + most);
    const start = spans[row * 2]!;
    if (spans[row * 2 + 1]! - start > STRETCH_BYTES_MAX) return row;
    let next = row + 1;
    while (next < last && spans[next * 2 + 1]! - start <= STRETCH_BYTES) next++;
    return next;
  }

  #stretch(row: number, next: number, pages: readonly ColumnPages[]): boolean {
    const { kernel, rows } = this.#parts;
    const spans = rows.spans.subarray(row * 2, next * 2);
    const bytes = rows.bytes.subarray(spans[0], spans.at(-1));
    const columns = this.#plans.length;
    if (!kernel.split({ bytes, spans, places: this.#places, columns })) return false;
    for (const [nth, plan] of this.#plans.entries()) {
      const nulls = this.#read(nth, plan);
      if (nulls === undefined || (nulls > 0 && !plan.column.nullable)) return false;
      const page = kernel.page(nth, plan.reading, { nulls, nullable: plan.column.nullable });
      pages[nth]!.add({ rows: next - row, nulls, page });
    }
    return true;
  }

  /** Reads a column, the cells that the kernel leaves by itself. How many are null; undefined where one is unfit. */
  #read(nth: number, plan: ColumnPlan): number | undefined {
    const { kernel } = this.#parts;
    const first = kernel.read(nth, plan.reading);
    if (first.left.length === 0) return first.nulls;
    try {
      for (const row of first.left) {
        const [plain = null] = plan.fields(kernel.spelled(nth, row));
        if (plain === null) return undefined;
        kernel.put(nth, row, bytesOfCell(plan.element, cellOf(plan.column.type, plain)));
      }
    } catch (error) {
      if (error instanceof WaybillError) return undefined;
      throw error;
    }
    return kernel.read(nth, plan.reading).nulls;
  }
}
