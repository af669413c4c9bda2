import type { Buffer } from 'node:buffer';
import type { Socket } from 'node:net';
import type * as Pg from 'pg';
import { NotAppliedError, WaybillError } from '../../model/errors.ts';
import type { Ports } from '../../model/ports.ts';
import { abandon, breakOf, newClient, type PostgresConnection } from './connection.ts';
import { type Copied, CopyIn, type UnframedBytes } from './copy-in.ts';
import { atCommit, beforeCommit, type Writing } from './outcome.ts';
import type { Table } from './table.ts';

export interface SessionOptions {
  /** Where to connect to; asked anew for each session, since secrets may change. */
  connection(): PostgresConnection;
  readonly requestTimeoutMs: number;
  readonly lockTimeoutMs: number;
  readonly ports: Pick<Ports, 'sleep'>;
}

/**
 * No temporary table may stand in for one of the flow. How values are read must not depend on how the server, the
 * database or the role is set up; and nothing may stay open on the server for longer than this side waits for it, also
 * when this side is gone without a word. That is said of each statement: a transaction takes as long as all of its own.
 * A server that acknowledges commits before they are durable would make the ledger say more than is true.
 */
const SETTINGS = `select
  set_config('search_path', concat_ws(', ', nullif(current_setting('search_path'), ''), 'pg_temp'), false),
  set_config('TimeZone', 'UTC', false), set_config('DateStyle', 'ISO, YMD', false),
  set_config('IntervalStyle', 'iso_8601', false), set_config('bytea_output', 'hex', false),
  set_config('standard_conforming_strings', 'on', false), set_config('extra_float_digits', '1', false),
  set_config('lc_monetary', 'C', false), set_config('array_nulls', 'on', false),
  set_config('xmloption', 'content', false), set_config('default_transaction_read_only', 'off', false),
  set_config('statement_timeout', $1, false), set_config('idle_in_transaction_session_timeout', $1, false),
  set_config('tcp_keepalives_idle', '30', false), set_config('tcp_keepalives_interval', '10', false),
  set_config('tcp_keepalives_count', '3', false), set_config('lock_timeout', $2, false),
  set_config('synchronous_commit', case current_setting('synchronous_commit')
    when 'off' then 'on' else current_setting('synchronous_commit') end, false),
  case when current_setting('transaction_timeout', true) <> '0'
    then set_config('transaction_timeout', '0', false) end`;

/**
 * One connection. A transaction goes `begin` -> `commit` or `rollback`; from the moment at which the commit is handed
 * to the socket, an end of the connection proves nothing any more.
 */
export class Session {
  readonly client: Pg.Client;
  /** Which table the temporary table of this connection was made after. */
  stagedFor: Table | undefined;
  readonly #connection: PostgresConnection;
  #opened = false;
  #committing = false;
  #givenUp: string | undefined;

  private constructor(client: Pg.Client, connection: PostgresConnection) {
    this.client = client;
    this.#connection = connection;
  }

  /** Not connected yet. Throws what reading a secret throws, and DRIVER_MISSING. */
  static async make(connection: PostgresConnection): Promise<Session> {
    return new Session(await newClient(connection), connection);
  }

