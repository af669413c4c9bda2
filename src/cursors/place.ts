import type { Format } from '../model/chunk.ts';
import type { Position } from '../model/position.ts';

/** The kind of positions of sources that are read by a cursor column. */
export const CURSOR_KIND = 'waybill/cursor';

/**
 * Where a reading by cursor stands: behind a row. Values are texts as the server reads and writes them, so that no
 * microsecond and no digit is lost.
 */
export interface CursorPlace {
  readonly columns: readonly string[];
  /** Types of the columns, in the words of the server. Absent in a position that a person has set. */
  readonly types?: readonly string[];
  readonly values: readonly string[];
  /**
   * Digests of the rows with exactly these values that were read, one for each row; further rows with them are still to
   * be read. Null: nothing more is expected at these values, and reading goes on strictly behind them.
   */
  readonly seen: readonly string[] | null;
  /** The format whose bytes `seen` are digests of. */
  readonly as?: Format;
  /** The columns of the rows that `seen` are digests of: a table that has got more since is compared in these. */
  readonly of?: RowColumns;
}

/** How many columns rows have, and a digest of their names in order. */
export interface RowColumns {
  readonly count: number;
  readonly names: string;
}

export function cursorPosition(sourceName: string, { columns, types, values, as, seen, of }: CursorPlace): Position {
  const value = JSON.stringify({ columns, types, values, ...(seen === null ? {} : { as, seen, of }) });
  return { sourceName, kind: CURSOR_KIND, value };
}

/** What a position says, or in words why a source that reads by `columns` cannot go on from it. */
export function readPlace({ kind, value }: Position, columns: readonly string[]): CursorPlace | string {
  if (kind !== CURSOR_KIND) return `it is of the kind ${JSON.stringify(kind)}, and ${CURSOR_KIND} is needed`;
  const parsed = parse(value);
  if (parsed === undefined) return 'its value is no JSON object';
  const made = texts(parsed.columns);
  const values = cursorValues(parsed.values);
  if (made === undefined || values === undefined || made.length === 0 || made.length !== values.length) {
    return 'its value needs `columns` and `values`, two lists of texts that are as long as each other';
  }
  if (made.join('\0') !== columns.join('\0')) {
    return `it was made for the cursor ${made.join(', ')}, and the source is read by ${columns.join(', ')}`;
  }
  const [types, seen, as] = [texts(parsed.types), texts(parsed.seen), parsed.as];
  if (parsed.types !== undefined && types?.length !== made.length) return 'its `types` are not one for each column';
  if (parsed.seen !== undefined && (seen === undefined || !isFormat(as))) {
    return 'its `seen` is no list of digests with the format that they are of';
  }
  const known = { columns: made, values, ...(types === undefined ? {} : { types }) };
  if (seen === undefined || !isFormat(as)) return { ...known, seen: null };
  return isRowColumns(parsed.of) ? { ...known, seen, as, of: parsed.of } : { ...known, seen, as };
}

const isRowColumns = (value: unknown): value is RowColumns =>
  typeof value === 'object' &&
  value !== null &&
  'count' in value &&
  Number.isSafeInteger(value.count) &&
  'names' in value &&
  typeof value.names === 'string';

type Parsed = { readonly [Part in keyof CursorPlace]?: unknown };

function parse(value: string): Parsed | undefined {
  try {
    const parsed: unknown = JSON.parse(value);
    const isObject = typeof parsed === 'object' && parsed !== null && !Array.isArray(parsed);
    return isObject ? parsed : undefined;
  } catch (error) {
    if (!(error instanceof SyntaxError)) throw error;
    return undefined;
  }
}

const texts = (value: unknown): readonly string[] | undefined =>
  Array.isArray(value) && value.every((one) => typeof one === 'string') ? value : undefined;

/** A person who sets a position may write a whole number without quotes; one that a double has rounded is refused. */
function cursorValues(value: unknown): readonly string[] | undefined {
  return Array.isArray(value) ? texts(value.map((one) => (Number.isSafeInteger(one) ? String(one) : one))) : undefined;
}

const isFormat = (value: unknown): value is Format => value === 'ndjson' || value === 'pgcopy';
