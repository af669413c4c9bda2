import { Buffer } from 'node:buffer';
import type { BigIntStats } from 'node:fs';
import type { FileHandle } from 'node:fs/promises';
import { WaybillError } from '../../model/errors.ts';

/** What is compared of the beginning and of the end: enough to tell a file that grew from one that was begun anew. */
const MARK_BYTES = 4096;
const LINE_END = 10;

export interface Watched {
  readonly name: string;
  /** What it was when it was opened. */
  readonly before: BigIntStats;
  /** Its bytes are lines, and not packed. */
  readonly lines: boolean;
}

/**
 * Hands on the bytes of an open file as long as they can be one content of it. Whoever cuts a file off, or writes it
 * anew in its place, while it is read leaves a reader with a part, or with parts of two, and both may look whole. A
 * file that only grew is read as far as it goes, unless that is in the middle of a line. A file that another one takes
 * the place of, under its name, is read to its end as it was. Throws SOURCE_FAILED.
 */
export async function* unspoilt(
  handle: FileHandle,
  { name, before, lines }: Watched,
  pieces: AsyncIterable<Uint8Array>,
): AsyncGenerator<Uint8Array> {
  let [head, tail, read]: [Buffer, Buffer, number] = [Buffer.alloc(0), Buffer.alloc(0), 0];
  for await (const bytes of pieces) {
    // Copies: whoever gets the piece may have its room used again.
    if (read === 0) head = Buffer.from(bytes.subarray(0, MARK_BYTES));
    tail = Buffer.from(bytes.subarray(-MARK_BYTES));
    read += bytes.length;
    yield bytes;
  }
  const after = await handle.stat({ bigint: true });
  if (read < Number(before.size) || Number(after.size) < read) throw spoilt(name, 'has become shorter');
  if (isAsItWas(before, after)) return;
  const grew = after.size > before.size;
  const kept = (await holds(handle, head, 0)) && (await holds(handle, tail, read - tail.length));
  if (!grew || !kept) throw spoilt(name, 'was written to');
  if (lines && tail.at(-1) !== LINE_END) throw spoilt(name, 'was added to, and its last line was not whole,');
}

const isAsItWas = (before: BigIntStats, after: BigIntStats): boolean =>
  before.size === after.size && before.mtimeNs === after.mtimeNs;

async function holds(handle: FileHandle, bytes: Buffer, at: number): Promise<boolean> {
  const now = Buffer.alloc(bytes.length);
  const { bytesRead } = await handle.read(now, 0, now.length, at);
  return bytesRead === bytes.length && now.equals(bytes);
}

const spoilt = (name: string, what: string): WaybillError =>
  new WaybillError('SOURCE_FAILED', `${name} ${what} while it was read`, {
    hint: 'Read it again when it is complete: have it written under another name, and renamed when it is whole.',
    ids: { path: name },
  });
