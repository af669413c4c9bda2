import { readFileSync } from 'node:fs';
import { userInfo } from 'node:os';
import { setFlagsFromString } from 'node:v8';
import { optimizeKernelsOnly } from '../formats/wasm.ts';
import { realPorts } from './ports.ts';

/** Something that text can be written to: a stream of the process, or a list of strings in a test. */
export interface Output {
  write(text: string | Uint8Array): unknown;
  readonly isTTY?: boolean;
  readonly columns?: number | undefined;
  readonly rows?: number | undefined;
}

/**
 * What a command line program uses of its process, in one place, so that a test can give another. Making one reads
 * nothing and registers nothing but a listener that keeps a closed pipe (`waybill batches | head`) from being a crash.
 */
export interface ProcessPort {
  readonly env: Readonly<Record<string, string | undefined>>;
  readonly cwd: string;
  readonly stdout: Output;
  readonly stderr: Output;
  /** Asks a person one line; resolves with undefined when the input ends. Only for a terminal. */
  ask(question: string): Promise<string | undefined>;
  readonly canAsk: boolean;
  wallMs(): number;
  /** Resolves after `ms`; rejects when the signal is aborted first. */
  sleep(ms: number, signal?: AbortSignal): Promise<void>;
  /** Calls back at each interrupt until the function that is returned is called. */
  onInterrupt(heard: (signal: 'SIGINT' | 'SIGTERM') => void): () => void;
  /** Ends the process at once. */
  exit(code: number): void;
  /** The login name of whoever runs the command, for the audit lines of the ledger. */
  userName(): string;
}

export function realProcess(): ProcessPort {
  useLittleMemory();
  // The client for S3 tells every user of Node 20 what its next year will need; this is its own switch for that.
  process.env.AWS_SDK_JS_NODE_VERSION_SUPPORT_WARNING_DISABLED ??= 'true';
  for (const stream of [process.stdout, process.stderr]) stream.on('error', forgiveClosedPipe);
  const { wallMs, sleep } = realPorts();
  return {
    env: process.env,
    cwd: process.cwd(),
    stdout: process.stdout,
    stderr: process.stderr,
    canAsk: process.stdin.isTTY === true && process.stderr.isTTY === true,
    ask: askOnTerminal,
    wallMs,
    sleep,
    onInterrupt: listenForInterrupts,
    exit: (code) => process.exit(code),
    userName: loginName,
  };
}

/**
 * A run of any size is to fit into little memory. By itself the JavaScript engine would let the nursery grow for speed,
 * and would optimize more than is worth its room.
 */
function useLittleMemory(): void {
  setFlagsFromString('--optimize-for-size');
  // With it alone the heap would be collected whenever it has grown by a tenth, and the bytes that stand outside of it
  // count: a collection for every few megabytes that are read.
  setFlagsFromString('--heap-growing-percent=100');
  optimizeKernelsOnly();
}

/** The words after `waybill`. */
export const commandWords = (): readonly string[] => process.argv.slice(2);

/** The version in package.json, which stands two folders above both `src/app` and `dist/shared`. */
export function packageVersion(): string {
  const text = readFileSync(new URL('../../package.json', import.meta.url), 'utf8');
  return (JSON.parse(text) as { version: string }).version;
}

function forgiveClosedPipe(error: NodeJS.ErrnoException): void {
  if (error.code !== 'EPIPE') throw error;
}

async function askOnTerminal(question: string): Promise<string | undefined> {
  const { createInterface } = await import('node:readline');
  const lines = createInterface({ input: process.stdin, output: process.stderr });
  return await new Promise((resolve) => {
    lines.once('close', () => resolve(undefined));
    lines.question(question, (line) => {
      resolve(line);
      lines.close();
    });
  });
}

function listenForInterrupts(heard: (signal: 'SIGINT' | 'SIGTERM') => void): () => void {
  const onInt = () => heard('SIGINT');
  const onTerm = () => heard('SIGTERM');
  process.on('SIGINT', onInt);
  process.on('SIGTERM', onTerm);
  return () => {
    process.off('SIGINT', onInt);
    process.off('SIGTERM', onTerm);
  };
}

function loginName(): string {
  try {
    return userInfo().username;
  } catch {
    // A container may run under a user id that has no name.
    return `uid-${process.getuid?.() ?? 'unknown'}`;
  }
}
