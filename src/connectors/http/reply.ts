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

  /** The body as text. Undefined when it is packed, although nothing packed was asked for, or is not UTF-8. */
  text(): string | undefined {
    const packed = this.header('content-encoding');
    if (packed !== undefined && packed.trim().toLowerCase() !== 'identity') return undefined;
    try {
      return new TextDecoder('utf-8', { fatal: true }).decode(this.#body());
    } catch {
      // Bytes that are no text say nothing; the caller treats that as an answer that cannot be read.
      return undefined;
    }
  }

  /** The body's beginning, for evidence; unreadable bytes are replaced. */
  excerpt(bytes: number): string {
    const body = this.#body();
    return new TextDecoder().decode(body.subarray(0, bytes)).replace(/\uFFFD+$/, '');
  }

  #body(): Buffer {
    return this.#chunks.length === 1 ? (this.#chunks[0] as Buffer) : Buffer.concat(this.#chunks);
  }
}
