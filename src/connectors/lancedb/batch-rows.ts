import { Buffer } from 'node:buffer';
import type * as Arrow from 'apache-arrow';
import { inColumn } from '../../formats/columns/unfit.ts';
import { fieldsOfJson } from '../../formats/pgcopy/to-copy.ts';
import type { Payload } from '../../model/batch.ts';
import type { Columns, ColumnType } from '../../model/columns.ts';
import { describeError, RefusedError, WaybillError } from '../../model/errors.ts';
import type { Permit } from '../connector.ts';
import { tableOf, UnfitAt } from './arrow-write.ts';
import { expectAsked } from './driver.ts';

/** A column as the table has it, and which texts it takes. */
export interface TableColumn {
  readonly name: string;
  readonly type: ColumnType;
  readonly field: Arrow.Field;
}

export async function recordsOf(permit: Permit): Promise<readonly string[]> {
  expectAsked(permit);
  return textsIn(await permit.payload());
}

function textsIn({ bytes, spans }: Payload): readonly string[] {
  const buffer = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  return Array.from({ length: spans.length / 2 }, (_, at) => buffer.toString('utf8', spans[at * 2], spans[at * 2 + 1]));
}

/** The plain texts of each record, in the order of the columns. Throws RefusedError with the record and the column. */
export function fieldsOf(records: readonly string[], columns: readonly TableColumn[]): readonly (string | null)[][] {
  const types: Columns = columns.map(({ name, type }) => ({ name, type, nullable: true }));
  return records.map((text, at) => {
    try {
      return fieldsOfJson(text, types);
    } catch (error) {
      throw refused(error, at);
    }
  });
}

/** `extra`: columns that no record holds, one text a row. */
export function encoded(
  arrow: typeof Arrow,
  columns: readonly TableColumn[],
  rows: readonly (readonly (string | null)[])[],
  extra: readonly { readonly field: Arrow.Field; readonly texts: readonly string[] }[] = [],
): Arrow.Table {
  const own = columns.map(({ field, type }, nth) => ({ field, type, texts: rows.map((row) => row[nth] ?? null) }));
  const others = extra.map((one) => ({ ...one, type: { kind: 'text' } as const }));
  try {
    return tableOf(arrow, [...own, ...others], rows.length);
  } catch (error) {
    if (!(error instanceof UnfitAt)) throw error;
    const column = columns.find(({ name }) => name === error.column);
    throw refused(inColumn(error.error, column && { ...column, nullable: true }), error.row);
  }
}

function refused(error: unknown, at: number): unknown {
  if (error instanceof RefusedError || !(error instanceof WaybillError)) return error;
  const message = `record ${at + 1} of the batch: ${describeError(error)}`;
  return new RefusedError(message, { reason: error.code, cause: error, hint: error.hint });
}
