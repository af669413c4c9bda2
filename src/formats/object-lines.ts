import { Buffer, isUtf8 } from 'node:buffer';
import type { Chunk, Reject } from '../model/chunk.ts';
import type { FramedChunk } from './formats.ts';
import { rawMembers } from './json-members.ts';
import { ndjsonFramer } from './ndjson.ts';

/** Why a record cannot be read. */
export type Unreadable = Pick<Reject, 'code' | 'message'>;

/** Some of the records that were gathered, and the marks of the first and the last of them. */
export interface ObjectPiece<M> {
  readonly chunk: Omit<Chunk, 'end'>;
  readonly marks: readonly M[];
}

const LF = 0x0a;
const CR = 0x0d;
const BLANK = 0x20;
const OPEN = 0x7b;
const CLOSE = 0x7d;
/** A line that is surely no record: it keeps the place of one that was refused before it got here. */
const NO_OBJECT = Buffer.from('!');
const LINE_END = Buffer.from([LF]);

/**
 * Gathers JSON objects that come one by one, as the messages of a stream do, and checks them like the lines of a file:
 * what is no object becomes a reject, and the rest goes on. Each comes with a mark by which its source knows it.
 */
export class ObjectLines<M> {
  readonly #describe: (mark: M) => string;
  readonly #pieces: Uint8Array[] = [];
  readonly #marks: M[] = [];
  readonly #refused = new Map<number, Unreadable>();
  #firstRow: number;
  #bytes = 0;

  /** `describe` names a record in messages. */
  constructor(describe: (mark: M) => string, firstRow = 1) {
    this.#describe = describe;
    this.#firstRow = firstRow;
  }

  /** Bytes that were gathered and not taken. */
  get bytes(): number {
    return this.#bytes;
  }

  get count(): number {
    return this.#marks.length;
  }

  /** 1-based number of the next record. */
  get nextRow(): number {
    return this.#firstRow + this.#marks.length;
  }

  /** `json`: the text of what should be one object. It may be kept: do not write to it afterwards. */
  add(json: Uint8Array, mark: M): void {
    if (isBlank(json)) {
      this.refuse({ code: 'JSON_INVALID', message: 'there is nothing in it' }, mark);
      return;
    }
    this.#push(onOneLine(json), mark);
  }

  /** A record that is there and cannot be read. */
  refuse(why: Unreadable, mark: M): void {
    this.#refused.set(this.nextRow, why);
    this.#push(NO_OBJECT, mark);
  }

  /** Hands over the first `count` of what was gathered, all when absent, in pieces that are not too large. */
  take(count = this.#marks.length): readonly ObjectPiece<M>[] {
    const bytes = Buffer.concat(this.#pieces.splice(0, count * 2));
    // No byte order mark is looked for: these are records, not the beginning of a file.
    const framer = ndjsonFramer({ startOffset: 1, startRow: this.#firstRow });
    const pieces = [...framer.push(bytes), ...framer.end()].map((chunk) => this.#pieceOf(chunk));
    this.#firstRow += count;
    this.#marks.splice(0, count);
    this.#bytes -= bytes.length;
    for (const row of this.#refused.keys()) if (row < this.#firstRow) this.#refused.delete(row);
    return pieces;
  }

  #push(line: Uint8Array, mark: M): void {
    this.#pieces.push(line, LINE_END);
    this.#marks.push(mark);
    this.#bytes += line.length + 1;
  }

  #pieceOf({ endOffset: _offset, startOffset: _start, where: _where, ...chunk }: FramedChunk): ObjectPiece<M> {
    const { rejects = [], firstRow, count } = chunk;
    const first = firstRow - this.#firstRow;
    const marks = this.#marks.slice(first, first + count + rejects.length);
    if (rejects.length === 0) return { chunk, marks };
    return { chunk: { ...chunk, rejects: rejects.map((reject) => this.#named(reject)) }, marks };
  }

  /** With the name that the source has for it, and with the reason that was known before. */
  #named({ line: _, ...reject }: Reject): Reject {
    const { code, message } = this.#refused.get(reject.row) ?? reject;
    return {
      row: reject.row,
      code,
      message: `${this.#describe(this.#marks[reject.row - this.#firstRow]!)}: ${message}`,
    };
  }
}

function isBlank(bytes: Uint8Array): boolean {
  for (let at = 0; at < bytes.length; at++) if (bytes[at]! > BLANK) return false;
  return true;
}

/** Within the strings of JSON no line can end, so a line end stands between values, where a blank does as well. */
function onOneLine(json: Uint8Array): Uint8Array {
  if (json.indexOf(LF) < 0 && json.indexOf(CR) < 0) return json;
  return json.map((byte) => (byte === LF || byte === CR ? BLANK : byte));
}

/**
 * An object with more members behind its own. `members`: as they are spelled, `"a":1,"b":2`; `names`: how those are
 * called. Refuses an object that has one of them itself: none of the two values may be lost. What is no object comes
 * back in a form that is none either.
 */
export function withMembers(json: Uint8Array, members: string, names: readonly string[]): Uint8Array | Unreadable {
  if (members === '') return json;
  const text = Buffer.from(json.buffer, json.byteOffset, json.byteLength);
  const own = ownMember(text, names);
  if (own !== undefined) {
    return {
      code: 'RECORD_INVALID',
      message: `it has a field ${JSON.stringify(own)} of its own, as a column is named`,
    };
  }
  const end = lastVisible(text, text.length - 1);
  if (text[end] !== CLOSE) return json;
  const before = lastVisible(text, end - 1);
  const comma = text[before] === OPEN ? '' : ',';
  return Buffer.concat([text.subarray(0, before + 1), Buffer.from(`${comma}${members}}`)]);
}

function ownMember(text: Buffer, names: readonly string[]): string | undefined {
  // A name may be spelled with escapes.
  const likely = names.filter((name) => text.includes(JSON.stringify(name)) || text.includes('\\u'));
  if (likely.length === 0 || !isUtf8(text)) return undefined;
  try {
    const members = rawMembers(text.toString());
    return likely.find((name) => members.has(name));
  } catch {
    // No object: whoever frames it finds that out, with the place.
    return undefined;
  }
}

function lastVisible(text: Uint8Array, from: number): number {
  let at = from;
  while (at >= 0 && text[at]! <= BLANK) at--;
  return at;
}
