import { Buffer } from 'node:buffer';
import { createHash } from 'node:crypto';
import { open } from 'node:fs/promises';
import { crc32 } from 'node:zlib';
import { assert } from '../model/assert.ts';
import { DIGEST_BYTES, type Format, KEY_BYTES } from '../model/chunk.ts';
import type { Columns } from '../model/columns.ts';
import { WaybillError } from '../model/errors.ts';
import { rangeOf, type SourceRange } from '../model/range.ts';
import { isRanges, type Staged, type StagedDraft, type StagedRanges, shapeOf } from './staging.ts';

/**
 * How staged batches lie in a segment file, one after the other and each complete in itself:
 *
 *     {"waybill":1,"flow":…,"window":…,"lane":…,"records":n,"bytes":b,"digest":…,"trailer":40n,
 *      "crc":…,"marks":…,"columns":[…],"format":…,"types":[…],"sum":…}\n   (all in one line)
 *     b bytes: what is sent, framing included
 *     trailer: n spans (start and end, u32 little-endian), n keys of 16 bytes, n source digests and n payload digests
 *     of 8 bytes
 *
 * Of a batch whose bytes lie with its source the header says where: `"bytes":0`, `"size":b` and `"ranges":[…]`. Nothing
 * stands between header and trailer then, and no spans begin the trailer: they come with the bytes. `"ranges":[]`: they
 * were kept in memory alone.
 *
 * `head -1` shows what the first batch is, and `scanSegment` reads all of them without a ledger.
 */
export interface SegmentHeader {
  readonly waybill: 1;
  readonly flow: string;
  readonly window: string;
  readonly lane: string;
  readonly records: number;
  readonly bytes: number;
  /** Of a batch whose bytes are not here: how many they are, and where its source has them. */
  readonly size?: number;
  readonly ranges?: readonly SourceRange[];
  /** SHA-256 of the bytes, in hex. */
  readonly digest: string;
  readonly trailer: number;
  /** CRC-32 of payload and trailer: cheap enough to be checked at every read. */
  readonly crc: number;
  /** CRC-32 of the digests at the end of the trailer, for who reads only those. Batches of older versions have none. */
  readonly marks?: number;
  readonly columns?: readonly string[];
  readonly format?: Format;
  readonly types?: Columns;
  /** CRC-32 of the header itself, up to the comma before this. Batches of older versions have none. */
  readonly sum?: number;
}

/** A batch as it was found in a file. */
export type ScannedBatch = (Staged | StagedRanges) & {
  readonly header: SegmentHeader;
  /** Where its header begins. */
  readonly offset: number;
};

/** Relative to the staging folder; anything else is refused, wherever it came from. */
export const SEGMENT_NAME = /^r[1-9][0-9]*\/[a-z0-9_%-]+\/[1-9][0-9]*\.seg$/;
/** Read together with the payload in the hope that the header is no longer than this. */
export const HEADER_READ_BYTES = 4096;
export const HEADER_BYTES_MAX = 16 * 1024 * 1024;
const NEWLINE = 10;
const SUM = ',"sum":';
const SPAN_BYTES = 8;
const MARKS_BYTES = KEY_BYTES + 2 * DIGEST_BYTES;
/** What the trailer takes for each record. */
export const TRAILER_BYTES = SPAN_BYTES + MARKS_BYTES;

const trailerBytes = ({ ranges }: Pick<SegmentHeader, 'ranges'>): number =>
  ranges === undefined ? TRAILER_BYTES : MARKS_BYTES;

export interface BatchBlock {
  readonly header: Uint8Array;
  /** Absent where the bytes lie elsewhere. */
  readonly payload?: Uint8Array;
  readonly trailer: readonly Uint8Array[];
  /** Of the trailer. */
  readonly size: number;
}

/** The parts of a draft as they lie in the file, one behind the other; none of them but the header is made for it. */
export function batchBlock(draft: StagedDraft): BatchBlock {
  const { ranges } = draft;
  const records = draft.spans.length / 2;
  const trailer = trailerOf(draft, records).slice(ranges === undefined ? 0 : 1);
  const size = records * trailerBytes(draft);
  const { flow, window, lane, digest } = draft.about;
  const header: SegmentHeader = {
    waybill: 1,
    flow,
    window,
    lane,
    records,
    ...(ranges === undefined ? { bytes: draft.bytes.length } : { bytes: 0, size: draft.bytes.length, ranges }),
    digest,
    trailer: size,
    crc: crcOf(trailer, ranges === undefined ? crc32(draft.bytes) : undefined),
    marks: crcOf(trailer.slice(-2)),
    ...shapeOf(draft),
  };
  const text = JSON.stringify(header).slice(0, -1);
  const payload = ranges === undefined ? { payload: draft.bytes } : {};
  return { header: Buffer.from(`${text}${SUM}${crc32(text)}}\n`), ...payload, trailer, size };
}

const crcOf = (parts: readonly Uint8Array[], before?: number): number =>
  parts.reduce((sum, part) => crc32(part, sum), before ?? 0);

