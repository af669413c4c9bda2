import type { Dispatcher } from 'undici';
import { describeError, NotAppliedError, RefusedError, WaybillError } from '../../model/errors.ts';
import type { Ports } from '../../model/ports.ts';
import type { Connection, Connections } from './connections.ts';
import type { Deadlines } from './deadlines.ts';
import { REPLY_BYTES_MAX, Reply, type ReplyHeaders } from './reply.ts';

/** One request. `compose` is called when a connection stands, at the last moment before bytes leave. */
export interface Ask {
  readonly method: string;
  readonly signal: AbortSignal;
  readonly timeoutMs: number;
  /** What is asked, for messages: no query, no secrets, no content of records. */
  readonly name: string;
  compose(): Promise<Composed>;
}

export interface Composed {
  readonly path: string;
  /** Names and values in turn. */
  readonly headers: string[];
  readonly body: Uint8Array | null;
}

/**
 * Nothing is waited for between asking for the bytes and writing the first of them. Where more time has passed the
 * process was stopped in between, and its leave to send may have run out meanwhile. A permit ends this long before the
 * lease behind it does.
 */
const STANDSTILL_MS = 250;

/**
 * Sends one request and waits for the whole of its reply. Nothing is ever sent twice and no redirect is followed.
 * Throws NotAppliedError when not one byte was handed to the connection: whatever went wrong before that is proved
 * harmless, whichever error it was. Any later error is SINK_FAILED, which proves nothing: bytes that were handed over
 * may have arrived, even when the error came at once.
 */
export class Transport {
  readonly #connections: Connections;
  readonly #deadlines: Deadlines;
  readonly #clock: Pick<Ports, 'monotonicMs'>;

  constructor(connections: Connections, deadlines: Deadlines, clock: Pick<Ports, 'monotonicMs'>) {
    this.#connections = connections;
    this.#deadlines = deadlines;
    this.#clock = clock;
  }

  async send(ask: Ask): Promise<Reply> {
    // One deadline over all of it, connecting included: whoever settles later counts on the request being over by then.
    const overall = { over: false, exchange: undefined as Exchange | undefined };
    const deadline = this.#deadlines.start(ask.timeoutMs, () => {
      overall.over = true;
      overall.exchange?.giveUp('no complete answer came in time');
    });
    const abort = (): void => overall.exchange?.giveUp(`it was given up: ${describeError(ask.signal.reason)}`);
    ask.signal.addEventListener('abort', abort);
    try {
      for (;;) {
        const connection = await this.#connections.take(ask.signal);
        const startByMs = this.#clock.monotonicMs() + STANDSTILL_MS;
        const composed = await this.#compose(connection, ask);
        const stoodStill = (): boolean => this.#clock.monotonicMs() > startByMs;
        const exchange = new Exchange(connection, { ask, tooLate: overall.over, stoodStill });
        overall.exchange = exchange;
        const result = await this.#exchange(connection, exchange, composed);
        if (result instanceof Reply) return result;
        // An idle connection had been closed, and nothing was written to it: another one is taken.
        if (!connection.used) throw result;
      }
    } finally {
      this.#deadlines.end(deadline);
      ask.signal.removeEventListener('abort', abort);
    }
  }

  close(): void {
    this.#connections.close();
    this.#deadlines.close();
  }

  async #compose(connection: Connection, ask: Ask): Promise<Composed> {
    try {
      return await ask.compose();
    } catch (error) {
      this.#connections.putBack(connection);
      throw beforeSending(error, ask.name);
    }
  }

  /** The reply, or why nothing was written on a connection that turned out to be closed. */
  async #exchange(connection: Connection, exchange: Exchange, composed: Composed): Promise<Reply | NotAppliedError> {
    try {
      const reply = await exchange.run(composed);
      this.#connections.release(connection, reply.header('connection'), reply.header('keep-alive'));
      return reply;
    } catch (error) {
      this.#connections.drop(connection);
      if (error instanceof NotAppliedError && error.sinkAway) return error;
      throw error;
    }
  }
}

