import { lookup } from 'node:dns';
import { readFile } from 'node:fs/promises';
import { connect as connectTcp, isIP, type LookupFunction, type Socket } from 'node:net';
import { resolve } from 'node:path';
import { connect as connectTls } from 'node:tls';
import type { Client } from 'undici';
import { describeError, NotAppliedError, WaybillError } from '../../model/errors.ts';
import type { Ports } from '../../model/ports.ts';
import type { Deadlines } from './deadlines.ts';

export interface ConnectionsOptions {
  readonly origin: URL;
  /** A PEM file; relative to `folder`. */
  readonly ca?: string | undefined;
  readonly folder: string;
  readonly connectTimeoutMs: number;
  /** How long an idle connection is used again: as announced, never, or this long. */
  readonly keepAlive: 'announced' | 'never' | number;
  readonly ports: Pick<Ports, 'monotonicMs'>;
  readonly deadlines: Deadlines;
  readonly guard?: AddressGuard;
}

/** Why nothing may connect to this address (IPv4 or IPv6, as text), in words; undefined: it may. */
export type AddressGuard = (address: string) => string | undefined;

/** One connection that carries one request at a time. */
export interface Connection {
  readonly client: Client;
  readonly socket: Socket;
  /** Not used again after this moment, by the monotonic clock. */
  usableUntilMs: number;
  /** It has carried a request before, so that the other side may have closed it meanwhile. */
  used: boolean;
}

/** How much earlier than announced an idle connection is given up: a request on its way must still find it open. */
const MARGIN_MS = 1000;
const IDLE_MAX_MS = 60_000;

/**
 * Connections to one API. They are made here, before undici has a request to write, so that everything up to a
 * standing connection is proved to have sent nothing, and the frozen bytes are asked for only when one stands. A
 * connection that has been idle longer than the API said it would keep it is never used: a request on it would be
 * lost without an answer although nothing was wrong, and that is a doubt for nothing.
 *
 * Only the host that the flow names is ever connected to: redirects are not followed, and no reply changes the
 * address. Where that host's name leads is not judged here; a name that its owner points elsewhere is believed.
 */
export class Connections {
  readonly #options: ConnectionsOptions;
  readonly #idle: Connection[] = [];
  readonly #all = new Set<Connection>();
  #session: Buffer | undefined;
  #ca: Promise<string> | undefined;
  #closed = false;

  constructor(options: ConnectionsOptions) {
    this.#options = options;
  }

