import { type Batch, COPY_ROWS, CSV_ROWS, LINES, type Payload } from '../../model/batch.ts';
import { NotAppliedError, RefusedError, type WaybillError } from '../../model/errors.ts';
import { applied, type Verdict } from '../../model/verdict.ts';
import type { Found, LostSend, Permit, Sink } from '../connector.ts';
import { Books } from './books.ts';
import { copyBatch } from './copy-batch.ts';
import type { LoadPlaceOptions } from './load-place.ts';
import { type Loads, loadAbilities } from './loads.ts';
import type { Course } from './outcome.ts';
import { PostgresSchema } from './schema.ts';
import type { Session, SessionOptions } from './session.ts';
import { makeStage, Stage } from './stage.ts';
import { readTable, shapeOf, type Table, type TableOptions } from './table.ts';
import { Transactions, type Work } from './transactions.ts';

export interface PostgresSinkOptions extends SessionOptions, TableOptions, LoadPlaceOptions {
  /** Where markers, fences and loads are kept; made when it is missing. */
  readonly markerSchema: string;
  readonly recordsPerBatch: number;
  readonly bytesPerBatch: number;
  /** Batches on their way at once, each in a connection of its own. */
  readonly connections: number;
}

/**
 * Writes into one table of PostgreSQL by COPY. Every batch is one transaction and is refused as a whole: when one
 * record does not fit, the engine takes the batch apart. So a marker always stands for all records of its batch.
 *
 * While one connection waits for its commit another one loads, which hides the wait for the server's disk.
 */
export function postgresSink(options: PostgresSinkOptions): Sink {
  const writer = new PostgresWriter(options);
  const { recordsPerBatch, bytesPerBatch, connections, key } = options;
  return {
    accepts: [LINES, COPY_ROWS, CSV_ROWS],
    limits: { recordsPerBatch, bytesPerBatch, inFlight: connections },
    can: {
      commitOnce: (permit) => writer.commitOnce(permit),
      marked: (lost) => writer.marked(lost),
      append: (permit) => writer.append(permit),
      ...(key === undefined
        ? {}
        : {
            put: (permit: Permit) => writer.put(permit, key),
            find: (_batch: Batch, payload: Payload) => writer.find(payload, key),
          }),
      fence: (shard, fence) => writer.fence(shard, fence),
      ...writer.loads.can,
    },
    // A row under a key may be that of another batch.
    schema: writer.schema,
    facts: {
      rejectsAtomically: true,
      // The server had taken all of it before it said so.
      letsGo: true,
      retention: RETENTION,
      ...(key === undefined ? {} : { findsOthers: true, putKey: key }),
    },
    requestTimeoutMs: options.requestTimeoutMs,
    close: () => writer.close(),
  };
}

const RETENTION =
  'published loads of the proxy stay as tables, as many as `keep` says; the history of mergers for ever';

class PostgresWriter {
  readonly #options: PostgresSinkOptions;
  readonly #transactions: Transactions;
  readonly #books: Books;
  readonly loads: Loads;
  readonly schema: PostgresSchema;
  #table: Table | undefined;

