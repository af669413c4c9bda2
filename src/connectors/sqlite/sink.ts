import { type Batch, LINES, type Payload } from '../../model/batch.ts';
import { NotAppliedError, RefusedError } from '../../model/errors.ts';
import type { Clock } from '../../model/ports.ts';
import { applied, type Verdict } from '../../model/verdict.ts';
import type { Permit, Sink } from '../connector.ts';
import { columnsOfTable, type Handle } from './database.ts';
import { noteDelivery } from './deliveries.ts';
import { loadAbilities } from './loads.ts';
import { declaredOf, type Into, RecordWriter } from './records.ts';
import { type LiveOptions, SqliteSchema } from './schema.ts';
import { SqliteSession } from './session.ts';

export interface SqliteSinkOptions {
  readonly folder: string;
  readonly file: string;
  readonly table: string;
  /** Columns with a unique index; with them the sink can `put`. */
  readonly key?: readonly string[];
  /** Columns whose texts are base64 and are stored as bytes. */
  readonly base64: readonly string[];
  /** What a load may hold, by name, with the types of SQL: where the table is not there yet, or holds less. */
  readonly columns?: Readonly<Record<string, string>>;
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
export function sqliteSink(given: SqliteSinkOptions): Sink {
  // A copy of its own: what the table is to be made of may be told later.
  const options: SqliteSinkOptions & LiveOptions = { ...given };
  const session = new SqliteSession(options.folder, options.file);
  const records = new RecordWriter(options.base64);
  const writer = new SqliteWriter(options, session, records);
  const { key } = options;
  return {
    accepts: [LINES],
    limits: { recordsPerBatch: options.recordsPerBatch, inFlight: 1 },
    can: {
      commitOnce: (permit) => writer.commitOnce(permit),
      append: (permit) => writer.write(permit),
      ...(key === undefined ? {} : { put: (permit: Permit) => writer.write(permit, key) }),
      ...loadAbilities({ options, session, records }),
    },
    schema: new SqliteSchema({ options, session, forget: () => writer.forget() }),
    facts: {
      rejectsAtomically: true,
      loadRung: 'marker',
      ...(key === undefined ? {} : { putKey: key }),
      retention: 'loads of the proxy stay as tables, as many as `keep` says; nothing else of the past is kept',
    },
    requestTimeoutMs: 30_000,
    async close() {
      records.forget();
      session.close();
    },
  };
}

class SqliteWriter {
  readonly #options: SqliteSinkOptions;
  readonly #session: SqliteSession;
  readonly #records: RecordWriter;
  #into: ({ readonly of: Handle } & Omit<Into, 'key'>) | undefined;

  constructor(options: SqliteSinkOptions, session: SqliteSession, records: RecordWriter) {
    this.#options = options;
    this.#session = session;
    this.#records = records;
  }

  async write(permit: Permit, key?: readonly string[]): Promise<Verdict> {
    const payload = await payloadOf(permit);
    return this.#session.transaction((database) => {
      const { records } = permit.batch;
      const rows = this.#insertAll(database, payload, key);
      if (key === undefined) return applied(records, { summary: `${rows} rows in one transaction` });
      const summary = `${records} records under ${rows} keys in one transaction`;
      return { ...applied(records, { summary }), keyCount: rows };
    });
  }

  async commitOnce(permit: Permit): Promise<Verdict | 'already'> {
    const payload = await payloadOf(permit);
    return this.#session.transaction<Verdict | 'already'>((database) => {
      database.exec(MARKER_TABLE);
      if (hasMarker(database, permit.batch)) return 'already';
      const { table } = this.#intoOf(database, this.#options.table);
      noteDelivery(database, permit.batch, { table, atMs: this.#options.clock.wallMs() });
      this.#insertAll(database, payload);
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

  #insertAll(database: Handle, payload: Payload, key?: readonly string[]): number {
    const { table } = this.#options;
    const into = { ...this.#intoOf(database, table), ...(key === undefined ? {} : { key }) };
    return this.#records.insertAll(database, payload, into);
  }

  /** The columns of the table may be others now. */
  forget(): void {
    this.#into = undefined;
    this.#records.forget();
  }

  #intoOf(database: Handle, table: string): Into {
    if (this.#into?.of === database) return this.#into;
    const { file } = this.#options;
    const columns = columnsOfTable(database, table);
    if (columns === undefined) {
      throw new RefusedError(`there is no table ${JSON.stringify(table)} in ${file}`, {
        reason: 'table-missing',
        about: 'request',
        hint: 'Make the table, correct `table`, or have it made: `schema: evolve`.',
        ids: { table },
      });
    }
    this.#into = { of: database, table, ...declaredOf(columns) };
    return this.#into;
  }
}

function hasMarker(database: Handle, { idempotencyKey, digest }: Batch): boolean {
  const marker = database
    .prepare<[string], { digest: string }>('select digest from waybill_marker where batch_key = ?')
    .get(idempotencyKey);
  if (marker !== undefined && marker.digest !== digest) {
    throw new RefusedError('the marker of this batch has another digest', { reason: 'marker' });
  }
  return marker !== undefined;
}

export async function payloadOf(permit: Permit): Promise<Payload> {
  if (permit.signal.aborted) throw new NotAppliedError('the send was given up before it began');
  return permit.payload();
}
