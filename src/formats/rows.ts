import { LosslessNumber, parse as parseLossless } from 'lossless-json';
import type { Chunk, DataRecord, Format, Reject } from '../model/chunk.ts';
import { WaybillError } from '../model/errors.ts';
import { canonicalNumber } from './canonical.ts';
import { splitRow } from './csv-row.ts';
import { columnsOf } from './encode.ts';
import { type EncodeOptions, encodeEach } from './encode-records.ts';
import { kernel } from './kernel.ts';
import { copyColumns, copyJson, isCopy, jsonHeads } from './pgcopy/fields.ts';
import { textAt } from './record-text.ts';

/**
 * Records as objects. Numbers survive: a whole number that a double cannot hold safely becomes a bigint, a decimal
 * that it cannot hold becomes a `LosslessNumber` with its digits. All objects have a null prototype at the top, and a
 * field named `__proto__` is a field like any other.
 */
export function* rows(chunk: Chunk): Generator<DataRecord> {
  for (let i = 0; i < chunk.count; i++) yield rowAt(chunk, i);
}

/** The record at place `index` (0-based) of the chunk. Throws JSON_INVALID when the chunk does not hold one there. */
export function rowAt(chunk: Chunk, index: number): DataRecord {
  if (isCopy(chunk.format)) return parseObject(copyJson(chunk, index, jsonHeads(copyColumns(chunk))));
  const text = textAt(chunk, index);
  if (chunk.format === 'csv') return csvRecord(text, chunk.columns ?? []);
  return parseObject(text, kernel().hasPlainNumbers(chunk.spans));
}

function csvRecord(text: string, columns: readonly string[]): DataRecord {
  const fields = splitRow(text);
  const record: Record<string, unknown> = Object.create(null);
  for (let i = 0; i < columns.length; i++) record[columns[i]!] = fields[i] ?? null;
  return record;
}

/** A number that a double may not hold: 16 digits or more, or an exponent of three. May be one inside a string. */
const LONG_NUMBER = /[:,[\s]-?(?:\d[\d.]{15}|\d+(?:\.\d+)?[eE][+-]?\d{3})/;
/** All of them, each to its end. */
const LONG_NUMBERS = /[:,[\s](-?\d[\d.eE+-]{15,}|-?[\d.]+[eE][+-]?\d{3,})/g;

/** Whether a double may not hold some number of the text. It holds a fraction that it spells with the same digits. */
function isLossy(text: string): boolean {
  if (!LONG_NUMBER.test(text)) return false;
  for (const [, number = ''] of text.matchAll(LONG_NUMBERS)) {
    if (!number.includes('.') || String(Number(number)) !== number) return true;
  }
  return false;
}

/**
 * One JSON object without loss. Throws JSON_INVALID when the text is not one. `plain` says that all its numbers are
 * known to fit into a double, and saves looking for one that does not: half the time that parsing takes.
 */
export function parseObject(text: string, plain = false): Record<string, unknown> {
  const value = parsed(text, !plain && isLossy(text));
  if (value === null || typeof value !== 'object' || Array.isArray(value)) {
    throw new WaybillError('JSON_INVALID', 'a record is not a JSON object');
  }
  return Object.setPrototypeOf(value, null) as Record<string, unknown>;
}

/** Any JSON without loss, a number that stands alone included. Throws JSON_INVALID. */
export const parseJson = (text: string): unknown => parsed(text, isLossy(text) || /^-?\d/.test(text));

function parsed(text: string, exactly: boolean): unknown {
  try {
    return exactly ? parseExact(text) : JSON.parse(text);
  } catch (error) {
    // The parser's own message quotes the text; a record's content must not get into messages.
    if (!(error instanceof SyntaxError) && !(error instanceof RangeError)) throw error;
    throw new WaybillError('JSON_INVALID', 'a record is not well-formed JSON');
  }
}

function parseExact(text: string): unknown {
  return parseLossless(text, undefined, {
    parseNumber: exactNumber,
    onDuplicateKey: ({ newValue }) => newValue,
  });
}

/** A JSON number as the narrowest JavaScript value that keeps it. */
export function exactNumber(text: string): number | bigint | LosslessNumber {
  const value = Number(text);
  if (Number.isSafeInteger(value)) {
    // A long fraction may round to a whole number.
    return canonicalNumber(text) === canonicalNumber(String(value)) ? value : new LosslessNumber(text);
  }
  if (/^-?\d+$/.test(text)) return BigInt(text);
  return canonicalNumber(text) === canonicalNumber(String(value)) ? value : new LosslessNumber(text);
}

/**
 * A chunk of objects, for sources that get rows from a driver. Records that cannot be encoded (NaN, a cycle) become
 * its `rejects`. CSV without `columns` takes the fields of all records, in order of first appearance.
 */
export function encodeRows(
  records: readonly DataRecord[],
  format: Format,
  options: EncodeOptions & { readonly firstRow?: number } = {},
): Omit<Chunk, 'end'> {
  const columns = format === 'csv' ? (options.columns ?? columnsOf(records)) : undefined;
  const encoded = encodeEach(records, format, columns === undefined ? options : { ...options, columns });
  const firstRow = options.firstRow ?? 1;
  const rejects: Reject[] = encoded.failed.map(({ at, error }) => ({
    row: firstRow + at,
    code: error.code,
    message: error.message,
  }));
  return {
    format,
    ...encoded.lines,
    firstRow,
    ...(columns === undefined ? {} : { columns }),
    ...(options.types === undefined ? {} : { types: options.types }),
    ...(rejects.length === 0 ? {} : { rejects }),
  };
}
