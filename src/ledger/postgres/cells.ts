import type { Param } from '../books/store.ts';
import type { Cell } from '../row-digest.ts';

/**
 * Cells on their way to PostgreSQL and back. A text there cannot hold the character NUL, which an answer of a sink
 * may well bring; it is written as two characters, with DLE as the mark, as lines of communication have always done.
 */
const DLE = '\x10';
const [NUL_MARK, DLE_MARK] = ['@', 'P'];

export function toText(text: string): string {
  if (!text.includes('\0') && !text.includes(DLE)) return text;
  return text.replaceAll(DLE, DLE + DLE_MARK).replaceAll('\0', DLE + NUL_MARK);
}

export function fromText(text: string): string {
  if (!text.includes(DLE)) return text;
  return text.replaceAll(DLE + NUL_MARK, '\0').replaceAll(DLE + DLE_MARK, DLE);
}

export const toParam = (cell: Param): Param => (typeof cell === 'string' ? toText(cell) : cell);

/** The kinds of values that the tables hold, by their numbers in PostgreSQL. */
const PARSERS: Readonly<Record<number, (text: string) => Cell>> = {
  // bytea, in its hexadecimal form
  17: (text) => Buffer.from(text.slice(2), 'hex'),
  // int8, int2 and int4: digests have 53 bits, and all else is smaller
  20: Number,
  21: Number,
  23: Number,
  // float8, which the server writes so that nothing of it is lost: durations need not be whole
  701: Number,
};

export const typeParser = (oid: number): ((text: string) => Cell) => PARSERS[oid] ?? fromText;
