import type * as Mysql from 'mysql2';
import type { Lag } from '../../cursors/settings.ts';
import { encodeRows } from '../../formats/rows.ts';
import type { Chunk, DataRecord } from '../../model/chunk.ts';
import type { Columns } from '../../model/columns.ts';
import { describeError, WaybillError } from '../../model/errors.ts';
import type { ReadRange } from '../connector.ts';
import { connect, type MysqlConnection, quoteName } from './connection.ts';
import { describe } from './describe.ts';
import { type BoundQuery, bindQuery } from './parameters.ts';
import { castsOf, valueReader } from './values.ts';

export interface MysqlSourceOptions {
  readonly query?: string;
  /** A name, or a database and a name. */
  readonly table?: readonly string[];
  /** The offset of the clock that `datetime` values are written by. */
  readonly timeZone: string;
  /** Asks for the number of records first, so that progress has a total. */
  readonly count: boolean;
  /** Columns that only grow: with them a pull reads what lies behind its position. */
  readonly cursor?: readonly string[];
  readonly lag?: Lag;
}

/** What a query is called in what is put around it. */
export const ROW = 'waybill_row';
const CHUNK_RECORDS = 1000;
const CHUNK_BYTES = 512 * 1024;
/** Rows that wait in the memory of the driver before the server is held back. */
const WAITING_ROWS = 500;

// A slow sink must not end the reading: the server gives up a client that takes nothing for a minute.
const SETTINGS = "set session time_zone = '+00:00', net_write_timeout = 86400, net_read_timeout = 86400";
/**
 * How texts are read must not depend on how the server is set up: what quotes and backslashes mean, and whether
 * `2024-02-00` is a date. Where it is none, a position that holds it is null, and the server reads from the beginning
 * or nothing at all. The others stand for several at once, and bring one of these.
 */
const MODES_LEFT_OUT: ReadonlySet<string> = new Set([
  ...['ANSI_QUOTES', 'NO_BACKSLASH_ESCAPES', 'NO_ZERO_DATE', 'NO_ZERO_IN_DATE'],
  ...['ANSI', 'DB2', 'MAXDB', 'MSSQL', 'ORACLE', 'POSTGRESQL', 'TRADITIONAL'],
]);
const DATES_AS_STORED = 'ALLOW_INVALID_DATES';

/** One read-only transaction, which sees one state of the database: that of its beginning. */
export class Reading {
  readonly #client: Mysql.Connection;
  readonly #signal: AbortSignal;
  /** Who waits for an answer: the driver tells of a broken connection the one with a callback at most. */
  readonly #waiting = new Set<(error: Error) => void>();
  /** What broke the connection, perhaps while nobody waited: the driver answers no question asked after that. */
  #broken: Error | undefined;
  readonly #stop = (): void => {
    this.#client.destroy();
    this.#broke(this.#signal.reason as Error);
  };

  static async begin(connection: () => MysqlConnection, signal: AbortSignal): Promise<Reading> {
    signal.throwIfAborted();
    const reading = new Reading(await connect(connection(), signal), signal);
    try {
      await reading.#plainly(SETTINGS);
      await reading.#readAlike();
      await reading.#plainly('set session transaction isolation level repeatable read');
      await reading.#plainly('start transaction with consistent snapshot, read only');
      return reading;
    } catch (error) {
      await reading.end();
      throw error;
    }
  }

  private constructor(client: Mysql.Connection, signal: AbortSignal) {
    this.#client = client;
    this.#signal = signal;
    signal.addEventListener('abort', this.#stop, { once: true });
    client.on('error', (error: Error) => this.#broke(error));
  }

  /** The answer as texts and numbers, row by row, and its columns. Throws SOURCE_INVALID and SOURCE_FAILED. */
  async ask({ text, values }: BoundQuery): Promise<{ rows: readonly unknown[][]; fields: Mysql.FieldPacket[] }> {
    const asked = { sql: text, values: [...values], rowsAsArray: true };
    return await this.#answer((done, failed) => {
      this.#client.execute<Mysql.RowDataPacket[][]>(asked, (error, rows, fields) => {
        if (error === null) done({ rows, fields });
        else failed(error);
      });
    });
  }

  /** The rows as they come. Nothing else can be asked before the last one. */
  async *chunks({ text, values }: BoundQuery, fields: readonly Mysql.FieldPacket[]): AsyncGenerator<Chunk> {
    const names = fields.map(({ name }) => name);
    const readers = fields.map(valueReader);
    const packer = new Packer(describe(fields));
    const asked = this.#client.execute({ sql: text, values: [...values], rowsAsArray: true, ...castsOf(fields) });
    const rows = asked.stream({ highWaterMark: WAITING_ROWS });
    const broke = (error: Error): void => void rows.destroy(error);
    this.#waiting.add(broke);
    if (this.#broken !== undefined) broke(this.#broken);
    try {
      for await (const row of rows as AsyncIterable<readonly unknown[]>) {
        const record: Record<string, unknown> = Object.create(null);
        for (const [at, name] of names.entries()) record[name] = readers[at]!(row[at]);
        const full = packer.add(record, row);
        if (full !== undefined) yield full;
      }
    } catch (error) {
      throw this.#told(error);
    } finally {
      this.#waiting.delete(broke);
    }
    const last = packer.flush();
    if (last !== undefined) yield last;
  }

  async end(): Promise<void> {
    this.#signal.removeEventListener('abort', this.#stop);
    // The transaction has changed nothing, so there is nothing to be said goodbye for.
    this.#client.destroy();
  }

  async #readAlike(): Promise<void> {
    const { rows } = await this.ask({ text: 'select @@sql_mode', values: [] });
    const modes = String(rows[0]![0]).split(',');
    const kept = modes.filter((mode) => /^\w+$/.test(mode) && !MODES_LEFT_OUT.has(mode));
    await this.#plainly(`set session sql_mode = '${[...kept, DATES_AS_STORED].join(',')}'`);
  }

  async #plainly(text: string): Promise<void> {
    await this.#answer<void>((done, failed) => {
      this.#client.query(text, (error) => (error === null ? done() : failed(error)));
    });
  }

  async #answer<T>(ask: (done: (answer: T) => void, failed: (error: Error) => void) => void): Promise<T> {
    let failed: (error: Error) => void = () => undefined;
    try {
      return await new Promise<T>((resolve, reject) => {
        failed = reject;
        if (this.#broken !== undefined) throw this.#broken;
        this.#waiting.add(failed);
        ask(resolve, reject);
      });
    } catch (error) {
      throw this.#told(error);
    } finally {
      this.#waiting.delete(failed);
    }
  }

  #broke(error: Error): void {
    this.#broken ??= error;
    for (const failed of this.#waiting) failed(error);
  }

  #told(error: unknown): unknown {
    return this.#signal.aborted ? this.#signal.reason : readError(error);
  }
}

