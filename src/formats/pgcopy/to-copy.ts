import type { Chunk, DataRecord } from '../../model/chunk.ts';
import { type Column, type Columns, type ColumnType, showColumnType } from '../../model/columns.ts';
import type { ErrorCode } from '../../model/error-codes.ts';
import { WaybillError } from '../../model/errors.ts';
import { inColumn } from '../columns/unfit.ts';
import { readJsonValue, readText } from '../columns/values.ts';
import { splitRow } from '../csv-row.ts';
import { encodeJson } from '../encode.ts';
import { rawMembers } from '../json-members.ts';
import { textAt } from '../record-text.ts';
import { copyFields, isCopy } from './fields.ts';

/** The fields of record `index` as plain texts in the order of `columns`, which may be another than the chunk's own. */
export type FieldReader = (chunk: Chunk, index: number) => (string | null)[];

/**
 * The reader throws VALUE_UNFIT with the column, or RECORD_INVALID for a field that is not among the columns. Where all
 * records have the same fields, one that is not among them is thrown at once as SOURCE_INVALID.
 */
export function fieldReader(chunk: Chunk, columns: Columns): FieldReader {
  if (chunk.format === 'ndjson') return (one, index) => fieldsOfJson(textAt(one, index), columns);
  const own = isCopy(chunk.format) ? (chunk.types ?? []).map(({ name }) => name) : (chunk.columns ?? []);
  expectKnown(own, columns, 'SOURCE_INVALID');
  const places = columns.map(({ name }) => own.indexOf(name));
  const fieldsAt: FieldReader = isCopy(chunk.format) ? copyFields : (one, index) => splitRow(textAt(one, index));
  const csv = chunk.format === 'csv';
  const ready = columns.map(({ type }, nth) => isCopy(chunk.format) && isType(chunk.types?.[places[nth]!], type));
  return (one, index) => {
    const fields = fieldsAt(one, index);
    return columns.map((column, nth) => {
      const field = fields[places[nth]!] ?? null;
      if (ready[nth] === true) return field;
      // `""` is an empty value where the type has one; people also write it for nothing.
      if (field === null || (csv && field === '' && !hasEmpty(column.type))) return null;
      return inside(column, () => readText(column.type, field));
    });
  };
}

const isType = (column: Column | undefined, type: ColumnType): boolean =>
  column !== undefined && showColumnType(column.type) === showColumnType(type);

const hasEmpty = ({ kind, array }: ColumnType): boolean => array !== true && (kind === 'text' || kind === 'bytes');

/** The text of a JSON object as plain texts. Values are taken as they are spelled: no digit passes a double. */
export function fieldsOfJson(text: string, columns: Columns): (string | null)[] {
  const members = rawMembers(text);
  const fields = columns.map((column) => {
    const raw = members.get(column.name);
    return raw === undefined ? null : inside(column, () => readJsonValue(column.type, raw));
  });
  const known = columns.reduce((count, { name }) => count + (members.has(name) ? 1 : 0), 0);
  if (known < members.size) expectKnown(members.keys(), columns);
  return fields;
}

/**
 * The text of a CSV row as plain texts: those that `fieldsOfJson` gives for the same record as JSON, where each field
 * is a text or null. `names`: of its fields, in order.
 */
export function csvReader(names: readonly string[], columns: Columns): (text: string) => (string | null)[] {
  const places = columns.map(({ name }) => names.indexOf(name));
  const known = names.every((name) => columns.some((column) => column.name === name));
  return (text) => {
    const own = splitRow(text);
    const fields = columns.map((column, nth) => {
      const field = own[places[nth]!] ?? null;
      return field === null ? null : inside(column, () => readTextValue(column.type, field));
    });
    if (!known) expectKnown(names, columns);
    return fields;
  };
}

function readTextValue(type: ColumnType, text: string): string | null {
  const readsJson = type.array === true || type.kind === 'json' || type.kind === 'jsonb';
  return readsJson ? readJsonValue(type, JSON.stringify(text)) : readText(type, text);
}

/** An object, as a mapping gives it, as plain texts. */
export function fieldsOfRecord(record: DataRecord, columns: Columns): (string | null)[] {
  expectKnown(
    Object.keys(record).filter((name) => record[name] !== undefined),
    columns,
  );
  return columns.map((column) => {
    const value = record[column.name];
    if (value === null || value === undefined) return null;
    return inside(column, () => readJsonValue(column.type, valueJson(value)));
  });
}

function valueJson(value: unknown): string {
  if (typeof value !== 'number' || Number.isFinite(value)) {
    return Object.is(value, -0) ? '-0' : encodeJson(value);
  }
  return JSON.stringify(String(value));
}

function inside<T>(column: Columns[number], read: () => T): T {
  try {
    return read();
  } catch (error) {
    throw inColumn(error, column);
  }
}

/** Leaving a field out would lose it. */
function expectKnown(names: Iterable<string>, columns: Columns, code: ErrorCode = 'RECORD_INVALID'): void {
  for (const name of names) {
    if (columns.some((column) => column.name === name)) continue;
    throw new WaybillError(code, `the field ${JSON.stringify(name)} is not among the columns`);
  }
}
