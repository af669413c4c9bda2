import { Buffer } from 'node:buffer';
import { kernel } from '../../formats/kernel.ts';
import { WaybillError } from '../../model/errors.ts';

/** The part of a socket that a tap needs. */
export interface TappedStream {
  pause(): void;
  resume(): void;
  listeners(event: 'data'): readonly unknown[];
  on(event: 'data', listener: DataListener): void;
  removeListener(event: 'data', listener: DataListener): void;
  /** A socket that can: from now on a listener gets bytes that are good only while it runs, or no more. */
  lend?(lends: boolean): void;
}
type DataListener = (bytes: Buffer) => void;

const HEAD_BYTES = 5;
const COPY_DATA = 0x64;
const READY_FOR_QUERY = 0x5a;

/**
 * Stands between a socket and `pg` while a COPY comes in: `pg` would make an object of every row. What messages of COPY
 * carry goes to `data`, many rows at a time; every other message goes to `pg` as it is, and after the one that ends the
 * query `pg` listens by itself again. To be made between two messages: before the query is sent.
 */
export class CopyTap {
  readonly #stream: TappedStream;
  readonly #data: (bytes: Buffer) => void;
  readonly #failed: (error: unknown) => void;
  readonly #others: readonly DataListener[];
  readonly #listener: DataListener = (bytes) => this.#hear(bytes);
  #rest: Buffer = Buffer.alloc(0);
  #pending = 0;
  #ended = false;

  constructor(stream: TappedStream, data: (bytes: Buffer) => void, failed: (error: unknown) => void) {
    this.#stream = stream;
    this.#data = data;
    this.#failed = failed;
    this.#others = stream.listeners('data') as readonly DataListener[];
    for (const other of this.#others) stream.removeListener('data', other);
    stream.on('data', this.#listener);
    stream.lend?.(true);
  }

  #hear(bytes: Buffer): void {
    try {
      this.#take(this.#rest.length === 0 ? bytes : Buffer.concat([this.#rest, bytes]));
    } catch (error) {
      this.#failed(error);
    }
  }

  #take(bytes: Buffer): void {
    let at = 0;
    while (!this.#ended) {
      const { data, consumed, pending } = kernel().unframeCopy(at === 0 ? bytes : bytes.subarray(at), this.#pending);
      at += consumed;
      this.#pending = pending;
      if (data.length > 0) this.#data(Buffer.from(data.buffer, data.byteOffset, data.byteLength));
      const size = this.#otherMessage(bytes, at);
      if (size === undefined) break;
      if (bytes[at] === READY_FOR_QUERY) this.#end();
      this.#pass(bytes.subarray(at, at + size));
      at += size;
    }
    if (this.#ended && at < bytes.length) this.#pass(bytes.subarray(at));
    this.#rest = this.#ended ? Buffer.alloc(0) : Buffer.from(bytes.subarray(at));
  }

  /** The length of the message that begins at `at`; undefined while it is not there as a whole. */
  #otherMessage(bytes: Buffer, at: number): number | undefined {
    if (this.#pending > 0 || bytes.length - at < HEAD_BYTES) return undefined;
    const size = 1 + bytes.readInt32BE(at + 1);
    if (bytes[at] === COPY_DATA || size < HEAD_BYTES) {
      throw new WaybillError('SOURCE_FAILED', 'the server sent something that is no message of its protocol');
    }
    return bytes.length - at < size ? undefined : size;
  }

  /** Before the message itself is passed on: what follows from it may be the next query. */
  #end(): void {
    this.#ended = true;
    this.#stream.removeListener('data', this.#listener);
    this.#stream.lend?.(false);
    for (const other of this.#others) this.#stream.on('data', other);
  }

  /** A copy: whoever gets a message may keep it. */
  #pass(bytes: Buffer): void {
    const copy = this.#stream.lend === undefined ? bytes : Buffer.from(bytes);
    for (const other of this.#others) other(copy);
  }
}
