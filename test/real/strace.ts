import { spawn } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import type { Ended } from '../hard/processes.ts';
import { failed } from './disks.ts';

const cli = resolve(import.meta.dirname, '../../dist/cli/main.js');

/** Why calls of the system cannot be made to fail here; undefined when they can. */
export const straceMissing = (): string | undefined =>
  failed('strace', '-qq', '-e', 'trace=fsync', '-e', 'inject=fsync:error=EIO:when=1', '-o', '/dev/null', 'true');

/** One call of the system that matters to what is durable, in the order in which it ended. */
export interface Call {
  readonly what: 'sync' | 'request';
  /** Of a sync: the file or folder. */
  readonly path: string;
  readonly failed: boolean;
  readonly injected: boolean;
}

export interface Traced extends Ended {
  readonly calls: readonly Call[];
  /** Whether the fault was met at all. */
  readonly met: boolean;
}

/**
 * Runs the command line under strace with one fault, `fsync:error=EIO:when=7`. Calls are counted thread by thread, so
 * the pool of threads is one thread.
 */
export async function runTraced(
  job: { readonly folder: string; readonly env: NodeJS.ProcessEnv },
  args: readonly string[],
  inject: string,
): Promise<Traced> {
  const log = join(job.folder, 'strace.log');
  const traced = `trace=fsync,fdatasync,write,writev,${inject.split(':')[0]}`;
  // Stopping at these calls only is much quicker, but then no signal is sent.
  const only = inject.includes('signal=') ? [] : ['--seccomp-bpf'];
  const words = ['-f', ...only, '-qq', '-y', '-s', '24', '-e', traced, '-e', `inject=${inject}`];
  const env = { ...job.env, UV_THREADPOOL_SIZE: '1' };
  const command = [process.execPath, cli, ...args];
  const child = spawn('strace', [...words, '-e', 'signal=none', '-o', log, ...command], { cwd: job.folder, env });
  let [stdout, stderr] = ['', ''];
  child.stdout.on('data', (chunk) => (stdout += chunk));
  child.stderr.on('data', (chunk) => (stderr += chunk));
  const status = await new Promise<number>((end) => child.once('close', (code) => end(code ?? -1)));
  const text = readFileSync(log, 'utf8');
  const met = text.includes('(INJECTED)') || status === -1;
  return { status, stdout, stderr, calls: callsOf(text), met };
}

/** Calls that were interrupted by those of other threads stand in two lines; the second says how they ended. */
function callsOf(text: string): readonly Call[] {
  const open = new Map<string, string>();
  const calls: Call[] = [];
  for (const line of text.split('\n')) {
    const [, thread = '', said = ''] = /^(\d+) +(.*)$/.exec(line) ?? [];
    const resumed = /^<\.\.\. \w+ resumed>(.*)$/.exec(said);
    const whole = resumed === null ? said : `${open.get(thread) ?? ''}${resumed[1]}`;
    if (whole.endsWith('<unfinished ...>')) open.set(thread, whole.slice(0, -'<unfinished ...>'.length));
    else calls.push(...callOf(whole));
  }
  return calls;
}

function callOf(line: string): readonly Call[] {
  const failed = / = -1 /.test(line);
  const injected = line.includes('(INJECTED)');
  const sync = /^f(?:data)?sync\(\d+<([^>]*)>/.exec(line);
  if (sync !== null) return [{ what: 'sync', path: sync[1]!, failed, injected }];
  return /^writev?\(\d+<[^>]*>, .{0,20}"POST \/v1/.test(line) ? [{ what: 'request', path: '', failed, injected }] : [];
}
