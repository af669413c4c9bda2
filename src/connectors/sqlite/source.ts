import type BetterSqlite from 'better-sqlite3';
import { encodeRows } from '../../formats/rows.ts';
import type { Chunk, DataRecord } from '../../model/chunk.ts';
import { describeError, WaybillError } from '../../model/errors.ts';
import type { Parameter, Parameters } from '../../model/window.ts';
import type { ReadRange, Source } from '../connector.ts';
import { columnsOfTable, type Handle, openDatabase, quoteName, sqliteCode } from './database.ts';

export interface SqliteSourceOptions {
  readonly folder: string;
  readonly file: string;
  readonly query?: string;
  readonly table?: string;
  /** Asks for the number of records first, so that progress has a total. */
  readonly count: boolean;
}

const CHUNK_RECORDS = 1000;
const CHUNK_BYTES = 512 * 1024;
const NAME = /[:@$]([A-Za-z_][A-Za-z0-9_]*)/g;

type Statement = BetterSqlite.Statement<[Record<string, unknown>], readonly unknown[]>;

/**
 * Reads a query or a table of an SQLite file, without leave to write. Integers keep all 64 bits, blobs become base64.
 * One statement sees one state of the database, however long it takes. It has no positions: the same query may give
 * other rows the next time.
 */
export function sqliteSource(options: SqliteSourceOptions): Source {
  return {
    emits: ['ndjson'],
    resumable: false,
    async *read(range, signal) {
      const database = openDatabase(options.folder, options.file, { readonly: true });
      let reading = false;
      try {
        const statement = prepare(database, options, range.parameters);
        reading = true;
        yield* readChunks(statement, bind(range.parameters), signal);
      } catch (error) {
        throw readError(error, options, reading);
      } finally {
        database.close();
      }
    },
    ...(options.count ? { remaining: async (range: ReadRange) => ({ records: count(options, range) }) } : {}),
  };
}

async function* readChunks(
  statement: Statement,
  values: Record<string, unknown>,
  signal: AbortSignal,
): AsyncGenerator<Chunk> {
  const names = statement.columns().map((column) => column.name);
  let records: DataRecord[] = [];
  let [bytes, firstRow] = [0, 1];
  for (const row of statement.iterate(values)) {
    const record: Record<string, unknown> = Object.create(null);
    for (let at = 0; at < names.length; at++) {
      const value = row[at];
      record[names[at]!] = value;
      bytes += typeof value === 'string' || value instanceof Uint8Array ? value.length + 8 : 16;
    }
    records.push(record);
    if (records.length < CHUNK_RECORDS && bytes < CHUNK_BYTES) continue;
    signal.throwIfAborted();
    yield encodeRows(records, 'ndjson', { firstRow });
    firstRow += records.length;
    [records, bytes] = [[], 0];
  }
  signal.throwIfAborted();
  if (records.length > 0) yield encodeRows(records, 'ndjson', { firstRow });
}

function prepare(database: Handle, options: SqliteSourceOptions, parameters: Parameters): Statement {
  const statement = database.prepare<[Record<string, unknown>], readonly unknown[]>(queryOf(database, options));
  if (!statement.reader || !statement.readonly) throw invalid('the query gives no rows, or would change the database');
  const names = statement.columns().map((column) => column.name);
  const twice = names.find((name, at) => names.indexOf(name) !== at);
  if (twice !== undefined)
    throw invalid(`the query gives two columns the name ${JSON.stringify(twice)}: rename one with \`as\``);
  expectKnown(options.query ?? '', parameters);
  return statement.raw(true);
}

function queryOf(database: Handle, { query, table }: SqliteSourceOptions): string {
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

function bind(parameters: Parameters): Record<string, unknown> {
  return Object.fromEntries(Object.entries(parameters).map(([name, parameter]) => [name, boundValue(parameter)]));
}

// A JavaScript number is bound as a real number, which is not equal to its digits in a column of text.
function boundValue({ value }: Parameter): string | number | bigint | null {
  if (typeof value === 'boolean') return value ? 1n : 0n;
  return typeof value === 'number' && Number.isInteger(value) ? BigInt(value) : value;
}

function count(options: SqliteSourceOptions, range: ReadRange): number {
  const database = openDatabase(options.folder, options.file, { readonly: true });
  try {
    prepare(database, options, range.parameters);
    const query = queryOf(database, options).replace(/;\s*$/, '');
    const counting = database.prepare<[Record<string, unknown>], bigint>(`select count(*) from (\n${query}\n)`);
    return Number(counting.pluck().get(bind(range.parameters)));
  } catch (error) {
    throw readError(error, options);
  } finally {
    database.close();
  }
}

const invalid = (message: string): WaybillError => new WaybillError('SOURCE_INVALID', message);

/** `reading`: the statement was accepted, so what fails from here on is a row, the disk or the file, not the query. */
function readError(error: unknown, { file }: SqliteSourceOptions, reading = false): unknown {
  const code = sqliteCode(error);
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
