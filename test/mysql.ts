import { spawnSync } from 'node:child_process';
import { join } from 'node:path';
import { type Connection, createConnection, type RowDataPacket } from 'mysql2/promise';
import { missingProgram, startServer, type TestServer } from './server.ts';

/** Why there is no MySQL here; MariaDB speaks its protocol. */
export const noMysql = (): string | undefined => missingProgram('mariadbd');

/** A real MariaDB in a temporary folder, and a connection of the test's own. */
export class TestMysql {
  readonly server: TestServer;
  readonly #client: Connection;

  private constructor(server: TestServer, client: Connection) {
    this.server = server;
    this.#client = client;
  }

  static async start(): Promise<TestMysql> {
    const server = await startServer('mariadbd', (port, folder) => {
      const data = join(folder, 'data');
      // Nothing here outlives the test, so nothing has to reach the disk; and root may be asked to run it.
      const flags = [`--datadir=${data}`, '--user=root', '--innodb-flush-log-at-trx-commit=0'];
      const made = spawnSync('mariadb-install-db', [
        '--no-defaults',
        ...flags,
        '--auth-root-authentication-method=normal',
      ]);
      if (made.status !== 0) throw new RangeError(`mariadb-install-db failed: ${String(made.stderr)}`);
      const [socket, pid] = [join(folder, 'socket'), join(folder, 'pid')];
      return [
        '--no-defaults',
        ...flags,
        '--bind-address=127.0.0.1',
        `--port=${port}`,
        `--socket=${socket}`,
        `--pid-file=${pid}`,
      ];
    });
    const client = await createConnection({
      host: '127.0.0.1',
      port: server.port,
      user: 'root',
      multipleStatements: true,
    });
    await client.query(`create database items character set utf8mb4;
      create user waybill@localhost identified by 'test-password'; grant all on *.* to waybill@localhost; use items`);
    return new TestMysql(server, client);
  }

  /** A connection of its own, to another state of a test. */
  async another(): Promise<Connection> {
    const { port } = this.server;
    return await createConnection({
      host: '127.0.0.1',
      port,
      user: 'root',
      database: 'items',
      multipleStatements: true,
    });
  }

  async run(sql: string, values: readonly unknown[] = []): Promise<readonly RowDataPacket[]> {
    const [rows] = await this.#client.query<RowDataPacket[]>(sql, [...values]);
    return rows;
  }

  async stop(): Promise<void> {
    await this.#client.end();
    await this.server.stop();
  }
}
