import type * as Arrow from 'apache-arrow';
import { type ColumnType, parseColumnType, showColumnType } from '../../model/columns.ts';

/** Where a column says which values its texts hold: JSON and UUIDs lie in it as texts. */
const TYPE_ENTRY = 'waybill:type';
/** LanceDB sees that two merges bring the same new key only in columns with this entry; else both insert it. */
const PRIMARY_KEY = 'lance-schema:unenforced-primary-key';
/** The most digits of a decimal of 128 bits. More are written as text. */
const DIGITS_MAX = 38;

/** LanceDB itself says it with the place in the key, from 1. */
export const isPrimaryKey = ({ metadata }: Arrow.Field): boolean =>
  metadata.get(PRIMARY_KEY) === 'true' || metadata.has(`${PRIMARY_KEY}:position`);

/** A column of a table that Waybill makes. */
export function newField(arrow: typeof Arrow, name: string, type: ColumnType, key: boolean): Arrow.Field {
  const entries = new Map([[TYPE_ENTRY, showColumnType(type)]]);
  if (key) entries.set(PRIMARY_KEY, 'true');
  return new arrow.Field(name, dataTypeOf(arrow, type), !key, entries);
}

function dataTypeOf(arrow: typeof Arrow, { array, ...type }: ColumnType): Arrow.DataType {
  if (array === true) return new arrow.List(new arrow.Field('item', dataTypeOf(arrow, type), true));
  switch (type.kind) {
    case 'boolean':
      return new arrow.Bool();
    case 'int16':
      return new arrow.Int16();
    case 'int32':
      return new arrow.Int32();
    case 'int64':
      return new arrow.Int64();
    case 'float32':
      return new arrow.Float32();
    case 'float64':
      return new arrow.Float64();
    case 'bytes':
      return new arrow.Binary();
    case 'date':
      return new arrow.DateDay();
    case 'time':
      return new arrow.TimeMicrosecond();
    case 'timestamp':
      return new arrow.Timestamp(arrow.TimeUnit.MICROSECOND, null);
    case 'timestamptz':
      return new arrow.Timestamp(arrow.TimeUnit.MICROSECOND, 'UTC');
    case 'decimal':
      return decimalOf(arrow, type);
    default:
      return new arrow.Utf8();
  }
}

function decimalOf(arrow: typeof Arrow, { precision, scale = 0 }: ColumnType): Arrow.DataType {
  const fits = precision !== undefined && precision <= DIGITS_MAX && scale >= 0 && scale <= precision;
  return fits ? new arrow.Decimal(scale, precision, 128) : new arrow.Utf8();
}

/** Which texts a column takes; undefined for a type that Waybill does not write. */
export function columnTypeOf(arrow: typeof Arrow, field: Arrow.Field): ColumnType | undefined {
  const said = parseColumnType(field.metadata.get(TYPE_ENTRY) ?? '');
  // What another tool has made of the column since counts more than what is said of it.
  if (said !== undefined && String(dataTypeOf(arrow, said)) === String(field.type)) return said;
  const type: Arrow.DataType = field.type;
  if (arrow.DataType.isList(type) || arrow.DataType.isFixedSizeList(type)) {
    const item = scalarOf(arrow, (type as Arrow.List).children[0]!.type);
    return item === undefined ? undefined : { ...item, array: true };
  }
  return scalarOf(arrow, type);
}

function scalarOf({ DataType, ...arrow }: typeof Arrow, type: Arrow.DataType): ColumnType | undefined {
  if (DataType.isBool(type)) return { kind: 'boolean' };
  if (DataType.isInt(type)) return integerOf(type);
  if (DataType.isFloat(type)) return floatOf(arrow.Precision, type);
  if (DataType.isUtf8(type) || DataType.isLargeUtf8(type)) return { kind: 'text' };
  if (DataType.isBinary(type) || DataType.isLargeBinary(type)) return { kind: 'bytes' };
  if (DataType.isDate(type)) return type.unit === arrow.DateUnit.DAY ? { kind: 'date' } : undefined;
  if (DataType.isTime(type)) return type.unit === arrow.TimeUnit.MICROSECOND ? { kind: 'time' } : undefined;
  if (DataType.isTimestamp(type)) return { kind: type.timezone == null ? 'timestamp' : 'timestamptz' };
  if (DataType.isDecimal(type) && type.bitWidth === 128) {
    return { kind: 'decimal', precision: type.precision, scale: type.scale };
  }
  return undefined;
}

function floatOf(precision: typeof Arrow.Precision, type: Arrow.Float): ColumnType | undefined {
  if (type.precision === precision.DOUBLE) return { kind: 'float64' };
  return type.precision === precision.SINGLE ? { kind: 'float32' } : undefined;
}

/** The smallest that holds every value; what is too large for the column is seen when it is written. */
function integerOf({ bitWidth, isSigned }: Arrow.Int): ColumnType {
  if (bitWidth === 8 || (bitWidth === 16 && isSigned)) return { kind: 'int16' };
  if (bitWidth === 16 || (bitWidth === 32 && isSigned)) return { kind: 'int32' };
  return bitWidth === 32 || isSigned ? { kind: 'int64' } : { kind: 'decimal', precision: 20, scale: 0 };
}
