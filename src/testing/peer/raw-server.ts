import { createServer, type Socket } from 'node:net';

export interface RawServer {
  /** `http://127.0.0.1:PORT`, though nothing says that it speaks HTTP. */
  readonly url: string;
  /** How many connections have been made. */
  readonly connections: number;
  /** Those that are open now. */
  readonly sockets: ReadonlySet<Socket>;
  close(): Promise<void>;
}

/** A server below HTTP, for what no HTTP server does. `serve` gets each connection and its 1-based number. */
export async function openRawServer(serve: (socket: Socket, nth: number) => void): Promise<RawServer> {
  const sockets = new Set<Socket>();
  let connections = 0;
  const server = createServer((socket) => {
    sockets.add(socket);
    // The other side may reset a connection at any time; its end is all that matters here.
    socket.on('error', () => sockets.delete(socket));
    socket.on('close', () => sockets.delete(socket));
    serve(socket, ++connections);
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const { port } = server.address() as { port: number };
  return {
    url: `http://127.0.0.1:${port}`,
    get connections() {
      return connections;
    },
    sockets,
    async close() {
      for (const socket of sockets) socket.destroy();
      await new Promise((resolve) => server.close(resolve));
    },
  };
}

/**
 * Answers every request whose body ends with `]` with an empty 200, and closes the connection `idleMs` later without
 * a word. `keepAlive`: what it announces; undefined for nothing.
 */
export function answerAndClose(socket: Socket, idleMs: number, keepAlive?: string): void {
  let idle: NodeJS.Timeout | undefined;
  const announced = keepAlive === undefined ? '' : `keep-alive: ${keepAlive}\r\n`;
  socket.on('data', (bytes) => {
    clearTimeout(idle);
    if (!bytes.toString('latin1').endsWith(']')) return;
    socket.write(`HTTP/1.1 200 OK\r\ncontent-length: 0\r\n${announced}\r\n`);
    idle = setTimeout(() => socket.destroy(), idleMs);
  });
}
