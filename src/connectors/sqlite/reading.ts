import type { Lag } from '../../cursors/settings.ts';
import type { Chunk } from '../../model/chunk.ts';
import { describeError, WaybillError } from '../../model/errors.ts';
import type { Parameter, Parameters } from '../../model/window.ts';
import { columnsOfTable, type Handle, quoteName, type Statement, sqliteCode } from './database.ts';
import { describedChunk, type QueryColumn } from './describe.ts';
import { WholeTexts } from './whole-texts.ts';

export interface SqliteSourceOptions {
  readonly folder: string;
  readonly file: string;
  readonly query?: string;
  readonly table?: string;
  /** Asks for the number of records first, so that progress has a total. */
  readonly count: boolean;
  /** Columns that only grow: with them a pull reads what lies behind its position. */
  readonly cursor?: readonly string[];
  readonly lag?: Lag;
}

const CHUNK_RECORDS = 1000;
const CHUNK_BYTES = 512 * 1024;
const NAME = /[:@$]([A-Za-z_][A-Za-z0-9_]*)/g;

export const queryColumns = (statement: Statement): readonly QueryColumn[] =>
  statement.columns().map(({ name, type }) => ({ name, declared: type }));

export async function* readChunks(
  statement: Statement,
  values: Record<string, unknown>,
  signal: AbortSignal,
): AsyncGenerator<Chunk> {
  const columns = queryColumns(statement);
  const texts = new WholeTexts(statement, values);
  let rows: (readonly unknown[])[] = [];
  let broken = new Set<number>();
  let [bytes, firstRow] = [0, 1];
  try {
    for (const row of statement.iterate(values)) {
      if (!texts.isWhole(row, firstRow - 1 + rows.length)) broken.add(rows.length);
      for (const value of row)
        bytes += typeof value === 'string' || value instanceof Uint8Array ? value.length + 8 : 16;
      rows.push(row);
      if (rows.length < CHUNK_RECORDS && bytes < CHUNK_BYTES) continue;
      signal.throwIfAborted();
      yield describedChunk(columns, rows, { firstRow, broken });
      firstRow += rows.length;
      [rows, bytes, broken] = [[], 0, new Set()];
    }
  } finally {
    texts.end();
  }
  signal.throwIfAborted();
  if (rows.length > 0) yield describedChunk(columns, rows, { firstRow, broken });
}

export function prepare(
  database: Handle,
  options: SqliteSourceOptions,
  parameters: Parameters,
  query = queryOf(database, options),
): Statement {
  const statement = database.prepare<[Record<string, unknown>], readonly unknown[]>(query);
  if (!statement.reader || !statement.readonly) throw invalid('the query gives no rows, or would change the database');
  const names = statement.columns().map((column) => column.name);
  const twice = names.find((name, at) => names.indexOf(name) !== at);
  if (twice !== undefined)
    throw invalid(`the query gives two columns the name ${JSON.stringify(twice)}: rename one with \`as\``);
  expectKnown(options.query ?? '', parameters);
  return statement.raw(true);
}

export function queryOf(database: Handle, { query, table }: SqliteSourceOptions): string {
  if (query !== undefined) return query;
  if (table === undefined || columnsOfTable(database, table) === undefined)
    throw invalid(`there is no table ${JSON.stringify(table)}`);
  return `select * from ${quoteName(table)}`;
}

/** Better before the first row than in SQLite's words: which names the flow has. Names inside texts do no harm here. */
function expectKnown(query: string, parameters: Parameters): void {
  const bare = query.replace(/'(?:[^']|'')*'|"(?:[^"]|"")*"|--[^\n]*|\/\*[\s\S]*?\*\//g, ' ');
  for (const [, name] of bare.matchAll(NAME)) {
    if (name === undefined || Object.hasOwn(parameters, name)) continue;
    throw invalid(
      `the query asks for :${name}, and the flow has ${Object.keys(parameters).join(', ') || 'no parameters'}`,
    );
  }
}

export function bind(parameters: Parameters): Record<string, unknown> {
  return Object.fromEntries(Object.entries(parameters).map(([name, parameter]) => [name, boundValue(parameter)]));
}

// A JavaScript number is bound as a real number, which is not equal to its digits in a column of text.
function boundValue({ value }: Parameter): string | number | bigint | null {
  if (typeof value === 'boolean') return value ? 1n : 0n;
  return typeof value === 'number' && Number.isInteger(value) ? BigInt(value) : value;
}

export const invalid = (message: string): WaybillError => new WaybillError('SOURCE_INVALID', message);

/** `reading`: the statement was accepted, so what fails from here on is a row, the disk or the file, not the query. */
export function readError(error: unknown, { file }: SqliteSourceOptions, reading = false): unknown {
  const code = sqliteCode(error);
  if (error instanceof RangeError && !reading)
    return new WaybillError('SOURCE_INVALID', `the query of ${file} is refused: ${describeError(error)}`, {
      cause: error,
    });
  if (error instanceof WaybillError || (error instanceof DOMException && error.name === 'AbortError')) return error;
  const details = { cause: error, ids: { file, ...(code === undefined ? {} : { sqlite: code }) } };
  // Before it runs, a statement is refused with this for a syntax error or a table that is not there.
  if (code === 'SQLITE_ERROR' && !reading)
    return new WaybillError('SOURCE_INVALID', `the query of ${file} is refused: ${describeError(error)}`, details);
  return new WaybillError(
    'SOURCE_FAILED',
    `reading ${file} failed${code === undefined ? '' : ` with ${code}: ${describeError(error)}`}`,
    details,
  );
}
