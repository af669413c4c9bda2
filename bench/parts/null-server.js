// A sink that reads a request and answers at once, or after a while: `node null-server.js DELAY_MS`. Prints its port.
// It parses no more of HTTP than a sender of whole requests with a Content-Length needs, so that it is not the limit.
// A request to /count is answered with how many others came, and how many bytes their bodies had.
import { createServer } from 'node:net';

const delayMs = Number(process.argv[2] ?? 0);
const OK = Buffer.from(
  'HTTP/1.1 200 OK\r\nConnection: keep-alive\r\nKeep-Alive: timeout=60\r\nContent-Length: 2\r\n\r\n{}',
);
let requests = 0;
let bytes = 0;

const server = createServer((socket) => {
  socket.setNoDelay(true);
  let pending = Buffer.alloc(0);
  let needed = 0;
  socket.on('data', (chunk) => {
    pending = pending.length === 0 ? chunk : Buffer.concat([pending, chunk]);
    while (pending.length > 0 && pending.length >= needed) {
      const end = pending.indexOf('\r\n\r\n');
      if (end === -1) return;
      const head = pending.toString('latin1', 0, end);
      const length = Number(/content-length: *(\d+)/i.exec(head)?.[1] ?? 0);
      needed = end + 4 + length;
      if (pending.length < needed) return;
      pending = pending.subarray(needed);
      needed = 0;
      answer(socket, head, length);
    }
  });
  socket.on('error', () => socket.destroy());
});

function answer(socket, head, length) {
  if (head.startsWith('GET /count')) {
    const body = JSON.stringify({ requests, bytes });
    socket.write(`HTTP/1.1 200 OK\r\nContent-Length: ${body.length}\r\n\r\n${body}`);
    return;
  }
  requests++;
  bytes += length;
  if (delayMs === 0) socket.write(OK);
  else setTimeout(() => socket.write(OK), delayMs);
}

server.listen(0, '127.0.0.1', () => console.log(server.address().port));
process.once('SIGTERM', () => process.exit(0));
