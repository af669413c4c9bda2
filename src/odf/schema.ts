import { assertNever } from '../model/assert.ts';
import type { Column, Columns, ColumnType } from '../model/columns.ts';

/** A type of Open Data Fabric's data schema. */
export interface OdfType {
  readonly kind: string;
  readonly [more: string]: unknown;
}

/** Columns as Open Data Fabric's `DataSchema`. What it has no word for is text, as it is spelled in JSON. */
export function odfSchema(columns: Columns): { readonly fields: readonly { name: string; type: OdfType }[] } {
  return { fields: columns.map((column) => ({ name: column.name, type: fieldType(column) })) };
}

function fieldType({ type, nullable }: Column): OdfType {
  const inner = odfType(type);
  const whole = type.array === true ? { kind: 'List', itemType: optional(inner) } : inner;
  return nullable ? optional(whole) : whole;
}

const optional = (inner: OdfType): OdfType => ({ kind: 'Option', inner });

function odfType({ kind, precision, scale }: ColumnType): OdfType {
  switch (kind) {
    case 'boolean':
      return { kind: 'Bool' };
    case 'int16':
      return { kind: 'Int16' };
    case 'int32':
      return { kind: 'Int32' };
    case 'int64':
      return { kind: 'Int64' };
    case 'float32':
      return { kind: 'Float32' };
    case 'float64':
      return { kind: 'Float64' };
    case 'decimal':
      return precision === undefined ? { kind: 'String' } : { kind: 'Decimal', precision, scale: scale ?? 0 };
    case 'bytes':
      return { kind: 'Binary' };
    case 'date':
      return { kind: 'Date' };
    case 'time':
      return { kind: 'Time', unit: 'Microsecond' };
    case 'timestamp':
    case 'timestamptz':
      return { kind: 'Timestamp', unit: 'Microsecond' };
    case 'text':
    case 'uuid':
    case 'json':
    case 'jsonb':
      return { kind: 'String' };
    default:
      return assertNever(kind);
  }
}
