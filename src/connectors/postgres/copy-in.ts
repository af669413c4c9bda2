import { Buffer } from 'node:buffer';
import type * as Pg from 'pg';

/** What `pg` calls on a query that it was handed: the part of its contract that a COPY needs. */
interface PgConnection {
  query(text: string): void;
  sendCopyFail(message: string): void;
  endCopyFrom(): void;
  readonly stream: {
    readonly writable: boolean;
    write(bytes: Uint8Array): boolean;
    cork(): void;
    uncork(): void;
    once(event: 'drain', listener: () => void): void;
  };
}

/** Room at the head of a frame for its letter and its length. */
export const FRAME_HEAD = 5;
const COPY_DATA = 0x64;
const MESSAGE_BYTES = 128 * 1024;

/** Data that lies somewhere else, with nothing before it: it is sent from there, and not copied. */
export class UnframedBytes {
  readonly bytes: Uint8Array;

  constructor(bytes: Uint8Array) {
    this.bytes = bytes;
  }
}

/** Rows as they lie there: a message does not have to end where a row does. */
export function* inMessages(bytes: Uint8Array): Generator<UnframedBytes> {
  for (let at = 0; at < bytes.length; at += MESSAGE_BYTES) {
    yield new UnframedBytes(bytes.subarray(at, at + MESSAGE_BYTES));
  }
}

export interface Copied {
  /** How many rows the server took. */
  readonly rows: number;
  /** The last value that one of the other statements has found; null when none has. */
  readonly found: string | null;
}

/**
 * One `COPY … FROM STDIN`, with the statements that go with it in the same round trip. Its data comes as frames of the
 * protocol whose first `FRAME_HEAD` bytes are left free, so that nothing is copied once more; the next frame is made
 * when the socket has room for it, so the server loads rows while others are still being written.
 *
 * When making a frame throws, the server is told to forget the COPY, and `done` rejects with what was thrown.
 */
export class CopyIn implements Pg.Submittable {
  /** Rejects with the server's error, or that of the connection. */
  readonly done: Promise<Copied>;
  readonly #text: string;
  readonly #frames: Iterator<Buffer | UnframedBytes>;
  #resolve!: (copied: Copied) => void;
  #reject!: (error: unknown) => void;
  #rows = 0;
  #found: string | null = null;
  /** What was thrown while a frame was made: the server's answer to the end of the COPY says less. */
  #thrown: { readonly error: unknown } | undefined;
  #over = false;

  constructor(text: string, frames: Iterable<Buffer | UnframedBytes>) {
    this.#text = text;
    this.#frames = frames[Symbol.iterator]();
    this.done = new Promise((resolve, reject) => {
      this.#resolve = resolve;
      this.#reject = reject;
    });
  }

  submit(connection: Pg.Connection): void {
    (connection as unknown as PgConnection).query(this.#text);
  }

  handleCopyInResponse(connection: PgConnection): void {
    this.#send(connection);
  }

  handleCommandComplete(message: { readonly text: string }): void {
    const [, rows] = /^COPY (\d+)$/.exec(message.text) ?? [];
    if (rows !== undefined) this.#rows = Number(rows);
  }

  /** What it looks like is known to whoever asks. */
  handleRowDescription(): void {}

  handleDataRow({ fields }: { readonly fields: readonly (string | null)[] }): void {
    this.#found = fields.at(-1) ?? null;
  }

  handleReadyForQuery(): void {
    this.#over = true;
    this.#resolve({ rows: this.#rows, found: this.#found });
  }

  handleError(error: unknown): void {
    this.#over = true;
    this.#reject(this.#thrown === undefined ? error : this.#thrown.error);
  }

  /** Goes on by itself when the socket drains. One that is closed never drains: then `pg` calls `handleError`. */
  #send(connection: PgConnection): void {
    try {
      while (!this.#over && connection.stream.writable) {
        const next = this.#frames.next();
        if (next.done === true) {
          connection.endCopyFrom();
          return;
        }
        if (!write(connection, next.value)) {
          connection.stream.once('drain', () => this.#send(connection));
          return;
        }
      }
    } catch (error) {
      this.#thrown = { error };
      connection.sendCopyFail('a record does not fit');
    }
  }
}

/** False when the socket wants no more for now. */
function write({ stream }: PgConnection, frame: Buffer | UnframedBytes): boolean {
  const bare = frame instanceof UnframedBytes;
  const head = bare ? Buffer.allocUnsafe(FRAME_HEAD) : frame;
  head[0] = COPY_DATA;
  head.writeInt32BE((bare ? frame.bytes.length + FRAME_HEAD : frame.length) - 1, 1);
  if (!bare) return stream.write(frame);
  stream.cork();
  stream.write(head);
  const more = stream.write(frame.bytes);
  stream.uncork();
  return more;
}
