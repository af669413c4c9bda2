import type { SchemaElement } from 'hyparquet';
import { type Column, type Columns, type ColumnType, parseColumnType, showColumnType } from '../../model/columns.ts';
import { WaybillError } from '../../model/errors.ts';

/** Where a file that Waybill wrote says which types its columns have: Parquet itself has fewer. */
export const COLUMNS_ENTRY = 'waybill.columns';

/** The most digits that every reader of Parquet understands in a DECIMAL. More are written as text. */
export const DECIMAL_DIGITS_MAX = 38;
/** 38 digits take 127 bits. */
const DECIMAL_BYTES = 16;

type Shape = Omit<SchemaElement, 'name' | 'repetition_type'>;

const TEXT: Shape = { type: 'BYTE_ARRAY', converted_type: 'UTF8' };
// Without the older `converted_type`: with it the writer would take values for objects and encode them anew.
const JSON_TEXT: Shape = { type: 'BYTE_ARRAY', logical_type: { type: 'JSON' } };

/** How a type lies in a Parquet file. */
export function shapeOf(type: ColumnType): Shape {
  if (type.array === true) return JSON_TEXT;
  switch (type.kind) {
    case 'boolean':
      return { type: 'BOOLEAN' };
    case 'int16':
      // Not as a logical type: the writer gives the width more bits than others read.
      return { type: 'INT32', converted_type: 'INT_16' };
    case 'int32':
      return { type: 'INT32' };
    case 'int64':
      return { type: 'INT64' };
    case 'float32':
      return { type: 'FLOAT' };
    case 'float64':
      return { type: 'DOUBLE' };
    case 'decimal':
      return decimalShape(type);
    case 'text':
      return TEXT;
    case 'bytes':
      return { type: 'BYTE_ARRAY' };
    case 'date':
      return { type: 'INT32', converted_type: 'DATE', logical_type: { type: 'DATE' } };
    case 'time':
      return { type: 'INT64', logical_type: { type: 'TIME', isAdjustedToUTC: false, unit: 'MICROS' } };
    case 'timestamp':
    case 'timestamptz':
      return {
        type: 'INT64',
        logical_type: { type: 'TIMESTAMP', isAdjustedToUTC: type.kind === 'timestamptz', unit: 'MICROS' },
      };
    case 'uuid':
      return { type: 'FIXED_LEN_BYTE_ARRAY', type_length: 16, logical_type: { type: 'UUID' } };
    default:
      return JSON_TEXT;
  }
}

/** Whether a decimal of this type is a DECIMAL in Parquet; else it is text with all its digits. */
export function isParquetDecimal({ precision, scale = 0 }: ColumnType): boolean {
  return precision !== undefined && precision <= DECIMAL_DIGITS_MAX && scale >= 0 && scale <= precision;
}

function decimalShape(type: ColumnType): Shape {
  if (!isParquetDecimal(type)) return TEXT;
  const [precision, scale] = [type.precision!, type.scale ?? 0];
  const said = {
    converted_type: 'DECIMAL',
    precision,
    scale,
    logical_type: { type: 'DECIMAL', precision, scale },
  } as const;
  if (precision <= 9) return { type: 'INT32', ...said };
  if (precision <= 18) return { type: 'INT64', ...said };
  return { type: 'FIXED_LEN_BYTE_ARRAY', type_length: DECIMAL_BYTES, ...said };
}

export function schemaOf(columns: Columns): SchemaElement[] {
  const root: SchemaElement = { name: 'root', num_children: columns.length };
  return [
    root,
    ...columns.map(
      ({ name, type, nullable }): SchemaElement => ({
        name,
        repetition_type: nullable ? 'OPTIONAL' : 'REQUIRED',
        ...shapeOf(type),
      }),
    ),
  ];
}

