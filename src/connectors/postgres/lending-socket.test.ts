import { createServer, type Server, type Socket } from 'node:net';
import { afterEach, expect, it } from 'vitest';
import { LendingSocket } from './lending-socket.ts';

let server: Server | undefined;
afterEach(() => server?.close());

/** A server that sends what it is told to, once a client is there. */
async function serving(talk: (client: Socket) => void): Promise<LendingSocket> {
  const listening = createServer(talk);
  server = listening;
  await new Promise<void>((resolve) => listening.listen(0, '127.0.0.1', resolve));
  const { port } = listening.address() as { port: number };
  const socket = new LendingSocket();
  socket.connect(port, '127.0.0.1');
  return socket;
}

it('brings all bytes in order, and they stay what they are', async () => {
  const sent = Buffer.from(Array.from({ length: 3_000_000 }, (_, at) => (at * 31 + (at >> 8)) & 0xff));
  const socket = await serving((client) => client.end(sent));
  const heard: Buffer[] = [];
  socket.on('data', (bytes: Buffer) => void heard.push(bytes));
  await new Promise((resolve) => socket.once('end', resolve));
  expect(heard.length).toBeGreaterThan(1);
  expect(Buffer.concat(heard).equals(sent)).toBe(true);
});

it('lends the same room for each reading while it is told to', async () => {
  const socket = await serving((client) => {
    client.write('first');
    client.once('data', () => client.end('second'));
  });
  socket.lend(true);
  const heard: string[] = [];
  const rooms = new Set<ArrayBufferLike>();
  socket.on('data', (bytes: Buffer) => {
    heard.push(bytes.toString());
    rooms.add(bytes.buffer);
    if (heard.length === 1) socket.write('more');
  });
  await new Promise((resolve) => socket.once('end', resolve));
  expect(heard).toEqual(['first', 'second']);
  expect(rooms.size).toBe(1);
});

it('brings nothing while it is paused, and all of it afterwards', async () => {
  const sent = Buffer.alloc(2_000_000, 'x');
  const socket = await serving((client) => client.end(sent));
  let heard = 0;
  let paused = 0;
  socket.on('data', (bytes: Buffer) => {
    expect(socket.isPaused()).toBe(false);
    heard += bytes.length;
    if (paused++ > 2) return;
    socket.pause();
    setImmediate(() => socket.resume());
  });
  await new Promise((resolve) => socket.once('end', resolve));
  expect(heard).toBe(sent.length);
  expect(paused).toBeGreaterThan(3);
});
