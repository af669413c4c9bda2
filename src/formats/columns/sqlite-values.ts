import { Buffer } from 'node:buffer';
import type { ColumnType } from '../../model/columns.ts';
import { float32Text, float64Text } from './numbers.ts';
import { unfit } from './unfit.ts';
import { readText } from './values.ts';

/** What the driver takes and gives when it is asked for whole numbers as bigint. */
export type SqliteValue = null | bigint | number | string | Uint8Array;

/** The type of a column that keeps such values as they are: SQLite would turn decimals into doubles if it could. */
export function sqliteType({ kind, array }: ColumnType): 'INTEGER' | 'REAL' | 'TEXT' | 'BLOB' {
  if (array === true) return 'TEXT';
  switch (kind) {
    case 'boolean':
    case 'int16':
    case 'int32':
    case 'int64':
      return 'INTEGER';
    case 'float32':
    case 'float64':
      return 'REAL';
    case 'bytes':
      return 'BLOB';
    default:
      return 'TEXT';
  }
}

/** A plain text as SQLite is to store it. NaN, which it would store as null, is text. */
export function sqliteValue(type: ColumnType, plain: string | null): SqliteValue {
  if (plain === null) return null;
  switch (sqliteType(type)) {
    case 'INTEGER':
      return type.kind === 'boolean' ? (plain === 'true' ? 1n : 0n) : BigInt(plain);
    case 'REAL':
      if (plain === 'NaN') return plain;
      return type.kind === 'float32' ? Math.fround(Number(plain)) : Number(plain);
    case 'BLOB':
      return Buffer.from(plain, 'base64');
    default:
      return plain;
  }
}

/** The plain text of what SQLite has stored. Throws VALUE_UNFIT: any column of SQLite can hold any value. */
export function plainOfSqlite(type: ColumnType, value: SqliteValue): string | null {
  if (value === null) return null;
  if (value instanceof Uint8Array) {
    if (type.kind !== 'bytes' || type.array === true) throw unfit('is a blob');
    return Buffer.from(value.buffer, value.byteOffset, value.byteLength).toString('base64');
  }
  if (typeof value === 'number') return plainOfReal(type, value);
  if (typeof value === 'bigint' && type.kind === 'boolean') {
    if (value !== 0n && value !== 1n) throw unfit('is neither 0 nor 1');
    return value === 1n ? 'true' : 'false';
  }
  return readText(type, String(value));
}

function plainOfReal(type: ColumnType, value: number): string {
  if (type.kind !== 'float32') return readText(type, float64Text(value));
  if (Math.fround(value) !== value) throw unfit('has more digits than float32 holds');
  return float32Text(value);
}
