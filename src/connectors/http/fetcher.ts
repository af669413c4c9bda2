import type { Dispatcher } from 'undici';
import { WaybillError } from '../../model/errors.ts';
import type { OpenContext } from '../connector.ts';
import { type Access, openAccess, openLink } from './access.ts';
import { authorizedPath, type Credential, headersOf } from './auth.ts';
import type { Connection, Connections } from './connections.ts';
import type { Deadlines } from './deadlines.ts';
import { OpenReply } from './open-reply.ts';
import { Reach, type Redirects, type Stop } from './reach.ts';
import type { ConnectionConfig } from './settings.ts';
import { answeredWith, notAnswered } from './source-errors.ts';

export interface FetcherSettings {
  readonly headers?: Readonly<Record<string, string>> | undefined;
  readonly redirects: Redirects;
  /** Until the head of an answer is there. */
  readonly requestTimeout: number;
  /** Between two pieces of a body. */
  readonly stallTimeout: number;
  /** Until the last piece of a body. */
  readonly downloadTimeout: number;
}

export interface Wanted {
  readonly stop: Stop;
  /** For messages: no query. */
  readonly name: string;
  /** Beside those of the connection: what the answer is conditional on. Sent wherever a redirect leads. */
  readonly headers?: Readonly<Record<string, string>>;
}

interface Sending {
  readonly wanted: Wanted;
  /** With its query. */
  readonly path: string;
  readonly headers: Record<string, string>;
  readonly signal: AbortSignal;
}

interface Link {
  readonly connections: Connections;
  readonly deadlines: Deadlines;
}

const REDIRECTS_MAX = 5;
const REDIRECTS: ReadonlySet<number> = new Set([301, 302, 303, 307, 308]);
/** Where nothing is sent but questions, an idle connection may be used for some seconds on trust. */
const IDLE_MS = 4000;

/** The whole address of a path below a base URL. */
export const addressBelow = (base: URL, path: string): URL =>
  new URL(base.origin + (base.pathname.replace(/\/+$/, '') + path || '/'));

/**
 * Asks for documents. Whoever calls gets an answer whose body has not been read yet: it is read by `pieces`, or let go
 * of by `discard`. Nothing is asked twice but what is no risk: once with a new token, and once more where an idle
 * connection turned out to be closed.
 */
export class Fetcher {
  readonly reach: Reach;
  readonly #connection: ConnectionConfig;
  readonly #settings: FetcherSettings;
  readonly #context: OpenContext;
  readonly #access: Access;
  readonly #links = new Map<string, Link>();
  readonly #base: URL;

