import type { Reject } from '../model/chunk.ts';
import { canonicalNumber } from './canonical.ts';
import { jsonText, toBoolean } from './template.ts';

export const COLUMN_TYPES = ['text', 'integer', 'number', 'boolean', 'json'] as const;
export type ColumnType = (typeof COLUMN_TYPES)[number];

/** The fields of a CSV row as the text of a JSON object, or why they cannot be. */
export type JsonRow = (fields: readonly (string | null)[]) => string | Pick<Reject, 'code' | 'message'>;

/** Columns without a type are text. Built once for many rows: the names are spelled only here. */
export function jsonRow(columns: readonly string[], types: Readonly<Record<string, ColumnType>> = {}): JsonRow {
  const heads = columns.map((name, i) => `${i === 0 ? '{' : ','}${JSON.stringify(name)}:`);
  const typeOf = columns.map((name) => (Object.hasOwn(types, name) ? types[name]! : 'text'));
  return (fields) => {
    let line = '';
    for (let i = 0; i < heads.length; i++) {
      const value = typedValue(fields[i] ?? null, typeOf[i]!);
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

/** A field as JSON text; undefined when it is not of the type. An empty field of any type but text is null. */
function typedValue(field: string | null, type: ColumnType): string | undefined {
  if (field === null || (field === '' && type !== 'text')) return 'null';
  switch (type) {
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
