import type { Client } from 'pg';
import type { Sink } from '../src/connectors/connector.ts';
import { postgres } from '../src/connectors/postgres/config.ts';
import { openContext } from '../src/testing/peer/open-context.ts';
import { startPostgres, type TestPostgres } from './postgres.ts';

export interface Place {
  readonly table: string;
  readonly markerSchema: string;
  readonly sink: Sink;
  /** The rows of the table, or these columns of them, in the order of the first one. */
  rows(select?: string): Promise<unknown[][]>;
}

/** A server with tables for tests of the sink, each with markers of its own. */
export class Places {
  readonly server: TestPostgres;
  readonly client: Client;
  readonly #sinks: Sink[] = [];
  #count = 0;

  private constructor(server: TestPostgres, client: Client) {
    this.server = server;
    this.client = client;
  }

  static async start(): Promise<Places> {
    const server = await startPostgres();
    return new Places(server, await server.client());
  }

  /** A name that no other table here has. */
  name(): string {
    return `t${++this.#count}`;
  }

  open(settings: Record<string, unknown>, connection: Record<string, unknown> = {}): Sink {
    const { host, port, user, database, password } = this.server;
    const full = postgres.connection.parse({ host, port, user, database, password: 'env:TEST', ...connection });
    const context = openContext({ 'env:TEST': password });
    const sink = postgres.sink!.open(full, postgres.sink!.settings.parse(settings), context);
    this.#sinks.push(sink);
    return sink;
  }

  /** A table with these columns, and a sink that writes to it. */
  async make(columns: string, settings: Record<string, unknown> = {}): Promise<Place> {
    const table = this.name();
    await this.client.query(`create table ${table} (${columns})`);
    const markerSchema = `books_${table}`;
    const rows = async (select = '*'): Promise<unknown[][]> => {
      const { rows } = await this.client.query({ text: `select ${select} from ${table} order by 1`, rowMode: 'array' });
      return rows as unknown[][];
    };
    return { table, markerSchema, rows, sink: this.open({ table, markerSchema, ...settings }) };
  }

  async closeSinks(): Promise<void> {
    await Promise.all(this.#sinks.splice(0).map((sink) => sink.close!()));
  }

  async stop(): Promise<void> {
    await this.client.end();
    await this.server.stop();
  }
}

/** What was thrown, or undefined. */
export const thrownBy = (sending: Promise<unknown>): Promise<unknown> =>
  sending.then(
    () => undefined,
    (thrown: unknown) => thrown,
  );
