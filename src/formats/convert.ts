import type { Chunk, DataRecord, Format, Reject } from '../model/chunk.ts';
import { type Columns, sameColumns } from '../model/columns.ts';
import { WaybillError } from '../model/errors.ts';
import { jsonRow } from './csv-json.ts';
import { splitRow } from './csv-row.ts';
import { type CsvOptions, columnsOf, encodeCsvField, surelyRow } from './encode.ts';
import { encodeEach, neededTypes } from './encode-records.ts';
import type { Converted, Mapping } from './formats.ts';
import { LineWriter } from './line-writer.ts';
import { CopyWriter } from './pgcopy/copy-writer.ts';
import { copyColumns, copyJson, isCopy, jsonHeads } from './pgcopy/fields.ts';
import { fieldReader } from './pgcopy/to-copy.ts';
import { textAt } from './record-text.ts';
import { rowAt } from './rows.ts';

export interface ConvertOptions extends CsvOptions {
  /**
   * The columns of CSV, in order; a record with another field then fails. Without them: those of the chunk when it is
   * CSV and nothing is mapped, else the fields of all its records in order of first appearance.
   */
  readonly columns?: readonly string[];
  /** What the columns of COPY are to be. Without them: those of the chunk. */
  readonly types?: Columns;
}

/** A mapping that can rewrite the text of a JSON object without reading its values. */
export interface TextMapping extends Mapping {
  /** The mapped record as NDJSON text; undefined when this mapping has to see values. */
  readonly applyText?: (text: string) => string;
}

/**
 * Records in another format, mapped on the way. Nothing to do: the chunk's own arrays, not copied. Values survive: see
 * `rows`, and `docs/reference/types.md` for those with a type. A record that cannot be mapped or encoded is in `failed`
 * with its place; the others go on.
 */
export function convert(chunk: Chunk, to: Format, mapping?: TextMapping, options: ConvertOptions = {}): Converted {
  if (mapping !== undefined) {
    const { applyText } = mapping;
    const asText = applyText !== undefined && chunk.format === 'ndjson' && to === 'ndjson';
    if (!asText) return throughObjects(chunk, to, mapping, options);
    // The types are those of the fields that were there before.
    const { types: _, ...mapped } = rewritten(chunk, to, (index) => applyText(textAt(chunk, index)));
    return mapped;
  }
  if (chunk.format === to && fitsAlready(chunk, options)) return unchanged(chunk);
  if (isCopy(to)) return intoCopy(chunk, to, neededTypes(to, options.types ?? chunk.types));
  if (to === 'csv' && chunk.types !== undefined && options.columns === undefined) return typedCsv(chunk, chunk.types);
  if (to === 'csv' || chunk.format === to) return throughObjects(chunk, to, mapping, options);
  return rewritten(chunk, to, jsonReader(chunk));
}

function fitsAlready(chunk: Chunk, { columns, types }: ConvertOptions): boolean {
  if (columns !== undefined) return false;
  return types === undefined || !isCopy(chunk.format) || sameColumns(types, copyColumns(chunk));
}

function unchanged(chunk: Chunk): Converted {
  const { format, bytes, spans, count } = chunk;
  return { format, bytes, spans, count, ...fieldsOf(chunk), dropped: [], failed: [] };
}

/** Names and types of the fields, where the chunk has them. */
function fieldsOf({ columns, types }: Chunk): Pick<Converted, 'columns' | 'types'> {
  return { ...(columns === undefined ? {} : { columns }), ...(types === undefined ? {} : { types }) };
}

function failure(at: number, error: unknown): Reject {
  if (error instanceof WaybillError) return { row: at, code: error.code, message: error.message };
  throw error;
}

function rewritten(chunk: Chunk, to: Format, lineOf: (index: number) => string): Converted {
  const lines = new LineWriter();
  const done = eachRecord(chunk, (index) => lines.write(lineOf(index)));
  const { types } = chunk;
  return { format: to, ...lines.finish(), ...done, ...(types === undefined ? {} : { types }), dropped: [] };
}

