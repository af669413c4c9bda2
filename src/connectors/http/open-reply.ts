import type { Dispatcher } from 'undici';
import { WaybillError } from '../../model/errors.ts';
import type { Deadlines } from './deadlines.ts';
import type { Stop } from './reach.ts';
import { Reply } from './reply.ts';
import { cutShort } from './source-errors.ts';

interface ReplyParts {
  readonly name: string;
  readonly stop: Stop;
  readonly control: AbortController;
  readonly deadlines: Deadlines;
  readonly stallTimeoutMs: number;
  readonly downloadTimeoutMs: number;
}

/** What explains an error is shorter. */
const TEXT_BYTES_MAX = 64 * 1024;
const TEXT_MS = 5_000;

/** An answer whose head is there. Its body waits on the wire until `pieces` reads it or `discard` lets go of it. */
export class OpenReply {
  readonly status: number;
  /** Where it was found in the end. */
  readonly stop: Stop;
  readonly name: string;
  readonly #response: Dispatcher.ResponseData;
  readonly #parts: ReplyParts;
  readonly #done: (whole: boolean, reply: OpenReply) => void;
  #over = false;
  #bytes = 0;

  constructor(response: Dispatcher.ResponseData, parts: ReplyParts, done: (whole: boolean, reply: OpenReply) => void) {
    this.status = response.statusCode;
    this.name = parts.name;
    this.stop = parts.stop;
    this.#response = response;
    this.#parts = parts;
    this.#done = done;
    // A connection may break while nobody reads; whoever reads next is told.
    response.body.on('error', () => undefined);
    if (this.status === 304) this.discard();
  }

  /** By its name in lower case; the first one where it comes several times. */
  header(name: string): string | undefined {
    const { headers } = this.#response;
    const value = Object.hasOwn(headers, name) ? headers[name] : undefined;
    return Array.isArray(value) ? value[0] : value;
  }

  /** All values of a header that is a list, which may come in several. */
  list(name: string): string | undefined {
    const { headers } = this.#response;
    const value = Object.hasOwn(headers, name) ? headers[name] : undefined;
    return Array.isArray(value) ? value.join(', ') : value;
  }

  /** What the body was announced to hold, in bytes as they are sent. */
  get length(): number | undefined {
    const text = this.header('content-length');
    return text === undefined || !/^[0-9]{1,15}$/.test(text) ? undefined : Number(text);
  }

  /** Whether the end of the body can be told from a connection that broke. */
  get saysItsEnd(): boolean {
    return this.length !== undefined || /\bchunked\b/i.test(this.header('transfer-encoding') ?? '');
  }

  /** Bytes of the body that have come so far. */
  get received(): number {
    return this.#bytes;
  }

  /** The body as it is sent. Throws SOURCE_FAILED when it is cut short, SOURCE_AWAY when nothing comes any more. */
  async *pieces(signal: AbortSignal): AsyncGenerator<Uint8Array> {
    const { control, name, deadlines, downloadTimeoutMs } = this.#parts;
    const abort = (): void => control.abort(signal.reason);
    const overall = deadlines.start(downloadTimeoutMs, () =>
      control.abort(new WaybillError('SOURCE_AWAY', `${name} was still sending after ${downloadTimeoutMs} ms`)),
    );
    signal.addEventListener('abort', abort);
    try {
      if (signal.aborted) throw signal.reason;
      const body = this.#response.body[Symbol.asyncIterator]() as AsyncIterator<Buffer>;
      for (let next = await this.#next(body); next.done !== true; next = await this.#next(body)) {
        this.#bytes += next.value.length;
        yield next.value;
      }
      const { length } = this;
      if (length !== undefined && length !== this.#bytes) throw wrongLength(name, length, this.#bytes);
      this.#end(true);
    } catch (error) {
      throw cutShort(name, this.#bytes, control.signal.aborted ? control.signal.reason : error, signal);
    } finally {
      deadlines.end(overall);
      signal.removeEventListener('abort', abort);
      this.discard();
    }
  }

  /** The body of an answer that is no document, as far as it is short and can be read: help for people, and no more. */
  async text(signal: AbortSignal): Promise<string> {
    const pieces: Buffer[] = [];
    const { control, deadlines, name } = this.#parts;
    const late = deadlines.start(TEXT_MS, () => control.abort(new WaybillError('SOURCE_AWAY', `${name} is slow`)));
    try {
      for await (const piece of this.pieces(signal)) {
        pieces.push(Buffer.from(piece));
        if (this.#bytes > TEXT_BYTES_MAX) break;
      }
    } catch (error) {
      // What the status has said stands, whatever became of the rest.
      if (signal.aborted) throw error;
    } finally {
      deadlines.end(late);
    }
    return new Reply(this.status, this.#response.headers, pieces).text() ?? '';
  }

  /** Its connection is given up, unless all of the body was read. */
  discard(): void {
    // What a body without content leaves behind is a connection that can be used again.
    this.#end(this.status === 304);
  }

  async #next(body: AsyncIterator<Buffer>): Promise<IteratorResult<Buffer>> {
    const { deadlines, stallTimeoutMs, control, name } = this.#parts;
    const stalled = deadlines.start(stallTimeoutMs, () =>
      control.abort(new WaybillError('SOURCE_AWAY', `${name} sent nothing more for ${stallTimeoutMs} ms`)),
    );
    try {
      return await body.next();
    } finally {
      deadlines.end(stalled);
    }
  }

  #end(whole: boolean): void {
    if (this.#over) return;
    this.#over = true;
    if (!whole) this.#response.body.destroy();
    this.#done(whole, this);
  }
}

const wrongLength = (name: string, announced: number, came: number): WaybillError =>
  new WaybillError('SOURCE_FAILED', `${name} has ${came} bytes, and ${announced} were announced`);
