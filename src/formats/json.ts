import { isUtf8 } from 'node:buffer';
import type { Reject } from '../model/chunk.ts';
import { refuseNoText } from './first-bytes.ts';
import type { FramedChunk, PlacedFramer } from './formats.ts';
import { documentInvalid, JsonPath } from './json-path.ts';
import { type Fault, kernel } from './kernel.ts';
import { type FramerOptions, NOT_UTF8, RECORD_BYTES_MAX, tooLarge } from './line-framer.ts';
import { describeLine, TOO_DEEP } from './ndjson.ts';

export interface JsonFramerOptions extends FramerOptions {
  /** Where the array of records is: names joined by dots (`data.items`). Nothing: the document is the array. */
  readonly path?: string;
}

/**
 * Reads a JSON document that holds its records in one array, as it streams by: only the element at hand is in memory.
 * The elements come out as NDJSON. One that is no object becomes a reject; a document that is broken around them, or
 * ends before its array does, is an error: SOURCE_INVALID.
 *
 * With `startOffset` it goes on behind an element, at the `endOffset` of an earlier chunk.
 */
export function jsonFramer(options: JsonFramerOptions = {}): PlacedFramer {
  return new JsonFramer(options);
}

const LF = 0x0a;
const CR = 0x0d;
const TAB = 0x09;
const SPACE = 0x20;
const QUOTE = 0x22;
const BACKSLASH = 0x5c;
const COMMA = 0x2c;
const OPEN_ARRAY = 0x5b;
const CLOSE_ARRAY = 0x5d;
const OPEN_OBJECT = 0x7b;
const CLOSE_OBJECT = 0x7d;
/** Neither JSON nor a line end: a line of it is always rejected. */
const NONSENSE = 0x01;

const isLineSpace = (code: number) => code === LF || code === CR || code === TAB;

const CHUNK_BYTES = 256 * 1024;
/** How far the source may be read behind an element before that is handed over. */
const BEHIND_BYTES = 4 * CHUNK_BYTES;

interface Element {
  readonly line: number;
  readonly tooLarge: boolean;
  readonly endOffset: number;
}

/**
 * `seeking` the array, `before` an element, in an `element`, `after` one that has ended (before `,` or `]`), and
 * `done` behind the array.
 */
type Phase = 'seeking' | 'before' | 'element' | 'after' | 'done';

class JsonFramer implements PlacedFramer {
  readonly #path: JsonPath;
  readonly #recordBytesMax: number;
  readonly #refusal: ReturnType<typeof tooLarge>;
  readonly #minBytes: number;
  readonly #resumed: boolean;
  #phase: Phase;
  #offset: number;
  #row: number;
  #line: number;
  /** Bytes of the first few, until a byte order mark can be told. */
  #first: Uint8Array | undefined = new Uint8Array(0);
  /** Complete elements, one a line, and the one at hand. */
  #out = Buffer.allocUnsafe(CHUNK_BYTES * 2);
  #written = 0;
  #elementStart = 0;
  #elementLine = 1;
  #depth = 0;
  #inString = false;
  #escaped = false;
  #tooLarge = false;
  #comma = false;
  #elements: Element[] = [];

