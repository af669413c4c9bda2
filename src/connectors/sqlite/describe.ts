import { exactType, likelyType } from '../../formats/columns/sqlite-types.ts';
import { plainOfSqlite, type SqliteValue } from '../../formats/columns/sqlite-values.ts';
import { jsonOf } from '../../formats/columns/values.ts';
import { encodeJson } from '../../formats/encode.ts';
import { LineWriter } from '../../formats/line-writer.ts';
import type { Chunk, Reject } from '../../model/chunk.ts';
import type { Column, Columns, ColumnType } from '../../model/columns.ts';
import { WaybillError } from '../../model/errors.ts';

/** A column of a query: its name, and how the column of the table was declared that its values come from. */
export interface QueryColumn {
  readonly name: string;
  readonly declared: string | null;
}

type Row = readonly unknown[];

interface RowsAt {
  readonly firstRow: number;
  /** Places (0-based) of rows with texts that nobody can read. */
  readonly broken?: ReadonlySet<number>;
}

/**
 * Rows as records of NDJSON, with the types that all of them have. A type is what the column was declared to be where
 * each value of the chunk is one, and otherwise text, which any value can be read as: SQLite holds nobody to what was
 * declared. In a column that was declared in the words of Waybill each value that is one is spelled by its type, and
 * any other as it is stored: a row is spelled the same whichever rows come with it, or it would count as changed.
 */
export function describedChunk(
  columns: readonly QueryColumn[],
  rows: readonly Row[],
  { firstRow, broken }: RowsAt,
): Chunk {
  const described = columns.map((column, at): Column => {
    const type = typeOf(column, rows, at);
    return { name: column.name, type, nullable: true };
  });
  const exact = columns.map(({ declared }) => (declared === null ? undefined : exactType(declared)));
  const heads = columns.map(({ name }, at) => `${at === 0 ? '{' : ','}${JSON.stringify(name)}:`);
  const lines = new LineWriter();
  const rejects: Reject[] = [];
  for (const [nth, row] of rows.entries()) {
    try {
      if (broken?.has(nth)) throw new WaybillError('TEXT_INVALID', 'a text of the record is not UTF-8');
      lines.write(`${row.map((value, at) => heads[at]! + jsonText(value, exact[at])).join('')}}`);
    } catch (error) {
      if (!(error instanceof WaybillError)) throw error;
      rejects.push({ row: firstRow + nth, code: error.code, message: error.message });
    }
  }
  return {
    format: 'ndjson',
    ...lines.finish(),
    firstRow,
    described,
    ...(rejects.length === 0 ? {} : { rejects }),
  };
}

/** What columns were declared to be; undefined where nobody has declared one of them, and only values could tell. */
export function declaredColumns(columns: readonly QueryColumn[]): Columns | undefined {
  const known = columns.flatMap(({ name, declared }): readonly Column[] => {
    const type = likelyType(declared);
    return type === undefined ? [] : [{ name, type, nullable: true }];
  });
  return known.length === columns.length ? known : undefined;
}

function jsonText(value: unknown, exact: ColumnType | undefined): string {
  if (exact === undefined || value === null || !isOne(exact, value as SqliteValue)) return storedText(value);
  return jsonOf(exact, plainOfSqlite(exact, value as SqliteValue)!);
}

/** JSON has no infinities: they are texts, as in the records of a PostgreSQL source. */
const storedText = (value: unknown): string =>
  typeof value === 'number' && !Number.isFinite(value) ? `"${value}"` : encodeJson(value);

function typeOf({ declared }: QueryColumn, rows: readonly Row[], at: number): ColumnType {
  const likely = likelyType(declared);
  if (likely !== undefined && rows.every((row) => isOne(likely, row[at] as SqliteValue))) return likely;
  return stored(rows, at);
}

function isOne(type: ColumnType, value: SqliteValue): boolean {
  if (value === null) return true;
  const kind = type.array === true ? 'json' : type.kind;
  // A text in a column of bytes may look like base64 and be none.
  if ((kind === 'bytes') !== value instanceof Uint8Array) return false;
  if (kind === 'int64' || kind === 'text') return typeof value === (kind === 'text' ? 'string' : 'bigint');
  try {
    plainOfSqlite(type, value);
    return true;
  } catch (error) {
    if (error instanceof WaybillError) return false;
    throw error;
  }
}

/** What all values of a column are, as they are stored. */
function stored(rows: readonly Row[], at: number): ColumnType {
  const kinds = new Set(rows.map((row) => kindOf(row[at])).filter((kind) => kind !== undefined));
  const [only] = kinds;
  return { kind: kinds.size === 1 && only !== undefined ? only : 'text' };
}

function kindOf(value: unknown): ColumnType['kind'] | undefined {
  if (value === null) return undefined;
  if (typeof value === 'bigint') return 'int64';
  if (typeof value === 'number') return 'float64';
  return value instanceof Uint8Array ? 'bytes' : 'text';
}
