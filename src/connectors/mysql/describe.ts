import type * as Mysql from 'mysql2';
import type { Columns, ColumnType } from '../../model/columns.ts';
import { TYPE } from './values.ts';

type Field = Mysql.FieldPacket & { readonly extendedFormat?: string };

/** Of the protocol: what a field has beside its type. */
const UNSIGNED = 32;
/** The character set of what is no text. */
const BINARY = 63;

/**
 * Types of the columns of a query, as its values are spelled in records. `boolean` is a word for a small number in
 * MySQL, and a `time` can be more than a day, so they are a number and a text. Enumerations and sets are texts, too.
 */
export function describe(fields: readonly Field[]): Columns {
  return fields.map((field) => ({ name: field.name, type: typeOf(field), nullable: true }));
}

function typeOf(field: Field): ColumnType {
  if (field.extendedFormat === 'json') return { kind: 'json' };
  const unsigned = (Number(field.flags) & UNSIGNED) !== 0;
  switch (field.columnType) {
    case TYPE.tiny:
    case TYPE.year:
      return { kind: 'int16' };
    case TYPE.short:
      return { kind: unsigned ? 'int32' : 'int16' };
    case TYPE.int24:
      return { kind: 'int32' };
    case TYPE.long:
      return { kind: unsigned ? 'int64' : 'int32' };
    case TYPE.longlong:
      return unsigned ? { kind: 'decimal', precision: 20, scale: 0 } : { kind: 'int64' };
    case TYPE.decimal:
    case TYPE.newDecimal:
      return decimalOf(field, unsigned);
    case TYPE.float:
      return { kind: 'float32' };
    case TYPE.double:
      return { kind: 'float64' };
    case TYPE.date:
      return { kind: 'date' };
    case TYPE.datetime:
      return { kind: 'timestamp' };
    case TYPE.timestamp:
      return { kind: 'timestamptz' };
    case TYPE.json:
    case TYPE.geometry:
      return { kind: 'json' };
    case TYPE.bit:
      return { kind: 'bytes' };
    default:
      return { kind: field.characterSet === BINARY && isText(field) ? 'bytes' : 'text' };
  }
}

/** The length that the server tells counts the sign and the point. */
function decimalOf({ columnLength, decimals = 0 }: Field, unsigned: boolean): ColumnType {
  if (columnLength === undefined) return { kind: 'decimal' };
  const precision = columnLength - (unsigned ? 0 : 1) - (decimals > 0 ? 1 : 0);
  return precision < 1 ? { kind: 'decimal' } : { kind: 'decimal', precision, scale: decimals };
}

const TEXTS: ReadonlySet<number> = new Set([
  TYPE.varchar,
  TYPE.tinyBlob,
  TYPE.mediumBlob,
  TYPE.longBlob,
  TYPE.blob,
  TYPE.varString,
  TYPE.string,
]);
const isText = ({ columnType }: Field): boolean => TEXTS.has(columnType ?? -1);