  constructor(options: JsonFramerOptions) {
    this.#path = new JsonPath(options.path ?? '');
    this.#recordBytesMax = options.recordBytesMax ?? RECORD_BYTES_MAX;
    this.#refusal = tooLarge(options.recordBytesMax);
    this.#minBytes = Math.min(options.minBytes ?? CHUNK_BYTES, CHUNK_BYTES);
    this.#offset = options.startOffset ?? 0;
    this.#row = options.startRow ?? 1;
    this.#line = options.startLine ?? 1;
    this.#resumed = this.#offset > 0;
    this.#phase = this.#resumed ? 'after' : 'seeking';
    if (this.#resumed) this.#first = undefined;
  }

  push(bytes: Uint8Array): readonly FramedChunk[] {
    const chunks: FramedChunk[] = [];
    const input = this.#withoutMark(bytes, false);
    if (input !== undefined) this.#scan(input, chunks);
    const waiting = this.#elements[0];
    // What stands behind an element that waits may be of any length, and be nothing that is kept.
    const far = waiting !== undefined && this.#offset - waiting.endOffset >= BEHIND_BYTES;
    if (waiting !== undefined && (far || this.#lineStart() >= this.#minBytes)) this.#flush(chunks);
    return chunks;
  }

  get settled(): number {
    return this.#elements[0]?.endOffset ?? this.#offset;
  }

  end(): readonly FramedChunk[] {
    const chunks: FramedChunk[] = [];
    const input = this.#withoutMark(new Uint8Array(0), true);
    if (input !== undefined) this.#scan(input, chunks);
    if (this.#phase === 'seeking') throw this.#path.notFound();
    if (this.#phase !== 'done') throw documentInvalid('ends before its array of records does');
    if (!this.#resumed && !this.#path.complete) throw documentInvalid('ends before its outermost value does');
    this.#flush(chunks);
    return chunks;
  }

  #withoutMark(bytes: Uint8Array, final: boolean): Uint8Array | undefined {
    if (this.#first === undefined) return bytes;
    const all = Buffer.concat([this.#first, bytes]);
    if (all.length < 3 && !final) {
      this.#first = all;
      return undefined;
    }
    this.#first = undefined;
    refuseNoText(all);
    if (all.length < 3 || all.readUIntBE(0, 3) !== 0xefbbbf) return all;
    this.#offset += 3;
    return all.subarray(3);
  }

  #scan(bytes: Uint8Array, chunks: FramedChunk[]): void {
    for (let at = 0; at < bytes.length; ) {
      const from = at;
      if (this.#phase === 'element') at = this.#element(bytes, at);
      else at = this.#between(bytes, at);
      this.#offset += at - from;
      if (this.#phase === 'after' && this.#lineStart() >= CHUNK_BYTES) this.#flush(chunks);
    }
  }

  /** One byte outside of an element. */
  #between(bytes: Uint8Array, at: number): number {
    const code = bytes[at]!;
    if (code === LF) this.#line++;
    if (this.#phase === 'seeking') {
      if (this.#path.step(code)) this.#phase = 'before';
    } else if (this.#phase === 'done') {
      // Whoever wrote the one meant it no less than the other.
      if (!this.#resumed && this.#path.step(code)) throw this.#path.foundTwice();
    } else if (code !== LF && code !== CR && code !== TAB && code !== SPACE) {
      return this.#phase === 'after' ? this.#afterElement(code, at) : this.#beforeElement(code, at);
    }
    return at + 1;
  }

  #afterElement(code: number, at: number): number {
    if (code === CLOSE_ARRAY) this.#close();
    else if (code === COMMA) {
      this.#phase = 'before';
      this.#comma = true;
    } else throw documentInvalid(`has something other than a comma between two records, in line ${this.#line}`);
    return at + 1;
  }

  /** The first byte of an element is left where it is. */
  #beforeElement(code: number, at: number): number {
    if (code === CLOSE_ARRAY && !this.#comma) {
      this.#close();
      return at + 1;
    }
    if (code === CLOSE_ARRAY || code === COMMA) {
      throw documentInvalid(`has a comma without a record, in line ${this.#line}`);
    }
    this.#phase = 'element';
    this.#elementLine = this.#line;
    this.#elementStart = this.#written;
    return at;
  }

  #close(): void {
    this.#phase = 'done';
    if (!this.#resumed) this.#path.leaveArray();
  }

  /** Copies the element's bytes on one line, without the space around its tokens; stops behind it. */
  #element(bytes: Uint8Array, start: number): number {
    let run = start;
    let at = start;
    while (at < bytes.length) {
      const code = bytes[at]!;
      if (this.#inString ? code >= SPACE : !isLineSpace(code)) {
        if (this.#inString) this.#stringByte(code);
        else if (this.#endsAt(code)) break;
        at++;
        continue;
      }
      this.#copy(bytes.subarray(run, at));
      if (code === LF) this.#line++;
      // Inside a string a control character is not JSON, and a line end must not cut the element in two. Outside,
      // two tokens that only a line end kept apart must not grow together into one.
      this.#copy(Uint8Array.of(this.#inString ? NONSENSE : SPACE));
      this.#escaped = false;
      run = at + 1;
      while (!this.#inString && bytes[run] === SPACE) run++;
      at = run;
    }
    this.#copy(bytes.subarray(run, at));
    if (at < bytes.length) this.#endElement(at - start);
    return at;
  }

  #stringByte(code: number): void {
    if (this.#escaped) this.#escaped = false;
    else if (code === BACKSLASH) this.#escaped = true;
    else if (code === QUOTE) this.#inString = false;
  }

  /** Whether this byte, outside of a string, ends the element; keeps count of the brackets. */
  #endsAt(code: number): boolean {
    if (code === QUOTE) this.#inString = true;
    else if (code === OPEN_OBJECT || code === OPEN_ARRAY) this.#depth++;
    else if (code === COMMA || code === CLOSE_ARRAY || code === CLOSE_OBJECT) {
      if (this.#depth === 0) return true;
      if (code !== COMMA) this.#depth--;
    }
    return false;
  }

  #endElement(taken: number): void {
    this.#phase = 'after';
    this.#comma = false;
    if (this.#tooLarge) {
      this.#written = this.#elementStart;
      this.#append(Uint8Array.of(NONSENSE));
    }
    this.#append(Uint8Array.of(LF));
    this.#elements.push({ line: this.#elementLine, tooLarge: this.#tooLarge, endOffset: this.#offset + taken });
    this.#tooLarge = false;
  }

  #copy(bytes: Uint8Array): void {
    if (this.#tooLarge) return;
    if (this.#written - this.#elementStart + bytes.length > this.#recordBytesMax) this.#tooLarge = true;
    else this.#append(bytes);
  }

  #append(bytes: Uint8Array): void {
    const needed = this.#written + bytes.length;
    if (needed > this.#out.length) {
      const larger = Buffer.allocUnsafe(Math.max(needed, this.#out.length * 2));
      larger.set(this.#out.subarray(0, this.#written));
      this.#out = larger;
    }
    this.#out.set(bytes, this.#written);
    this.#written = needed;
  }

  /** Bytes of the complete elements. */
  #lineStart(): number {
    return this.#phase === 'element' ? this.#elementStart : this.#written;
  }

  #flush(chunks: FramedChunk[]): void {
    const end = this.#lineStart();
    const bytes = Buffer.from(this.#out.subarray(0, end));
    const rest = this.#out.subarray(end, this.#written);
    this.#out = Buffer.allocUnsafe(Math.max(CHUNK_BYTES * 2, rest.length * 2));
    this.#out.set(rest);
    this.#written = rest.length;
    this.#elementStart = 0;
    for (let at = 0; at < bytes.length; ) at += this.#emit(bytes.subarray(at), chunks);
  }

  /** One chunk of the lines at the beginning of `bytes`; answers how many bytes it took. */
  #emit(bytes: Uint8Array, chunks: FramedChunk[]): number {
    const framed = kernel().frameLines(bytes);
    const taken = this.#elements.splice(0, framed.lines);
    const faults = new Map(framed.broken.map(({ line, fault }) => [line, fault]));
    const allUtf8 = isUtf8(bytes);
    const rejects: Reject[] = [];
    const spans: number[] = [];
    let place = 0;
    for (const [i, { line, tooLarge }] of taken.entries()) {
      const at = { row: this.#row + i, line };
      const fault = faults.get(i);
      if (fault !== undefined) {
        rejects.push({ ...at, ...(tooLarge ? this.#refusal : describeElement(fault)) });
        continue;
      }
      const start = framed.spans[place++]!;
      const end = framed.spans[place++]!;
      if (allUtf8 || isUtf8(bytes.subarray(start, end))) spans.push(start, end);
      else rejects.push({ ...at, ...NOT_UTF8 });
    }
    chunks.push({
      format: 'ndjson',
      bytes: bytes.subarray(0, framed.consumed),
      spans: Uint32Array.from(spans),
      count: spans.length / 2,
      firstRow: this.#row,
      ...(rejects.length === 0 ? {} : { rejects }),
      endOffset: taken.at(-1)!.endOffset,
    });
    this.#row += taken.length;
    return framed.consumed;
  }
}

/** Places in the one-line form would mislead: the document is laid out in another way. */
function describeElement(fault: Fault): { code: string; message: string } {
  if (fault === 'not-object') return describeLine(fault, 0);
  return { code: 'JSON_INVALID', message: fault === 'too-deep' ? TOO_DEEP : 'not well-formed JSON' };
}
