import { Buffer } from 'node:buffer';
import { Readable } from 'node:stream';
import { crc32 } from 'node:zlib';
import type { RandomAccess } from '../formats/parquet/read.ts';
import { WaybillError } from '../model/errors.ts';
import { inflated, type ReadLimits } from './unpack.ts';

export interface ZipLimits extends ReadLimits {
  readonly entriesMax: number;
}

/** A file in a zip, as its directory tells of it. */
export interface ZipEntry {
  /** What the archive calls it: data, and never a path of this machine. */
  readonly name: string;
  /** 0: stored, 8: deflated. */
  readonly method: number;
  readonly crc: number;
  readonly packedBytes: number;
  readonly bytes: number;
  /** Where its local header begins. */
  readonly offset: number;
}

const END = 0x06054b50;
const END64_LOCATOR = 0x07064b50;
const END64 = 0x06064b50;
const ENTRY = 0x02014b50;
const LOCAL = 0x04034b50;
const END_BYTES = 22;
const COMMENT_BYTES_MAX = 65_535;
const DIRECTORY_BYTES_MAX = 32 * 1024 * 1024;
const PIECE_BYTES = 256 * 1024;
const NOTHING_64 = 0xffffffff;

/**
 * The files of a zip in the order of their names, folders left out. Throws SOURCE_INVALID for what is no whole zip, for
 * one that is encrypted, holds more than the limits allow, or whose files share bytes: that is how a small archive
 * claims to hold more than the world.
 */
export async function zipEntries(file: RandomAccess, name: string, limits: ZipLimits): Promise<readonly ZipEntry[]> {
  const { entries: count, offset, bytes } = await directoryOf(file, name);
  if (count > limits.entriesMax) {
    throw broken(name, `holds ${count} files, more than ${limits.entriesMax}`, 'Raise `entriesMax` if that is meant.');
  }
  if (bytes > DIRECTORY_BYTES_MAX) throw broken(name, `has a directory of ${bytes} bytes`);
  const directory = await part(file, name, offset, bytes);
  const entries: ZipEntry[] = [];
  for (let at = 0; entries.length < count; ) {
    if (at + 46 > directory.length || directory.readUInt32LE(at) !== ENTRY) throw broken(name, 'is cut short');
    const { entry, next } = entryAt(directory, at, name);
    entries.push(entry);
    at = next;
  }
  expectApart(entries, name);
  const total = entries.reduce((sum, entry) => sum + entry.bytes, 0);
  if (total > limits.inflatedBytesMax) {
    throw broken(name, `holds ${total} bytes when it is unpacked`, 'Raise `inflatedBytesMax` if that is meant.');
  }
  return entries.filter((entry) => !entry.name.endsWith('/')).sort((a, b) => (a.name < b.name ? -1 : 1));
}

/** What one of its files holds. Throws SOURCE_INVALID unless its length and its checksum are those of the directory. */
export async function* zipBytes(
  file: RandomAccess,
  name: string,
  entry: ZipEntry,
  limits: ReadLimits,
): AsyncGenerator<Uint8Array> {
  const header = await part(file, name, entry.offset, 30);
  if (header.readUInt32LE(0) !== LOCAL) throw broken(name, `has no ${entry.name} where its directory says so`);
  const start = entry.offset + 30 + header.readUInt16LE(26) + header.readUInt16LE(28);
  const pieces = piecesOf(file, name, start, start + entry.packedBytes);
  const packed = { name: `${entry.name} in ${name}`, bytes: entry.packedBytes, coding: 'raw' as const };
  const plain = entry.method === 0 ? pieces : inflated(Readable.from(pieces, { objectMode: false }), packed, limits);
  let [crc, bytes] = [0, 0];
  for await (const piece of plain) {
    crc = crc32(piece, crc);
    bytes += piece.length;
    if (bytes > entry.bytes) throw broken(name, `holds more of ${entry.name} than its directory says`);
    yield piece;
  }
  if (bytes !== entry.bytes) throw broken(name, `holds less of ${entry.name} than its directory says`);
  if (crc !== entry.crc) throw broken(name, `holds ${entry.name} with another checksum than its directory says`);
}

/** Where the directory lies: told at the end of the file, before a comment of any length. */
async function directoryOf(
  file: RandomAccess,
  name: string,
): Promise<{ readonly entries: number; readonly offset: number; readonly bytes: number }> {
  const start = Math.max(0, file.size - END_BYTES - COMMENT_BYTES_MAX);
  const tail = await part(file, name, start, file.size - start);
  for (let at = tail.length - END_BYTES; at >= 0; at--) {
    if (tail.readUInt32LE(at) !== END || at + END_BYTES + tail.readUInt16LE(at + 20) !== tail.length) continue;
    const found = { entries: tail.readUInt16LE(at + 10), bytes: tail.readUInt32LE(at + 12) };
    const offset = tail.readUInt32LE(at + 16);
    const large = found.entries === 0xffff || found.bytes === NOTHING_64 || offset === NOTHING_64;
    return large ? await directory64(file, name, start + at) : { ...found, offset };
  }
  throw broken(name, 'is no whole zip: its directory is missing', 'It may have been cut short on its way.');
}

