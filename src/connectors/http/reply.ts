import { Buffer, isUtf8 } from 'node:buffer';
import { gunzipSync } from 'node:zlib';

/** Replies beyond this are not read to their end. */
export const REPLY_BYTES_MAX = 16 * 1024 * 1024;

export type ReplyHeaders = Readonly<Record<string, string | string[] | undefined>>;

/** A complete answer. Its body is put together only when somebody reads it. */
export class Reply {
  readonly status: number;
  readonly #headers: ReplyHeaders;
  readonly #chunks: readonly Buffer[];

  constructor(status: number, headers: ReplyHeaders, chunks: readonly Buffer[]) {
    this.status = status;
    this.#headers = headers;
    this.#chunks = chunks;
  }

  /** The value of a header, by its name in lower case; the first one where it comes several times. */
  header(name: string): string | undefined {
    const value = Object.hasOwn(this.#headers, name) ? this.#headers[name] : undefined;
    return Array.isArray(value) ? value[0] : value;
  }

  /** The body as text. Undefined when its bytes are none, or packed in a way that is not unpacked. */
  text(): string | undefined {
    const named = /;\s*charset\s*=\s*"?([^\s";]+)/i.exec(this.header('content-type') ?? '')?.[1];
    try {
      const body = this.#unpacked();
      // Many servers name letters that they do not write in, so what is UTF-8 is taken for that.
      const letters = named === undefined || isUtf8(body) ? 'utf-8' : named;
      return new TextDecoder(letters, { fatal: true }).decode(body);
    } catch {
      // Bytes that are no text say nothing; the caller treats that as an answer that cannot be read.
      return undefined;
    }
  }

  /** The body's beginning, for evidence; unreadable bytes are replaced. */
  excerpt(bytes: number): string {
    const text = this.text();
    const body = text === undefined ? this.#body() : Buffer.from(text);
    return new TextDecoder().decode(body.subarray(0, bytes)).replace(/\uFFFD+$/, '');
  }

  /** Some servers pack whatever is asked of them. Throws for what is not packed as it says, or unpacks to too much. */
  #unpacked(): Buffer {
    const coding = this.header('content-encoding')?.trim().toLowerCase() ?? 'identity';
    if (coding === 'identity') return this.#body();
    if (coding !== 'gzip' && coding !== 'x-gzip') throw new RangeError(`the coding ${coding} is not unpacked`);
    return gunzipSync(this.#body(), { maxOutputLength: REPLY_BYTES_MAX });
  }

  #body(): Buffer {
    return this.#chunks.length === 1 ? (this.#chunks[0] as Buffer) : Buffer.concat(this.#chunks);
  }
}
