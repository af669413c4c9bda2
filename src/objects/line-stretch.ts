import { Buffer } from 'node:buffer';
import { type LinePlace, MARK_BYTES, markOf } from './line-place.ts';
import type { VersionedFile, VersionedShelf } from './shelf.ts';

/** A file from a place in it on. */
export interface Stretch {
  readonly file: VersionedFile;
  readonly from: {
    readonly offset: number;
    readonly row: number;
    readonly line: number;
    /** The first bytes of the file, and those before the offset. */
    readonly head: Uint8Array;
    readonly tail: Uint8Array;
    readonly columns?: readonly string[] | undefined;
  };
  /** Nothing is added to it any more: what follows the last line end is a line, too. */
  readonly ended: boolean;
}

export interface Marked {
  readonly head: Uint8Array;
  readonly tail: Uint8Array;
}

const PIECE_BYTES = 1024 * 1024;
const PACKED = /\.gz$/i;

/** The bytes of a stretch, as many as there were when the file was found: one that grows all the time has an end. */
export async function* piecesOf(
  shelf: VersionedShelf,
  { file, from }: Stretch,
  signal: AbortSignal,
): AsyncGenerator<Uint8Array> {
  if (PACKED.test(file.name)) return yield* behind(shelf.bytes(file, signal), from.offset);
  const opened = await shelf.open(file, signal);
  try {
    const end = Math.min(opened.size, file.version.bytes);
    for (let at = from.offset; at < end; at += PIECE_BYTES) {
      signal.throwIfAborted();
      yield new Uint8Array(await opened.read(at, Math.min(at + PIECE_BYTES, end)));
    }
  } finally {
    await opened.close();
  }
}

async function* behind(pieces: AsyncIterable<Uint8Array>, offset: number): AsyncGenerator<Uint8Array> {
  let at = 0;
  for await (const bytes of pieces) {
    const rest = bytes.subarray(Math.max(0, offset - at));
    at += bytes.length;
    if (rest.length > 0) yield rest;
  }
}

/** Whether a file is the one that was read up to a place; what stands at its beginning and before that place. */
export async function marked(
  shelf: VersionedShelf,
  file: VersionedFile,
  place: LinePlace,
  signal: AbortSignal,
): Promise<Marked | undefined> {
  const found = PACKED.test(file.name)
    ? await markedInPacked(shelf, file, place.offset, signal)
    : await markedInPlain(shelf, file, place.offset, signal);
  if (found === undefined) return undefined;
  const head = found.head.subarray(0, Math.min(place.offset, MARK_BYTES));
  return markOf(head) === place.head && markOf(found.tail) === place.tail ? { head, tail: found.tail } : undefined;
}

async function markedInPlain(
  shelf: VersionedShelf,
  file: VersionedFile,
  offset: number,
  signal: AbortSignal,
): Promise<Marked | undefined> {
  const opened = await shelf.open(file, signal);
  try {
    if (opened.size < offset) return undefined;
    const head = new Uint8Array(await opened.read(0, Math.min(offset, MARK_BYTES)));
    const tail = offset <= MARK_BYTES ? head : new Uint8Array(await opened.read(offset - MARK_BYTES, offset));
    return { head, tail };
  } finally {
    await opened.close();
  }
}

/** What is packed can only be read from its beginning. */
async function markedInPacked(
  shelf: VersionedShelf,
  file: VersionedFile,
  offset: number,
  signal: AbortSignal,
): Promise<Marked | undefined> {
  let [head, tail, at]: [Uint8Array, Uint8Array, number] = [new Uint8Array(0), new Uint8Array(0), 0];
  for await (const bytes of shelf.bytes(file, signal)) {
    const part = bytes.subarray(0, offset - at);
    if (head.length < MARK_BYTES) head = Buffer.concat([head, part.subarray(0, MARK_BYTES - head.length)]);
    tail = Buffer.concat([tail, part]);
    tail = tail.subarray(Math.max(0, tail.length - MARK_BYTES));
    at += part.length;
    if (at === offset) return { head, tail };
  }
  return at === offset ? { head, tail } : undefined;
}
