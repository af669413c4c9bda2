import { Buffer } from 'node:buffer';
import { rawMembers } from '../../formats/json-members.ts';
import { FRAME_HEAD } from './copy-in.ts';
import { inputText } from './input-text.ts';
import type { InputKind, TableColumn } from './table.ts';

const FRAME_BYTES = 64 * 1024;
const [LINE_FEED, TAB, SPACE, QUOTE, COMMA, BACKSLASH, LETTER_T] = [0x0a, 0x09, 0x20, 0x22, 0x2c, 0x5c, 0x74];
const [OPEN, CLOSE, OPEN_LIST, CLOSE_LIST] = [0x7b, 0x7d, 0x5b, 0x5d];
const NULL = Buffer.from('\\N');
/** Letters behind a backslash that JSON and COPY read alike; a quote and a slash stand for themselves in both. */
const SAME_ESCAPES = new Set(Buffer.from('bfnrt\\"/'));
const isDigitLike = (code: number): boolean => (code >= 0x30 && code <= 0x39) || code === 0x2d || code === 0x2e;

/**
 * Writes JSON objects as rows of COPY's text format. A record whose fields are those of the columns in their order,
 * without space in between, goes over byte by byte: texts and numbers are spelled alike in both, so no value is made of
 * them. Whatever is not so simple is left to `inputText`, one field or the whole record.
 */
export class CopyRows {
  readonly #columns: readonly TableColumn[];
  readonly #heads: readonly Buffer[];
  #out = Buffer.allocUnsafeSlow(FRAME_BYTES);
  #at = FRAME_HEAD;

  constructor(columns: readonly TableColumn[]) {
    this.#columns = columns;
    this.#heads = columns.map(({ name }, nth) => Buffer.from(`${nth === 0 ? '{' : ','}${JSON.stringify(name)}:`));
  }

  /** Whether there is a frame's worth of rows. */
  get full(): boolean {
    return this.#at >= FRAME_BYTES / 2;
  }

  get empty(): boolean {
    return this.#at === FRAME_HEAD;
  }

  /** The rows so far, with room at their head. */
  frame(): Buffer {
    const frame = this.#out.subarray(0, this.#at);
    this.#out = Buffer.allocUnsafeSlow(FRAME_BYTES);
    this.#at = FRAME_HEAD;
    return frame;
  }

  /** False, and nothing written, when the record has other fields, or the same in another order or with space. */
  addBytes(bytes: Uint8Array, start: number, end: number, tail: string): boolean {
    const begin = this.#at;
    let from = start;
    for (let nth = 0; nth < this.#heads.length; nth++) {
      const value = this.#head(bytes, from, end, nth);
      from = value === -1 ? -1 : this.#value(bytes, value, end, this.#columns[nth]!);
      if (from === -1) {
        this.#at = begin;
        return false;
      }
    }
    if (bytes[from] !== CLOSE || from + 1 !== end) {
      this.#at = begin;
      return false;
    }
    this.#end(tail);
    return true;
  }

  /** A record by its members; a column that it lacks is null. */
  addMembers(members: ReadonlyMap<string, string>, tail: string): void {
    for (const [nth, column] of this.#columns.entries()) {
      if (nth > 0) this.#byte(TAB);
      this.#field(column, members.get(column.name) ?? 'null');
    }
    this.#end(tail);
  }

