import { closeSync, mkdirSync, openSync } from 'node:fs';
import { dirname } from 'node:path';
import Database from 'better-sqlite3';
import { WaybillError } from '../model/errors.ts';
import type { DatasetDetails, Emitter, StatusChange, StatusMessage } from './status.ts';

const SCHEMA = `
CREATE TABLE IF NOT EXISTS dataset_details (
  message_id TEXT PRIMARY KEY, sequence INTEGER NOT NULL, correlation_id TEXT NOT NULL, dataset_id TEXT NOT NULL,
  dataset_version_id TEXT NOT NULL, dataset_type TEXT NOT NULL, record_count INTEGER NOT NULL,
  run TEXT NOT NULL, flow TEXT NOT NULL, "window" TEXT NOT NULL, timestamp INTEGER NOT NULL
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS status (
  message_id TEXT PRIMARY KEY, sequence INTEGER NOT NULL, correlation_id TEXT NOT NULL, dataset_id TEXT NOT NULL,
  record_id TEXT, record_id_version TEXT, stage TEXT NOT NULL, status TEXT NOT NULL, message TEXT NOT NULL,
  error_code INTEGER NOT NULL, run TEXT NOT NULL, flow TEXT NOT NULL, "window" TEXT NOT NULL, lane TEXT, batch TEXT,
  final INTEGER NOT NULL, counts TEXT, timestamp INTEGER NOT NULL
) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS dataset_details_by_correlation ON dataset_details (correlation_id, sequence);
CREATE INDEX IF NOT EXISTS status_by_correlation ON status (correlation_id, sequence);
CREATE INDEX IF NOT EXISTS status_by_dataset ON status (dataset_id, sequence);
CREATE INDEX IF NOT EXISTS status_by_record ON status (record_id, sequence) WHERE record_id IS NOT NULL;
`;
// A message that comes again has the same id and says the same; the first one stays.
const ADD_DETAILS = `INSERT OR IGNORE INTO dataset_details VALUES (@messageId, @sequence, @correlationId, @datasetId,
  @datasetVersionId, @datasetType, @recordCount, @run, @flow, @window, @timestamp)`;
const ADD_STATUS = `INSERT OR IGNORE INTO status VALUES (@messageId, @sequence, @correlationId, @datasetId, @recordId,
  @recordIdVersion, @stage, @status, @message, @errorCode, @run, @flow, @window, @lane, @batch, @final,
  @counts, @timestamp)`;

/**
 * Writes messages into two tables of an SQLite file of their own, for whoever wants to ask with SQL. Opened at the
 * first message; a file that cannot be opened is tried again with the next ones.
 */
export function storeEmitter(path: string): Emitter {
  return new StoreEmitter(path);
}

class StoreEmitter implements Emitter {
  readonly name = 'store';
  readonly #path: string;
  #db: Database.Database | undefined;

  constructor(path: string) {
    this.#path = path;
  }

  async emit(messages: readonly StatusMessage[]): Promise<void> {
    try {
      const db = this.#open();
      const [details, status] = [db.prepare(ADD_DETAILS), db.prepare(ADD_STATUS)];
      db.transaction(() => {
        for (const message of messages) {
          if (message.kind === 'datasetDetails') details.run(message);
          else status.run({ ...message, ...columnsOf(message) });
        }
      }).immediate();
    } catch (cause) {
      throw new WaybillError('LEDGER_WRITE', `the status store ${this.#path} cannot be written`, {
        cause,
        hint: 'The transfer goes on; the statuses are written when the store can be written again.',
        ids: { path: this.#path },
      });
    }
  }

  #open(): Database.Database {
    if (this.#db !== undefined) return this.#db;
    mkdirSync(dirname(this.#path), { recursive: true });
    // The ids of records may tell something about people: only the owner reads them, as in the ledger.
    closeSync(openSync(this.#path, 'a', 0o600));
    const db = new Database(this.#path);
    db.pragma('journal_mode = WAL');
    db.pragma('synchronous = FULL');
    db.exec(SCHEMA);
    this.#db = db;
    return db;
  }

  async close(): Promise<void> {
    this.#db?.close();
    this.#db = undefined;
  }
}

const columnsOf = (message: StatusChange): Record<string, unknown> => ({
  lane: message.lane ?? null,
  batch: message.batch ?? null,
  final: message.final === true ? 1 : 0,
  counts: message.counts === undefined ? null : JSON.stringify(message.counts),
});

const COMMON = `message_id AS messageId, sequence, correlation_id AS correlationId, dataset_id AS datasetId, run, flow,
  "window", timestamp`;
const READ_DETAILS = `SELECT ${COMMON}, dataset_version_id AS datasetVersionId, dataset_type AS datasetType,
  record_count AS recordCount FROM dataset_details WHERE correlation_id = ? ORDER BY sequence, message_id`;
const READ_STATUS = `SELECT ${COMMON}, record_id AS recordId, record_id_version AS recordIdVersion, stage, status,
  message, error_code AS errorCode, lane, batch, final, counts FROM status WHERE correlation_id = ?
  ORDER BY sequence, message_id`;

type Stored = Omit<StatusChange, 'kind' | 'final' | 'counts' | 'lane' | 'batch'> & {
  readonly lane: string | null;
  readonly batch: string | null;
  readonly final: number;
  readonly counts: string | null;
};

/** Every message under one correlation id, in the ledger's order. Throws when there is no such store. */
export function readStore(path: string, correlationId: string): readonly StatusMessage[] {
  const db = new Database(path, { readonly: true, fileMustExist: true });
  try {
    const details = db.prepare<[string], Omit<DatasetDetails, 'kind'>>(READ_DETAILS).all(correlationId);
    const changes = db.prepare<[string], Stored>(READ_STATUS).all(correlationId);
    return [...details.map((row) => ({ kind: 'datasetDetails' as const, ...row })), ...changes.map(toChange)];
  } finally {
    db.close();
  }
}

function toChange({ lane, batch, final, counts, ...row }: Stored): StatusChange {
  return {
    kind: 'status',
    ...row,
    ...(lane === null ? {} : { lane }),
    ...(batch === null ? {} : { batch }),
    ...(final === 1 ? { final: true } : {}),
    ...(counts === null ? {} : { counts: JSON.parse(counts) as Readonly<Record<string, number>> }),
  };
}
