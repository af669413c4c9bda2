import { encodeCsvField } from '../../formats/encode.ts';
import { LINES, type Payload } from '../../model/batch.ts';
import { NotAppliedError, RefusedError, WaybillError } from '../../model/errors.ts';
import { applied, type Verdict } from '../../model/verdict.ts';
import type { Permit, Sink } from '../connector.ts';

export interface StdoutOptions {
  readonly stdout: NodeJS.WritableStream;
  readonly format: 'ndjson' | 'csv';
  readonly header: boolean;
  readonly recordsPerBatch: number;
}

/**
 * Writes lines to the standard output. A batch counts as applied when the pipe has taken it; whether the process behind
 * the pipe has is not known to anybody. Once the pipe breaks, the batch that was on its way is in doubt.
 */
export function stdoutSink(options: StdoutOptions): Sink {
  const writer = new LineWriter(options);
  return {
    accepts: [{ ...LINES, format: options.format }],
    limits: { recordsPerBatch: options.recordsPerBatch, bytesPerBatch: 1024 * 1024, inFlight: 1 },
    can: { append: (permit) => writer.append(permit) },
    facts: {},
    requestTimeoutMs: 60_000,
    close: async () => writer.close(),
  };
}

class LineWriter {
  readonly #options: StdoutOptions;
  #queue: Promise<unknown> = Promise.resolve();
  #header: string | undefined;
  #broken: Error | undefined;
  #listening = false;

  constructor(options: StdoutOptions) {
    this.#options = options;
  }

  append(permit: Permit): Promise<Verdict> {
    const go = (): Promise<Verdict> => this.#append(permit);
    const turn = this.#queue.then(go, go);
    this.#queue = turn;
    return turn;
  }

  close(): void {
    if (this.#listening) this.#options.stdout.off('error', this.#onError);
    this.#listening = false;
  }

  async #append(permit: Permit): Promise<Verdict> {
    if (permit.signal.aborted) throw new NotAppliedError('the send was given up before it began');
    const payload = await permit.payload();
    const header = this.#headerOf(payload);
    if (this.#header !== undefined && this.#header !== header) {
      throw new RefusedError('the standard output has begun with other columns', { reason: 'columns' });
    }
    if (this.#broken !== undefined || !this.#options.stdout.writable) {
      throw new NotAppliedError('the standard output is closed', { cause: this.#broken, sinkAway: true });
    }
    this.#listen();
    const first = this.#header === undefined && this.#options.header ? header : '';
    this.#header = header;
    await this.#write(Buffer.concat([Buffer.from(first), payload.bytes]), permit.signal);
    return applied(permit.batch.records, { summary: `${payload.bytes.length} bytes to the standard output` });
  }

  /** The line with the names of the fields, for formats that have one. */
  #headerOf(payload: Payload): string {
    if (this.#options.format !== 'csv') return '';
    return `${(payload.columns ?? []).map((column) => encodeCsvField(column)).join(',')}\n`;
  }

  /** Resolves when the stream has passed the bytes on: no more is buffered here than one batch. */
  #write(bytes: Uint8Array, signal: AbortSignal): Promise<void> {
    return new Promise((resolve, reject) => {
      const stop = (): void => reject(lost(signal.reason));
      signal.addEventListener('abort', stop, { once: true });
      this.#options.stdout.write(bytes, (error) => {
        signal.removeEventListener('abort', stop);
        if (error) reject(lost(error));
        else resolve();
      });
    });
  }

  // A stream that breaks also emits its error, which would end the process if nobody listened.
  #listen(): void {
    if (!this.#listening) this.#options.stdout.on('error', this.#onError);
    this.#listening = true;
  }

  readonly #onError = (error: Error): void => {
    this.#broken = error;
  };
}

/** Some of the bytes may have been taken already. */
const lost = (cause: unknown): WaybillError =>
  new WaybillError('SINK_FAILED', 'the standard output broke off while a batch was being written', { cause });