/** Gathers records until a chunk is full. */
class Packer {
  readonly #described: Columns;
  #records: DataRecord[] = [];
  #bytes = 0;
  #firstRow = 1;

  constructor(described: Columns) {
    this.#described = described;
  }

  add(record: DataRecord, row: readonly unknown[]): Chunk | undefined {
    this.#records.push(record);
    for (const value of row) {
      this.#bytes += typeof value === 'string' || value instanceof Uint8Array ? value.length + 8 : 16;
    }
    return this.#records.length < CHUNK_RECORDS && this.#bytes < CHUNK_BYTES ? undefined : this.flush();
  }

  flush(): Chunk | undefined {
    if (this.#records.length === 0) return undefined;
    const rows = encodeRows(this.#records, 'ndjson', { firstRow: this.#firstRow });
    this.#firstRow += this.#records.length;
    this.#records = [];
    this.#bytes = 0;
    return { ...rows, described: this.#described };
  }
}

export function boundQuery({ query, table }: MysqlSourceOptions, range: ReadRange): BoundQuery {
  if (query === undefined) return { text: `select * from ${(table ?? []).map(quoteName).join('.')}`, values: [] };
  return bindQuery(query.replace(/[;\s]*$/, ''), range.parameters);
}

/** The query as a table that conditions can be put to. */
export const tableOf = ({ text }: BoundQuery): string => `(\n${text}\n) as ${ROW}`;

/** The columns of the query; no row is read. */
export async function fieldsOf(reading: Reading, query: BoundQuery): Promise<readonly Mysql.FieldPacket[]> {
  const { fields } = await reading.ask({ text: `select * from ${tableOf(query)} limit 0`, values: query.values });
  return fields;
}

/** The server's error without the values that it quotes: those of data errors are content of records. */
function readError(error: unknown): unknown {
  if (error instanceof WaybillError) return error;
  const { code, sqlState: state, sqlMessage: said = '' } = error as Partial<Mysql.QueryError> & { sqlMessage?: string };
  if (state === undefined || said === '') {
    // Not only broken lines end here: the driver has reasons of its own, such as a column called `__proto__`.
    const why = describeError(error);
    return new WaybillError('SOURCE_FAILED', `the connection to MySQL broke off: ${why}`, { cause: error });
  }
  const ids = { code: code ?? '', sqlState: state };
  // 42: the query cannot be understood, or may not be asked. 25006: it would change something.
  if (state.startsWith('42') || state === '25006') {
    return new WaybillError('SOURCE_INVALID', `MySQL refuses the query (${code}): ${said}`, { ids });
  }
  const message = said.replace(/'[^']*'/g, "'…'");
  return new WaybillError('SOURCE_FAILED', `the query failed in MySQL (${code}): ${message}`, { ids });
}
