import { type ChildProcess, spawn } from 'node:child_process';
import { basename } from 'node:path';
import { WaybillError } from '../../model/errors.ts';
import { mask } from '../../model/masking.ts';
import type { Ports } from '../../model/ports.ts';

export interface TapCommand {
  /** The program and its own words, without those of Singer. */
  readonly command: readonly string[];
  /** Where it runs. */
  readonly folder: string;
  /** How long it may take to end after it was told to. */
  readonly graceMs: number;
  readonly ports: Pick<Ports, 'sleep'>;
}

/**
 * Stands between us and the tap, as the first process of a group of its own. Its input is a pipe of which we hold the
 * other end and never write to: when we die, whatever we die of, the pipe ends, and the shell ends the group and
 * removes the files, which hold secrets. The tap begins before TERM is ignored, since it would inherit that.
 * `$1`: the folder of the files. The rest: the tap.
 */
const GUARD = `
files=$1
shift
exec 3<&0
"$@" </dev/null 3<&- &
tap=$!
trap '' TERM
( read -r _ <&3; rm -rf -- "$files"; kill -KILL 0 ) >/dev/null 2>&1 &
guard=$!
exec 3<&-
wait "$tap"
code=$?
kill -KILL "$guard"
exit "$code"
`;

/** What is kept of the tap's log, and what of that is shown. */
const LOG_BYTES = 64 * 1024;
const LOG_SHOWN = 1500;
const NOT_FOUND = 127;
const NOT_ALLOWED = 126;

interface Ended {
  readonly code: number | null;
  readonly signal: NodeJS.Signals | null;
}

/** A tap that runs, with all that it has started. */
export class TapProcess {
  readonly #options: TapCommand;
  readonly #child: ChildProcess;
  readonly #ended: Promise<Ended>;
  #log: Buffer[] = [];
  #logBytes = 0;
  #over = false;
  #failure: Error | undefined;

  /** `files`: a folder that is removed when this process dies. */
  constructor(options: TapCommand, words: readonly string[], files: string) {
    const { command, folder } = options;
    this.#options = options;
    const [program, ...rest] = shelled([...command, ...words], files);
    this.#child = spawn(program!, rest, { cwd: folder, detached: true, stdio: ['pipe', 'pipe', 'pipe'] });
    // The other end of this pipe may be gone before we close it.
    this.#child.stdin!.on('error', () => undefined);
    this.#child.stderr!.on('data', (bytes: Buffer) => this.#keep(bytes));
    this.#ended = new Promise((resolve) => {
      this.#child.once('error', (error) => {
        this.#failure = error;
        if (this.#child.pid === undefined) this.#end({ code: null, signal: null }, resolve);
      });
      this.#child.once('exit', (code, signal) => this.#end({ code, signal }, resolve));
    });
  }

  get name(): string {
    return tapName(this.#options);
  }

  /** What it writes, piece by piece. Whoever does not read lets it wait. */
  get output(): AsyncIterable<Buffer> {
    return this.#child.stdout!;
  }

  /** Resolves when it has ended by itself with success. Throws SOURCE_FAILED with the end of its log otherwise. */
  async expectSuccess(): Promise<void> {
    const { code, signal } = await this.#ended;
    if (code === 0) return;
    const [cause, log] = [this.#failure, this.log()];
    const how = cause !== undefined ? 'could not be started' : said(code, signal);
    const details = { ids: { tap: this.name }, ...(cause === undefined ? {} : { cause }) };
    const message = `the tap ${this.name} ${how}${log === '' ? '' : `; the end of its log: ${log}`}`;
    const absent = code === NOT_FOUND || code === NOT_ALLOWED || cause !== undefined;
    const hint = 'Install the tap, or correct `command` of the connection.';
    throw new WaybillError('SOURCE_FAILED', message, absent ? { ...details, hint } : details);
  }

  /** The end of what it wrote into its log, without secrets and in one piece. */
  log(): string {
    const text = mask(Buffer.concat(this.#log).toString()).replaceAll(/[^\P{Cc}\n\t]/gu, '');
    return text.trim().slice(-LOG_SHOWN).trim();
  }

  /** Ends it and all that it has started: asks first, and waits no longer than the grace. */
  async stop(): Promise<void> {
    const over = new AbortController();
    try {
      this.#signal('SIGTERM');
      const late = this.#options.ports.sleep(this.#options.graceMs, over.signal).then(() => this.#signal('SIGKILL'));
      // Rejects only when it has ended first.
      late.catch(() => undefined);
      await this.#ended;
    } finally {
      over.abort();
      this.#child.stdin!.destroy();
      this.#child.stdout!.destroy();
    }
  }

  #end(ended: Ended, resolve: (ended: Ended) => void): void {
    // What it has left running holds its output open, and has no business any more.
    this.#signal('SIGKILL');
    this.#over = true;
    resolve(ended);
  }

  #signal(signal: NodeJS.Signals): void {
    const { pid } = this.#child;
    if (this.#over || pid === undefined) return;
    try {
      if (process.platform === 'win32') this.#child.kill(signal);
      else process.kill(-pid, signal);
    } catch (error) {
      // The last of the group has ended already.
      if ((error as NodeJS.ErrnoException).code !== 'ESRCH') throw error;
    }
  }

  #keep(bytes: Buffer): void {
    this.#log.push(bytes);
    this.#logBytes += bytes.length;
    if (this.#logBytes <= LOG_BYTES * 2) return;
    // A secret that is cut in two here lies far before what is shown.
    const kept = Buffer.concat(this.#log).subarray(-LOG_BYTES);
    [this.#log, this.#logBytes] = [[kept], kept.length];
  }
}

/** Of the program; where that is one which runs others, of what it runs. */
export function tapName({ command }: Pick<TapCommand, 'command'>): string {
  const program = basename(command[0] ?? '');
  const words = command.slice(1).filter((word) => /^[^-\s][^\s]*$/.test(word));
  return basename((/tap/i.test(program) ? undefined : words.at(-1)) ?? program);
}

const said = (code: number | null, signal: NodeJS.Signals | null): string =>
  signal === null ? `ended with the exit code ${code}` : `was ended by ${signal}`;

/** Where there is no such shell, a tap that writes notices that nobody listens any more. */
const shelled = (command: readonly string[], files: string): readonly string[] =>
  process.platform === 'win32' ? command : ['/bin/sh', '-c', GUARD, 'waybill-tap', files, ...command];
