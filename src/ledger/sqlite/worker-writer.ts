import { existsSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { Worker } from 'node:worker_threads';
import { WaybillError } from '../../model/errors.ts';
import type { Submit } from '../books/books-ledger.ts';
import type { Command } from '../books/verbs/all.ts';
import { closedError, type Outcome, settleWaiting, type Waiting } from '../books/waiting.ts';
import { ledgerError } from './failure.ts';
import type { LocalWriter } from './local-writer.ts';
import {
  FirstCome,
  type FromWorker,
  fromWire,
  packCommands,
  type ToWorker,
  unpackOutcomes,
  type WorkerStart,
} from './wire.ts';

export interface ThreadOptions {
  /** A file, best on its own or beside the staged bytes, that tells how far this ledger has come. See `HighMark`. */
  readonly mark?: string;
  /** Told when a thread of its own writes; until then it is written here. */
  readonly threadUp?: () => void;
  /** How long writing here may have taken before a thread is begun. 0 when absent: it is begun at once. */
  readonly threadAfterMs?: number;
}

/**
 * Writes on a thread of its own, so that waiting for the disk holds up nobody here. The commands of one turn of the
 * event loop travel in one message; what arrives over there while a commit runs goes into the next one. A thread takes
 * a tenth of a second to come up, as long as many a run: until it is there, it is written here.
 */
export class WorkerWriter implements Submit {
  readonly #firstCome = new FirstCome();
  readonly #file = workerFile();
  readonly #place: string;
  readonly #options: ThreadOptions;
  /** Begun when writing here has taken too long. */
  #thread: { readonly worker: Worker; readonly exit: Promise<unknown> } | undefined;
  #queue: Waiting[] = [];
  /** Sent and not answered, oldest first: the worker answers in the order of the messages. */
  readonly #sent: Waiting[][] = [];
  #scheduled = false;
  #failure: WaybillError | undefined;
  /** Writes until the thread is there. */
  #meanwhile: LocalWriter | undefined;
  #closing: Promise<void> | undefined;

  constructor(path: string, meanwhile: LocalWriter, options: ThreadOptions) {
    this.#place = path;
    this.#options = options;
    this.#meanwhile = meanwhile;
    this.#beginInTime(meanwhile);
  }

  #beginInTime({ spentMs }: LocalWriter): void {
    if (this.#thread !== undefined || spentMs < (this.#options.threadAfterMs ?? 0)) return;
    const { mark } = this.#options;
    const worker = new Worker(this.#file, {
      workerData: { path: this.#place, mark, firstCome: this.#firstCome.shared } satisfies WorkerStart,
      // What it makes is short-lived; a small nursery keeps the process small whatever the size of a run.
      resourceLimits: { maxYoungGenerationSizeMb: 4 },
    });
    worker.on('message', (message: FromWorker) => this.#heard(message));
    worker.on('messageerror', (error) => this.#fail(error));
    worker.on('error', (error) => this.#fail(error));
    this.#thread = { worker, exit: new Promise((resolve) => worker.once('exit', resolve)) };
    worker.once('exit', () => this.#exited());
    // An idle ledger does not keep a process alive; one that is writing does.
    worker.unref();
  }

  submit(command: Command): Promise<unknown> {
    const failure = this.#failure ?? (this.#closing === undefined ? undefined : closedError(this.#place));
    if (failure !== undefined) return Promise.reject(failure);
    if (this.#meanwhile !== undefined) {
      this.#beginInTime(this.#meanwhile);
      return this.#meanwhile.submit(command);
    }
    return new Promise((resolve, reject) => {
      this.#queue.push({ command, resolve, reject });
      if (this.#scheduled) return;
      this.#scheduled = true;
      setImmediate(() => this.#post());
    });
  }

  close(): Promise<void> {
    this.#closing ??= this.#close();
    return this.#closing;
  }

  async #close(): Promise<void> {
    const meanwhile = this.#meanwhile;
    this.#meanwhile = undefined;
    this.#thread?.worker.ref();
    await meanwhile?.close();
    if (this.#thread === undefined) return;
    const { worker, exit } = this.#thread;
    if (meanwhile !== undefined && this.#firstCome.first()) {
      // The thread has come too late to be of any use, or not at all.
      await worker.terminate();
    } else if (this.#failure === undefined) {
      this.#post();
      worker.postMessage({ kind: 'close' } satisfies ToWorker);
      await exit;
    }
  }

  #post(): void {
    const waiting = this.#queue;
    this.#queue = [];
    this.#scheduled = false;
    if (waiting.length === 0 || this.#failure !== undefined) return;
    const { message, transfer } = packCommands(waiting.map(({ command }) => command));
    this.#sent.push(waiting);
    this.#thread?.worker.ref();
    this.#thread?.worker.postMessage(message, transfer);
  }

  /** A thread that came up too late finds nothing to be handed over. */
  #handOver(): void {
    if (this.#meanwhile === undefined) return;
    this.#meanwhile.handOver();
    this.#meanwhile = undefined;
    this.#options.threadUp?.();
  }

  #heard(message: FromWorker): void {
    if (message.kind === 'ready') this.#handOver();
    else if (message.kind === 'failed') this.#fail(fromWire(message.error));
    else this.#answered(unpackOutcomes(message.texts));
  }

  #answered(outcomes: readonly Outcome[]): void {
    const waiting = this.#sent.shift() ?? [];
    if (this.#sent.length === 0 && this.#closing === undefined) this.#thread?.worker.unref();
    settleWaiting(waiting, outcomes);
  }

  /** Everything that waits is refused; whether the last commit took place, the ledger itself will say. */
  #fail(error: unknown): void {
    this.#failure ??= error instanceof WaybillError ? error : ledgerError(error, this.#place, 'writing');
    const waiting = [...this.#sent.splice(0).flat(), ...this.#queue.splice(0)];
    for (const { reject } of waiting) reject(this.#failure);
  }

  #exited(): void {
    if (this.#closing === undefined)
      this.#fail(new WaybillError('UNEXPECTED', `the thread that writes the ledger ${this.#place} ended`));
  }
}

/** Node 20 runs no TypeScript: started from the sources, the thread runs what `npm run build` has made of them. */
function workerFile(): string {
  const here = fileURLToPath(import.meta.url);
  if (!here.endsWith('.ts')) return fileURLToPath(new URL('./writer-thread.js', import.meta.url));
  const built = fileURLToPath(new URL('../../../build/ledger/sqlite/writer-thread.js', import.meta.url));
  if (existsSync(built)) return built;
  throw new WaybillError('USAGE', `the ledger cannot write on a thread of its own: ${built} is not there`, {
    hint: 'Run `npm run build` first.',
  });
}
