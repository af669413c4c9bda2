import type { DataRecord, Format } from '../model/chunk.ts';
import type { Columns } from '../model/columns.ts';
import { WaybillError } from '../model/errors.ts';
import { type CsvOptions, encodeCsvRow, encodeRecord } from './encode.ts';
import { type Lines, LineWriter } from './line-writer.ts';
import { CopyWriter } from './pgcopy/copy-writer.ts';
import { fieldsOfRecord } from './pgcopy/to-copy.ts';

export interface EncodedRecords {
  readonly lines: Lines;
  /** Places (0-based, in `records`) of the encoded ones. */
  readonly from: readonly number[];
  readonly failed: readonly { readonly at: number; readonly error: WaybillError }[];
}

export interface EncodeOptions extends CsvOptions {
  /** The columns of CSV. */
  readonly columns?: readonly string[];
  /** Names and types of the columns: the formats of COPY cannot do without. */
  readonly types?: Columns;
}

/** Encodes one by one: a record that cannot be encoded is listed and the rest goes on. */
export function encodeEach(records: readonly DataRecord[], format: Format, options: EncodeOptions): EncodedRecords {
  const { write, finish } = recordWriter(format, options);
  const from: number[] = [];
  const failed: { at: number; error: WaybillError }[] = [];
  for (const [at, record] of records.entries()) {
    try {
      write(record);
      from.push(at);
    } catch (error) {
      if (!(error instanceof WaybillError)) throw error;
      failed.push({ at, error });
    }
  }
  return { lines: finish(), from, failed };
}

function recordWriter(
  format: Format,
  options: EncodeOptions,
): { readonly write: (record: DataRecord) => void; readonly finish: () => Lines } {
  if (format === 'pgcopy' || format === 'pgcopy-text') {
    const types = neededTypes(format, options.types);
    const rows = new CopyWriter(format, types);
    return { write: (record) => rows.add(fieldsOfRecord(record, types)), finish: () => rows.finish() };
  }
  const lines = new LineWriter();
  const columns = options.columns ?? [];
  const encode = format === 'csv' ? (record: DataRecord) => encodeCsvRow(record, columns, options) : encodeRecord;
  return { write: (record) => lines.write(encode(record)), finish: () => lines.finish() };
}

/** Rows of COPY have no names and no types in them: whoever asks for some has to say which. */
export function neededTypes(format: Format, types: Columns | undefined): Columns {
  if (types !== undefined) return types;
  throw new WaybillError('CONFIG_INVALID', `records can be made into ${format} only where their types are known`, {
    hint: 'Give the types of the columns.',
  });
}
