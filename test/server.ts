import { type ChildProcess, spawn, spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { connect, createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

/** Why a program cannot be run here, or undefined. For `skip`, which says it where a test is left out. */
export function missingProgram(name: string): string | undefined {
  const found = spawnSync(name, ['--version'], { stdio: 'ignore' });
  return found.error === undefined ? undefined : `${name} is not installed on this machine`;
}

export interface TestServer {
  readonly port: number;
  readonly pid: number;
  /** Ends it as a crash would; it can be started again on the same port and folder. */
  kill(): Promise<void>;
  again(): Promise<void>;
  /** Stops it and removes its files. */
  stop(): Promise<void>;
}

/** A server program of its own, in a temporary folder, on a free port of 127.0.0.1. */
export async function startServer(
  program: string,
  args: (port: number, folder: string) => readonly string[],
): Promise<TestServer> {
  const folder = mkdtempSync(join(tmpdir(), `waybill-${program}-`));
  const port = await freePort();
  let child: ChildProcess | undefined;
  const start = async (): Promise<void> => {
    child = spawn(program, args(port, folder), { stdio: ['ignore', 'pipe', 'pipe'] });
    await answers(child, port, program);
  };
  const end = async (signal: NodeJS.Signals): Promise<void> => {
    if (child === undefined || child.exitCode !== null || child.signalCode !== null) return;
    const gone = new Promise((resolve) => child!.once('exit', resolve));
    child.kill(signal);
    await gone;
  };
  try {
    await start();
  } catch (error) {
    await end('SIGKILL');
    rmSync(folder, { recursive: true, force: true });
    throw error;
  }
  return {
    port,
    get pid() {
      return child!.pid!;
    },
    kill: () => end('SIGKILL'),
    again: start,
    async stop() {
      await end('SIGTERM');
      rmSync(folder, { recursive: true, force: true });
    },
  };
}

/** Resolves when the port takes connections; rejects when the process ends before. */
async function answers(child: ChildProcess, port: number, program: string): Promise<void> {
  const said: string[] = [];
  child.stdout!.on('data', (chunk) => said.push(String(chunk)));
  child.stderr!.on('data', (chunk) => said.push(String(chunk)));
  let ended = false;
  child.once('exit', () => (ended = true));
  child.once('error', () => (ended = true));
  const end = performance.now() + 20_000;
  while (!(await takesConnections(port))) {
    if (ended || performance.now() > end) throw new RangeError(`${program} did not start: ${said.slice(-5).join(' ')}`);
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
}

function takesConnections(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const probe = connect({ port, host: '127.0.0.1' });
    probe.once('connect', () => {
      probe.destroy();
      resolve(true);
    });
    probe.once('error', () => resolve(false));
  });
}

function freePort(): Promise<number> {
  return new Promise((resolve, reject) => {
    const probe = createServer();
    probe.once('error', reject);
    probe.listen(0, '127.0.0.1', () => {
      const address = probe.address();
      probe.close(() => resolve(typeof address === 'object' && address !== null ? address.port : 0));
    });
  });
}