async function directory64(file: RandomAccess, name: string, end: number): Promise<ReturnType<typeof directoryAt>> {
  const locator = await part(file, name, end - 20, 20);
  if (locator.readUInt32LE(0) !== END64_LOCATOR) throw broken(name, 'has no directory where it says so');
  const record = await part(file, name, whole(locator, 8, name), 56);
  if (record.readUInt32LE(0) !== END64) throw broken(name, 'has no directory where it says so');
  return directoryAt(record, name);
}

const directoryAt = (record: Buffer, name: string) => ({
  entries: whole(record, 32, name),
  bytes: whole(record, 40, name),
  offset: whole(record, 48, name),
});

function entryAt(from: Buffer, at: number, name: string): { readonly entry: ZipEntry; readonly next: number } {
  const [flags, method] = [from.readUInt16LE(at + 8), from.readUInt16LE(at + 10)];
  const [nameEnd, extraBytes] = [at + 46 + from.readUInt16LE(at + 28), from.readUInt16LE(at + 30)];
  const next = nameEnd + extraBytes + from.readUInt16LE(at + 32);
  if (next > from.length) throw broken(name, 'is cut short');
  const plain = {
    name: from.toString('utf8', at + 46, nameEnd),
    method,
    crc: from.readUInt32LE(at + 16),
    packedBytes: from.readUInt32LE(at + 20),
    bytes: from.readUInt32LE(at + 24),
    offset: from.readUInt32LE(at + 42),
  };
  const entry = { ...plain, ...large(from.subarray(nameEnd, nameEnd + extraBytes), plain, name) };
  if ((flags & 1) !== 0) throw broken(name, `holds ${entry.name} encrypted`);
  if (method !== 0 && method !== 8) throw broken(name, `holds ${entry.name} packed by method ${method}`);
  if (method === 0 && entry.bytes !== entry.packedBytes) throw broken(name, `tells two lengths of ${entry.name}`);
  return { entry, next };
}

type Sizes = Pick<ZipEntry, 'bytes' | 'packedBytes' | 'offset'>;

/** Figures of more than four bytes stand in an extra field, only those that do not fit, in this order. */
function large(extra: Buffer, plain: Sizes, name: string): Partial<Sizes> {
  for (let at = 0; at + 4 <= extra.length; at += 4 + extra.readUInt16LE(at + 2)) {
    if (extra.readUInt16LE(at) !== 1) continue;
    const field = extra.subarray(at + 4, at + 4 + extra.readUInt16LE(at + 2));
    let next = 0;
    const found: Partial<Record<keyof Sizes, number>> = {};
    for (const figure of ['bytes', 'packedBytes', 'offset'] as const) {
      if (plain[figure] !== NOTHING_64) continue;
      if (next + 8 > field.length) throw broken(name, 'leaves out a length');
      found[figure] = whole(field, next, name);
      next += 8;
    }
    return found;
  }
  return {};
}

function expectApart(entries: readonly ZipEntry[], name: string): void {
  let end = 0;
  for (const entry of [...entries].sort((a, b) => a.offset - b.offset)) {
    if (entry.offset < end) throw broken(name, `holds two files in the same bytes, ${entry.name} is one of them`);
    end = entry.offset + 30 + entry.packedBytes;
  }
}

function whole(from: Buffer, at: number, name: string): number {
  const value = Number(from.readBigUInt64LE(at));
  if (Number.isSafeInteger(value)) return value;
  throw broken(name, 'has a length that no file can have');
}

async function* piecesOf(file: RandomAccess, name: string, start: number, end: number): AsyncGenerator<Buffer> {
  for (let at = start; at < end; at += PIECE_BYTES) yield await part(file, name, at, Math.min(PIECE_BYTES, end - at));
}

async function part(file: RandomAccess, name: string, start: number, bytes: number): Promise<Buffer> {
  if (start < 0 || bytes < 0 || start + bytes > file.size) throw broken(name, 'is cut short');
  return Buffer.from(await file.read(start, start + bytes));
}

function broken(name: string, what: string, hint?: string): WaybillError {
  return new WaybillError('SOURCE_INVALID', `${name} ${what}`, hint === undefined ? {} : { hint });
}
