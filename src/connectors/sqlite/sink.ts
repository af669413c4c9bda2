import { Buffer } from 'node:buffer';
import type BetterSqlite from 'better-sqlite3';
import { encodeJson } from '../../formats/encode.ts';
import { parseObject } from '../../formats/rows.ts';
import { type Batch, LINES, type Payload } from '../../model/batch.ts';
import type { DataRecord } from '../../model/chunk.ts';
import { describeError, NotAppliedError, RefusedError, WaybillError } from '../../model/errors.ts';
import type { Clock } from '../../model/ports.ts';
import { applied, type Verdict } from '../../model/verdict.ts';
import type { Permit, Sink } from '../connector.ts';
import { columnsOfTable, type Handle, openDatabase, quoteName, sqliteCode } from './database.ts';

export interface SqliteSinkOptions {
  readonly folder: string;
  readonly file: string;
  readonly table: string;
  /** Columns with a unique index; with them the sink can `put`. */
  readonly key?: readonly string[];
  /** Columns whose texts are base64 and are stored as bytes. */
  readonly base64: readonly string[];
  readonly recordsPerBatch: number;
  readonly clock: Clock;
}

const MARKER_TABLE = `create table if not exists waybill_marker (
  batch_key text primary key, digest text not null, fence integer not null, at integer not null
)`;

/**
 * Writes into one table of an SQLite file. Every batch is one transaction and is refused as a whole: when one record
 * does not fit, the engine takes the batch apart. So a marker always stands for all records of its batch, and nobody
 * has to remember which of them were refused when the answer is lost.
 */
export function sqliteSink(options: SqliteSinkOptions): Sink {
  const writer = new SqliteWriter(options);
  return {
    accepts: [LINES],
    limits: { recordsPerBatch: options.recordsPerBatch, inFlight: 1 },
    can: {
      commitOnce: (permit) => writer.commitOnce(permit),
      append: (permit) => writer.write(permit, 'append'),
      ...(options.key === undefined ? {} : { put: (permit: Permit) => writer.write(permit, 'put') }),
    },
    facts: { rejectsAtomically: true },
    requestTimeoutMs: 30_000,
    close: async () => writer.close(),
  };
}

type Way = 'append' | 'put';

class SqliteWriter {
  readonly #options: SqliteSinkOptions;
  readonly #inserts = new Map<string, BetterSqlite.Statement<unknown[]>>();
  #database: Handle | undefined;
  #columns: ReadonlySet<string> = new Set();

  constructor(options: SqliteSinkOptions) {
    this.#options = options;
  }

