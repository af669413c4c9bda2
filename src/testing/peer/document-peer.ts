import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';

/** What stands at a path. */
export interface PeerDocument {
  readonly body?: string | Uint8Array;
  readonly status?: number;
  readonly etag?: string;
  /** As HTTP writes dates. */
  readonly lastModified?: string;
  readonly headers?: Readonly<Record<string, string>>;
  /** Sends the document again, whatever the request says of what is known already. */
  readonly heedless?: boolean;
  /** In chunks, so without a length. */
  readonly chunked?: boolean;
}

export interface AskedFor {
  readonly method: string;
  /** With its query. */
  readonly path: string;
  /** What was sent with it. */
  readonly body: string;
  readonly headers: IncomingMessage['headers'];
  readonly status: number;
}

export type PeerServe = (request: IncomingMessage, response: ServerResponse, body: string) => PeerDocument | undefined;

/** An HTTP server that gives documents and honours conditional requests, as a static file server does. */
export interface DocumentPeer {
  /** `http://127.0.0.1:PORT`, without a slash at its end. */
  readonly url: string;
  readonly port: number;
  /** Every request, in the order of arrival. */
  readonly asked: readonly AskedFor[];
  /** What stands at a path from now on; a function is asked for each request and may answer by itself. */
  put(path: string, document: PeerDocument | PeerServe): void;
  /** Also ends connections that hang. */
  close(): Promise<void>;
}

export async function openDocumentPeer(
  documents: Readonly<Record<string, PeerDocument | PeerServe>> = {},
): Promise<DocumentPeer> {
  const held = new Map(Object.entries(documents));
  const asked: AskedFor[] = [];
  const answer = (request: IncomingMessage, response: ServerResponse, body: string): void => {
    const path = request.url ?? '/';
    const found = held.get(path) ?? held.get(path.split('?', 1)[0] ?? '') ?? held.get('*');
    const document = typeof found === 'function' ? found(request, response, body) : (found ?? { status: 404 });
    const status = document === undefined ? 0 : statusOf(request, document);
    asked.push({ method: request.method ?? '', path, headers: request.headers, body, status });
    if (document !== undefined) give(response, document, status);
  };
  const server = createServer((request, response) => {
    if (request.method === 'GET') return answer(request, response, '');
    const pieces: Buffer[] = [];
    request.on('data', (piece: Buffer) => pieces.push(piece));
    request.on('end', () => answer(request, response, Buffer.concat(pieces).toString()));
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const { port } = server.address() as AddressInfo;
  return {
    url: `http://127.0.0.1:${port}`,
    port,
    asked,
    put: (path, document) => held.set(path, document),
    async close() {
      const closed = new Promise<void>((resolve) => server.close(() => resolve()));
      server.closeAllConnections();
      await closed;
    },
  };
}

function statusOf({ headers }: IncomingMessage, document: PeerDocument): number {
  const status = document.status ?? 200;
  if (status !== 200 || document.heedless === true) return status;
  const tags = headers['if-none-match'];
  const bare = (tag: string | undefined): string | undefined => tag?.trim().replace(/^W\//, '');
  // RFC 9110, 13.1.3: with If-None-Match there, If-Modified-Since does not count.
  if (tags !== undefined) return tags.split(',').some((tag) => bare(tag) === bare(document.etag)) ? 304 : 200;
  const since = Date.parse(headers['if-modified-since'] ?? '');
  const changed = Date.parse(document.lastModified ?? '');
  return changed <= since ? 304 : 200;
}

function give(response: ServerResponse, document: PeerDocument, status: number): void {
  const body = Buffer.from(document.body ?? '');
  response.writeHead(status, {
    ...(document.etag === undefined ? {} : { etag: document.etag }),
    ...(document.lastModified === undefined ? {} : { 'last-modified': document.lastModified }),
    ...(document.chunked === true || status === 304 ? {} : { 'content-length': String(body.length) }),
    ...document.headers,
  });
  response.end(status === 304 ? undefined : body);
}
