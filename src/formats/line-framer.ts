import { isUtf8 } from 'node:buffer';
import type { Chunk, Reject } from '../model/chunk.ts';
import { refuseNoText } from './first-bytes.ts';
import type { FramedChunk, GrowingFramer } from './formats.ts';
import type { Fault, FramedLines } from './kernel.ts';

export interface FramerOptions {
  /** Bytes of the source before the first one pushed, when reading goes on somewhere inside. */
  readonly startOffset?: number;
  /** 1-based number of the first record that is pushed. */
  readonly startRow?: number;
  /** 1-based line in the file of the first byte that is pushed. */
  readonly startLine?: number;
  /** Chunks are held back until this many bytes are there. 64 KiB; less for a source that trickles. */
  readonly minBytes?: number;
  /** Longer records are rejected instead of kept in memory. 64 MiB, and then nobody is told to raise it. */
  readonly recordBytesMax?: number;
}

const KIB = 1024;
const MIN_BYTES = 64 * KIB;
const MAX_BYTES = 1024 * KIB;
export const RECORD_BYTES_MAX = 64 * KIB * KIB;
const LF = 0x0a;

/** What differs between formats whose records are lines. */
export interface LineFormat {
  readonly shape: Pick<Chunk, 'format' | 'columns' | 'types'>;
  /** It does not begin like a file: what looks like a mark of the order of bytes, or of a packing, is a record. */
  readonly unmarked?: true;
  /** Takes a header off the beginning: bytes taken, or undefined when more are needed to tell. */
  header?(bytes: Buffer, final: boolean): { readonly bytes: number; readonly lines: number } | undefined;
  /** Cuts whole lines; `bytes` ends with a line end unless it ends the source. */
  frame(bytes: Uint8Array): FramedLines;
  describe(fault: Fault, detail: number): Pick<Reject, 'code' | 'message'>;
  /** Puts a stretch into the form in which chunks hold it, if that is another. Spans of -1 are rejects of its own. */
  rewrite?(stretch: Stretch): Stretch;
}

/** Records of one stretch with the row and line of each, where somebody needs them. */
export interface Stretch {
  readonly bytes: Uint8Array;
  readonly spans: Uint32Array;
  readonly rejects: readonly Reject[];
  /** Row and line of the record at this place. */
  readonly where: (place: number) => { readonly row: number; readonly line: number };
}

/**
 * Gathers pushed bytes, cuts them into stretches of whole lines of 64 KiB to 1 MiB and lets the format frame them.
 * It may keep a pushed array and hand out parts of it: do not write to one after pushing it.
 */
export class LineFramer implements GrowingFramer {
  readonly #format: LineFormat;
  readonly #minBytes: number;
  readonly #recordBytesMax: number;
  readonly #tooLarge: ReturnType<typeof tooLarge>;
  #pieces: Uint8Array[] = [];
  #held = 0;
  #wanted: number;
  #offset: number;
  #row: number;
  #line: number;
  #begun: boolean;
  /** Where a record begins that is too long: everything up to the next line end is dropped. */
  #dropping: number | undefined;

  constructor(format: LineFormat, options: FramerOptions) {
    this.#format = format;
    this.#offset = options.startOffset ?? 0;
    this.#row = options.startRow ?? 1;
    this.#line = options.startLine ?? 1;
    this.#minBytes = options.minBytes ?? MIN_BYTES;
    this.#recordBytesMax = options.recordBytesMax ?? RECORD_BYTES_MAX;
    this.#tooLarge = tooLarge(options.recordBytesMax);
    this.#wanted = this.#minBytes;
    this.#begun = this.#offset > 0;
  }

