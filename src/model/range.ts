/**
 * A stretch of one object of a source, as the source named it when it was read: what it takes to have the same records
 * once more. Plain data, since it lies in staging instead of the bytes.
 */
export interface SourceRange {
  /** A file, an object of a bucket, a stream. */
  readonly object: string;
  /** What the object was when it was read, in the words of its place: an ETag, a time and a size. */
  readonly version: string;
  /** Under which name the place keeps this very version when another one takes its place; absent where it does not. */
  readonly keptAs?: string;
  /** Where the stretch begins and ends: how much lies before, in bytes; the last sequence or id that lies before. */
  readonly from: number | string;
  readonly to: number | string;
  /** 1-based number of its first record within the object. */
  readonly row: number;
  /** Names of the fields, for records that do not carry them. */
  readonly columns?: readonly string[];
}

/** `orders.ndjson, 0 to 1048512 (version "9a0364b9")`. */
export function showRange({ object, version, keptAs, from, to }: SourceRange): string {
  return `${object}, ${from} to ${to} (version ${keptAs ?? version})`;
}

/** Undefined: what was read is no range, or not one of this Waybill. */
export function rangeOf(value: unknown): SourceRange | undefined {
  if (typeof value !== 'object' || value === null) return undefined;
  const { object, version, keptAs, from, to, row, columns } = value as Record<string, unknown>;
  const texts = [object, version].every((one) => typeof one === 'string');
  const kept = keptAs === undefined || typeof keptAs === 'string';
  const places = [from, to].every((one) => typeof one === 'string' || isPlace(one));
  const named = columns === undefined || (Array.isArray(columns) && columns.every((one) => typeof one === 'string'));
  return texts && kept && places && isPlace(row) && named ? (value as SourceRange) : undefined;
}

const isPlace = (value: unknown): boolean => Number.isSafeInteger(value) && (value as number) >= 0;