  constructor(options: PostgresSinkOptions) {
    // A copy of its own: what the table is to be made of may be told later.
    this.#options = { ...options };
    this.#transactions = new Transactions(options);
    this.#books = new Books(options.markerSchema);
    const parts = { options: this.#options, transactions: this.#transactions };
    this.loads = loadAbilities({ ...parts, books: this.#books });
    const forget = (): void => {
      this.#table = undefined;
      this.loads.forget();
    };
    this.schema = new PostgresSchema({ ...parts, forget });
  }

  async commitOnce(permit: Permit): Promise<Verdict | 'already'> {
    const work = async (session: Session, at: Course): Promise<Verdict> => {
      await this.#copy(session, await permit.payload(), at);
      const { records, idempotencyKey } = permit.batch;
      return applied(records, {
        summary: `${records} rows and their marker in one transaction`,
        reference: idempotencyKey,
      });
    };
    const verdict = await this.#transaction(permit, work, { marks: true });
    return verdict ?? 'already';
  }

  /**
   * By trying to put the marker, which waits for a transaction that has put it and is not over. One that was sent its
   * commit had done so long before; any other ends with its connection, or is shut out by the fence.
   */
  async marked({ signal, ...lost }: LostSend): Promise<boolean> {
    const absent = await this.#inSession(signal, async (session) => {
      await this.#books.prepare(session.client, lost);
      const isNew = await this.#books.beginMarked(session, lost);
      await session.rollback();
      return isNew;
    });
    return absent === false;
  }

  async append(permit: Permit): Promise<Verdict> {
    const verdict = await this.#transaction(permit, async (session, at) => {
      await this.#copy(session, await permit.payload(), at);
      return applied(permit.batch.records, { summary: `${permit.batch.records} rows in one transaction` });
    });
    return verdict!;
  }

  async put(permit: Permit, key: readonly string[]): Promise<Verdict> {
    const work = async (session: Session, at: Course): Promise<Verdict> => {
      const stage = await this.#stageOf(session, key);
      await stage.load(await permit.payload(), at);
      const keys = await stage.upsert();
      const summary = `${permit.batch.records} records under ${keys} keys in one transaction`;
      return { ...applied(permit.batch.records, { summary }), keyCount: keys };
    };
    const verdict = await this.#transaction(permit, work, { stages: true });
    return verdict!;
  }

  async find(payload: Payload, key: readonly string[]): Promise<Found> {
    let found: Found | undefined;
    await this.#inSession(undefined, async (session, at) => {
      await makeStage(session, await this.#tableOf(session));
      await session.begin();
      const stage = await this.#stageOf(session, key);
      await stage.load(payload, at);
      found = await stage.find(payload.spans.length / 2);
      return undefined;
    });
    return found!;
  }

  async fence(shard: string, fence: number): Promise<void> {
    await this.#inSession(undefined, async ({ client }) => await this.#books.prepare(client, { shard, fence }));
  }

  async close(): Promise<void> {
    await this.#transactions.close();
  }

  /** Undefined: the marker was there already. */
  async #transaction<T>(
    permit: Permit,
    work: (session: Session, at: Course) => Promise<T>,
    { marks = false, stages = false } = {},
  ): Promise<T | undefined> {
    if (permit.signal.aborted) throw new NotAppliedError('the send was given up before it began');
    return await this.#inSession(permit.signal, async (session, at) => {
      // Everything that is made once has to outlive a transaction that is rolled back.
      await this.#books.prepare(session.client, permit);
      const table = await this.#tableOf(session);
      if (stages || table.noCopy === true) await makeStage(session, table);
      if (!marks) await this.#books.begin(session, permit);
      else if (!(await this.#beginMarked(session, permit, table))) return undefined;
      const result = await work(session, at);
      await session.commit();
      if (marks) this.#books.deliveries.noted(permit.batch);
      return result;
    });
  }

  /** False when the marker is there already. Throws RefusedError where the records are, as another ledger knows. */
  async #beginMarked(session: Session, permit: Permit, table: Table): Promise<boolean> {
    const { deliveries } = this.#books;
    await deliveries.prepare(session.client);
    const note = await deliveries.noteFor(session.client, permit.batch, table.name);
    return await this.#books.beginMarked(session, permit, note);
  }

  async #inSession<T>(signal: AbortSignal | undefined, work: Work<T>): Promise<T | undefined> {
    return await this.#transactions.inSession(
      {
        ...(signal === undefined ? {} : { signal }),
        // The table may have changed since it was looked at.
        failed: (outcome) => {
          const isAboutTable = outcome instanceof RefusedError && /^(?:column-|42|0A)/.test(outcome.reason);
          if (isAboutTable || outcome instanceof NotAppliedError) this.#table = undefined;
        },
      },
      async (session, at) => {
        const known = this.#table;
        try {
          return await work(session, at);
        } catch (error) {
          await expectSameColumns(session, {
            table: known ?? this.#table,
            refused: session.outcome(error, at.writing),
          });
          throw error;
        }
      },
    );
  }

  async #copy(session: Session, payload: Payload, at: Course): Promise<void> {
    const table = await this.#tableOf(session);
    if (table.noCopy !== true) return await copyBatch({ session, table, payload, at, together: 'defaults' });
    const stage = new Stage(session, table);
    await stage.load(payload, at);
    await stage.insert();
  }

  async #stageOf(session: Session, key: readonly string[]): Promise<Stage> {
    return new Stage(session, await this.#tableOf(session), key);
  }

  async #tableOf({ client }: Session): Promise<Table> {
    this.#table ??= await readTable(client, this.#options);
    return this.#table;
  }
}

/** Rows that were made for other columns than there are now may be refused for it, and no record is to blame. */
async function expectSameColumns(
  session: Session,
  { table, refused }: { readonly table: Table | undefined; readonly refused: WaybillError },
): Promise<void> {
  if (table === undefined || !(refused instanceof RefusedError)) return;
  if (refused.about === 'request' && refused.reason !== DATATYPE_MISMATCH) return;
  if (!(await session.rollback())) return;
  if ((await shapeOf(session.client, table.name)) === table.shape) return;
  throw new NotAppliedError(`the columns of ${table.name} were changed since they were read; nothing was kept`);
}

/** A column of the temporary table has the type that the column of the table had. */
const DATATYPE_MISMATCH = '42804';
