/**
 * Types of columns, the same words for every source and sink. A type says which values there are; how a format or a
 * store spells them is said by `formats/columns` and shown in `docs/reference/types.md`.
 */
export const COLUMN_KINDS = [
  'boolean',
  'int16',
  'int32',
  'int64',
  'float32',
  'float64',
  'decimal',
  'text',
  'bytes',
  'date',
  'time',
  'timestamp',
  'timestamptz',
  'uuid',
  'json',
  'jsonb',
] as const;
export type ColumnKind = (typeof COLUMN_KINDS)[number];

/** `decimal` without a precision holds as many digits as there are. `array`: of any number of dimensions. */
export interface ColumnType {
  readonly kind: ColumnKind;
  /** Digits in all, of a `decimal`. */
  readonly precision?: number;
  /** Digits behind the point, of a `decimal` with a precision; negative: the last digits before it are zeros. */
  readonly scale?: number;
  readonly array?: true;
}

export interface Column {
  readonly name: string;
  readonly type: ColumnType;
  readonly nullable: boolean;
}

/** In the order in which a record holds them. */
export type Columns = readonly Column[];

/** `int64`, `decimal(12,2)`, `text[]`: the type as people write it. */
export function showColumnType({ kind, precision, scale, array }: ColumnType): string {
  const digits = precision === undefined ? '' : `(${precision},${scale ?? 0})`;
  return `${kind}${digits}${array === true ? '[]' : ''}`;
}

const DECLARED = /^([a-z]+[0-9]*)(?:\(([0-9]{1,4})(?:,(-?[0-9]{1,4}))?\))?(\[\])?$/;

/** The type that a text such as `decimal(12,2)` names; undefined when it names none. */
export function parseColumnType(text: string): ColumnType | undefined {
  const match = DECLARED.exec(text.replaceAll(' ', ''));
  const kind = COLUMN_KINDS.find((one) => one === match?.[1]);
  if (match === null || kind === undefined) return undefined;
  const [, , precisionText, scaleText, brackets] = match;
  const array = brackets === undefined ? {} : { array: true as const };
  if (precisionText === undefined) return { kind, ...array };
  const [precision, scale] = [Number(precisionText), Number(scaleText ?? 0)];
  if (kind !== 'decimal' || precision < 1 || precision > 1000 || Math.abs(scale) > 1000) return undefined;
  return { kind, precision, scale, ...array };
}

/** A column as a flow file declares it: `int64`, `decimal(12,2) not null`; undefined when it names no type. */
export function parseColumn(name: string, text: string): Column | undefined {
  const bare = text.replace(/\s+not\s+null\s*$/i, '');
  const type = parseColumnType(bare);
  return type === undefined ? undefined : { name, type, nullable: bare === text };
}

/** Whether two columns hold the same values under the same name, so that their bytes may be handed on unchanged. */
export function sameColumns(a: Columns, b: Columns): boolean {
  return (
    a.length === b.length &&
    a.every((column, at) => {
      const other = b[at]!;
      return column.name === other.name && showColumnType(column.type) === showColumnType(other.type);
    })
  );
}