  room(take: (bytes: number) => Uint8Array): Uint8Array | undefined {
    // What is copied each time has to be little beside what comes behind it.
    if (this.#pieces.length > 1 || this.#held > MAX_BYTES / 4) return undefined;
    const [rest] = this.#pieces;
    const room = take(MAX_BYTES);
    if (rest !== undefined) {
      room.set(rest);
      this.#pieces = [room.subarray(0, rest.length)];
    }
    return room.subarray(this.#held);
  }

  push(bytes: Uint8Array): readonly FramedChunk[] {
    const last = this.#pieces.at(-1);
    if (last !== undefined && standsBehind(last, bytes)) this.#pieces[this.#pieces.length - 1] = joined(last, bytes);
    else if (bytes.length > 0) this.#pieces.push(bytes);
    this.#held += bytes.length;
    return this.#held < this.#wanted ? [] : this.#drain(false);
  }

  end(): readonly FramedChunk[] {
    return this.#drain(true);
  }

  /** The records that are whole, of a source that may grow; what follows the last of them is kept until more comes. */
  whole(): readonly FramedChunk[] {
    return this.#drain(false);
  }

  /** Bytes of the source up to where nothing is kept back any more: no record begins before. */
  get offset(): number {
    return this.#dropping ?? this.#offset;
  }

  get settled(): number {
    return this.#offset;
  }

  #drain(final: boolean): FramedChunk[] {
    let data = asBuffer(this.#pieces.length === 1 ? this.#pieces[0]! : Buffer.concat(this.#pieces));
    const chunks: FramedChunk[] = [];
    if (!this.#begun) data = this.#begin(data, final) ?? data;
    while (this.#begun && data.length > 0) {
      const dropping = this.#dropping !== undefined;
      const taken = dropping ? this.#drop(data, chunks) : this.#take(data, final, chunks);
      if (taken === 0) break;
      data = data.subarray(taken);
      this.#offset += taken;
    }
    if (final && this.#dropping !== undefined) this.#dropped(0, chunks);
    this.#pieces = data.length > 0 ? [data] : [];
    this.#held = data.length;
    // Doubling keeps the work of looking again at one long record in proportion to its length. Beyond what a record
    // may be long nothing needs to be waited for.
    const room = this.#recordBytesMax + 1 - data.length;
    this.#wanted = Math.max(this.#minBytes, data.length + (room > 0 ? Math.min(room, data.length) : data.length));
    return chunks;
  }

  /** The byte order mark and the header. Undefined: more bytes are needed. */
  #begin(data: Buffer, final: boolean): Buffer | undefined {
    if (data.length < 3 && !final) return undefined;
    if (this.#format.unmarked !== true) refuseNoText(data);
    const mark = this.#format.unmarked !== true && data.length >= 3 && data.readUIntBE(0, 3) === 0xefbbbf ? 3 : 0;
    const rest = data.subarray(mark);
    const header = this.#format.header?.(rest, final) ?? (this.#format.header === undefined ? NO_HEADER : undefined);
    if (header === undefined) return undefined;
    this.#begun = true;
    this.#offset += mark + header.bytes;
    this.#line += header.lines;
    return rest.subarray(header.bytes);
  }

  /** Frames one stretch from the beginning of `data`; answers how many bytes it took, 0 when it needs more. */
  #take(data: Buffer, final: boolean, chunks: FramedChunk[]): number {
    for (let size = MAX_BYTES; ; size *= 2) {
      const end = cutAt(data, size, final);
      if (end === 0) return data.length > this.#recordBytesMax ? this.#beginDropping(data.length) : 0;
      const bytes = data.subarray(0, end);
      const framed = this.#format.frame(bytes);
      if (framed.consumed > 0) {
        this.#emit(bytes.subarray(0, framed.consumed), framed, chunks);
        return framed.consumed;
      }
      // Nothing but an open quote. Once no more can come, its line is given up and the next one begins a row.
      const over = end > this.#recordBytesMax || (final && end === data.length);
      if (over) return this.#rejectOpenQuote(data, final, chunks);
      if (end === data.length || size > data.length) return 0;
    }
  }

  #emit(bytes: Uint8Array, framed: FramedLines, chunks: FramedChunk[]): void {
    const stretch = this.#stretchOf(bytes, framed);
    const { spans, rejects } = stretch;
    const next = this.#row + framed.spans.length / 2 + framed.broken.length;
    if (next > this.#row) {
      chunks.push({
        ...this.#format.shape,
        bytes: stretch.bytes,
        spans,
        count: spans.length / 2,
        firstRow: this.#row,
        where: (place) => ({ line: stretch.where(place).line }),
        ...(rejects.length === 0 ? {} : { rejects }),
        startOffset: this.#offset,
        endOffset: this.#offset + framed.consumed,
      });
    }
    this.#row = next;
    this.#line += framed.lines;
  }

  #stretchOf(bytes: Uint8Array, framed: FramedLines): Stretch {
    const rejects: Reject[] = framed.broken.map(({ before, line, fault, detail }) => ({
      row: this.#row + before,
      line: this.#line + line,
      ...this.#format.describe(fault, detail),
    }));
    const row = this.#row;
    const line = this.#line;
    const where = (place: number) => ({
      row: row + rowOf(place, framed),
      line: line + countLines(bytes, framed.spans[place * 2]!),
    });
    let stretch: Stretch = { bytes, spans: framed.spans, rejects, where };
    if (!isUtf8(bytes))
      stretch = without(stretch, (start, end) => (isUtf8(bytes.subarray(start, end)) ? undefined : NOT_UTF8));
    if (bytes.length > this.#recordBytesMax) {
      stretch = without(stretch, (start, end) => (end - start > this.#recordBytesMax ? this.#tooLarge : undefined));
    }
    return this.#format.rewrite === undefined ? stretch : this.#format.rewrite(stretch);
  }

  /** A record longer than allowed whose end is not here yet. It is rejected there: nothing may go on in its middle. */
  #beginDropping(taken: number): number {
    this.#dropping = this.#offset;
    return taken;
  }

  #drop(data: Buffer, chunks: FramedChunk[]): number {
    const lineEnd = data.indexOf(LF);
    if (lineEnd < 0) return data.length;
    this.#dropped(lineEnd + 1, chunks);
    return lineEnd + 1;
  }

  #dropped(taken: number, chunks: FramedChunk[]): void {
    chunks.push({ ...this.#onlyReject(this.#tooLarge, taken), startOffset: this.#dropping! });
    this.#dropping = undefined;
    this.#line++;
  }

  #rejectOpenQuote(data: Buffer, final: boolean, chunks: FramedChunk[]): number {
    const lineEnd = data.indexOf(LF);
    const taken = lineEnd < 0 ? data.length : lineEnd + 1;
    const within = `not closed within ${this.#recordBytesMax} bytes: its line is given up, and what follows is read`;
    const message = `a quote is opened and ${final ? 'never closed' : within}`;
    chunks.push(this.#onlyReject({ code: 'CSV_INVALID', message }, taken));
    this.#line++;
    return taken;
  }

  #onlyReject(why: Pick<Reject, 'code' | 'message'>, taken: number): FramedChunk {
    const reject = { row: this.#row, line: this.#line, ...why };
    const firstRow = this.#row++;
    return {
      ...this.#format.shape,
      bytes: new Uint8Array(0),
      spans: new Uint32Array(0),
      count: 0,
      firstRow,
      rejects: [reject],
      startOffset: this.#offset,
      endOffset: this.#offset + taken,
    };
  }
}

const NO_HEADER = { bytes: 0, lines: 0 };
export const NOT_UTF8 = { code: 'TEXT_INVALID', message: 'the record is not UTF-8 text' };

/** `given`: what the source was told to allow, where it can be told. */
export function tooLarge(given: number | undefined): Pick<Reject, 'message'> & { readonly code: 'RECORD_TOO_LARGE' } {
  const message = `the record is longer than ${given ?? RECORD_BYTES_MAX} bytes`;
  const raise = given === undefined ? '' : '; raise `recordBytesMax` of the source if it is meant to be so large';
  return { code: 'RECORD_TOO_LARGE', message: `${message}${raise}` };
}

const standsBehind = (last: Uint8Array, next: Uint8Array): boolean =>
  last.buffer === next.buffer && last.byteOffset + last.length === next.byteOffset;

const joined = (last: Uint8Array, next: Uint8Array): Uint8Array =>
  new Uint8Array(last.buffer, last.byteOffset, last.length + next.length);

function asBuffer(bytes: Uint8Array): Buffer {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
}

/** Where a stretch of about `size` bytes may end: behind a line end, or at the end of the source; 0 for nowhere. */
function cutAt(data: Buffer, size: number, final: boolean): number {
  if (data.length <= size && final) return data.length;
  const last = data.lastIndexOf(LF, Math.min(size, data.length) - 1);
  if (last >= 0) return last + 1;
  const next = data.indexOf(LF, size);
  if (next >= 0) return next + 1;
  return final ? data.length : 0;
}

/** Records before this one in the stretch, broken ones included. */
function rowOf(place: number, framed: FramedLines): number {
  let row = place;
  for (const { before } of framed.broken) {
    if (before > row) break;
    row++;
  }
  return row;
}

function countLines(bytes: Uint8Array, end: number): number {
  let lines = 0;
  for (let at = bytes.indexOf(LF); at >= 0 && at < end; at = bytes.indexOf(LF, at + 1)) lines++;
  return lines;
}

/** Takes out the records for which `why` gives a reason. */
function without(
  stretch: Stretch,
  why: (start: number, end: number) => Pick<Reject, 'code' | 'message'> | undefined,
): Stretch {
  const kept: number[] = [];
  const places: number[] = [];
  const rejects = [...stretch.rejects];
  const { spans } = stretch;
  for (let i = 0; i < spans.length; i += 2) {
    const reason = why(spans[i]!, spans[i + 1]!);
    if (reason !== undefined) rejects.push({ ...stretch.where(i / 2), ...reason });
    else {
      places.push(i / 2);
      kept.push(spans[i]!, spans[i + 1]!);
    }
  }
  rejects.sort((a, b) => a.row - b.row);
  const { where } = stretch;
  return { bytes: stretch.bytes, spans: Uint32Array.from(kept), rejects, where: (place) => where(places[place]!) };
}
