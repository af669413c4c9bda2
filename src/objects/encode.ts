import { Buffer } from 'node:buffer';
import type { Permit } from '../connectors/connector.ts';
import { encodeCsvField } from '../formats/encode.ts';
import { CSV_ROWS, type Framing, LINES, type Payload } from '../model/batch.ts';
import { type Columns, parseColumnType } from '../model/columns.ts';
import { RefusedError, WaybillError } from '../model/errors.ts';
import { parquetOf } from './parquet-batch.ts';
import type { EncodedBatch } from './place.ts';

/** How batches are written as objects. */
export interface WrittenFormat {
  readonly format: 'ndjson' | 'csv' | 'parquet';
  /** A first line with the names of the fields, in CSV. */
  readonly header: boolean;
  /** Of Parquet. */
  readonly columns: Columns;
}

/** In which formats and framings a batch may come. What is made into Parquet may be CSV as it is. */
export function framingsOf({ format }: WrittenFormat): readonly Framing[] {
  if (format === 'parquet') return [LINES, CSV_ROWS];
  return [format === 'csv' ? CSV_ROWS : LINES];
}

/** The bytes of the object that holds this batch and nothing else. Asks the permit for them. */
export async function encodedBatch(written: WrittenFormat, permit: Permit): Promise<EncodedBatch> {
  const payload = await permit.payload();
  if (written.format === 'parquet') {
    const columns = written.columns.length > 0 ? written.columns : typesOf(payload);
    return { bytes: await parquetOf(columns, permit.batch, payload, `batch ${permit.batch.seq}`), header: 0 };
  }
  const header = headerOf(written, payload);
  return { bytes: header.length === 0 ? payload.bytes : Buffer.concat([header, payload.bytes]), header: header.length };
}

/** Parquet without declared columns has those that each batch brings. */
export const needsTypes = ({ format, columns }: WrittenFormat): boolean => format === 'parquet' && columns.length === 0;

function typesOf({ types }: Payload): Columns {
  if (types !== undefined && types.length > 0) return types;
  throw new RefusedError('the batch does not say the types of its columns, and Parquet needs them', {
    reason: 'types-missing',
    about: 'request',
    hint: 'Declare them: `columns` of the sink.',
  });
}

/** The line with the names of the columns; nothing where there is to be none. */
export function headerOf({ format, header }: Pick<WrittenFormat, 'format' | 'header'>, payload: Payload): Buffer {
  if (format !== 'csv' || !header) return Buffer.alloc(0);
  return Buffer.from(`${(payload.columns ?? []).map((column) => encodeCsvField(column)).join(',')}\n`);
}

/** What a path or its ending says where `format` says nothing. */
export function writtenFormatOf(path: string): WrittenFormat['format'] {
  if (/\.parquet$/i.test(path)) return 'parquet';
  return /\.csv$/i.test(path) ? 'csv' : 'ndjson';
}

/** `{ id: 'int64' }` as columns. Throws CONFIG_INVALID for what is no type. */
export function columnsOf(types: Readonly<Record<string, string>>): Columns {
  return Object.entries(types).map(([name, text]) => {
    const type = parseColumnType(text);
    if (type === undefined) throw new WaybillError('CONFIG_INVALID', `there is no type ${JSON.stringify(text)}`);
    return { name, type, nullable: true };
  });
}
