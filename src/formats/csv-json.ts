import type { Reject } from '../model/chunk.ts';
import { type Columns, type ColumnType, parseColumnType } from '../model/columns.ts';
import { WaybillError } from '../model/errors.ts';
import { canonicalNumber } from './canonical.ts';
import { jsonOf, readText } from './columns/values.ts';
import { jsonText, toBoolean } from './template.ts';

/** Words for columns of CSV that say less than a type: any whole number, any number. */
export const CSV_WORDS = ['text', 'integer', 'number', 'boolean', 'json'] as const;
type CsvWord = (typeof CSV_WORDS)[number];

/** What a column of CSV may be declared as: one of these words, or a type such as `int64` or `decimal(12,2)`. */
export type CsvType = string;

const asWord = (type: CsvType): CsvWord | undefined => CSV_WORDS.find((word) => word === type);

export function isCsvType(text: string): boolean {
  return asWord(text) !== undefined || parseColumnType(text) !== undefined;
}

/** Types of the columns, where each of them is declared as one; `integer` and `number` are none. */
export function columnsOfCsv(names: readonly string[], types: Readonly<Record<string, CsvType>>): Columns | undefined {
  const columns: Columns[number][] = [];
  for (const name of names) {
    const type = parseColumnType(Object.hasOwn(types, name) ? types[name]! : 'text');
    if (type === undefined) return undefined;
    columns.push({ name, type, nullable: true });
  }
  return columns;
}

/** The fields of a CSV row as the text of a JSON object, or why they cannot be. */
export type JsonRow = (fields: readonly (string | null)[]) => string | Pick<Reject, 'code' | 'message'>;

/** Columns without a type are text. Built once for many rows: the names are spelled only here. */
export function jsonRow(columns: readonly string[], types: Readonly<Record<string, CsvType>> = {}): JsonRow {
  const heads = columns.map((name, i) => `${i === 0 ? '{' : ','}${JSON.stringify(name)}:`);
  const typeOf = columns.map((name) => (Object.hasOwn(types, name) ? types[name]! : 'text'));
  const read = typeOf.map((type) => fieldReader(type));
  return (fields) => {
    let line = '';
    for (let i = 0; i < heads.length; i++) {
      const value = read[i]!(fields[i] ?? null);
      if (value === undefined) {
        return { code: 'CSV_INVALID', message: `the field ${JSON.stringify(columns[i])} is not of type ${typeOf[i]}` };
      }
      line += heads[i]! + value;
    }
    return line === '' ? '{}' : `${line}}`;
  };
}

/** Half a surrogate pair cannot come out of UTF-8 text. */
const NEEDS_ESCAPES = /["\\\p{Cc}]/u;

/** A field as JSON text; undefined when it is not of the type. */
type FieldReader = (field: string | null) => string | undefined;

function fieldReader(declared: CsvType): FieldReader {
  const word = asWord(declared);
  if (word !== undefined) return (field) => wordValue(field, word);
  const type = parseColumnType(declared);
  if (type === undefined) throw new WaybillError('CONFIG_INVALID', `there is no type ${JSON.stringify(declared)}`);
  const hasEmpty = type.kind === 'bytes' && type.array !== true;
  return (field) => (field === null || (field === '' && !hasEmpty) ? 'null' : typedValue(field, type));
}

function typedValue(field: string, type: ColumnType): string | undefined {
  try {
    return jsonOf(type, readText(type, field));
  } catch (error) {
    if (error instanceof WaybillError && error.code === 'VALUE_UNFIT') return undefined;
    throw error;
  }
}

/** An empty field of any type but text is null. */
function wordValue(field: string | null, word: CsvWord): string | undefined {
  if (field === null || (field === '' && word !== 'text')) return 'null';
  switch (word) {
    case 'text':
      return NEEDS_ESCAPES.test(field) ? JSON.stringify(field) : `"${field}"`;
    case 'boolean':
      return toBoolean(field)?.toString();
    case 'json':
      return jsonText(field);
    case 'integer':
      return /^\s*[+-]?\d+\s*$/.test(field) ? canonicalNumber(field.trim()) : undefined;
    case 'number':
      return /^\s*[+-]?(\d+(\.\d*)?|\.\d+)([eE][+-]?\d+)?\s*$/.test(field) ? canonicalNumber(field.trim()) : undefined;
  }
}
