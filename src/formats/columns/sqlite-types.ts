import { type ColumnType, parseColumnType, showColumnType } from '../../model/columns.ts';
import { itemType } from './values.ts';

/**
 * How a type stands in the definition of a table of SQLite, which knows none of its own: the kind of storage, by which
 * SQLite decides what it turns values into, and behind it what the values are. `TEXT DECIMAL(12,2)` keeps every digit
 * where a column that was declared `DECIMAL(12,2)` would hold the nearest double.
 */
export function declaredType(type: ColumnType): string {
  const { kind, array } = type;
  if (array === true) return `TEXT ARRAY OF ${showColumnType(itemType(type)).toUpperCase()}`;
  const plain = PLAIN[kind];
  return plain ?? `${STORAGE[kind] ?? 'TEXT'} ${showColumnType(type).toUpperCase()}`;
}

/** Types whose values SQLite keeps as they are in a column that says no more. */
const PLAIN: Readonly<Partial<Record<ColumnType['kind'], string>>> = { int64: 'INTEGER', text: 'TEXT' };

const STORAGE: Readonly<Partial<Record<ColumnType['kind'], string>>> = {
  boolean: 'INTEGER',
  int16: 'INTEGER',
  int32: 'INTEGER',
  float32: 'REAL',
  float64: 'REAL',
  bytes: 'BLOB',
};

/** What a column was declared to hold by this page's own words; undefined for anybody else's, and for plain ones. */
export function exactType(declared: string): ColumnType | undefined {
  const match = /^(?:INTEGER|REAL|TEXT|BLOB) (ARRAY OF )?([A-Z0-9]+(?:\([0-9]+,-?[0-9]+\))?)$/.exec(declared);
  const type = match === null ? undefined : parseColumnType(match[2]!.toLowerCase());
  if (type === undefined) return undefined;
  return match![1] === undefined ? type : { ...type, array: true };
}

/**
 * What the values of a column are likely to be, by how it was declared: in these words, or by SQLite's own rules for
 * anybody else's. Only likely, since any column of SQLite can hold any value. Undefined: nothing was declared.
 */
export function likelyType(declared: string | null): ColumnType | undefined {
  if (declared === null || declared.trim() === '') return undefined;
  const exact = exactType(declared);
  if (exact !== undefined) return exact;
  const words = declared.toUpperCase();
  const known = KNOWN.find(([pattern]) => pattern.test(words));
  return known === undefined ? { kind: 'decimal' } : { kind: known[1] };
}

/** In the order in which SQLite tries its rules; the words before those are what people mean by them. */
const KNOWN: readonly (readonly [RegExp, ColumnType['kind']])[] = [
  [/^BOOL(?:EAN)?$/, 'boolean'],
  [/^DATE$/, 'date'],
  [/^(?:DATETIME|TIMESTAMP(?: WITHOUT TIME ZONE)?)$/, 'timestamp'],
  [/^(?:TIMESTAMPTZ|TIMESTAMP WITH TIME ZONE)$/, 'timestamptz'],
  [/^UUID$/, 'uuid'],
  [/^JSONB?$/, 'text'],
  [/INT/, 'int64'],
  [/CHAR|CLOB|TEXT/, 'text'],
  [/BLOB/, 'bytes'],
  [/REAL|FLOA|DOUB/, 'float64'],
];
