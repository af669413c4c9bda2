import { connect, createServer, type Server, type Socket } from 'node:net';

/**
 * What becomes of a COMMIT on its way: `before`: the server never hears of it; `part`: it hears half of it; `after`:
 * it is handed over and the connection cut at once; `answer`: it takes place, and only its answer is lost.
 */
export const CUTS = ['before', 'part', 'after', 'answer'] as const;
export type Cut = (typeof CUTS)[number];

const COMMIT = Buffer.from('COMMIT\0');
const ROLLBACK = Buffer.from('ROLLBACK\0');
const TAKES_TURN = Buffer.from('UPDATE turn SET');

/**
 * Stands between a ledger and its server and cuts connections around the COMMIT of a transaction that writes. It reads
 * whole messages: a byte for the kind, four for the length of the rest, and then the rest.
 */
export class CutProxy {
  readonly #server: Server;
  readonly #sockets = new Set<Socket>();
  /** How often each cut was made. */
  readonly made: Record<Cut, number> = { before: 0, part: 0, after: 0, answer: 0 };
  /** Which cut the next COMMIT gets; undefined lets it through. */
  next: () => Cut | undefined = () => undefined;

  /** Whoever gives up a transaction is cut off before the server hears of it; so often. */
  rollbacks = 0;

  #away = false;

  private constructor(server: Server) {
    this.#server = server;
  }

  static async before(target: { host: string; port: number }): Promise<CutProxy> {
    const server = createServer();
    const proxy = new CutProxy(server);
    server.on('connection', (client) => proxy.#join(client, connect(target.port, target.host)));
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    return proxy;
  }

  get port(): number {
    const address = this.#server.address();
    return typeof address === 'object' && address !== null ? address.port : 0;
  }

  get cuts(): number {
    return CUTS.reduce((sum, cut) => sum + this.made[cut], 0);
  }

  async close(): Promise<void> {
    for (const socket of this.#sockets) socket.destroy();
    await new Promise((resolve) => this.#server.close(resolve));
  }

  /** As if the server were being started again: connections break off, and new ones come to nothing. */
  away(away: boolean): void {
    this.#away = away;
    if (away) for (const socket of this.#sockets) socket.destroy();
  }

  #join(client: Socket, server: Socket): void {
    if (this.#away) {
      client.destroy();
      server.destroy();
      return;
    }
    const end = (): void => {
      client.destroy();
      server.destroy();
    };
    for (const socket of [client, server]) {
      this.#sockets.add(socket);
      socket.setNoDelay(true);
      socket.on('error', end);
      socket.on('close', () => {
        this.#sockets.delete(socket);
        end();
      });
    }
    const way = new Way(client, server, (message) => this.#plan(message));
    client.on('data', (bytes) => way.fromClient(bytes));
    server.on('data', (bytes) => way.fromServer(bytes));
  }

  #plan(message: Buffer): Cut | undefined {
    if (message.includes(ROLLBACK)) return this.rollbacks-- > 0 ? 'before' : undefined;
    const cut = this.next();
    if (cut !== undefined) this.made[cut]++;
    return cut;
  }
}

/** One connection. */
class Way {
  readonly #client: Socket;
  readonly #server: Socket;
  readonly #plan: (message: Buffer) => Cut | undefined;
  #rest = Buffer.alloc(0);
  /** The first message has no kind. */
  #started = false;
  #writes = false;
  #deaf = false;

  constructor(client: Socket, server: Socket, plan: (message: Buffer) => Cut | undefined) {
    this.#client = client;
    this.#server = server;
    this.#plan = plan;
  }

  fromClient(bytes: Buffer): void {
    this.#rest = Buffer.concat([this.#rest, bytes]);
    for (let message = this.#take(); message !== undefined; message = this.#take()) {
      if (message.includes(TAKES_TURN)) this.#writes = true;
      const ends = (this.#writes && message.includes(COMMIT)) || message.includes(ROLLBACK);
      const cut = ends ? this.#plan(message) : undefined;
      if (message.includes(COMMIT)) this.#writes = false;
      if (cut === undefined) this.#server.write(message);
      else {
        this.#cut(cut, message);
        return;
      }
    }
  }

  /** The answer to a COMMIT says so, in a text of the protocol. */
  fromServer(bytes: Buffer): void {
    if (!this.#deaf) this.#client.write(bytes);
    else if (bytes.includes(COMMIT)) this.#client.destroy();
  }

  #take(): Buffer | undefined {
    const head = this.#started ? 1 : 0;
    if (this.#rest.length < head + 4) return undefined;
    const length = head + this.#rest.readUInt32BE(head);
    if (this.#rest.length < length) return undefined;
    const message = this.#rest.subarray(0, length);
    this.#rest = this.#rest.subarray(length);
    this.#started = true;
    return message;
  }

  #cut(cut: Cut, message: Buffer): void {
    if (cut === 'answer') {
      this.#deaf = true;
      this.#server.write(message);
      return;
    }
    if (cut === 'before') this.#server.destroy();
    else this.#server.end(cut === 'part' ? message.subarray(0, 6) : message);
    this.#client.destroy();
  }
}