  /** Behind the name and the colon, or -1. */
  #head(bytes: Uint8Array, from: number, end: number, nth: number): number {
    const head = this.#heads[nth]!;
    if (end - from <= head.length) return -1;
    for (let at = 0; at < head.length; at++) if (bytes[from + at] !== head[at]) return -1;
    if (nth > 0) this.#byte(TAB);
    return from + head.length;
  }

  /** Writes one value; answers where it ends, or -1 where that cannot be told here. */
  #value(bytes: Uint8Array, from: number, end: number, column: TableColumn): number {
    const first = bytes[from]!;
    if (first === QUOTE) {
      const plain = takesTextAsItIs(column) ? this.#string(bytes, from, end) : -1;
      return plain === -1 ? this.#rawValue(bytes, from, stringEnd(bytes, from, end), column) : plain;
    }
    if (first === OPEN || first === OPEN_LIST) {
      const behind = nestedEnd(bytes, from, end);
      if (behind === -1 || column.kind !== 'json' || column.array) return this.#rawValue(bytes, from, behind, column);
      this.#nested(bytes, from, behind);
      return behind;
    }
    let at = from;
    while (at < end && bytes[at] !== COMMA && bytes[at] !== CLOSE && bytes[at]! > SPACE) at++;
    // A word, or a number that may have to be spelled in another way.
    if (!isDigitLike(first) || column.array) return this.#rawValue(bytes, from, at, column);
    for (let digit = from; digit < at; digit++) {
      if (!isDigitLike(bytes[digit]!) || (column.kind === 'integer' && bytes[digit] === 0x2e))
        return this.#rawValue(bytes, from, at, column);
    }
    this.#room(at - from);
    for (let digit = from; digit < at; digit++) this.#out[this.#at++] = bytes[digit]!;
    return at;
  }

  /** A text up to its closing quote; answers where it ends, or -1, with nothing written, when it is not simple. */
  #string(bytes: Uint8Array, from: number, end: number): number {
    const begin = this.#at;
    const out = this.#room(end - from);
    let to = this.#at;
    for (let at = from + 1; at < end; at++) {
      const code = bytes[at]!;
      if (code === QUOTE) {
        this.#at = to;
        return at + 1;
      }
      if (code < SPACE) return -1;
      if (code !== BACKSLASH) {
        out[to++] = code;
        continue;
      }
      const letter = bytes[++at]!;
      if (!SAME_ESCAPES.has(letter)) break;
      out[to++] = BACKSLASH;
      out[to++] = letter;
    }
    this.#at = begin;
    return -1;
  }

  /** Nested JSON as it stands. A line end can only be space between two tokens. */
  #nested(bytes: Uint8Array, from: number, behind: number): void {
    const out = this.#room(2 * (behind - from));
    let to = this.#at;
    for (let at = from; at < behind; at++) {
      const code = bytes[at]!;
      if (code === BACKSLASH || code === TAB) out[to++] = BACKSLASH;
      if (code === TAB) out[to++] = LETTER_T;
      else out[to++] = code < SPACE ? SPACE : code;
    }
    this.#at = to;
  }

  #rawValue(bytes: Uint8Array, from: number, behind: number, column: TableColumn): number {
    if (behind === -1 || behind === from) return -1;
    this.#field(column, Buffer.from(bytes.buffer, bytes.byteOffset + from, behind - from).toString('utf8'));
    return behind;
  }

  #field(column: TableColumn, raw: string): void {
    const text = inputText(column, raw);
    if (text === undefined) {
      this.#room(NULL.length);
      this.#out.set(NULL, this.#at);
      this.#at += NULL.length;
      return;
    }
    const escaped = /[\\\b\f\n\r\t\v]/.test(text) ? text.replaceAll(/[\\\b\f\n\r\t\v]/g, escapeLetter) : text;
    const out = this.#room(escaped.length * 3);
    this.#at += out.write(escaped, this.#at, 'utf8');
  }

  #end(tail: string): void {
    const out = this.#room(tail.length + 1);
    if (tail !== '') this.#at += out.write(tail, this.#at, 'latin1');
    out[this.#at++] = LINE_FEED;
  }

  #byte(code: number): void {
    this.#room(1)[this.#at++] = code;
  }

  /** The buffer, with room for so many bytes more. */
  #room(bytes: number): Buffer {
    if (this.#at + bytes > this.#out.length) {
      const larger = Buffer.allocUnsafeSlow(Math.max(this.#out.length * 2, this.#at + bytes));
      larger.set(this.#out.subarray(0, this.#at));
      this.#out = larger;
    }
    return this.#out;
  }
}

/** To others a text is a value of its own, or is spelled in another way, or spells a nested value. */
const takesTextAsItIs = ({ kind, array }: TableColumn): boolean => !array && TEXT_KINDS.has(kind);
const TEXT_KINDS: ReadonlySet<InputKind> = new Set(['text', 'boolean', 'integer', 'other']);

/** The members of one record, for those that are not as simple as they usually are. Throws JSON_INVALID. */
export function membersOf(bytes: Uint8Array, start: number, end: number): Map<string, string> {
  return rawMembers(Buffer.from(bytes.buffer, bytes.byteOffset + start, end - start).toString('utf8'));
}

/** Behind the closing quote of a text, or -1. */
function stringEnd(bytes: Uint8Array, from: number, end: number): number {
  for (let at = from + 1; at < end; at++) {
    if (bytes[at] === BACKSLASH) at++;
    else if (bytes[at] === QUOTE) return at + 1;
  }
  return -1;
}

/** Behind the bracket that closes what begins here, or -1. */
function nestedEnd(bytes: Uint8Array, from: number, end: number): number {
  let depth = 0;
  for (let at = from; at < end; at++) {
    const code = bytes[at]!;
    if (code === QUOTE) {
      const behind = stringEnd(bytes, at, end);
      if (behind === -1) return -1;
      at = behind - 1;
    } else if (code === OPEN || code === OPEN_LIST) depth++;
    else if ((code === CLOSE || code === CLOSE_LIST) && --depth === 0) return at + 1;
  }
  return -1;
}

const ESCAPES: Readonly<Record<string, string>> = {
  '\b': '\\b',
  '\f': '\\f',
  '\n': '\\n',
  '\r': '\\r',
  '\t': '\\t',
  '\v': '\\v',
  '\\': '\\\\',
};
const escapeLetter = (letter: string): string => ESCAPES[letter]!;
