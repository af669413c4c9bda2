// Commands on the clock: how long one took, what its processes and the server used meanwhile, and what it held.
import { spawn, spawnSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

const TICKS_PER_SECOND = 100;
const LOOK_MS = 20;
const cli = fileURLToPath(new URL('../../dist/cli/main.js', import.meta.url));

/** Ends the benchmark where the command is not there: it has nothing to compare with. */
export function needs(command, ...args) {
  if (spawnSync(command, args, { stdio: 'ignore' }).error === undefined) return;
  console.log(`SKIPPED: there is no ${command} here to compare with`);
  process.exit(0);
}

/**
 * Throws when the command does not end with 0. `server` adds what a server used meanwhile; `quiet` keeps what the
 * command says on stderr until it fails.
 */
export async function timed([command, ...args], { cwd, env = process.env, server, quiet = false } = {}) {
  const before = { own: endedTicks(), server: server?.ticks() };
  const started = performance.now();
  const child = spawn(command, args, {
    cwd,
    env: withoutCertificates(env),
    stdio: ['ignore', 'pipe', quiet ? 'pipe' : 'inherit'],
  });
  let output = '';
  for (const stream of [child.stdout, child.stderr]) {
    stream?.on('data', (text) => {
      output += text;
    });
  }
  let peakKb = 0;
  const look = setInterval(() => {
    peakKb = Math.max(peakKb, peakOf(child.pid));
  }, LOOK_MS);
  const code = await new Promise((resolve, reject) => {
    child.once('error', reject);
    child.once('close', resolve);
  });
  const seconds = (performance.now() - started) / 1000;
  clearInterval(look);
  if (code !== 0) throw new Error(`${command} ${args[0]} … ended with ${code}: ${output.slice(-2_000)}`);
  return {
    seconds,
    cpuSeconds: (endedTicks() - before.own) / TICKS_PER_SECOND,
    ...(server && { serverCpuSeconds: (server.ticks() - before.server) / TICKS_PER_SECOND }),
    peakMb: peakKb / 1024,
    output,
  };
}

/** Certificates that a machine adds are read by Node at every start, for 30 ms: they are no part of the program. */
function withoutCertificates({ NODE_EXTRA_CA_CERTS: _, ...env }) {
  return env;
}

/** A line of bash, any of whose commands may fail it. What they held is not known: the peak would be that of bash. */
export async function bash(line, options) {
  const { peakMb: _, ...result } = await timed(['bash', '-c', `set -eo pipefail; ${line}`], options);
  return result;
}

/** `waybill run` in a folder that holds this flow file and nothing else, which is removed afterwards. */
export async function runOnce(flowFile, args, options) {
  const place = mkdtempSync(join(tmpdir(), 'waybill-bench-run-'));
  try {
    writeFileSync(join(place, 'waybill.yaml'), flowFile);
    return await waybill(['run', ...args, '--quiet'], { ...options, cwd: place });
  } finally {
    rmSync(place, { recursive: true, force: true });
  }
}

export const waybill = (args, options) => timed([process.execPath, cli, ...args], options);

/** User and system time of a process and of its children that have ended. */
export const ticksOf = (pid) => fieldsOf(pid).reduce((sum, ticks) => sum + ticks, 0);

export const ticksOfChildren = (pid) =>
  wordsOf(`/proc/${pid}/task/${pid}/children`).reduce((sum, child) => sum + ticksOf(child), 0);

/** Of the commands that have ended, and of whatever they waited for. */
const endedTicks = () => {
  const [, , user, system] = fieldsOf('self');
  return user + system;
};

function fieldsOf(pid) {
  const text = read(`/proc/${pid}/stat`);
  // The name of the program stands in brackets, and may hold spaces.
  const fields = text.slice(text.lastIndexOf(')') + 2).split(' ');
  return [11, 12, 13, 14].map((at) => Number(fields[at] ?? 0));
}

const wordsOf = (path) => read(path).split(' ').filter(Boolean);

const peakOf = (pid) => Number(/VmHWM:\s+(\d+)/.exec(read(`/proc/${pid}/status`))?.[1] ?? 0);

/** Nothing of a process that has ended meanwhile, and where there is no /proc. */
function read(path) {
  try {
    return readFileSync(path, 'utf8');
  } catch (error) {
    if (error.code === 'ENOENT' || error.code === 'ESRCH') return '';
    throw error;
  }
}