  async write(permit: Permit, way: Way): Promise<Verdict> {
    const payload = await payloadOf(permit);
    return this.#transaction((database) => {
      this.#insertAll(database, payload, way);
      return applied(permit.batch.records, { summary: `${permit.batch.records} rows in one transaction` });
    });
  }

  async commitOnce(permit: Permit): Promise<Verdict | 'already'> {
    const payload = await payloadOf(permit);
    return this.#transaction<Verdict | 'already'>((database) => {
      database.exec(MARKER_TABLE);
      if (this.#hasMarker(database, permit.batch)) return 'already';
      this.#insertAll(database, payload, 'append');
      const { idempotencyKey, digest, records } = permit.batch;
      database
        .prepare('insert into waybill_marker (batch_key, digest, fence, at) values (?, ?, ?, ?)')
        .run(idempotencyKey, digest, BigInt(permit.fence), BigInt(Math.trunc(this.#options.clock.wallMs())));
      return applied(records, {
        summary: `${records} rows and their marker in one transaction`,
        reference: idempotencyKey,
      });
    });
  }

  close(): void {
    this.#inserts.clear();
    this.#database?.close();
    this.#database = undefined;
  }

  #hasMarker(database: Handle, { idempotencyKey, digest }: Batch): boolean {
    const marker = database
      .prepare<[string], { digest: string }>('select digest from waybill_marker where batch_key = ?')
      .get(idempotencyKey);
    if (marker !== undefined && marker.digest !== digest) {
      throw new RefusedError('the marker of this batch has another digest', { reason: 'marker' });
    }
    return marker !== undefined;
  }

  #insertAll(database: Handle, payload: Payload, way: Way): void {
    const buffer = Buffer.from(payload.bytes.buffer, payload.bytes.byteOffset, payload.bytes.byteLength);
    for (let at = 0; at < payload.spans.length / 2; at++) {
      const text = buffer.toString('utf8', payload.spans[at * 2], payload.spans[at * 2 + 1]);
      try {
        this.#insert(database, parseObject(text), way);
      } catch (error) {
        throw recordError(error, at);
      }
    }
  }

  #insert(database: Handle, record: DataRecord, way: Way): void {
    const names = Object.keys(record);
    const unknown = names.find((name) => !this.#columns.has(name));
    if (unknown !== undefined) throw unfit('column-unknown', `the table has no column ${JSON.stringify(unknown)}`);
    const missing = way === 'put' ? this.#options.key?.find((name) => record[name] == null) : undefined;
    if (missing !== undefined) throw unfit('key-missing', `the key column ${JSON.stringify(missing)} is missing`);
    const shape = `${way} ${JSON.stringify(names)}`;
    const statement = this.#inserts.get(shape) ?? database.prepare<unknown[]>(this.#insertSql(names, way));
    this.#inserts.set(shape, statement);
    statement.run(...names.map((name) => boundValue(record[name], this.#options.base64.includes(name))));
  }

  #insertSql(names: readonly string[], way: Way): string {
    const table = quoteName(this.#options.table);
    if (names.length === 0) return `insert into ${table} default values`;
    const places = names.map(() => '?').join(', ');
    const insert = `insert into ${table} (${names.map(quoteName).join(', ')}) values (${places})`;
    if (way === 'append') return insert;
    const key = this.#options.key ?? [];
    const rest = names.filter((name) => !key.includes(name));
    const change = rest.map((name) => `${quoteName(name)} = excluded.${quoteName(name)}`).join(', ');
    const update = change === '' ? 'nothing' : `update set ${change}`;
    return `${insert} on conflict (${key.map(quoteName).join(', ')}) do ${update}`;
  }

  #transaction<T>(work: (database: Handle) => T): T {
    const database = this.#open();
    let result: T;
    try {
      database.exec('begin immediate');
      result = work(database);
    } catch (error) {
      // Nothing was committed, and a rollback that fails leaves the rest to SQLite's recovery, which rolls back too.
      if (database.inTransaction) this.#rollBack(database);
      throw sinkError(error, this.#options.file);
    }
    this.#commit(database);
    return result;
  }

  #commit(database: Handle): void {
    try {
      database.exec('commit');
    } catch (error) {
      // Still open: SQLite has refused the commit (a deferred foreign key, a reader's lock) and applied nothing.
      if (!database.inTransaction) {
        throw new WaybillError('SINK_FAILED', `the commit in ${this.#options.file} failed`, { cause: error });
      }
      this.#rollBack(database);
      throw sinkError(error, this.#options.file);
    }
  }

  #rollBack(database: Handle): void {
    try {
      database.exec('rollback');
    } catch (error) {
      if (sqliteCode(error) === undefined) throw error;
      this.close();
    }
  }

  #open(): Handle {
    if (this.#database !== undefined) return this.#database;
    const { folder, file, table } = this.#options;
    let database: Handle | undefined;
    try {
      database = openDatabase(folder, file, { readonly: false });
      database.pragma('synchronous = EXTRA');
      database.pragma('foreign_keys = ON');
      const columns = columnsOfTable(database, table);
      if (columns === undefined)
        throw new WaybillError('SINK_AWAY', `there is no table ${JSON.stringify(table)} in ${file}`);
      this.#columns = new Set(columns.map(({ name }) => name));
      this.#database = database;
      return database;
    } catch (error) {
      database?.close();
      throw sinkError(error, file);
    }
  }
}

async function payloadOf(permit: Permit): Promise<Payload> {
  if (permit.signal.aborted) throw new NotAppliedError('the send was given up before it began');
  return permit.payload();
}

/** A JSON value as SQLite stores it: whole numbers as integers, decimals by their digits, the rest as JSON. */
function boundValue(value: unknown, base64: boolean): unknown {
  switch (typeof value) {
    case 'string':
      return base64 ? Buffer.from(value, 'base64') : value;
    case 'boolean':
      return value ? 1n : 0n;
    case 'number':
      return Number.isInteger(value) ? BigInt(value) : value;
    case 'bigint':
      if (BigInt.asIntN(64, value) !== value) throw unfit('out-of-range', 'a whole number needs more than 64 bits');
      return value;
    default:
      return value === null ? null : encodeJson(value);
  }
}

const unfit = (reason: string, message: string): RefusedError => new RefusedError(message, { reason });

/** Which record it was, without a word of its content. */
function recordError(error: unknown, at: number): unknown {
  const code = sqliteCode(error);
  const about = error instanceof RefusedError || error instanceof WaybillError;
  if (!about && !(code?.startsWith('SQLITE_CONSTRAINT') || code === 'SQLITE_MISMATCH' || code === 'SQLITE_TOOBIG'))
    return error;
  const reason = error instanceof RefusedError ? error.reason : (code ?? (error as WaybillError).code);
  return new RefusedError(`record ${at + 1} of the batch: ${describeError(error)}`, { reason, cause: error });
}

/** Everything that happens before the commit proves that nothing was applied. */
function sinkError(error: unknown, file: string): unknown {
  if (error instanceof NotAppliedError || error instanceof RefusedError) return error;
  const code = sqliteCode(error);
  if (code?.startsWith('SQLITE_CONSTRAINT')) {
    return new RefusedError(`the commit was refused: ${describeError(error)}`, { reason: code, cause: error });
  }
  const hint = /ON CONFLICT clause/.test(describeError(error))
    ? 'Make a unique index on exactly the columns of `key`.'
    : 'Correct the connection or the table; what was not sent stays sealed.';
  const details = { cause: error, hint, sinkAway: code !== 'SQLITE_BUSY' };
  return new NotAppliedError(`nothing was written to ${file}${code === undefined ? '' : ` (${code})`}`, details);
}
