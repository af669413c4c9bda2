import type { ColumnType } from '../../model/columns.ts';
import { isParquetDecimal, shapeOf } from './schema.ts';

/** How the module reads a column; `kind` and `order` are its numbers. */
export interface Reading {
  /** 0: the caller reads every cell. */
  readonly kind: number;
  /** Bytes of a value; 0: texts, each behind its length. */
  readonly width: number;
  readonly precision: number;
  readonly scale: number;
  /** In which order the least and the greatest are found; 0: that of texts. */
  readonly order: number;
}

const KINDS: Readonly<Partial<Record<ColumnType['kind'], number>>> = {
  boolean: 1,
  int16: 2,
  int32: 3,
  int64: 4,
  float32: 5,
  float64: 6,
  date: 7,
  time: 8,
  timestamp: 9,
  timestamptz: 10,
  uuid: 11,
  text: 13,
};
const DECIMAL = 12;
const DECIMAL_TEXT = 14;
const [SIGNED16, BYTES16] = [6, 7];
const SIZES = { BOOLEAN: [1, 1], INT32: [4, 2], INT64: [8, 3], FLOAT: [4, 4], DOUBLE: [8, 5] } as const;

export function readingOf(type: ColumnType): Reading {
  const physical = shapeOf(type).type!;
  const [width, order] =
    physical in SIZES
      ? SIZES[physical as keyof typeof SIZES]
      : physical === 'FIXED_LEN_BYTE_ARRAY'
        ? [16, type.kind === 'uuid' ? BYTES16 : SIGNED16]
        : [0, 0];
  return { kind: kindOf(type), width, order, precision: type.precision ?? 0, scale: type.scale ?? 0 };
}

function kindOf(type: ColumnType): number {
  if (type.array === true) return 0;
  if (type.kind !== 'decimal') return KINDS[type.kind] ?? 0;
  if (isParquetDecimal(type)) return DECIMAL;
  return type.precision === undefined ? DECIMAL_TEXT : 0;
}

export const isBoolean = ({ order }: Reading): boolean => order === SIZES.BOOLEAN[1];
export const isFloat = ({ order }: Reading): boolean => order === SIZES.FLOAT[1] || order === SIZES.DOUBLE[1];