  /** A connection that stands. Throws NotAppliedError: nothing has been sent. */
  async take(signal: AbortSignal): Promise<Connection> {
    if (signal.aborted) throw notConnected(this.#options.origin, signal.reason, false);
    const nowMs = this.#options.ports.monotonicMs();
    for (let idle = this.#idle.pop(); idle !== undefined; idle = this.#idle.pop()) {
      if (isOpen(idle.socket) && !idle.client.destroyed && idle.usableUntilMs > nowMs) return idle;
      this.drop(idle);
    }
    const [{ Client: UndiciClient }, socket] = await Promise.all([import('undici'), this.#connect(signal)]);
    let handedOver = false;
    const client = new UndiciClient(this.#options.origin, {
      pipelining: 1,
      allowH2: false,
      headersTimeout: 0,
      bodyTimeout: 0,
      keepAliveTimeout: IDLE_MAX_MS,
      // undici closes on its own, coarser clock; it must not be the one that decides.
      keepAliveTimeoutThreshold: MARGIN_MS / 2,
      connect: (_options, callback) => {
        // Later, not now: undici looks for work only after its connector has returned.
        queueMicrotask(() => {
          if (handedOver || !isOpen(socket))
            callback(notConnected(this.#options.origin, 'the connection was closed'), null);
          else {
            handedOver = true;
            callback(null, socket);
          }
        });
      },
    });
    const connection = { client, socket, usableUntilMs: 0, used: false };
    if (this.#closed) client.destroy(null, noop);
    else this.#all.add(connection);
    return connection;
  }

  /** The connection has carried a whole reply. It is kept only as long as the API said that it would be. */
  release(connection: Connection, connectionHeader: string | undefined, keepAliveHeader: string | undefined): void {
    const keepMs = /\bclose\b/i.test(connectionHeader ?? '') ? 0 : this.#keepMs(keepAliveHeader);
    if (keepMs <= 0 || this.#closed || !isOpen(connection.socket)) {
      this.drop(connection);
      return;
    }
    connection.usableUntilMs = this.#options.ports.monotonicMs() + keepMs;
    connection.used = true;
    this.#idle.push(connection);
  }

  /** Puts back a connection on which nothing was written. */
  putBack(connection: Connection): void {
    if (connection.used) this.#idle.push(connection);
    else this.drop(connection);
  }

  drop(connection: Connection): void {
    this.#all.delete(connection);
    connection.client.destroy(null, noop);
    // Until its first request the client does not know of the socket.
    connection.socket.destroy();
  }

  close(): void {
    this.#closed = true;
    for (const connection of this.#all) this.drop(connection);
    this.#idle.length = 0;
  }

  #keepMs(keepAliveHeader: string | undefined): number {
    const { keepAlive } = this.#options;
    if (keepAlive === 'never') return 0;
    const announced = /\btimeout=([0-9]{1,6})\b/i.exec(keepAliveHeader ?? '')?.[1];
    const announcedMs = announced === undefined ? undefined : Number(announced) * 1000 - MARGIN_MS;
    if (keepAlive === 'announced') return Math.min(announcedMs ?? 0, IDLE_MAX_MS - MARGIN_MS);
    return Math.min(keepAlive, announcedMs ?? keepAlive, IDLE_MAX_MS - MARGIN_MS);
  }

  async #connect(signal: AbortSignal): Promise<Socket> {
    const { origin, connectTimeoutMs, deadlines } = this.#options;
    this.#expectAllowed(hostOf(origin));
    const ca = await this.#authorities();
    return await new Promise<Socket>((stand, fail) => {
      const secure = origin.protocol === 'https:';
      const socket = this.#open(secure, ca);
      const settle = (error: unknown): void => {
        deadlines.end(deadline);
        signal.removeEventListener('abort', abort);
        socket.removeListener('error', settle);
        // From here on undici hears of errors; this keeps one that comes in between from ending the process.
        socket.on('error', noop);
        if (error === undefined) {
          stand(socket);
          return;
        }
        socket.destroy();
        fail(notConnected(origin, error, error !== signal.reason || !signal.aborted));
      };
      const abort = (): void => settle(signal.reason);
      const deadline = deadlines.start(connectTimeoutMs, () => settle('the connection took too long'));
      signal.addEventListener('abort', abort);
      socket.once('error', settle);
      socket.once(secure ? 'secureConnect' : 'connect', () => settle(undefined));
    });
  }

  #open(secure: boolean, ca: string | undefined): Socket {
    const { origin, guard } = this.#options;
    const host = hostOf(origin);
    const port = Number(origin.port) || (secure ? 443 : 80);
    const guarded = guard === undefined ? {} : { lookup: guardedLookup(guard) };
    if (!secure) return connectTcp({ host, port, noDelay: true, keepAlive: true, ...guarded });
    const socket = connectTls({
      host,
      port,
      ...guarded,
      rejectUnauthorized: true,
      ALPNProtocols: ['http/1.1'],
      ...(/^[0-9.]+$|:/.test(host) ? {} : { servername: host }),
      ...(ca === undefined ? {} : { ca }),
      ...(this.#session === undefined ? {} : { session: this.#session }),
    });
    socket.setNoDelay(true);
    socket.on('session', (session) => {
      this.#session = session;
    });
    return socket;
  }

  /** A host that is spelled as an address is looked up nowhere. */
  #expectAllowed(host: string): void {
    const why = isIP(host) === 0 ? undefined : this.#options.guard?.(host);
    if (why !== undefined) throw notConnected(this.#options.origin, leadsTo(host, why), false);
  }

  /** Read by the first connection: opening a sink does no I/O. */
  async #authorities(): Promise<string | undefined> {
    const { ca, folder, origin } = this.#options;
    if (ca === undefined) return undefined;
    this.#ca ??= readFile(resolve(folder, ca), 'utf8');
    try {
      return await this.#ca;
    } catch (error) {
      this.#ca = undefined;
      throw notConnected(origin, error);
    }
  }
}

function noop(): void {}

const hostOf = (origin: URL): string => origin.hostname.replace(/^\[|\]$/g, '');

const leadsTo = (host: string, why: string): WaybillError =>
  new WaybillError('SOURCE_REDIRECTED', `${host} leads to ${why}`);

/**
 * Looks a name up as Node would, and gives back only addresses that may be connected to: what is judged here is what
 * is connected to, so a name that leads elsewhere the next moment gains nothing.
 */
function guardedLookup(guard: AddressGuard): LookupFunction {
  return (host, options, callback) => {
    lookup(host, { ...options, all: true }, (error, found) => {
      if (error !== null) return callback(error, '');
      const why = found.map(({ address }) => guard(address)).find((reason) => reason !== undefined);
      if (why !== undefined) return callback(leadsTo(host, why), '');
      const [first] = found;
      if (options.all === true || first === undefined) return callback(null, found);
      callback(null, first.address, first.family);
    });
  };
}

/** The other side has not closed it, as far as can be known here. */
const isOpen = (socket: Socket): boolean => !socket.destroyed && socket.writable && !socket.readableEnded;

function notConnected(origin: URL, cause: unknown, sinkAway = true): NotAppliedError {
  return new NotAppliedError(`no connection to ${origin.host}: ${describeError(cause)}`, {
    sinkAway,
    ids: { host: origin.host },
    ...(cause instanceof Error ? { cause } : {}),
  });
}