function intoCopy(chunk: Chunk, to: 'pgcopy' | 'pgcopy-text', types: Columns): Converted {
  const rows = new CopyWriter(to, types);
  const fields = fieldReader(chunk, types);
  const done = eachRecord(chunk, (index) => rows.add(fields(chunk, index)));
  return { format: to, ...rows.finish(), ...done, ...fieldsOfTypes(types), dropped: [] };
}

function fieldsOfTypes(types: Columns): Required<Pick<Converted, 'columns' | 'types'>> {
  return { columns: types.map(({ name }) => name), types };
}

/** Does `work` for each record; those that fail are listed, and the rest goes on. */
function eachRecord(chunk: Chunk, work: (index: number) => void): Pick<Converted, 'from' | 'failed'> {
  const from: number[] = [];
  const failed: Reject[] = [];
  for (let i = 0; i < chunk.count; i++) {
    try {
      work(i);
      from.push(i);
    } catch (error) {
      failed.push(failure(i, error));
    }
  }
  return { ...places(from, chunk), failed };
}

/** A record as JSON, without objects in between, which take several times as long. */
function jsonReader(chunk: Chunk): (index: number) => string {
  if (isCopy(chunk.format)) {
    const heads = jsonHeads(copyColumns(chunk));
    return (index) => copyJson(chunk, index, heads);
  }
  const encode = jsonRow(chunk.columns ?? []);
  return (index) => {
    const line = encode(splitRow(textAt(chunk, index)));
    if (typeof line === 'string') return line;
    throw new WaybillError('CSV_INVALID', line.message);
  };
}

/** `from` is left out when every record is there. */
function places(from: readonly number[], chunk: Chunk): { from?: Uint32Array } {
  return from.length === chunk.count ? {} : { from: Uint32Array.from(from) };
}

interface Mapped {
  readonly records: DataRecord[];
  readonly from: number[];
  readonly dropped: number[];
  readonly failed: Reject[];
}

function mapAll(chunk: Chunk, mapping: Mapping | undefined): Mapped {
  const mapped: Mapped = { records: [], from: [], dropped: [], failed: [] };
  for (let i = 0; i < chunk.count; i++) {
    try {
      const record = rowAt(chunk, i);
      const result = mapping === undefined ? record : mapping.apply(record);
      if (result === undefined) mapped.dropped.push(i);
      else {
        mapped.records.push(result);
        mapped.from.push(i);
      }
    } catch (error) {
      mapped.failed.push(failure(i, error));
    }
  }
  return mapped;
}

/** Fields with types as CSV: objects in between would lose zeros behind the point, and the sign of zero. */
function typedCsv(chunk: Chunk, types: Columns): Converted {
  const lines = new LineWriter();
  const fields = fieldReader(chunk, types);
  const done = eachRecord(chunk, (index) => {
    const line = fields(chunk, index)
      .map((field) => encodeCsvField(field))
      .join(',');
    lines.write(surelyRow(line));
  });
  return { format: 'csv', ...lines.finish(), ...done, ...fieldsOfTypes(types), dropped: [] };
}

function throughObjects(chunk: Chunk, to: Format, mapping: Mapping | undefined, options: ConvertOptions): Converted {
  const { records, from, dropped, failed } = mapAll(chunk, mapping);
  const own = mapping === undefined ? chunk.columns : undefined;
  const columns = to === 'csv' ? (options.columns ?? own ?? columnsOf(records)) : undefined;
  const encoded = encodeEach(records, to, { ...options, ...(columns === undefined ? {} : { columns }) });
  for (const { at, error } of encoded.failed) failed.push(failure(from[at]!, error));
  return {
    format: to,
    ...encoded.lines,
    ...(columns === undefined ? {} : { columns }),
    ...(isCopy(to) ? fieldsOfTypes(options.types ?? []) : {}),
    ...places(
      encoded.from.map((at) => from[at]!),
      chunk,
    ),
    dropped,
    failed: failed.sort((a, b) => a.row - b.row),
  };
}
