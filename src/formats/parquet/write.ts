import type { DecodedArray, KeyValue } from 'hyparquet';
import type { ByteWriter, ParquetWriter } from 'hyparquet-writer';
import type { Columns } from '../../model/columns.ts';
import { WaybillError } from '../../model/errors.ts';
import { inColumn, unfit } from '../columns/unfit.ts';
import { type Cell, cellOf } from './cells.ts';
import { loadWriter, type WriterPackage } from './package.ts';
import { COLUMNS_ENTRY, columnsEntry, expectDistinct, schemaOf } from './schema.ts';

/** Rows of one row group. */
export const GROUP_ROWS = 100_000;

export interface ParquetFileOptions {
  /** Entries of the file's metadata, beside the types of its columns. */
  readonly entries?: Readonly<Record<string, string>>;
}

/**
 * Gathers rows, column by column, for one Parquet file. The same rows give the same bytes. Columns are compressed with
 * Snappy; a decimal of up to 38 digits is a DECIMAL, a timestamp counts microseconds, arrays and JSON are JSON.
 */
export class ParquetFile {
  readonly #columns: Columns;
  readonly #cells: (Cell | null)[][];
  readonly #options: ParquetFileOptions;

  constructor(columns: Columns, options: ParquetFileOptions = {}) {
    expectDistinct(columns);
    if (columns.length === 0) throw new WaybillError('CONFIG_INVALID', 'a Parquet file needs a column');
    this.#columns = columns;
    this.#options = options;
    this.#cells = columns.map(() => []);
  }

  /** One row of plain texts, in the order of the columns. Throws VALUE_UNFIT with the column; the row is then out. */
  add(fields: readonly (string | null)[]): void {
    const cells = this.#columns.map((column, nth) => {
      try {
        const field = fields[nth] ?? null;
        if (field === null && !column.nullable) throw unfit('is null in a column that has none');
        return field === null ? null : cellOf(column.type, field);
      } catch (error) {
        throw inColumn(error, column);
      }
    });
    for (const [nth, cell] of cells.entries()) this.#cells[nth]!.push(cell);
  }

  /** The bytes of the whole file. */
  async finish(): Promise<Uint8Array> {
    const writerPackage = await loadWriter();
    const writer = new writerPackage.ByteWriter();
    const file = openWriter(writerPackage, writer, { columns: this.#columns, ...this.#options });
    const columnData = this.#columns.map(({ name, type }, nth) => ({
      name,
      data: this.#cells[nth] as DecodedArray,
      // A dictionary takes 0 and -0 for one value.
      ...(type.kind === 'float32' || type.kind === 'float64' ? { encoding: 'PLAIN' as const } : {}),
    }));
    await file.write({ columnData, rowGroupSize: GROUP_ROWS });
    await file.finish();
    return writer.getBytes();
  }
}

/** A file that holds nothing yet, with what it says of itself. */
export function openWriter(
  { ParquetWriter }: WriterPackage,
  writer: ByteWriter,
  { columns, entries = {} }: ParquetFileOptions & { readonly columns: Columns },
): ParquetWriter {
  const kvMetadata: KeyValue[] = Object.entries(entries).map(([key, value]) => ({ key, value }));
  kvMetadata.push({ key: COLUMNS_ENTRY, value: columnsEntry(columns) });
  return new ParquetWriter({ writer, schema: schemaOf(columns), kvMetadata, createdBy: 'waybill' });
}
