import { jetstream, jetstreamManager } from '@nats-io/jetstream';
import { type KV, Kvm } from '@nats-io/kv';
import { connect, type NatsConnection } from '@nats-io/transport-node';
import type { Sink, Source } from '../src/connectors/connector.ts';
import { nats } from '../src/connectors/nats/config.ts';
import { openContext } from '../src/testing/peer/open-context.ts';
import { startServer, type TestServer } from './server.ts';

interface Access {
  readonly user?: string;
  readonly pass?: string;
}

/** A real NATS server with JetStream, and a connection of the test's own beside those of the sink. */
export class TestNats {
  readonly server: TestServer;
  readonly #access: Access;
  #connection: NatsConnection | undefined;
  #count = 0;

  private constructor(server: TestServer, access: Access) {
    this.server = server;
    this.#access = access;
  }

  static async start(flags: readonly string[] = [], access: Access = {}): Promise<TestNats> {
    const server = await startServer('nats-server', (port, folder) => [
      ...['--addr', '127.0.0.1', '--port', String(port), '--jetstream', '--store_dir', folder],
      ...flags,
    ]);
    const made = new TestNats(server, access);
    await made.#connect();
    return made;
  }

  get connection(): NatsConnection {
    return this.#connection!;
  }

  /** Ends the server as a crash would. */
  async kill(): Promise<void> {
    await this.#connection?.close();
    await this.server.kill();
  }

  async again(): Promise<void> {
    await this.server.again();
    await this.#connect();
  }

  async #connect(): Promise<void> {
    this.#connection = await connect({ ...this.#access, servers: `127.0.0.1:${this.server.port}`, reconnect: false });
  }

  /** A name that nothing else here has. */
  name(): string {
    return `place${++this.#count}`;
  }

  sink(settings: Record<string, unknown>, connection: Record<string, unknown> = {}, secrets = {}): Sink {
    const full = nats.connection.parse({ servers: [`127.0.0.1:${this.server.port}`], ...connection });
    return nats.sink!.open(full, nats.sink!.settings.parse(settings), openContext(secrets));
  }

  source(settings: Record<string, unknown>, connection: Record<string, unknown> = {}, secrets = {}): Source {
    const full = nats.connection.parse({ servers: [`127.0.0.1:${this.server.port}`], ...connection });
    return nats.source!.open(full, nats.source!.settings.parse(settings), openContext(secrets));
  }

  async bucket(name: string, options: { history?: number; maxValueSize?: number } = {}): Promise<KV> {
    return await new Kvm(this.connection).create(name, options);
  }

  /** What stands in a bucket, by key. */
  async texts(name: string): Promise<ReadonlyMap<string, string>> {
    const kv = await new Kvm(this.connection).open(name);
    const texts = new Map<string, string>();
    for await (const key of await kv.keys()) texts.set(key, (await kv.get(key))!.string());
    return texts;
  }

  /** Makes a stream that takes the subject of its name. */
  async stream(name: string, options: Record<string, unknown> = {}): Promise<void> {
    const manager = await jetstreamManager(this.connection);
    await manager.streams.add({ name, subjects: [name], ...options });
  }

  /** The messages of a stream, in order. */
  async messages(name: string): Promise<readonly string[]> {
    const manager = await jetstreamManager(this.connection);
    const { state } = await manager.streams.info(name);
    const messages: string[] = [];
    for (let seq = Math.max(1, state.first_seq); seq <= state.last_seq; seq++) {
      const message = await jetstream(this.connection)
        .streams.get(name)
        .then((stream) => stream.getMessage({ seq }));
      if (message !== null) messages.push(message.string());
    }
    return messages;
  }

  async stop(): Promise<void> {
    await this.#connection?.close();
    await this.server.stop();
  }
}