/** One request on one connection, from handing it to undici until its reply is complete. */
class Exchange implements Dispatcher.DispatchHandler {
  readonly #connection: Connection;
  readonly #ask: Ask;
  readonly #chunks: Buffer[] = [];
  #bytes = 0;
  #status = 0;
  #headers: ReplyHeaders = {};
  #controller: Dispatcher.DispatchController | undefined;
  #gaveUp: string | undefined;
  #resolve: (reply: Reply) => void = () => undefined;
  #reject: (error: WaybillError) => void = () => undefined;
  readonly #stoodStill: () => boolean;

  constructor(connection: Connection, asked: { ask: Ask; tooLate: boolean; stoodStill(): boolean }) {
    this.#connection = connection;
    this.#ask = asked.ask;
    this.#stoodStill = asked.stoodStill;
    if (asked.tooLate) this.#gaveUp = 'no connection stood in time';
  }

  run(composed: Composed): Promise<Reply> {
    const { client } = this.#connection;
    return new Promise<Reply>((resolve, reject) => {
      this.#resolve = resolve;
      this.#reject = reject;
      const { body } = composed;
      const bytes = body === null ? null : Buffer.from(body.buffer, body.byteOffset, body.byteLength);
      const method = this.#ask.method as Dispatcher.HttpMethod;
      client.dispatch({ method, path: composed.path, headers: composed.headers, body: bytes, idempotent: false }, this);
    });
  }

  giveUp(why: string): void {
    this.#gaveUp ??= why;
    const reason = new WaybillError('SINK_FAILED', this.#gaveUp);
    if (this.#controller === undefined) this.#connection.client.destroy(reason, () => undefined);
    else this.#controller.abort(reason);
  }

  /** undici calls this just before the first byte is written: what fails without it has sent nothing. */
  onRequestStart(controller: Dispatcher.DispatchController): void {
    const again = this.#controller !== undefined;
    if (!again && this.#stoodStill()) this.#gaveUp ??= 'the process stood still just before';
    if (!again && !this.#ask.signal.aborted && this.#gaveUp === undefined) {
      this.#controller = controller;
      return;
    }
    // Never the same request twice, and none after its leave has run out.
    this.#gaveUp ??= 'it was given up before it was sent';
    controller.abort(new WaybillError('SINK_FAILED', this.#gaveUp));
  }

  onResponseStart(_controller: Dispatcher.DispatchController, status: number, headers: ReplyHeaders): void {
    if (status < 200) return;
    this.#status = status;
    this.#headers = headers;
  }

  onResponseData(controller: Dispatcher.DispatchController, chunk: Buffer): void {
    this.#bytes += chunk.length;
    if (this.#bytes <= REPLY_BYTES_MAX) this.#chunks.push(chunk);
    else controller.abort(new WaybillError('SINK_FAILED', `the answer is larger than ${REPLY_BYTES_MAX} bytes`));
  }

  onResponseEnd(): void {
    this.#resolve(new Reply(this.#status, this.#headers, this.#chunks));
  }

  onResponseError(_controller: Dispatcher.DispatchController, error: Error): void {
    const what = this.#gaveUp ?? describeError(error);
    if (this.#controller === undefined) {
      // A request that could not even be written down is no fault of the connection.
      const sinkAway = this.#gaveUp === undefined && error.name !== 'InvalidArgumentError';
      this.#reject(new NotAppliedError(`${this.#ask.name} was not sent: ${what}`, { cause: error, sinkAway }));
      return;
    }
    const code = 'code' in error && typeof error.code === 'string' ? error.code : undefined;
    this.#reject(
      new WaybillError('SINK_FAILED', `${this.#ask.name} was sent, and no complete answer came: ${what}`, {
        cause: error,
        ids: { request: this.#ask.name, ...(code === undefined ? {} : { code }) },
      }),
    );
  }
}

/** Everything before the first byte is proved harmless, a secret that cannot be read included. */
function beforeSending(error: unknown, name: string): WaybillError {
  if (error instanceof NotAppliedError || error instanceof RefusedError) return error;
  return new NotAppliedError(`${name} was not sent: ${describeError(error)}`, {
    cause: error,
    ...(error instanceof WaybillError ? { hint: error.hint, ids: error.ids } : {}),
  });
}
