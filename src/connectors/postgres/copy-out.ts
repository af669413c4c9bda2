import { Buffer } from 'node:buffer';
import type * as Pg from 'pg';
import type { Chunk } from '../../model/chunk.ts';
import { WaybillError } from '../../model/errors.ts';
import { LinePacker } from './line-packer.ts';

/** Chunks that wait for their reader before the socket is paused. */
const WAITING_MAX = 4;
const SIGNATURE = Buffer.from('PGCOPY\n\u00ff\r\n\0', 'latin1');

/** What `pg` calls on a query that it was handed: the part of its contract that a COPY needs. */
interface PgConnection {
  query(text: string): void;
  readonly stream: { pause(): void; resume(): void };
}

/**
 * One `COPY (…) TO STDOUT (FORMAT binary)` of one column of text. The column's bytes are put one after the other as
 * they come: nothing is parsed and no text is made, since the server has written each record as JSON already.
 *
 * It is its own small reader of the frames because `pg` can hand them over as they arrive; the socket is paused while
 * chunks wait, so a slow sink slows the server down instead of filling the memory.
 */
export class CopyOut implements Pg.Submittable {
  readonly #text: string;
  readonly #packer = new LinePacker();
  #connection: PgConnection | undefined;
  #ready: Chunk[] = [];
  #rest: Buffer | undefined;
  #begun = false;
  #ended = false;
  #failure: unknown;
  #wake: (() => void) | undefined;

  constructor(select: string) {
    this.#text = `copy (${select}) to stdout (format binary)`;
  }

  /** Chunks as they fill up, then the error of the server, if there was one. */
  async *chunks(): AsyncGenerator<Chunk> {
    for (;;) {
      const chunk = this.#ready.shift();
      if (chunk !== undefined) {
        if (this.#ready.length === 1) this.#connection?.stream.resume();
        yield chunk;
      } else if (this.#failure !== undefined) {
        throw this.#failure;
      } else if (this.#ended) {
        return;
      } else {
        await new Promise<void>((resolve) => {
          this.#wake = resolve;
        });
      }
    }
  }

  submit(connection: Pg.Connection): void {
    this.#connection = connection as unknown as PgConnection;
    this.#connection.query(this.#text);
  }

  handleCopyData(message: { readonly chunk: Buffer }): void {
    if (this.#failure !== undefined) return;
    try {
      this.#frames(this.#rest === undefined ? message.chunk : Buffer.concat([this.#rest, message.chunk]));
    } catch (error) {
      this.handleError(error);
    }
  }

  handleCommandComplete(): void {
    this.#hand(this.#packer.flush());
  }

  handleReadyForQuery(): void {
    this.#ended = true;
    this.#signal();
  }

  handleError(error: unknown): void {
    this.#failure ??= error;
    this.#signal();
  }

  /** Usually one row a message; the protocol does not promise it, so a row that goes on is kept. */
  #frames(data: Buffer): void {
    let at = this.#begun ? 0 : this.#header(data);
    for (;;) {
      if (data.length - at < 2) break;
      const fields = data.readInt16BE(at);
      if (fields === -1) return;
      if (data.length - at < 6) break;
      const size = data.readInt32BE(at + 2);
      if (fields !== 1 || size < 0) throw broken();
      if (data.length - at - 6 < size) break;
      this.#hand(this.#packer.add(data, at + 6, at + 6 + size));
      at += 6 + size;
    }
    // `pg` uses its buffer again as soon as this returns.
    this.#rest = at < data.length ? Buffer.from(data.subarray(at)) : undefined;
  }

  #header(data: Buffer): number {
    const size = SIGNATURE.length + 8;
    if (data.length < size) return 0;
    if (!data.subarray(0, SIGNATURE.length).equals(SIGNATURE)) throw broken();
    this.#begun = true;
    return size + data.readInt32BE(SIGNATURE.length + 4);
  }

  #hand(chunk: Chunk | undefined): void {
    if (chunk === undefined) return;
    this.#ready.push(chunk);
    if (this.#ready.length >= WAITING_MAX) this.#connection?.stream.pause();
    this.#signal();
  }

  #signal(): void {
    this.#wake?.();
    this.#wake = undefined;
  }
}

const broken = (): WaybillError =>
  new WaybillError('SOURCE_FAILED', 'the server sent something that is no binary COPY');