  /** Connects, the first time. */
  async open({ requestTimeoutMs, lockTimeoutMs }: SessionOptions): Promise<void> {
    if (this.#opened) return;
    await this.client.connect();
    await this.client.query(SETTINGS, [String(requestTimeoutMs), String(lockTimeoutMs)]);
    this.#opened = true;
  }

  /** A client that could not connect cannot be connected again. */
  get usable(): boolean {
    return this.#opened && this.#givenUp === undefined && breakOf(this.client) === undefined;
  }

  /** With the statements that come first in it, in one round trip; what they came to. None of them takes values. */
  async begin(statements: readonly string[] = []): Promise<readonly Pg.QueryResult[]> {
    this.#committing = false;
    const texts = ['begin isolation level read committed read write', ...statements];
    // One result for one statement, and an array for several.
    return [await this.client.query(texts.join('; '))].flat().slice(1);
  }

  /** `statements`: one COPY, and what is to be done before and after it in the same round trip. */
  async copy(statements: readonly string[], frames: Iterable<Buffer | UnframedBytes>): Promise<Copied> {
    return await this.client.query(new CopyIn(statements.join('; '), frames)).done;
  }

  /** Rejects as a sink does, or with an error that says that the outcome is unknown. */
  async commit(): Promise<void> {
    this.#committing = true;
    let command: string;
    try {
      ({ command } = await this.client.query('commit'));
    } catch (error) {
      throw atCommit(error);
    }
    // What fails from now on is no part of this transaction.
    this.#committing = false;
    // A transaction that has failed is rolled back by its commit, without an error.
    if (command !== 'COMMIT') throw new NotAppliedError(`the server answered the commit with ${command}`);
  }

  /** Ends what is left of a transaction. False when the connection is of no more use. */
  async rollback(): Promise<boolean> {
    try {
      if (this.usable) await this.client.query('rollback');
      return this.usable;
    } catch {
      // The server ends the transaction with the connection.
      return false;
    }
  }

  /** Stops waiting for the server: it is asked to stop as well, and the connection is cut. */
  giveUp(why: string): void {
    if (this.#givenUp !== undefined) return;
    this.#givenUp = why;
    // Heard by nobody: whoever waits for the server hears that the connection broke off.
    abandon(this.client, this.#connection).catch(() => undefined);
  }

  /** What an error in this session means for the batch. */
  outcome(error: unknown, writing?: Writing): WaybillError {
    if (error instanceof WaybillError && DECIDED.has(error.code)) return error;
    if (this.#givenUp === undefined) return this.#committing ? atCommit(error) : beforeCommit(error, writing);
    if (this.#committing) return atCommit(error);
    return new NotAppliedError(`${this.#givenUp}; the commit had not been sent`, { cause: beforeCommit(error) });
  }

  /** Takes leave of the server and does not wait for its answer: it may never come. */
  async end(): Promise<void> {
    const ended = this.client.end();
    (this.client as unknown as { connection: { stream: Socket } }).connection.stream.destroySoon();
    await ended;
  }
}

/** Errors that say already what became of the batch. */
const DECIDED: ReadonlySet<string> = new Set(['NOT_APPLIED', 'REFUSED', 'SINK_FAILED']);

/** Sessions that wait for their next batch. */
export class SessionPool {
  readonly #options: SessionOptions;
  readonly #idleMax: number;
  readonly #idle: Session[] = [];
  #closed = false;

  constructor(options: SessionOptions, idleMax: number) {
    this.#options = options;
    this.#idleMax = idleMax;
  }

  async take(): Promise<Session> {
    for (let session = this.#idle.pop(); session !== undefined; session = this.#idle.pop()) {
      if (session.usable) return session;
      await session.end();
    }
    return await Session.make(this.#options.connection());
  }

  async give(session: Session): Promise<void> {
    if (!this.#closed && session.usable && this.#idle.length < this.#idleMax) this.#idle.push(session);
    else await session.end();
  }

  async close(): Promise<void> {
    this.#closed = true;
    await Promise.all(this.#idle.splice(0).map((session) => session.end()));
  }
}

/** Gives a session up when `signal` is aborted or the request takes too long. The function that is returned ends it. */
export function watch(session: Session, signal: AbortSignal | undefined, options: SessionOptions): () => void {
  const over = new AbortController();
  const abort = (): void => session.giveUp('the send was given up');
  signal?.addEventListener('abort', abort, { once: true });
  if (signal?.aborted === true) abort();
  const { ports, requestTimeoutMs } = options;
  ports.sleep(requestTimeoutMs, over.signal).then(
    () => session.giveUp(`the server took longer than ${requestTimeoutMs} ms`),
    // Rejects only when the request was over first.
    () => undefined,
  );
  return () => {
    over.abort();
    signal?.removeEventListener('abort', abort);
  };
}
