import { Buffer } from 'node:buffer';
import { NotAppliedError, RefusedError } from '../../model/errors.ts';
import type { Ports } from '../../model/ports.ts';
import type { Permit } from '../connector.ts';
import { type Client, newClient, type RedisConnection, showPlace } from './connection.ts';
import { expectKept, type Lasting } from './eviction.ts';
import { beforeSending, replyCode } from './outcome.ts';

export interface SessionOptions {
  /** Where to connect to; asked anew for each session, since secrets may change. */
  connection(): RedisConnection;
  readonly requestTimeoutMs: number;
  readonly durability: 'server' | 'fsync';
  /** What of it the server may not remove by itself; undefined: it may do so. */
  readonly lasting?: Lasting | undefined;
  readonly ports: Pick<Ports, 'sleep'>;
}

/** By the driver's code for texts in answers, the first byte of one. */
const TEXTS_AS_BYTES = { 36: Buffer };

/** One connection, which ends for good when it breaks off. */
export class Session {
  readonly #client: Client;
  readonly place: string;
  #opened = false;
  #gaveUp: string | undefined;

  private constructor(client: Client, place: string) {
    this.#client = client;
    this.place = place;
  }

  static async make(connection: RedisConnection): Promise<Session> {
    return new Session(await newClient(connection), showPlace(connection));
  }

  get usable(): boolean {
    return this.#opened && this.#gaveUp === undefined && this.#client.isReady;
  }

  /** Why this side ended the connection, if it did. */
  get gaveUp(): string | undefined {
    return this.#gaveUp;
  }

  async open({ durability, lasting }: Pick<SessionOptions, 'durability' | 'lasting'>): Promise<void> {
    if (this.#opened) return;
    await this.#client.connect();
    await this.#expectRedis();
    if (durability === 'fsync') await this.#expectSynced();
    if (lasting !== undefined) await expectKept(this, lasting);
    this.#opened = true;
  }

  /** One command. Those that are asked together leave together, in order. Rejects with the server's own error. */
  ask(args: readonly (string | Buffer)[]): Promise<unknown> {
    // The driver's own limit would drop commands that wait to be written; ours ends the whole connection.
    return this.#client.sendCommand(args, { timeout: 0 });
  }

  /** The same with texts of the answer as their bytes: what others have written need not be UTF-8. */
  askForBytes(args: readonly string[]): Promise<unknown> {
    return this.#client.sendCommand(args, { timeout: 0, typeMapping: TEXTS_AS_BYTES });
  }

  /** Ends the connection at once. Whatever was not answered is rejected. */
  giveUp(why: string): void {
    this.#gaveUp ??= why;
    this.#client.destroy();
  }

  /**
   * Connecting proves only that somebody listens. What is asked here carries nothing, so whatever goes wrong has
   * proved that nothing was sent: another protocol at this port, a server that is still loading or wants a password.
   */
  async #expectRedis(): Promise<void> {
    try {
      await this.ask(['PING']);
    } catch (error) {
      // Who may write need not be allowed to ask this.
      if (replyCode(error) !== 'NOPERM') throw error;
    }
  }

  async #expectSynced(): Promise<void> {
    const settings = {
      ...pairs(await this.ask(['CONFIG', 'GET', 'appendonly'])),
      ...pairs(await this.ask(['CONFIG', 'GET', 'appendfsync'])),
    };
    if (settings.appendonly === 'yes' && settings.appendfsync === 'always') return;
    throw new RefusedError(`${this.place} answers before what it was sent is on its disk`, {
      reason: 'durability',
      about: 'request',
      hint: 'Set `appendonly yes` and `appendfsync always` on the server, or remove `durability: fsync` from the sink.',
    });
  }
}

function pairs(reply: unknown): Readonly<Record<string, string>> {
  const list = reply as readonly string[];
  return list.length < 2 ? {} : { [list[0]!]: list[1]! };
}

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

  /**
   * Does the sending of one batch in a session of its own. What `work` rejects with is taken for proof that nothing
   * was sent: it has to keep to itself what goes wrong later, and say so in its result.
   */
  async run<T>(permit: Permit, work: (session: Session) => Promise<T>): Promise<T> {
    if (permit.signal.aborted) throw new NotAppliedError('the send was given up before it began');
    let session: Session | undefined;
    try {
      session = this.#waiting() ?? (await Session.make(this.#options.connection()));
    } catch (error) {
      throw beforeSending(error, 'Redis');
    }
    const unwatch = this.#watch(session, permit.signal);
    try {
      await session.open(this.#options);
      return await work(session);
    } catch (error) {
      const reason = session.gaveUp;
      session.giveUp('the sending failed');
      if (reason !== undefined) throw new NotAppliedError(`${reason}; nothing had been sent`, { cause: error });
      throw beforeSending(error, session.place);
    } finally {
      unwatch();
      this.#give(session);
    }
  }

  close(): void {
    this.#closed = true;
    for (const session of this.#idle.splice(0)) session.giveUp('the sink is closed');
  }

  #waiting(): Session | undefined {
    for (let session = this.#idle.pop(); session !== undefined; session = this.#idle.pop()) {
      if (session.usable) return session;
    }
    return undefined;
  }

  #give(session: Session): void {
    if (!this.#closed && session.usable && this.#idle.length < this.#idleMax) this.#idle.push(session);
    else session.giveUp('the session is over');
  }

  /** Gives a session up when `signal` is aborted or the request takes too long. The function returned ends it. */
  #watch(session: Session, signal: AbortSignal, { ports, requestTimeoutMs } = this.#options): () => void {
    const over = new AbortController();
    const abort = (): void => session.giveUp('the send was given up');
    signal.addEventListener('abort', abort, { once: true });
    if (signal.aborted) abort();
    ports.sleep(requestTimeoutMs, over.signal).then(
      () => session.giveUp(`the server took longer than ${requestTimeoutMs} ms`),
      // Rejects only when the request was over first.
      () => undefined,
    );
    return () => {
      over.abort();
      signal.removeEventListener('abort', abort);
    };
  }
}
