import type { Buffer } from 'node:buffer';
import type * as Pg from 'pg';
import type { Chunk } from '../../model/chunk.ts';
import { CopyTap, type TappedStream } from './copy-tap.ts';

/** Chunks that wait for their reader before the socket is paused. */
const WAITING_MAX = 4;

/** What `pg` calls on a query that it was handed: the part of its contract that a COPY needs. */
interface PgConnection {
  query(text: string): void;
  readonly stream: TappedStream;
}

/** Makes chunks of what a COPY sends. Bytes are used again when `add` returns, or when it calls the kernel. */
export interface CopyCollector {
  add(bytes: Buffer): readonly Chunk[];
  /** Nothing follows. Throws when something is missing. */
  end(): readonly Chunk[];
  /** Nobody holds this chunk any more. */
  done?(chunk: Chunk): void;
}

/**
 * One `COPY (…) TO STDOUT (FORMAT binary)`, whose bytes are handed over as they come. Its own small reader, because
 * `pg` can be asked for that; the socket is paused while chunks wait, so a slow sink slows the server down instead of
 * filling the memory.
 */
export class CopyOut implements Pg.Submittable {
  readonly #text: string;
  readonly #collector: CopyCollector;
  #connection: PgConnection | undefined;
  #ready: Chunk[] = [];
  #ended = false;
  #failure: unknown;
  #wake: (() => void) | undefined;

  constructor(select: string, collector: CopyCollector) {
    this.#text = `copy (${select}) to stdout (format binary)`;
    this.#collector = collector;
  }

  /** Chunks as they fill up, then the error of the server, if there was one. */
  async *chunks(): AsyncGenerator<Chunk> {
    for (;;) {
      const chunk = this.#ready.shift();
      if (chunk !== undefined) {
        if (this.#ready.length === 1) this.#connection?.stream.resume();
        yield chunk;
        this.#collector.done?.(chunk);
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
    new CopyTap(
      this.#connection.stream,
      (bytes) => this.#add(bytes),
      (error) => this.handleError(error),
    );
    this.#connection.query(this.#text);
  }

  #add(bytes: Buffer): void {
    if (this.#failure !== undefined) return;
    try {
      this.#hand(this.#collector.add(bytes));
    } catch (error) {
      this.handleError(error);
    }
  }

  handleCommandComplete(): void {
    if (this.#failure !== undefined) return;
    try {
      this.#hand(this.#collector.end());
    } catch (error) {
      this.handleError(error);
    }
  }

  handleReadyForQuery(): void {
    this.#ended = true;
    this.#signal();
  }

  handleError(error: unknown): void {
    this.#failure ??= error;
    this.#signal();
  }

  #hand(chunks: readonly Chunk[]): void {
    if (chunks.length === 0) return;
    this.#ready.push(...chunks);
    if (this.#ready.length >= WAITING_MAX) this.#connection?.stream.pause();
    this.#signal();
  }

  #signal(): void {
    this.#wake?.();
    this.#wake = undefined;
  }
}
