import type { Chunk, DataRecord, Format, Reject } from '../model/chunk.ts';
import { WaybillError } from '../model/errors.ts';
import { jsonRow } from './csv-json.ts';
import { splitRow } from './csv-row.ts';
import { type CsvOptions, columnsOf, encodeEach } from './encode.ts';
import type { Converted, Mapping } from './formats.ts';
import { LineWriter } from './line-writer.ts';
import { rowAt, textAt } from './rows.ts';

export interface ConvertOptions extends CsvOptions {
  /**
   * The columns of CSV, in order; a record with another field then fails. Without them: those of the chunk when it is
   * CSV and nothing is mapped, else the fields of all its records in order of first appearance.
   */
  readonly columns?: readonly string[];
}

/** A mapping that can rewrite the text of a JSON object without reading its values. */
export interface TextMapping extends Mapping {
  /** The mapped record as NDJSON text; undefined when this mapping has to see values. */
  readonly applyText?: (text: string) => string;
}

/**
 * Records in another format, mapped on the way. Nothing to do: the chunk's own arrays, not copied. Values survive: see
 * `rows`. A record that cannot be mapped or encoded is in `failed` with its place; the others go on.
 */
export function convert(chunk: Chunk, to: Format, mapping?: TextMapping, options: ConvertOptions = {}): Converted {
  if (mapping === undefined && chunk.format === to && options.columns === undefined) return unchanged(chunk);
  if (mapping?.applyText !== undefined && chunk.format === 'ndjson' && to === 'ndjson') {
    return rewritten(chunk, mapping.applyText);
  }
  if (mapping === undefined && chunk.format === 'csv' && to === 'ndjson') return rewritten(chunk, rowToJson(chunk));
  return throughObjects(chunk, to, mapping, options);
}

function unchanged(chunk: Chunk): Converted {
  const { format, bytes, spans, count, columns } = chunk;
  return { format, bytes, spans, count, ...(columns === undefined ? {} : { columns }), dropped: [], failed: [] };
}

function failure(at: number, error: unknown): Reject {
  if (error instanceof WaybillError) return { row: at, code: error.code, message: error.message };
  throw error;
}

function rewritten(chunk: Chunk, applyText: (text: string) => string): Converted {
  const lines = new LineWriter();
  const from: number[] = [];
  const failed: Reject[] = [];
  for (let i = 0; i < chunk.count; i++) {
    try {
      lines.write(applyText(textAt(chunk, i)));
      from.push(i);
    } catch (error) {
      failed.push(failure(i, error));
    }
  }
  return { format: 'ndjson', ...lines.finish(), ...places(from, chunk), dropped: [], failed };
}

/** A CSV row as JSON: without objects in between, which take several times as long. */
function rowToJson(chunk: Chunk): (text: string) => string {
  const encode = jsonRow(chunk.columns ?? []);
  return (text) => {
    const line = encode(splitRow(text));
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

function throughObjects(chunk: Chunk, to: Format, mapping: Mapping | undefined, options: ConvertOptions): Converted {
  const { records, from, dropped, failed } = mapAll(chunk, mapping);
  const own = mapping === undefined ? chunk.columns : undefined;
  const columns = to === 'csv' ? (options.columns ?? own ?? columnsOf(records)) : undefined;
  const encoded = encodeEach(records, to, columns === undefined ? options : { ...options, columns });
  for (const { at, error } of encoded.failed) failed.push(failure(from[at]!, error));
  return {
    format: to,
    ...encoded.lines,
    ...(columns === undefined ? {} : { columns }),
    ...places(
      encoded.from.map((at) => from[at]!),
      chunk,
    ),
    dropped,
    failed: failed.sort((a, b) => a.row - b.row),
  };
}