function trailerOf(draft: StagedDraft, records: number): readonly Uint8Array[] {
  assert(draft.keys.length === records * KEY_BYTES, 'staged.one-key-a-record', { records });
  assert(draft.sourceDigests.length === records * DIGEST_BYTES, 'staged.one-digest-a-record', { records });
  assert(draft.payloadDigests.length === records * DIGEST_BYTES, 'staged.one-digest-a-record', { records });
  const { buffer, byteOffset, byteLength } = draft.spans;
  return [new Uint8Array(buffer, byteOffset, byteLength), draft.keys, draft.sourceDigests, draft.payloadDigests];
}

/** Where the header that begins these bytes ends, its line end included; undefined when it goes on beyond them. */
export function headerEnd(bytes: Uint8Array): number | undefined {
  const at = bytes.indexOf(NEWLINE);
  return at === -1 ? undefined : at + 1;
}

/** Undefined when the line is not a header, or not as it was written. */
export function parseHeader(line: Uint8Array): SegmentHeader | undefined {
  const text = Buffer.from(line.buffer, line.byteOffset, line.byteLength);
  let header: Partial<SegmentHeader> | null;
  try {
    header = JSON.parse(text.toString('utf8'));
  } catch {
    return undefined;
  }
  if (typeof header !== 'object' || header === null || header.waybill !== 1) return undefined;
  const { records, bytes, trailer, ranges, sum } = header;
  if (sum !== undefined && sum !== crc32(text.subarray(0, text.lastIndexOf(SUM)))) return undefined;
  if (ranges !== undefined && !(isSize(header.size) && bytes === 0 && areRanges(ranges))) return undefined;
  if (!isSize(records) || !isSize(bytes) || trailer !== records * trailerBytes(header)) return undefined;
  return header as SegmentHeader;
}

const isSize = (value: unknown): value is number => Number.isSafeInteger(value) && (value as number) >= 0;

const areRanges = (value: unknown): boolean => Array.isArray(value) && value.every((one) => rangeOf(one) !== undefined);

/**
 * What follows the header, as it was staged. The spans are copied: a view of 32-bit numbers needs an address that the
 * file does not give.
 */
export function unpackBlock(header: SegmentHeader, block: Uint8Array): Staged | StagedRanges {
  const { records, digest, ranges } = header;
  const bytes = block.subarray(0, header.bytes);
  const spansEnd = header.bytes + (ranges === undefined ? records * SPAN_BYTES : 0);
  const keysEnd = spansEnd + records * KEY_BYTES;
  const sourceEnd = keysEnd + records * DIGEST_BYTES;
  const marks = {
    digest,
    keys: block.subarray(spansEnd, keysEnd),
    sourceDigests: block.subarray(keysEnd, sourceEnd),
    payloadDigests: block.subarray(sourceEnd, sourceEnd + records * DIGEST_BYTES),
    ...shapeOf(header),
  };
  if (ranges !== undefined) return { ...marks, ranges };
  return { bytes, spans: new Uint32Array(new Uint8Array(block.subarray(header.bytes, spansEnd)).buffer), ...marks };
}

/**
 * Reads every batch of a segment file, in order, from the file alone: for people who have the files and no ledger.
 * Each payload that is there is checked against its digest. A batch that a crash cut short at the end of the file was
 * never sealed and is left out; anything else that does not agree throws STAGING_CORRUPT.
 */
export async function* scanSegment(path: string): AsyncGenerator<ScannedBatch> {
  const file = await open(path, 'r');
  try {
    const { size } = await file.stat();
    for (let offset = 0; offset < size; ) {
      const line = await readHeader((length) => readAt(file, offset, length));
      if (line === undefined) return;
      const header = parseHeader(line);
      if (header === undefined) throw damaged(path, offset, 'there is no batch header');
      const end = offset + line.length + header.bytes + header.trailer;
      if (end > size) return;
      const block = await readAt(file, offset + line.length, header.bytes + header.trailer);
      yield scanned(path, offset, header, block);
      offset = end;
    }
  } finally {
    await file.close();
  }
}

/** Undefined when the file ends within the header. */
async function readHeader(read: (length: number) => Promise<Uint8Array>): Promise<Uint8Array | undefined> {
  for (let length = HEADER_READ_BYTES; length <= HEADER_BYTES_MAX; length *= 8) {
    const bytes = await read(length);
    const end = headerEnd(bytes);
    if (end !== undefined) return bytes.subarray(0, end);
    if (bytes.length < length) return undefined;
  }
  return undefined;
}

function scanned(path: string, offset: number, header: SegmentHeader, block: Uint8Array): ScannedBatch {
  if (crc32(block) !== header.crc) throw damaged(path, offset, 'what follows the header has been altered');
  const staged = unpackBlock(header, block);
  if (!isRanges(staged) && createHash('sha256').update(staged.bytes).digest('hex') !== header.digest)
    throw damaged(path, offset, 'the bytes do not have the digest that their header names');
  return { header, offset, ...staged };
}

function damaged(path: string, offset: number, what: string): WaybillError {
  return new WaybillError('STAGING_CORRUPT', `${path}, byte ${offset}: ${what}`, { ids: { path, offset } });
}

async function readAt(file: Awaited<ReturnType<typeof open>>, offset: number, length: number): Promise<Uint8Array> {
  const bytes = Buffer.allocUnsafeSlow(length);
  let done = 0;
  while (done < length) {
    const { bytesRead } = await file.read(bytes, done, length - done, offset + done);
    if (bytesRead === 0) break;
    done += bytesRead;
  }
  return bytes.subarray(0, done);
}
