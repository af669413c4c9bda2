import { describeError, NotAppliedError, WaybillError } from '../../model/errors.ts';
import type { OpenContext, Permit } from '../connector.ts';
import { type Access, type KeepAlive, openAccess, openTransport } from './access.ts';
import { authorizedPath, type Credential, headersOf } from './auth.ts';
import { contentTypeOf } from './body.ts';
import type { Reply } from './reply.ts';
import type { ConnectionConfig, SinkConfig } from './settings.ts';
import type { Transport } from './transport.ts';

/** One call of the API. `path` is below the base URL; the name of the call leaves out its query and its values. */
export interface Call {
  readonly method: string;
  readonly name: string;
  readonly signal: AbortSignal;
  /** Names and values in turn, beside those that every request carries. */
  readonly headers?: readonly string[];
  /** Of the body; that of the sink's batches when absent. */
  readonly contentType?: string;
  compose(): Promise<{ readonly path: string; readonly body: Uint8Array | null }>;
}

/** Knows the API's address, its credentials and its headers; says nothing about what an answer means. */
export class Caller {
  readonly #access: Access;
  readonly #transport: Transport;
  readonly #basePath: string;
  readonly #headers: readonly string[];
  readonly #contentType: string;
  readonly #timeoutMs: number;
  /** True: an answer of 401 is proof that nothing was applied, so a new token may be tried. */
  readonly #replays401: boolean;

  constructor(connection: ConnectionConfig, sink: SinkConfig, context: OpenContext, replays401: boolean) {
    const base = new URL(connection.url);
    const keepAlive = keepAliveOf(sink);
    const requestTimeoutMs = sink.requestTimeout;
    this.#access = openAccess(connection, context, requestTimeoutMs);
    this.#transport = openTransport(new URL(base.origin), connection, context, { keepAlive, requestTimeoutMs });
    this.#basePath = base.pathname.replace(/\/+$/, '');
    this.#timeoutMs = requestTimeoutMs;
    this.#replays401 = replays401;
    const { 'content-type': contentType, ...named } = staticHeaders(connection, sink);
    this.#contentType = contentType ?? contentTypeOf(sink.body);
    this.#headers = Object.entries(named).flat();
  }

  /** Throws NotAppliedError when nothing was sent, SINK_FAILED when something was and no complete answer came. */
  async call(call: Call): Promise<Reply> {
    const credential = await this.#authorize(call.name);
    const reply = await this.#send(call, credential);
    // Once, and only where a 401 proves that nothing was applied: any other repeat is the engine's, and in the ledger.
    if (reply.status !== 401 || !this.#replays401 || !this.#access.auth.renew(credential)) return reply;
    return await this.#send(call, await this.#authorize(call.name));
  }

  close(): void {
    this.#access.close();
    this.#transport.close();
  }

  async #authorize(name: string): Promise<Credential | undefined> {
    try {
      const credential = this.#access.auth.credential();
      return credential instanceof Promise ? await credential : credential;
    } catch (error) {
      if (error instanceof NotAppliedError) throw error;
      throw new NotAppliedError(`${name} was not sent: ${describeError(error)}`, {
        cause: error,
        sinkAway: true,
        ...(error instanceof WaybillError ? { hint: error.hint, ids: error.ids } : {}),
      });
    }
  }

  async #send(call: Call, credential: Credential | undefined): Promise<Reply> {
    const { method, name, signal } = call;
    const headers = [...this.#headers, ...(call.headers ?? []), ...Object.entries(headersOf(credential)).flat()];
    const compose = async () => {
      const { path, body } = await call.compose();
      if (body !== null) headers.push('content-type', call.contentType ?? this.#contentType);
      return { path: authorizedPath(this.#basePath + path || '/', credential), body, headers };
    };
    return await this.#transport.send({ method, name, signal, timeoutMs: this.#timeoutMs, compose });
  }
}

/** What the owner of the sink finds in an access log: enough to settle a doubt by hand. */
export function batchHeaders(permit: Permit): string[] {
  const { batch } = permit;
  return [
    'x-waybill-batch',
    batch.idempotencyKey,
    'x-waybill-attempt',
    String(permit.attempt),
    'x-waybill-digest',
    batch.digest,
    'x-waybill-records',
    String(batch.records),
    'x-correlation-id',
    headerText(permit.correlationId),
  ];
}

/** A correlation id comes from outside; what no header may hold is spelled with percent signs. */
function headerText(text: string): string {
  return /^[\x21-\x7e]*$/.test(text) ? text : encodeURIComponent(text);
}

function staticHeaders(connection: ConnectionConfig, sink: SinkConfig): Record<string, string> {
  const named: Record<string, string> = {
    'user-agent': 'waybill',
    accept: 'application/json',
    // A packed answer of a few bytes can unpack to gigabytes; none is asked for.
    'accept-encoding': 'identity',
  };
  for (const [name, value] of Object.entries({ ...connection.headers, ...sink.headers }))
    named[name.toLowerCase()] = value;
  return named;
}

/**
 * Where a lost answer settles itself, an idle connection may be used for some seconds on trust. Where it leaves a
 * doubt, only for as long as the API itself has said that it keeps it.
 */
function keepAliveOf(sink: SinkConfig): KeepAlive {
  if (sink.keepAlive !== undefined) return sink.keepAlive;
  const settlesItself = sink.idempotencyKey !== undefined || sink.upsert !== undefined;
  return settlesItself ? 4000 : 'announced';
}
