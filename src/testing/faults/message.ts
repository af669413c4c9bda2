import { Buffer } from 'node:buffer';
import type { Place, Side } from './cut.ts';

/** How the end of a message is known: by HTTP/1.1, or not at all. */
export type Framing = 'http' | 'none';

const HEAD_END = '\r\n\r\n';
const LAST_CHUNK = '\r\n0\r\n\r\n';

/**
 * One message on its way, met in parts of any size. An HTTP message ends after its head and as many bytes as its
 * `content-length` says, or with its last chunk; an answer with neither ends with the connection, which is no end here.
 */
export class Message {
  readonly #framing: Framing;
  readonly #side: Side;
  /** The head as far as it has come, until it is complete. */
  #head: Buffer = Buffer.alloc(0);
  /** Bytes of the whole message, once they are known. */
  #length: number | undefined;
  #chunked = false;
  /** Bytes before the part that was taken last. */
  #before = 0;
  #part: Buffer = Buffer.alloc(0);
  /** The last bytes before that part: a text that is looked for may begin in them. */
  #tail: Buffer = Buffer.alloc(0);
  ended = false;

  constructor(framing: Framing, side: Side) {
    this.#framing = framing;
    this.#side = side;
  }

  /** What of `bytes` belongs to this message. */
  take(bytes: Buffer): Buffer {
    this.#tail = Buffer.concat([this.#tail, this.#part]).subarray(-TAIL_BYTES);
    this.#before += this.#part.length;
    if (this.#framing === 'http') this.#frame(bytes);
    const left = this.#length === undefined ? bytes.length : this.#length - this.#before;
    this.#part = bytes.subarray(0, left);
    this.ended = this.#length !== undefined && this.#before + this.#part.length >= this.#length;
    return this.#part;
  }

  /** How many bytes of the part that was taken last lie before the place; undefined when it is not in that part. */
  placeOf(place: Place): number | undefined {
    if (place === 'end') return this.ended ? this.#part.length : undefined;
    if (typeof place === 'number') {
      const at = place - this.#before;
      return at >= 0 && at <= this.#part.length ? at : undefined;
    }
    const text = Buffer.from(place.after, 'latin1');
    const tail = this.#tail.subarray(Math.max(0, this.#tail.length - text.length + 1));
    const at = Buffer.concat([tail, this.#part]).indexOf(text);
    return at === -1 ? undefined : at + text.length - tail.length;
  }

  #frame(bytes: Buffer): void {
    if (this.#length !== undefined) return;
    if (this.#chunked) {
      this.#lookForLastChunk(bytes);
      return;
    }
    this.#head = Buffer.concat([this.#head, bytes]);
    const end = this.#head.indexOf(HEAD_END);
    if (end === -1) return;
    const head = this.#head.toString('latin1', 0, end + HEAD_END.length);
    const body = this.#bodyBytes(head);
    if (body !== undefined) this.#length = head.length + body;
    else if (this.#chunked) this.#lookForLastChunk(bytes);
  }

  /** Undefined where the head does not tell. */
  #bodyBytes(head: string): number | undefined {
    const length = /\r\ncontent-length: *(\d+)\r\n/i.exec(head)?.[1];
    if (/^HTTP\/1\.\d (1\d\d|204|304)/.test(head)) return 0;
    if (length !== undefined) return Number(length);
    this.#chunked = /\r\ntransfer-encoding: *chunked\r\n/i.test(head);
    return this.#side === 'request' && !this.#chunked ? 0 : undefined;
  }

  /** Content that holds the very bytes of a last chunk would end the message too early; that is accepted here. */
  #lookForLastChunk(bytes: Buffer): void {
    const at = Buffer.concat([this.#tail, bytes]).indexOf(LAST_CHUNK);
    if (at !== -1) this.#length = this.#before - this.#tail.length + at + LAST_CHUNK.length;
  }
}

/** Longer than any text that is looked for. */
const TAIL_BYTES = 256;
