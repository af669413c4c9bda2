import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import Database from 'better-sqlite3';
import type { Client } from 'pg';
import { openWaybill } from '../src/app/open.ts';
import type { Connector } from '../src/connectors/connector.ts';
import type { Notice, Plan, RunSummary } from '../src/engine/engine.ts';
import { startPostgres, type TestPostgres } from './postgres.ts';

const never = new AbortController().signal;

/** A server, a folder with an empty database of SQLite and one of LanceDB, and flows between them. */
export class SchemaBench {
  readonly server: TestPostgres;
  readonly client: Client;
  readonly folder = mkdtempSync(join(tmpdir(), 'waybill-schemas-'));

  private constructor(server: TestPostgres, client: Client) {
    this.server = server;
    this.client = client;
    new Database(join(this.folder, 'lite.db')).close();
  }

  static async start(): Promise<SchemaBench> {
    const server = await startPostgres();
    const client = await server.client();
    await client.query(`set timezone = 'UTC'; set datestyle = 'ISO'`);
    return new SchemaBench(server, client);
  }

  /** Writes the flow file. A flow is `source: …` and `sink: …` in the flow style of YAML; so are more connections. */
  configure(flows: Readonly<Record<string, string>>, connections: Readonly<Record<string, string>> = {}): void {
    // Of a type that only some tests bring along.
    const used = Object.values(flows).some((text) => text.includes('connection: flaky'));
    const flaky = used ? `  flaky: { type: flaky, ${this.#access()} }\n` : '';
    const more = Object.entries(connections).map(([name, text]) => `  ${name}: ${text}\n`);
    const texts = Object.entries(flows).map(([name, text]) => `  ${name}:\n${text.replace(/^/gm, '    ')}`);
    writeFileSync(
      join(this.folder, 'waybill.yaml'),
      `version: 1
connections:
  db: { type: postgres, ${this.#access()} }
${flaky}  lite: { type: sqlite, file: lite.db }
  lance: { type: lancedb, uri: lance }
  folder: { type: files }
${more.join('')}flows:
${texts.join('\n')}
`,
    );
  }

  #access(): string {
    const { host, port, user, database } = this.server;
    return `host: "${host}", port: ${port}, user: ${user}, database: ${database}, password: env:WAREHOUSE`;
  }

  async run(
    flow: string,
    options: { readonly window?: string; readonly refresh?: boolean; readonly connectors?: readonly Connector[] } = {},
  ): Promise<Ran> {
    const { connectors = [] } = options;
    const waybill = await openWaybill({ cwd: this.folder, env: { WAREHOUSE: this.server.password }, connectors });
    const notices: Notice[] = [];
    try {
      const summary = await waybill.run(flow, options.window, {
        signals: { stop: never, abort: never },
        notice: (notice) => notices.push(notice),
        ...(options.refresh === undefined ? {} : { refresh: options.refresh }),
      });
      return { ...summary, notices };
    } finally {
      await waybill.close();
    }
  }

  /** What is new; throws where there is nothing. */
  async pull(flow: string): Promise<Ran> {
    const waybill = await openWaybill({ cwd: this.folder, env: { WAREHOUSE: this.server.password } });
    const notices: Notice[] = [];
    try {
      const { runs } = await waybill.pull(flow, {
        signals: { stop: never, abort: never },
        notice: (notice) => notices.push(notice),
      });
      const last = runs.at(-1);
      if (last === undefined) throw new Error('nothing was new');
      return { ...last, notices };
    } finally {
      await waybill.close();
    }
  }

  async plan(flow: string, window?: string): Promise<Plan> {
    const waybill = await openWaybill({ cwd: this.folder, env: { WAREHOUSE: this.server.password } });
    try {
      return await waybill.plan(flow, window, {});
    } finally {
      await waybill.close();
    }
  }

  /** Every row as PostgreSQL itself prints it: byte for byte what it would write into a dump. */
  async dump(table: string, columns = '*'): Promise<string[]> {
    const { rows } = await this.client.query<{ t: string }>(
      `select whole::text as t from (select ${columns} from ${table}) whole order by 1`,
    );
    return rows.map(({ t }) => t);
  }

  /** Names and types of the columns, as the server shows them. */
  async columns(table: string): Promise<Record<string, string>> {
    const { rows } = await this.client.query<{ name: string; type: string }>(
      `select attname as name, format_type(atttypid, atttypmod) as type from pg_attribute
        where attrelid = to_regclass($1) and attnum > 0 and not attisdropped order by attnum`,
      [table],
    );
    return Object.fromEntries(rows.map(({ name, type }) => [name, type]));
  }

  lite<T>(work: (database: Database.Database) => T): T {
    const database = new Database(join(this.folder, 'lite.db'));
    try {
      database.defaultSafeIntegers(true);
      return work(database);
    } finally {
      database.close();
    }
  }

  async stop(): Promise<void> {
    await this.client.end();
    await this.server.stop();
    rmSync(this.folder, { recursive: true, force: true });
  }
}

export type Ran = RunSummary & { readonly notices: readonly Notice[] };
