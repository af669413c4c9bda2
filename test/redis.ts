import { createClient } from 'redis';
import type { Sink, Source } from '../src/connectors/connector.ts';
import { redis } from '../src/connectors/redis/config.ts';
import { openContext } from '../src/testing/peer/open-context.ts';
import { startServer, type TestServer } from './server.ts';

/** A real Redis, and a connection of the test's own beside those of the sink. */
export class TestRedis {
  readonly server: TestServer;
  readonly #client: ReturnType<typeof createClient>;
  #count = 0;

  private constructor(server: TestServer, password: string | undefined) {
    this.server = server;
    const socket = { host: '127.0.0.1', port: server.port };
    this.#client = createClient({ socket, RESP: 2, ...(password === undefined ? {} : { password }) });
    // It connects again when a test has ended the server; what it asks meanwhile fails by itself.
    this.#client.on('error', () => undefined);
  }

  static async start(flags: readonly string[] = [], password?: string): Promise<TestRedis> {
    const server = await startServer('redis-server', (port, folder) => [
      '--bind',
      '127.0.0.1',
      '--port',
      String(port),
      '--dir',
      folder,
      '--save',
      '',
      ...flags,
    ]);
    const made = new TestRedis(server, password);
    await made.#client.connect();
    return made;
  }

  /** A name that nothing else here has. */
  name(): string {
    return `place${++this.#count}`;
  }

  async ask<T = unknown>(...args: string[]): Promise<T> {
    return (await this.#client.sendCommand(args)) as T;
  }

  sink(settings: Record<string, unknown>, connection: Record<string, unknown> = {}, secrets = {}): Sink {
    const full = redis.connection.parse({ host: '127.0.0.1', port: this.server.port, ...connection });
    return redis.sink!.open(full, redis.sink!.settings.parse(settings), openContext(secrets));
  }

  source(settings: Record<string, unknown>, connection: Record<string, unknown> = {}, secrets = {}): Source {
    const full = redis.connection.parse({ host: '127.0.0.1', port: this.server.port, ...connection });
    return redis.source!.open(full, redis.source!.settings.parse(settings), openContext(secrets));
  }

  /** The texts under all keys that begin so, by key. */
  async texts(prefix: string): Promise<ReadonlyMap<string, string>> {
    const keys = await this.ask<string[]>('KEYS', `${prefix}*`);
    const texts = keys.length === 0 ? [] : await this.ask<string[]>('MGET', ...keys);
    return new Map(keys.map((key, at) => [key.slice(prefix.length), texts[at]!]));
  }

  /** The entries of a stream, as objects. */
  async entries(stream: string): Promise<readonly Record<string, string>[]> {
    const entries = await this.ask<[string, string[]][]>('XRANGE', stream, '-', '+');
    return entries.map(([, texts]) =>
      Object.fromEntries(texts.flatMap((name, at) => (at % 2 === 0 ? [[name, texts[at + 1]!]] : []))),
    );
  }

  async stop(): Promise<void> {
    this.#client.destroy();
    await this.server.stop();
  }
}