/** The type of a column that is no group. */
export function columnTypeOf(element: SchemaElement): ColumnType {
  const { type, converted_type: converted, logical_type: logical } = element;
  switch (logical?.type) {
    case 'STRING':
    case 'ENUM':
      return { kind: 'text' };
    case 'JSON':
      return { kind: 'json' };
    case 'UUID':
      return { kind: 'uuid' };
    case 'DATE':
      return { kind: 'date' };
    case 'TIME':
      return { kind: 'time' };
    case 'TIMESTAMP':
      return { kind: logical.isAdjustedToUTC ? 'timestamptz' : 'timestamp' };
    case 'FLOAT16':
      return { kind: 'float32' };
    case 'DECIMAL':
      return { kind: 'decimal', precision: logical.precision, scale: logical.scale };
    case 'INTEGER':
      return integerType(logical.bitWidth, logical.isSigned);
    default:
      return convertedType(converted, element) ?? { kind: PHYSICAL[type ?? 'BYTE_ARRAY'] };
  }
}

const PHYSICAL: Readonly<Record<NonNullable<SchemaElement['type']>, ColumnType['kind']>> = {
  BOOLEAN: 'boolean',
  INT32: 'int32',
  INT64: 'int64',
  INT96: 'timestamp',
  FLOAT: 'float32',
  DOUBLE: 'float64',
  BYTE_ARRAY: 'bytes',
  FIXED_LEN_BYTE_ARRAY: 'bytes',
};

/** What older writers say of a column. */
function convertedType(converted: SchemaElement['converted_type'], element: SchemaElement): ColumnType | undefined {
  switch (converted) {
    case 'UTF8':
    case 'ENUM':
      return { kind: 'text' };
    case 'JSON':
      return { kind: 'json' };
    case 'DATE':
      return { kind: 'date' };
    case 'TIME_MILLIS':
    case 'TIME_MICROS':
      return { kind: 'time' };
    case 'TIMESTAMP_MILLIS':
    case 'TIMESTAMP_MICROS':
      return { kind: 'timestamptz' };
    case 'DECIMAL':
      return { kind: 'decimal', precision: element.precision ?? DECIMAL_DIGITS_MAX, scale: element.scale ?? 0 };
    default: {
      const match = /^(U?)INT_(\d+)$/.exec(converted ?? '');
      return match === null ? undefined : integerType(Number(match[2]), match[1] === '');
    }
  }
}

/** Unsigned numbers need the next larger type; the largest a decimal. */
function integerType(bits: number, signed: boolean): ColumnType {
  const needed = signed ? bits : bits + 1;
  if (needed <= 16) return { kind: 'int16' };
  if (needed <= 32) return { kind: 'int32' };
  return needed <= 64 ? { kind: 'int64' } : { kind: 'decimal', precision: 20, scale: 0 };
}

/** What COLUMNS_ENTRY holds. */
export function columnsEntry(columns: Columns): string {
  return JSON.stringify(columns.map(({ name, type }) => [name, showColumnType(type)]));
}

/** The types that the file says its columns were written from, by name; those that fit no longer are left out. */
export function writtenTypes(text: string | undefined, elements: readonly SchemaElement[]): Map<string, ColumnType> {
  const types = new Map<string, ColumnType>();
  for (const [name, said] of text === undefined ? [] : entriesOf(text)) {
    const type = parseColumnType(said);
    const element = elements.find((one) => one.name === name);
    if (type !== undefined && element !== undefined && shapeOf(type).type === element.type) types.set(name, type);
  }
  return types;
}

function entriesOf(text: string): readonly (readonly [string, string])[] {
  try {
    const list = JSON.parse(text) as unknown;
    if (!Array.isArray(list)) return [];
    return list.filter(
      (pair): pair is [string, string] => Array.isArray(pair) && pair.every((one) => typeof one === 'string'),
    );
  } catch (error) {
    if (!(error instanceof SyntaxError)) throw error;
    throw new WaybillError('SOURCE_INVALID', `the entry ${COLUMNS_ENTRY} of a Parquet file is no JSON`);
  }
}

/** A name twice would be one member in a record. */
export function expectDistinct(columns: readonly Pick<Column, 'name'>[]): void {
  const names = columns.map(({ name }) => name);
  const twice = names.find((name, at) => names.indexOf(name) !== at);
  if (twice === undefined) return;
  throw new WaybillError('SOURCE_INVALID', `a Parquet file has two columns named ${JSON.stringify(twice)}`);
}
