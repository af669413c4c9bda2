import type { NatsConnection } from '@nats-io/transport-node';
import { NotAppliedError } from '../../model/errors.ts';
import type { Ports } from '../../model/ports.ts';
import type { Permit } from '../connector.ts';
import { connectTo, type Drivers, loadDrivers, type NatsConnectionOptions, showPlace } from './connection.ts';
import { beforeSending } from './outcome.ts';

export interface SessionOptions {
  /** Where to connect to; asked anew for each session, since secrets may change. */
  connection(): NatsConnectionOptions;
  readonly requestTimeoutMs: number;
  readonly ports: Pick<Ports, 'sleep'>;
}

/** One connection, which ends for good when it breaks off, and what was opened in it. */
export class Session<Opened> {
  readonly #connection: NatsConnection;
  readonly opened: Opened;
  #gaveUp: string | undefined;

  constructor(connection: NatsConnection, opened: Opened) {
    this.#connection = connection;
    this.opened = opened;
  }

  get usable(): boolean {
    return this.#gaveUp === undefined && !this.#connection.isClosed();
  }

  /** Why this side ended the connection, if it did. */
  get gaveUp(): string | undefined {
    return this.#gaveUp;
  }

  /** The largest message that the server takes, headers included. */
  get bytesMax(): number {
    return this.#connection.info?.max_payload ?? Number.POSITIVE_INFINITY;
  }

  /** Ends the connection at once. Whatever was not answered is rejected. */
  async giveUp(why: string): Promise<void> {
    this.#gaveUp ??= why;
    await this.#connection.close();
  }
}

/** Sessions that wait for their next batch. `open` looks at what is there before anything is sent. */
export class SessionPool<Opened> {
  readonly #options: SessionOptions;
  readonly #open: (connection: NatsConnection, drivers: Drivers) => Promise<Opened>;
  readonly #idle: Session<Opened>[] = [];
  readonly #idleMax: number;
  #closed = false;

  constructor(
    options: SessionOptions,
    idleMax: number,
    open: (connection: NatsConnection, drivers: Drivers) => Promise<Opened>,
  ) {
    this.#options = options;
    this.#idleMax = idleMax;
    this.#open = open;
  }

  /**
   * Does the sending of one batch in a session of its own. What `work` rejects with is taken for proof that nothing
   * was sent: it has to keep to itself what goes wrong later, and say so in its result.
   */
  async run<T>(permit: Permit, work: (session: Session<Opened>) => Promise<T>): Promise<T> {
    if (permit.signal.aborted) throw new NotAppliedError('the send was given up before it began');
    const watch = new Watch(permit.signal, this.#options);
    let session: Session<Opened> | undefined;
    try {
      session = await watch.during(this.#take());
      return await watch.over(session, work);
    } catch (error) {
      throw beforeSending(error, 'NATS');
    } finally {
      watch.end();
      if (session !== undefined) await this.#give(session);
    }
  }

  async close(): Promise<void> {
    this.#closed = true;
    await Promise.all(this.#idle.splice(0).map((session) => session.giveUp('the sink is closed')));
  }

  async #take(): Promise<Session<Opened>> {
    for (let session = this.#idle.pop(); session !== undefined; session = this.#idle.pop()) {
      if (session.usable) return session;
    }
    const drivers = await loadDrivers();
    const where = this.#options.connection();
    let connection: NatsConnection | undefined;
    try {
      connection = await connectTo(drivers, where);
      return new Session(connection, await this.#open(connection, drivers));
    } catch (error) {
      await connection?.close();
      throw beforeSending(error, showPlace(where));
    }
  }

  async #give(session: Session<Opened>): Promise<void> {
    if (!this.#closed && session.usable && this.#idle.length < this.#idleMax) this.#idle.push(session);
    else await session.giveUp('the session is over');
  }
}

/** The time of one batch: the permit's signal, and how long a request may take, connecting included. */
class Watch {
  readonly #done = new AbortController();
  readonly #signal: AbortSignal;
  readonly #tooLong: Promise<string>;

  constructor(signal: AbortSignal, { ports, requestTimeoutMs }: SessionOptions) {
    this.#signal = signal;
    this.#tooLong = new Promise((resolve) => {
      signal.addEventListener('abort', () => resolve('the send was given up'), { signal: this.#done.signal });
      ports.sleep(requestTimeoutMs, this.#done.signal).then(
        () => resolve(`the server took longer than ${requestTimeoutMs} ms`),
        // Rejects only when the request was over first.
        () => undefined,
      );
    });
  }

  /** A session that comes too late is closed when it comes. */
  async during<T>(taking: Promise<Session<T>>): Promise<Session<T>> {
    let late = false;
    const stopped = this.#tooLong.then((why) => {
      late = true;
      throw new NotAppliedError(`${why}; nothing had been sent`, { sinkAway: !this.#signal.aborted });
    });
    taking.then(
      async (session) => (late ? await session.giveUp('it came too late') : undefined),
      // Heard by whoever waits for it.
      () => undefined,
    );
    return await Promise.race([taking, stopped]);
  }

  async over<T, R>(session: Session<T>, work: (session: Session<T>) => Promise<R>): Promise<R> {
    void this.#tooLong.then((why) => session.giveUp(why));
    return await work(session);
  }

  end(): void {
    this.#done.abort();
  }
}
