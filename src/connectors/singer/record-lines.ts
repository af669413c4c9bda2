import { Buffer } from 'node:buffer';

const LF = 0x0a;
const BLANK = 0x20;
const QUOTE = 0x22;
const CLOSE = 0x7d;
const COMMA = 0x2c;
const COLON = 0x3a;
const BACKSLASH = 0x5c;

/** A stretch of a line. */
export interface Span {
  readonly start: number;
  readonly end: number;
}

/** What may stand behind the record: members of the message whose values hold no record. */
const BEHIND: readonly string[] = ['time_extracted', 'version'];

/**
 * Finds the record in a line without reading it, when the line begins as one before did, up to the record, and ends
 * with nothing but members that are known. That the stretch between is exactly one object is for the caller to check:
 * then there is no other way to read the line, since JSON can be read in one way only.
 */
export function recordIn(line: Buffer, head: Buffer): Span | undefined {
  const { length } = head;
  if (line.length <= length || line.compare(head, 0, length, 0, length) !== 0) return undefined;
  let end = lastVisible(line, line.length - 1);
  if (line[end] !== CLOSE) return undefined;
  end = lastVisible(line, end - 1);
  while (end > length && line[end] !== CLOSE) {
    const before = memberBefore(line, end, length);
    if (before === undefined) return undefined;
    end = before;
  }
  return end > length ? { start: length, end: end + 1 } : undefined;
}

/** Where what stands before `, "name": value` ends, when that is a member which may stand there. */
function memberBefore(line: Buffer, last: number, floor: number): number | undefined {
  let at = last;
  if (line[at] === QUOTE) {
    at = quoteBefore(line, at - 1, floor);
    if (at < 0) return undefined;
    at -= 1;
  } else while (at > floor && isPlain(line[at]!)) at--;
  at = lastVisible(line, at);
  if (line[at] !== COLON) return undefined;
  const nameEnd = lastVisible(line, at - 1);
  if (line[nameEnd] !== QUOTE) return undefined;
  const nameStart = quoteBefore(line, nameEnd - 1, floor);
  if (nameStart < 0 || !BEHIND.includes(line.toString('latin1', nameStart + 1, nameEnd))) return undefined;
  const comma = lastVisible(line, nameStart - 1);
  return line[comma] === COMMA ? lastVisible(line, comma - 1) : undefined;
}

/** The quote that opens a text without escapes; -1 where there is none, or the text has some. */
function quoteBefore(line: Buffer, from: number, floor: number): number {
  for (let at = from; at > floor; at--) {
    if (line[at] === QUOTE) return line[at - 1] === BACKSLASH ? -1 : at;
    if (line[at] === BACKSLASH || line[at]! < BLANK) return -1;
  }
  return -1;
}

/** Of numbers, `null`, `true` and `false`. */
const isPlain = (byte: number): boolean =>
  (byte >= 0x30 && byte <= 0x39) || (byte >= 0x61 && byte <= 0x7a) || byte === 0x2d || byte === 0x2e;

function lastVisible(bytes: Buffer, from: number): number {
  let at = from;
  while (at >= 0 && bytes[at]! <= BLANK) at--;
  return at;
}

const STREAM = /"stream"\s*:\s*"(?:[^"\\]|\\.)*"/.source;
const TYPE = /"type"\s*:\s*"RECORD"/.source;
/** Type and stream in any order, and then the record. */
const HEAD = new RegExp(
  String.raw`^\s*\{\s*(?:${TYPE}\s*,\s*${STREAM}|${STREAM}\s*,\s*${TYPE})\s*,\s*"record"\s*:\s*(?=\{)`,
);

/** How a line of a record begins, up to the record, where the lines that follow are likely to begin the same. */
export function headOf(line: string): Buffer | undefined {
  const head = HEAD.exec(line)?.[0];
  return head === undefined ? undefined : Buffer.from(head);
}

/** Cuts pieces into lines. */
export class Lines {
  #pieces: Buffer[] = [];
  #held = 0;

  /** Bytes of a line whose end has not come. */
  get held(): number {
    return this.#held;
  }

  *push(piece: Buffer): Generator<Buffer> {
    let from = 0;
    for (let end = piece.indexOf(LF); end >= 0; end = piece.indexOf(LF, from)) {
      const rest = piece.subarray(from, end);
      yield this.#held === 0 ? rest : this.#joined(rest);
      from = end + 1;
    }
    if (from === piece.length) return;
    this.#pieces.push(piece.subarray(from));
    this.#held += piece.length - from;
  }

  /** The last line, which may lack its end. */
  *end(): Generator<Buffer> {
    if (this.#held > 0) yield this.#joined(Buffer.alloc(0));
  }

  #joined(rest: Buffer): Buffer {
    const line = Buffer.concat([...this.#pieces, rest]);
    this.#pieces = [];
    this.#held = 0;
    return line;
  }
}
