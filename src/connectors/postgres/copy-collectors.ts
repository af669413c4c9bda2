import { Buffer } from 'node:buffer';
import type { FramedChunk } from '../../formats/formats.ts';
import { COPY_SIGNATURE, type CopyRowFramer, copyFramer } from '../../formats/pgcopy/binary-framer.ts';
import type { Chunk } from '../../model/chunk.ts';
import type { Columns } from '../../model/columns.ts';
import { WaybillError } from '../../model/errors.ts';
import type { CopyCollector } from './copy-out.ts';
import { LinePacker } from './line-packer.ts';

/** Before the bytes of a block: room for a row that was cut off at the end of the one before. */
const HEAD_BYTES = 16 * 1024;
const BLOCK_BYTES = HEAD_BYTES + 256 * 1024;
/** No row is longer: the server sends each in a message of its own, and makes none that has more. */
const MESSAGE_BYTES_MAX = 1024 ** 3;
/** A socket seldom hands over more at once. */
const PIECE_BYTES = 64 * 1024;
/** Blocks that wait for being used again; longer ones, made for a long row, do not. */
const FREE_MAX = 8;

/**
 * Rows as they travel. The bytes are put one after the other until a block is full, and then framed at once: nothing is
 * parsed for any row. `reuses`: a block is used again when all chunks of it are done with.
 */
export class RowCollector implements CopyCollector {
  readonly #framer: CopyRowFramer;
  readonly #reuses: boolean;
  readonly #free: Buffer[] = [];
  /** The block of each chunk that is the last one of its block. */
  readonly #blockOfLast = new WeakMap<Uint8Array, Buffer>();
  #block: Buffer = Buffer.allocUnsafeSlow(BLOCK_BYTES);
  #start = HEAD_BYTES;
  #end = HEAD_BYTES;

  constructor(columns: Columns, how: { readonly reuses: boolean } = { reuses: false }) {
    this.#framer = copyFramer(columns, { recordBytesMax: MESSAGE_BYTES_MAX });
    this.#reuses = how.reuses;
  }

  add(bytes: Buffer): readonly Chunk[] {
    const taken = Math.min(bytes.length, this.#block.length - this.#end);
    this.#end += bytes.copy(this.#block, this.#end, 0, taken);
    return taken === bytes.length ? [] : this.#flushed(bytes.subarray(taken));
  }

  end(): readonly Chunk[] {
    const chunks = this.#framer.push(this.#block.subarray(this.#start, this.#end));
    return placed([...chunks, ...this.#framer.end()]);
  }

  #flushed(more: Buffer): readonly Chunk[] {
    const used = this.#block;
    // Framing is work for the kernel, in whose memory these may stand: before it they are brought where they belong.
    const { length } = more;
    const next = this.#blockOf(length);
    next.set(more, HEAD_BYTES);
    const chunks = this.#framer.push(used.subarray(this.#start, this.#end));
    this.#goOn(next, length, this.#framer.takeRest());
    // Chunks are done with in their order.
    const last = chunks.at(-1);
    if (last === undefined) this.#release(used);
    else this.#blockOfLast.set(last.bytes, used);
    return placed(chunks);
  }

  /** The row that is cut off goes before the bytes that follow; a long one into a block with room for as much again. */
  #goOn(next: Buffer, more: number, rest: Uint8Array): void {
    if (rest.length <= HEAD_BYTES) {
      this.#block = next;
      this.#start = HEAD_BYTES - rest.length;
    } else {
      this.#block = Buffer.allocUnsafeSlow(Math.max(BLOCK_BYTES, rest.length * 2 + more));
      next.copy(this.#block, rest.length, HEAD_BYTES, HEAD_BYTES + more);
      this.#start = 0;
      this.#release(next);
    }
    this.#block.set(rest, this.#start);
    this.#end = this.#start + rest.length + more;
  }

  done({ bytes }: Chunk): void {
    const block = this.#blockOfLast.get(bytes);
    if (block !== undefined) this.#release(block);
  }

  #blockOf(size: number): Buffer {
    const free = HEAD_BYTES + size <= BLOCK_BYTES ? this.#free.pop() : undefined;
    return free ?? Buffer.allocUnsafeSlow(Math.max(BLOCK_BYTES, HEAD_BYTES + size));
  }

  #release(block: Buffer): void {
    if (this.#reuses && block.length === BLOCK_BYTES && this.#free.length < FREE_MAX) this.#free.push(block);
  }
}

/** A query has no place to go on from: the same one may give other rows the next time. */
const placed = (chunks: readonly FramedChunk[]): readonly Chunk[] => chunks.map(({ endOffset: _, ...chunk }) => chunk);

/** The texts of one column, one after the other: the server has written each record as JSON already. */
export class JsonCollector implements CopyCollector {
  readonly #packer = new LinePacker();
  /** What is there of a row that goes on, with room for the whole of it: a long one comes in thousands of pieces. */
  #kept = Buffer.alloc(0);
  #held = 0;
  #wanted = 0;
  #begun = false;

  /** Usually one row a message; the protocol does not promise it, so a row that goes on is kept. */
  add(bytes: Buffer): readonly Chunk[] {
    if (this.#held === 0) return this.#take(bytes);
    const held = this.#held + bytes.length;
    if (held > this.#kept.length) this.#keep(this.#kept.subarray(0, this.#held), held);
    bytes.copy(this.#kept, this.#held);
    this.#held = held;
    return held < this.#wanted ? [] : this.#take(this.#kept.subarray(0, held));
  }

  #take(data: Buffer): readonly Chunk[] {
    const chunks: Chunk[] = [];
    let at = this.#begun ? 0 : this.#header(data);
    let wanted = 0;
    while (this.#begun) {
      if (data.length - at < 2) break;
      const fields = data.readInt16BE(at);
      if (fields === -1) return chunks;
      if (data.length - at < 6) break;
      const size = data.readInt32BE(at + 2);
      if (fields !== 1 || size < 0) throw broken();
      wanted = 6 + size;
      if (data.length - at < wanted) break;
      const full = this.#packer.add(data, at + 6, at + wanted);
      if (full !== undefined) chunks.push(full);
      at += wanted;
      wanted = 0;
    }
    this.#held = 0;
    if (at < data.length) this.#keep(data.subarray(at), wanted);
    return chunks;
  }

  /** The last piece brings the beginning of the next row along. */
  #keep(rest: Buffer, wanted: number): void {
    const kept = Buffer.allocUnsafeSlow(Math.max(rest.length, wanted + PIECE_BYTES));
    rest.copy(kept);
    this.#kept = kept;
    this.#held = rest.length;
    this.#wanted = wanted;
  }

  end(): readonly Chunk[] {
    const last = this.#packer.flush();
    return last === undefined ? [] : [last];
  }

  /** Where the rows begin; 0 while the header is not here as a whole. */
  #header(data: Buffer): number {
    const size = COPY_SIGNATURE.length + 8;
    if (data.length < size) return 0;
    if (!data.subarray(0, COPY_SIGNATURE.length).equals(COPY_SIGNATURE)) throw broken();
    const whole = size + data.readInt32BE(COPY_SIGNATURE.length + 4);
    if (data.length < whole) return 0;
    this.#begun = true;
    return whole;
  }
}

const broken = (): WaybillError =>
  new WaybillError('SOURCE_FAILED', 'the server sent something that is no binary COPY');
