import { spawn } from 'node:child_process';
import { copyFileSync, existsSync, mkdirSync, readdirSync, readFileSync, statSync } from 'node:fs';
import { join, resolve } from 'node:path';
import Database from 'better-sqlite3';
import { expect } from 'vitest';
import type { DailyJob } from '../daily/daily-job.ts';

const cli = resolve(import.meta.dirname, '../../dist/cli/main.js');

export interface Ended {
  readonly status: number;
  readonly stdout: string;
  readonly stderr: string;
}

export interface Started {
  readonly pid: number;
  readonly ended: Promise<Ended>;
  /** Milliseconds from the start of the process to its end, once it has ended. */
  readonly tookMs: () => number;
  readonly hasEnded: () => boolean;
  /** What it has said on stderr so far. */
  readonly said: () => string;
  kill(signal: NodeJS.Signals): void;
}

/** A process of the command line that goes on beside the test, so that others can get in its way. */
export function start(
  job: { readonly folder: string; readonly env: NodeJS.ProcessEnv },
  args: readonly string[],
  env = {},
  program = cli,
): Started {
  const from = performance.now();
  let tookMs = Number.NaN;
  const child = spawn(process.execPath, [program, ...args], { cwd: job.folder, env: { ...job.env, ...env } });
  let [stdout, stderr] = ['', ''];
  child.stdout.on('data', (chunk) => (stdout += chunk));
  child.stderr.on('data', (chunk) => (stderr += chunk));
  const ended = new Promise<Ended>((end) =>
    child.once('close', (code) => {
      tookMs = performance.now() - from;
      end({ status: code ?? -1, stdout, stderr });
    }),
  );
  return {
    pid: child.pid!,
    ended,
    tookMs: () => tookMs,
    hasEnded: () => !Number.isNaN(tookMs),
    said: () => stderr,
    kill: (signal) => void child.kill(signal),
  };
}

/** By the kernel's own word, where it gives one: waiting (S), stopped (T), computing (R). */
export function isIn(pid: number, state: 'S' | 'T'): boolean {
  const stat = `/proc/${pid}/stat`;
  return !existsSync(stat) || readFileSync(stat, 'utf8').replace(/^.*\) /, '')[0] === state;
}

/**
 * Stops a process where it holds no lock of the ledger's file: that of one that sleeps in a transaction nobody can
 * take, whatever the leases say (LEDGER_BUSY), so that others have to wait until it wakes.
 */
export async function standStill(job: DailyJob, process: Started): Promise<void> {
  const ledger = new Database(join(job.folder, '.waybill', 'ledger.db'), { timeout: 0 });
  let isFree = false;
  while (!isFree) {
    process.kill('SIGSTOP');
    await job.until(() => isIn(process.pid, 'T'));
    isFree = couldWrite(ledger);
    if (!isFree) process.kill('SIGCONT');
  }
  ledger.close();
}

function couldWrite(ledger: Database.Database): boolean {
  try {
    ledger.exec('begin immediate');
    ledger.exec('rollback');
    return true;
  } catch (error) {
    if ((error as { code?: string }).code !== 'SQLITE_BUSY') throw error;
    return false;
  }
}

/**
 * What every error owes a person: what happened in one line, what to do, the code with its exit code and page, and
 * that the process ended with that very exit code. Returns what was said, for closer looks.
 */
export function expectError(ended: Ended, code: string, status: number): string {
  const said = ended.stderr;
  expect(said, ended.stdout).toMatch(/^error: .{10,}/m);
  expect(said).toMatch(/^ {2}do {4}.{10,}/m);
  expect(said).toContain(`${code} (exit ${status}), docs/reference/errors/${code}.md`);
  expect(said, 'no stack, no internals').not.toMatch(/\n\s+at .*\.js|UNEXPECTED|\[object|undefined/);
  expect(ended.status, said).toBe(status);
  return said;
}

/** Copies the ledger with its side files, and what lies beside it. */
export function copyFolder(from: string, to: string): void {
  mkdirSync(to, { recursive: true });
  for (const name of readdirSync(from)) {
    const path = join(from, name);
    if (statSync(path).isDirectory()) copyFolder(path, join(to, name));
    else copyFileSync(path, join(to, name));
  }
}

export const filesBelow = (folder: string): string[] =>
  readdirSync(folder, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map((entry) => join(entry.parentPath, entry.name))
    .sort();

export const bytesOf = (path: string): Buffer => readFileSync(path);