  constructor(connection: ConnectionConfig, settings: FetcherSettings, context: OpenContext) {
    this.#base = new URL(connection.url);
    this.#connection = connection;
    this.#settings = settings;
    this.#context = context;
    this.#access = openAccess(connection, context, settings.requestTimeout);
    this.reach = new Reach(this.#base.origin, settings.redirects);
  }

  /** The whole address of a path below the base URL. */
  address(path: string): URL {
    return addressBelow(this.#base, path);
  }

  /** The secret behind a reference, hidden from then on in all that is shown. Throws SECRET_MISSING. */
  secret(reference: string): string {
    return this.#access.secrets.get(reference);
  }

  /** An answer of 2xx, or of 304 where it was asked for conditionally. Throws the source's errors. */
  async get(wanted: Wanted, signal: AbortSignal): Promise<OpenReply> {
    let { stop } = wanted;
    for (let hops = 0; hops <= REDIRECTS_MAX; hops++) {
      const reply = await this.#authorized({ ...wanted, stop }, signal);
      if (reply.status >= 200 && reply.status < 300 && reply.status !== 206) return reply;
      if (reply.status === 304 && wanted.headers !== undefined) return reply;
      if (!REDIRECTS.has(reply.status)) {
        const text = reply.status >= 400 ? await reply.text(signal) : '';
        reply.discard();
        throw answeredWith(wanted.name, reply, this.#context.ports.wallMs(), text);
      }
      reply.discard();
      stop = this.reach.redirected(stop, reply.header('location'), reply.status);
    }
    throw new WaybillError('SOURCE_REDIRECTED', `${wanted.name} was redirected more than ${REDIRECTS_MAX} times`);
  }

  close(): void {
    this.#access.close();
    for (const { connections, deadlines } of this.#links.values()) {
      connections.close();
      deadlines.close();
    }
    this.#links.clear();
  }

  async #authorized(wanted: Wanted, signal: AbortSignal): Promise<OpenReply> {
    try {
      const { auth } = this.#access;
      const credential = wanted.stop.trusted ? await auth.credential() : undefined;
      const reply = await this.#ask(wanted, credential, signal);
      if (reply.status !== 401 || !wanted.stop.trusted || !auth.renew(credential)) return reply;
      reply.discard();
      return await this.#ask(wanted, await auth.credential(), signal);
    } catch (error) {
      throw notAnswered(wanted.name, error, signal);
    }
  }

  async #ask(wanted: Wanted, credential: Credential | undefined, signal: AbortSignal): Promise<OpenReply> {
    const link = this.#link(wanted.stop);
    const headers = { ...this.#headers(wanted.stop), ...wanted.headers, ...headersOf(credential) };
    const { pathname, search } = wanted.stop.url;
    const path = authorizedPath(pathname + search, credential);
    for (;;) {
      const connection = await link.connections.take(signal);
      const { used } = connection;
      try {
        return await this.#send(link, connection, { wanted, path, headers, signal });
      } catch (error) {
        link.connections.drop(connection);
        if (!used || signal.aborted || error instanceof WaybillError) throw error;
      }
    }
  }

  async #send(
    { connections, deadlines }: Link,
    connection: Connection,
    { wanted, path, headers, signal }: Sending,
  ): Promise<OpenReply> {
    const { requestTimeout, stallTimeout: stallTimeoutMs, downloadTimeout: downloadTimeoutMs } = this.#settings;
    const control = new AbortController();
    const abort = (): void => control.abort(signal.reason);
    const deadline = deadlines.start(requestTimeout, () =>
      control.abort(new WaybillError('SOURCE_AWAY', `${wanted.name} was not answered in time`)),
    );
    signal.addEventListener('abort', abort);
    try {
      const { body } = wanted.stop;
      const method: Dispatcher.HttpMethod = body === undefined ? 'GET' : 'POST';
      const request = { method, path, headers, ...(body !== undefined && { body }) };
      const response = await connection.client.request({ ...request, signal: control.signal });
      const times = { stallTimeoutMs, downloadTimeoutMs };
      const parts = { name: wanted.name, stop: wanted.stop, control, deadlines, ...times };
      return new OpenReply(response, parts, (whole, reply) => {
        if (whole) connections.release(connection, reply.header('connection'), reply.header('keep-alive'));
        else connections.drop(connection);
      });
    } catch (error) {
      throw control.signal.aborted ? control.signal.reason : error;
    } finally {
      deadlines.end(deadline);
      signal.removeEventListener('abort', abort);
    }
  }

  #headers(stop: Stop): Record<string, string> {
    const named: Record<string, string> = {
      'user-agent': 'waybill',
      accept: '*/*',
      // Nothing else is unpacked: a few bytes in another coding can unpack to gigabytes.
      'accept-encoding': 'gzip',
      ...(stop.body === undefined ? {} : { 'content-type': 'application/json' }),
    };
    if (!stop.trusted) return named;
    for (const [name, value] of Object.entries({ ...this.#connection.headers, ...this.#settings.headers }))
      named[name.toLowerCase()] = value;
    return named;
  }

  /** Connections that are judged are not shared with those that are not. */
  #link({ url, guard }: Stop): Link {
    const key = `${guard === undefined ? '' : guard.name} ${url.origin}`;
    const known = this.#links.get(key);
    if (known !== undefined) return known;
    const { requestTimeout: requestTimeoutMs } = this.#settings;
    const options = { keepAlive: IDLE_MS, requestTimeoutMs, ...(guard === undefined ? {} : { guard }) };
    const link = openLink(new URL(url.origin), this.#connection, this.#context, options);
    this.#links.set(key, link);
    return link;
  }
}
