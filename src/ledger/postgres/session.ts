import type * as Pg from 'pg';
import { loadPg } from '../../servers/pg.ts';
import type { Cell } from '../row-digest.ts';
import type { PostgresAddress } from './address.ts';
import { typeParser } from './cells.ts';
import { ledgerError } from './failure.ts';

const CONNECT_MS = 10_000;
/** As long as SQLite waits for a neighbour. */
const LOCK_MS = 5_000;
/** A process that stopped in the middle of a transaction must not hold up all others for good. */
const IDLE_MS = 15_000;
/** What is written is found by its key; a plan that was made for an empty table must not walk through a full one. */
const SETTINGS = [
  `SET lock_timeout = ${LOCK_MS}`,
  `SET idle_in_transaction_session_timeout = ${IDLE_MS}`,
  'SET enable_seqscan = off',
  'SET enable_hashjoin = off',
  'SET enable_mergejoin = off',
  "SET client_encoding = 'UTF8'",
  'SET standard_conforming_strings = on',
  // What has been answered must be on the disk. A server that waits for its standbys, too, goes on doing so.
  "SELECT set_config('synchronous_commit', 'on', false) WHERE current_setting('synchronous_commit') = 'off'",
];

export interface Answered {
  readonly rows: Cell[][];
  readonly changes: number;
  /** What the server says that it did: a COMMIT of a transaction that had failed is a ROLLBACK. */
  readonly command: string;
}

/** One connection. Statements go out at once, one behind the other, and their answers come in the same order. */
export class Session {
  readonly place: string;
  /** The process that serves this connection over there, and the name that it can be told by. */
  readonly backend: { readonly pid: number; readonly name: string };
  readonly #client: Pg.Client;
  readonly #names = new Map<string, string>();
  #ended = false;

  private constructor(client: Pg.Client, place: string, backend: Session['backend']) {
    this.#client = client;
    this.place = place;
    this.backend = backend;
  }

  /** `name`: one that no other connection has. Throws DRIVER_MISSING, LEDGER_AWAY, LEDGER_WRITE (refused). */
  static async open(address: PostgresAddress, name: string): Promise<Session> {
    const pg = loadPg('a ledger on PostgreSQL');
    const { host, port, database, user, password, place } = address;
    const client = new pg.Client({
      host,
      port,
      database,
      user,
      ...(password === undefined ? {} : { password }),
      ssl: address.tls === 'off' ? false : { rejectUnauthorized: true },
      application_name: name,
      connectionTimeoutMillis: CONNECT_MS,
      keepAlive: true,
      keepAliveInitialDelayMillis: CONNECT_MS,
      pipeline: true,
      types: { getTypeParser: typeParser as Pg.CustomTypesConfig['getTypeParser'] },
    });
    try {
      const ended = { session: undefined as Session | undefined };
      // Whatever waits for an answer hears of the break by itself. Without a listener Node would end the process.
      client.on('error', () => ended.session?.drop());
      await client.connect();
      const asked = await client.query({ text: 'SELECT pg_backend_pid()', rowMode: 'array' });
      const session = new Session(client, place, { pid: Number(asked.rows[0]?.[0]), name });
      ended.session = session;
      await client.query([...SETTINGS, `SET search_path TO "${address.schema}", pg_catalog`].join(';'));
      return session;
    } catch (error) {
      // It never came to be, or broke off: why is told by the first error.
      client.end().catch(() => undefined);
      throw ledgerError(error, place, 'connecting');
    }
  }

  get ended(): boolean {
    return this.#ended;
  }

  /** `?` stands for each parameter. Rejects with what the server or the driver says. */
  async ask(sql: string, params: readonly unknown[] = []): Promise<Answered> {
    const answer = await this.#client.query({
      name: this.#nameOf(sql),
      text: numbered(sql),
      values: [...params],
      rowMode: 'array',
    });
    return { rows: answer.rows as Cell[][], changes: answer.rowCount ?? 0, command: answer.command };
  }

  /** Statements that are not prepared: several in one text, or such as cannot be. */
  async run(sql: string): Promise<Answered> {
    const answer = await this.#client.query({ text: sql, rowMode: 'array' });
    const last = Array.isArray(answer) ? (answer as Pg.QueryArrayResult[])[answer.length - 1] : answer;
    return { rows: (last?.rows ?? []) as Cell[][], changes: last?.rowCount ?? 0, command: last?.command ?? '' };
  }

  /**
   * Ends a transaction of which nothing is to stay. A connection that cannot even do that is of no more use; what had
   * gone wrong before is what is told.
   */
  async rollBack(): Promise<void> {
    if (this.#ended) return;
    try {
      await this.run('ROLLBACK');
    } catch (error) {
      if (!(error instanceof Error)) throw error;
      this.drop();
    }
  }

  /** Nothing more is asked of it: it broke off, or nobody knows any more what state it is in. */
  drop(): void {
    if (this.#ended) return;
    this.#ended = true;
    // What it was dropped for is told to whoever waits for an answer.
    this.#client.end().catch(() => undefined);
  }

  async close(): Promise<void> {
    if (this.#ended) return;
    this.#ended = true;
    await this.#client.end();
  }

  #nameOf(sql: string): string {
    let name = this.#names.get(sql);
    if (name === undefined) {
      name = `s${this.#names.size + 1}`;
      this.#names.set(sql, name);
    }
    return name;
  }
}

const NUMBERED = new Map<string, string>();

/** `?` as `$1`, `$2`…: the statements of the ledger hold no other question mark. */
function numbered(sql: string): string {
  let text = NUMBERED.get(sql);
  if (text === undefined) {
    let count = 0;
    text = sql.replace(/\?/g, () => `$${++count}`);
    NUMBERED.set(sql, text);
  }
  return text;
}
