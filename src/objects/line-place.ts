import { Buffer } from 'node:buffer';
import { createHash } from 'node:crypto';
import type { Position } from '../model/position.ts';

/** How far the lines of a file that grows were read, and what the bytes up to there look like. */
export const OFFSET_POSITION = 'waybill/offset';
/** Of the beginning of a file, and of what was read last: together they tell one file from another. */
export const MARK_BYTES = 4096;
const DIGEST_LENGTH = 32;

export interface LinePlace {
  readonly file: string;
  /** Bytes that were read, up to the end of a line. */
  readonly offset: number;
  /** 1-based numbers of the record and the line that come next. */
  readonly row: number;
  readonly line: number;
  /** Digests of the first bytes up to the offset, and of the last ones before it. */
  readonly head: string;
  readonly tail: string;
  /** Names of the fields, of CSV. */
  readonly columns?: readonly string[] | undefined;
  /** What lay under the name when it was read: where that is the same nothing was added. */
  readonly tag?: string | undefined;
}

export const positionAt = (sourceName: string, place: LinePlace): Position => ({
  sourceName,
  kind: OFFSET_POSITION,
  value: JSON.stringify(place),
});

/** Undefined: another kind of position, or one that cannot be read. */
export function linePlaceOf(position: Position | undefined): LinePlace | undefined {
  if (position?.kind !== OFFSET_POSITION) return undefined;
  const value = parsed(position.value);
  if (typeof value !== 'object' || value === null) return undefined;
  const { file, offset, row, line, head, tail, columns, tag } = value as Record<string, unknown>;
  const counts = [offset, row, line].every((one) => Number.isSafeInteger(one) && (one as number) >= 0);
  const texts = [file, head, tail].every((one) => typeof one === 'string');
  const named = columns === undefined || (Array.isArray(columns) && columns.every((one) => typeof one === 'string'));
  if (!counts || !texts || !named || !(tag === undefined || typeof tag === 'string')) return undefined;
  return value as LinePlace;
}

function parsed(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch (error) {
    if (error instanceof SyntaxError) return undefined;
    throw error;
  }
}

export const markOf = (bytes: Uint8Array): string =>
  createHash('sha256').update(bytes).digest('hex').slice(0, DIGEST_LENGTH);

/** Follows the bytes of one file that are handed over, and knows at each offset what its marks are. */
export class LineTrail {
  #head: Uint8Array;
  /** From `#start` on: the last bytes before `#done`, and all that have come since. */
  #held: Buffer;
  /** What follows them, not yet joined: a long line would be copied as often as it has pieces. */
  #pieces: Uint8Array[] = [];
  #start: number;
  #done: number;
  #line: number;

  /** `head`: the first bytes of the file; `tail`: those before `offset`. Both may be empty at the top. */
  constructor(at: { offset: number; line: number; head: Uint8Array; tail: Uint8Array }) {
    this.#head = at.head;
    this.#held = Buffer.from(at.tail);
    this.#start = at.offset - at.tail.length;
    this.#done = at.offset;
    this.#line = at.line;
  }

  add(bytes: Uint8Array): void {
    const wanted = MARK_BYTES - this.#head.length;
    if (wanted > 0) this.#head = Buffer.concat([this.#head, bytes.subarray(0, wanted)]);
    this.#pieces.push(bytes);
  }

  /** Nobody asks for what stands before this offset any more. */
  pass(offset: number): void {
    if (offset > this.#done) this.at(offset);
  }

  /** What stands at an offset at or behind the last one that was asked for. */
  at(offset: number): Pick<LinePlace, 'offset' | 'line' | 'head' | 'tail'> {
    this.#held = Buffer.concat([this.#held, ...this.#pieces.splice(0)]);
    const passed = this.#held.subarray(this.#done - this.#start, offset - this.#start);
    for (let nth = passed.indexOf(10); nth !== -1; nth = passed.indexOf(10, nth + 1)) this.#line += 1;
    this.#done = offset;
    const from = Math.max(this.#start, offset - MARK_BYTES);
    this.#held = this.#held.subarray(from - this.#start);
    this.#start = from;
    const tail = this.#held.subarray(0, offset - from);
    return {
      offset,
      line: this.#line,
      head: markOf(this.#head.subarray(0, Math.min(offset, MARK_BYTES))),
      tail: markOf(tail),
    };
  }
}
