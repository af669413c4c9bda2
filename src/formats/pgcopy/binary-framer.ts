import type { Columns } from '../../model/columns.ts';
import { WaybillError } from '../../model/errors.ts';
import type { FramedChunk, Framer } from '../formats.ts';
import { type FramedCopy, kernel } from '../kernel.ts';
import { RECORD_BYTES_MAX } from '../line-framer.ts';

/** What every binary COPY begins with; flags and the length of an extension follow, 32 bits each. */
export const COPY_SIGNATURE: Uint8Array = Buffer.from('PGCOPY\n\u00ff\r\n\0', 'latin1');
/** The whole header as everybody writes it: no flags, no extension. */
export const COPY_HEADER: Uint8Array = Buffer.concat([COPY_SIGNATURE, Buffer.alloc(8)]);
/** What stands in the place of the next row's number of fields when there is none. */
export const COPY_TRAILER: Uint8Array = Buffer.from([0xff, 0xff]);

export interface CopyFramerOptions {
  /** Bytes before the first one pushed, when reading goes on behind a row: then there is no header. */
  readonly startOffset?: number;
  /** 1-based number of the first row that is pushed. */
  readonly startRow?: number;
  /** Chunks are held back until this many bytes are there. 64 KiB. */
  readonly minBytes?: number;
  /** A longer row ends the reading: behind it nothing can be found. 64 MiB. */
  readonly recordBytesMax?: number;
}

export interface CopyRowFramer extends Framer {
  /** The row that is not there as a whole yet. It is the caller's now, who pushes it again with what follows. */
  takeRest(): Uint8Array;
}

const MIN_BYTES = 64 * 1024;
const MAX_BYTES = 1024 * 1024;

/**
 * Cuts the binary form of COPY into chunks of rows, by walking over the lengths of their fields: nothing is parsed. It
 * has no mark to begin again at, so what is no row ends the reading with an error, and so does an end without the
 * trailer: something is missing then. It may keep a pushed array and hand out parts of it.
 */
export function copyFramer(columns: Columns, options: CopyFramerOptions = {}): CopyRowFramer {
  return new CopyFramer(columns, options);
}

class CopyFramer implements CopyRowFramer {
  readonly #columns: Columns;
  readonly #names: readonly string[];
  readonly #minBytes: number;
  readonly #recordBytesMax: number;
  #pieces: Uint8Array[] = [];
  #held = 0;
  #wanted: number;
  #offset: number;
  #row: number;
  #begun: boolean;
  #ended = false;

  constructor(columns: Columns, options: CopyFramerOptions) {
    this.#columns = columns;
    this.#names = columns.map(({ name }) => name);
    this.#offset = options.startOffset ?? 0;
    this.#row = options.startRow ?? 1;
    this.#minBytes = options.minBytes ?? MIN_BYTES;
    this.#recordBytesMax = options.recordBytesMax ?? RECORD_BYTES_MAX;
    this.#wanted = this.#minBytes;
    this.#begun = this.#offset > 0;
  }

  push(bytes: Uint8Array): readonly FramedChunk[] {
    if (bytes.length > 0) this.#pieces.push(bytes);
    this.#held += bytes.length;
    return this.#held < this.#wanted ? [] : this.#drain();
  }

  takeRest(): Uint8Array {
    const rest = this.#pieces.length === 1 ? this.#pieces[0]! : Buffer.concat(this.#pieces);
    this.#pieces = [];
    this.#held = 0;
    this.#wanted = this.#minBytes;
    return rest;
  }

  end(): readonly FramedChunk[] {
    const chunks = this.#drain();
    if (!this.#ended) throw broken('ends without its trailer, so rows may be missing', this.#row);
    return chunks;
  }

  #drain(): FramedChunk[] {
    let data = this.#pieces.length === 1 ? this.#pieces[0]! : Buffer.concat(this.#pieces);
    const chunks: FramedChunk[] = [];
    if (!this.#begun) data = this.#afterHeader(data);
    while (this.#begun && !this.#ended && data.length > 0) {
      const taken = this.#take(data, chunks);
      if (taken === 0) break;
      data = data.subarray(taken);
    }
    if (this.#ended && data.length > 0) throw broken('goes on behind its trailer', this.#row);
    this.#pieces = data.length > 0 ? [data] : [];
    this.#held = data.length;
    // Doubling keeps the work of looking again at one long row in proportion to its length.
    this.#wanted = Math.max(this.#minBytes, data.length * 2);
    return chunks;
  }

  /** What follows the header; all of it as long as the header is not there in full. */
  #afterHeader(data: Uint8Array): Uint8Array {
    const size = COPY_SIGNATURE.length + 8;
    const known = Math.min(data.length, COPY_SIGNATURE.length);
    if (Buffer.compare(data.subarray(0, known), COPY_SIGNATURE.subarray(0, known)) !== 0) {
      throw broken('does not begin as one', this.#row);
    }
    if (data.length < size) return data;
    const view = new DataView(data.buffer, data.byteOffset, data.byteLength);
    // The upper half of the flags is for what a reader must know to go on.
    if (view.getUint32(size - 8) > 0xffff) throw broken('is of a kind that is not known here', this.#row);
    const end = size + view.getUint32(size - 4);
    if (data.length < end) return data;
    this.#begun = true;
    this.#offset += end;
    return data.subarray(end);
  }

  /** Frames one stretch from the beginning of `data`; answers how many bytes it took, 0 when it needs more. */
  #take(data: Uint8Array, chunks: FramedChunk[]): number {
    for (let size = MAX_BYTES; ; size *= 2) {
      const bytes = data.subarray(0, size);
      const framed = kernel().frameCopy(bytes, this.#columns.length);
      if (framed.consumed > 0) {
        this.#emit(bytes, framed, chunks);
        this.#ended = framed.ended;
        return framed.consumed;
      }
      if (framed.fault !== undefined) throw this.#noRow(framed);
      if (bytes.length > this.#recordBytesMax) {
        throw broken(`has a row longer than ${this.#recordBytesMax} bytes`, this.#row);
      }
      if (bytes.length === data.length) return 0;
    }
  }

  #emit(bytes: Uint8Array, framed: FramedCopy, chunks: FramedChunk[]): void {
    const count = framed.spans.length / 2;
    this.#offset += framed.consumed;
    if (count === 0) return;
    chunks.push({
      format: 'pgcopy',
      columns: this.#names,
      types: this.#columns,
      bytes: bytes.subarray(0, framed.spans.at(-1)),
      spans: framed.spans,
      count,
      firstRow: this.#row,
      endOffset: this.#offset,
    });
    this.#row += count;
  }

  #noRow({ fault, found }: FramedCopy): WaybillError {
    if (fault === 'field-count') return broken(`has ${found} fields, not ${this.#columns.length}`, this.#row);
    return broken('has a field whose length is none', this.#row);
  }
}

function broken(what: string, row: number): WaybillError {
  return new WaybillError('SOURCE_FAILED', `the binary COPY ${what} (row ${row})`, {
    hint: 'Read it again; if that does not help, its columns are others than were told.',
  });
}
