// A line to a server on this machine that takes as long each way as one to a server far away, and is as wide as any. In
// a process of its own: `node slow-line.js PORT MILLISECONDS`.
import { spawn } from 'node:child_process';
import { connect, createServer } from 'node:net';
import { fileURLToPath } from 'node:url';

const here = fileURLToPath(import.meta.url);

/** The port of such a line, and what ends it. */
export async function slowLine(port, ms) {
  const child = spawn(process.execPath, [here, `${port}`, `${ms}`], { stdio: ['ignore', 'pipe', 'inherit'] });
  const line = await new Promise((resolve, reject) => {
    child.stdout.once('data', (data) => resolve(Number(data)));
    child.once('exit', (code) => reject(new Error(`the line ended with ${code}`)));
  });
  return { port: line, close: () => child.kill() };
}

function serve(port, ms) {
  const server = createServer((near) => {
    const far = connect(port, '127.0.0.1');
    for (const [from, to] of [
      [near, far],
      [far, near],
    ]) {
      from.setNoDelay(true);
      // Timers of one length come in the order in which they were set.
      from.on('data', (data) => setTimeout(() => to.write(data), ms));
      from.on('close', () => setTimeout(() => to.destroy(), ms));
      from.on('error', () => to.destroy());
    }
  });
  server.listen(0, '127.0.0.1', () => console.log(server.address().port));
}

if (process.argv[1] === here) serve(Number(process.argv[2]), Number(process.argv[3]));
