import { isLosslessNumber } from 'lossless-json';
import type { DataRecord } from '../model/chunk.ts';
import { WaybillError } from '../model/errors.ts';
import { type Lines, LineWriter } from './line-writer.ts';

/** Deeper values are refused: a cycle looks like one, too. */
export const DEPTH_MAX = 512;

const refuse = (what: string): never => {
  throw new WaybillError('RECORD_INVALID', what);
};

/**
 * JSON without loss: bigint and decimals by their digits, dates as ISO 8601, bytes as base64, undefined left out.
 * Throws RECORD_INVALID for what JSON cannot hold (NaN, a function, a cycle); the message names no content.
 */
export function encodeJson(value: unknown, depth = 0): string {
  switch (typeof value) {
    case 'string':
      return JSON.stringify(value);
    case 'number':
      return Number.isFinite(value) ? String(value) : refuse('a number that is not finite has no form in JSON');
    case 'boolean':
    case 'bigint':
      return String(value);
    case 'object':
      return value === null ? 'null' : encodeObject(value, depth);
    default:
      return refuse(`a ${typeof value} has no form in JSON`);
  }
}

function encodeObject(value: object, depth: number): string {
  if (depth > DEPTH_MAX) return refuse(`a value is nested deeper than ${DEPTH_MAX} levels`);
  if (value instanceof Date) return encodeDate(value);
  if (value instanceof Uint8Array) return `"${Buffer.from(value).toString('base64')}"`;
  if (isLosslessNumber(value)) return value.value;
  if (Array.isArray(value)) {
    return `[${value.map((item) => (item === undefined ? 'null' : encodeJson(item, depth + 1))).join(',')}]`;
  }
  if ('toJSON' in value && typeof value.toJSON === 'function') return encodeJson(value.toJSON(), depth + 1);
  if (value instanceof Map || value instanceof Set) return refuse(`a ${value.constructor.name} has no form in JSON`);
  return encodeMembers(value as Readonly<Record<string, unknown>>, depth);
}

function encodeMembers(value: Readonly<Record<string, unknown>>, depth: number): string {
  let text = '';
  for (const name of Object.keys(value)) {
    const member = value[name];
    if (member === undefined) continue;
    text += `${text === '' ? '' : ','}${JSON.stringify(name)}:${encodeJson(member, depth + 1)}`;
  }
  return `{${text}}`;
}

function encodeDate(value: Date): string {
  return Number.isNaN(value.getTime()) ? refuse('a date that is none has no form in JSON') : JSON.stringify(value);
}

/** A record as one line of NDJSON, without the line end. */
export function encodeRecord(record: DataRecord): string {
  return encodeMembers(record, 0);
}

const NEEDS_QUOTES = /[",\r\n]/;
const FORMULA = /^[=+\-@\t\r]/;

export interface CsvOptions {
  /**
   * Puts an apostrophe before text that a spreadsheet would take for a formula. Off by default: it changes the data,
   * which a machine that reads the file would keep.
   */
  readonly guardFormulas?: boolean;
}

/** Half a surrogate pair: JSON can spell it, and UTF-8 has the same mark for all of them. */
const HALF_PAIR = /\p{Surrogate}/u;

/** One CSV field. Null is nothing at all, the empty string is `""`, as PostgreSQL and DuckDB read it. */
export function encodeCsvField(value: unknown, options: CsvOptions = {}): string {
  if (value === null || value === undefined) return '';
  let text = typeof value === 'string' ? value : encodeJson(value);
  if (typeof value === 'object' && text.startsWith('"')) text = JSON.parse(text) as string;
  if (options.guardFormulas === true && typeof value === 'string' && FORMULA.test(text)) text = `'${text}`;
  return text === '' || NEEDS_QUOTES.test(text) ? `"${text.replaceAll('"', '""')}"` : text;
}

/**
 * A record as one CSV row. A field that is not among `columns` is refused: leaving it out would lose it. With a single
 * column null is written `""`, since an empty line is no row.
 */
export function encodeCsvRow(record: DataRecord, columns: readonly string[], options: CsvOptions = {}): string {
  let known = 0;
  let text = '';
  for (let i = 0; i < columns.length; i++) {
    const value = record[columns[i]!];
    if (value !== undefined) known++;
    text += (i === 0 ? '' : ',') + encodeCsvField(value, options);
  }
  if (known !== definedFields(record)) {
    const extra = Object.keys(record).find((name) => record[name] !== undefined && !columns.includes(name));
    if (extra !== undefined) refuse(`the field ${JSON.stringify(extra)} is not among the columns of the CSV`);
  }
  return surelyRow(text);
}

/** One CSV row of its fields: with a single column that is null, what is no empty line. */
export function surelyRow(text: string): string {
  if (HALF_PAIR.test(text)) refuse('a text holds half a surrogate pair, which a CSV file cannot hold');
  if (text.includes('\0')) refuse('a text holds a NUL, which readers of CSV do not take');
  return text === '' ? '""' : text;
}

function definedFields(record: DataRecord): number {
  let count = 0;
  for (const name of Object.keys(record)) if (record[name] !== undefined) count++;
  return count;
}

/** Names of the fields of all records, in order of first appearance. */
export function columnsOf(records: Iterable<DataRecord>): readonly string[] {
  const names = new Set<string>();
  for (const record of records) {
    for (const name of Object.keys(record)) if (record[name] !== undefined) names.add(name);
  }
  return [...names];
}

/** Lines that are there already. */
export function joinLines(lines: readonly string[]): Lines {
  const writer = new LineWriter();
  for (const line of lines) writer.write(line);
  return writer.finish();
}
