import { Buffer } from 'node:buffer';
import { createHash } from 'node:crypto';
import { join, resolve } from 'node:path';
import { crc32 } from 'node:zlib';
import { DIGEST_BYTES } from '../model/chunk.ts';
import { WaybillError } from '../model/errors.ts';
import { type RunId, showRun } from '../model/ids.ts';
import type { Disk, DiskNow } from './disk.ts';
import type { StagedAt } from './ledger.ts';
import { realDisk } from './real-disk.ts';
import {
  HEADER_BYTES_MAX,
  HEADER_READ_BYTES,
  headerEnd,
  parseHeader,
  SEGMENT_NAME,
  type SegmentHeader,
  unpackBlock,
} from './segment.ts';
import { SegmentWriter } from './segment-writer.ts';
import type { Staged, StagedDigests, StagedRanges, Staging, StagingWriter } from './staging.ts';

/** Large enough that a day of many batches is a few files, small enough to be copied or deleted one by one. */
const SEGMENT_BYTES = 64 * 1024 * 1024;
const OPEN_FILES_MAX = 64;
const READ_AHEAD_BYTES = 512 * 1024;

interface ReadAhead {
  readonly segment: string;
  readonly offset: number;
  readonly end: number;
  readonly bytes: Uint8Array;
  /** Where the last batch began that was handed out of it. */
  passed: number;
}

export interface FolderStagingOptions {
  /** A segment that has reached this size gets no further batch. */
  readonly segmentBytes?: number;
  /** That of this machine when absent. */
  readonly disk?: Disk;
}

/**
 * Frozen bytes in a folder: `<root>/r<run>/<lane>/<n>.seg`, readable by the owner only. A segment is written by one
 * process and never opened again for writing: what a crash left half-written at its end stays there, unreferenced.
 */
export function folderStaging(root: string, options: FolderStagingOptions = {}): Staging {
  return new FolderStaging(resolve(root), options.segmentBytes ?? SEGMENT_BYTES, options.disk ?? realDisk);
}

class FolderStaging implements Staging {
  readonly place: string;
  readonly #segmentBytes: number;
  readonly #disk: Disk;
  readonly #files: OpenFiles;
  /** Segments that a writer of this process holds: the ledger may not know of them yet, and a sweep spares them. */
  readonly #writing = new Set<string>();

  #ahead: ReadAhead | undefined;

  constructor(place: string, segmentBytes: number, disk: Disk) {
    this.place = place;
    this.#segmentBytes = segmentBytes;
    this.#disk = disk;
    this.#files = new OpenFiles(disk);
  }

  writer(run: RunId, lane: string): StagingWriter {
    const folder = `${showRun(run)}/${laneFolder(lane)}`;
    return new SegmentWriter({
      disk: this.#disk,
      root: this.place,
      folder,
      segmentBytes: this.#segmentBytes,
      writing: this.#writing,
    });
  }

  // Reads block the event loop on purpose: the bytes were written moments ago and lie in the page cache, where a
  // positional read of 30 KB takes a few microseconds and a trip through the thread pool several times that.
  async read(at: StagedAt): Promise<Staged | StagedRanges> {
    const block = this.#forward(at, HEADER_READ_BYTES + at.bytes + at.trailerBytes);
    const end = headerEnd(block) ?? this.#longHeader(at);
    const size = end + at.bytes + at.trailerBytes;
    const whole = end <= HEADER_READ_BYTES ? block : this.#pread(at, at.offset, size);
    const header = this.#header(at, whole.subarray(0, end));
    if (whole.length < size) throw cutShort(at, this.place);
    if (crc32(whole.subarray(end, size)) !== header.crc) {
      throw corrupt(at, `the batch at byte ${at.offset} of ${join(this.place, at.segment)} has been altered`);
    }
    return unpackBlock(header, whole.subarray(end, size));
  }

  async digests(at: StagedAt): Promise<StagedDigests> {
    const end = headerEnd(this.#pread(at, at.offset, HEADER_READ_BYTES)) ?? this.#longHeader(at);
    const header = this.#header(at, this.#pread(at, at.offset, end));
    const size = header.records * 2 * DIGEST_BYTES;
    const before = at.bytes + header.trailer - size;
    const digests = this.#pread(at, at.offset + end + before, size);
    if (digests.length < size) throw cutShort(at, this.place);
    if (header.marks !== undefined && crc32(digests) !== header.marks) {
      throw corrupt(at, `the digests of the batch at byte ${at.offset} of ${join(this.place, at.segment)} are altered`);
    }
    const { format } = header;
    const source = digests.subarray(0, size / 2);
    return { source, payload: digests.subarray(size / 2), ...(format === undefined ? {} : { format }) };
  }

  async sweep(run: RunId, kept: ReadonlySet<string>): Promise<number> {
    const folder = showRun(run);
    let removed = 0;
    for (const lane of await list(this.#disk, join(this.place, folder))) {
      for (const file of await list(this.#disk, join(this.place, folder, lane))) {
        const segment = `${folder}/${lane}/${file}`;
        if (!SEGMENT_NAME.test(segment) || kept.has(segment) || this.#writing.has(segment)) continue;
        this.#files.forget(segment);
        await this.#disk.remove(join(this.place, segment));
        removed += 1;
      }
    }
    return removed;
  }

  async close(): Promise<void> {
    this.#files.forgetAll();
    this.#ahead = undefined;
  }

  /**
   * Like `#pread`, a good piece at a time: batches are sent in the order in which they lie, so the next ones come with
   * this one. What was handed out once is read from the disk again.
   */
  #forward(at: StagedAt, size: number): Uint8Array {
    const ahead = this.#ahead;
    if (ahead?.segment === at.segment && at.offset > ahead.passed && at.offset + size <= ahead.end) {
      ahead.passed = at.offset;
      return ahead.bytes.subarray(at.offset - ahead.offset, at.offset - ahead.offset + size);
    }
    const bytes = this.#pread(at, at.offset, Math.max(size, READ_AHEAD_BYTES));
    const end = at.offset + bytes.length;
    this.#ahead = { segment: at.segment, offset: at.offset, end, bytes, passed: at.offset };
    return bytes.subarray(0, size);
  }

  /** At most `size` bytes; fewer only where the file ends. */
  #pread(at: StagedAt, offset: number, size: number): Uint8Array {
    if (!SEGMENT_NAME.test(at.segment)) {
      throw corrupt(at, `${JSON.stringify(at.segment)} is not the name of a segment`);
    }
    try {
      return preadFully(this.#disk, this.#files.fd(at.segment, join(this.place, at.segment)), offset, size);
    } catch (error) {
      throw readError(at, this.place, error);
    }
  }

  /** Hundreds of columns make a header that the first read did not hold. */
  #longHeader(at: StagedAt): number {
    for (let size = HEADER_READ_BYTES * 8; size <= HEADER_BYTES_MAX; size *= 8) {
      const bytes = this.#pread(at, at.offset, size);
      const end = headerEnd(bytes);
      if (end !== undefined) return end;
      if (bytes.length < size) break;
    }
    throw cutShort(at, this.place);
  }

  #header(at: StagedAt, line: Uint8Array): SegmentHeader {
    const header = parseHeader(line);
    if (header === undefined || header.bytes !== at.bytes || header.trailer !== at.trailerBytes) {
      throw corrupt(
        at,
        `what stands at byte ${at.offset} of ${join(this.place, at.segment)} is not the batch that was sealed`,
      );
    }
    return header;
  }
}

/** File descriptors for reading, the least recently used one closed first. */
class OpenFiles {
  readonly #disk: DiskNow;
  readonly #open = new Map<string, number>();

  constructor(disk: DiskNow) {
    this.#disk = disk;
  }

  fd(segment: string, path: string): number {
    const known = this.#open.get(segment);
    const fd = known ?? this.#disk.openNow(path);
    this.#open.delete(segment);
    this.#open.set(segment, fd);
    const [oldest] = this.#open.keys();
    if (this.#open.size > OPEN_FILES_MAX && oldest !== undefined) this.forget(oldest);
    return fd;
  }

  forget(segment: string): void {
    const fd = this.#open.get(segment);
    if (fd === undefined) return;
    this.#open.delete(segment);
    this.#disk.closeNow(fd);
  }

  forgetAll(): void {
    for (const segment of [...this.#open.keys()]) this.forget(segment);
  }
}

function preadFully(disk: DiskNow, fd: number, offset: number, size: number): Uint8Array {
  const bytes = new Uint8Array(Buffer.allocUnsafeSlow(size).buffer);
  let done = 0;
  while (done < size) {
    const got = disk.readNow(fd, bytes, done, size - done, offset + done);
    if (got === 0) break;
    done += got;
  }
  return bytes.subarray(0, done);
}

async function list(disk: Disk, folder: string): Promise<readonly string[]> {
  try {
    return await disk.list(folder);
  } catch (error) {
    const code = (error as NodeJS.ErrnoException).code;
    if (code === 'ENOENT' || code === 'ENOTDIR') return [];
    throw new WaybillError('STAGING_READ', `cannot list ${folder}`, { cause: error, ids: { path: folder } });
  }
}

/**
 * A lane's name as one folder name: lower-case letters, digits, `_` and `-` stand for themselves, every other byte
 * is written %XX. Capital letters are escaped too, so that two lanes stay two where case is not told apart.
 */
function laneFolder(lane: string): string {
  let name = '';
  for (const byte of Buffer.from(lane, 'utf8')) {
    const letter = String.fromCharCode(byte);
    name += /[a-z0-9_-]/.test(letter) ? letter : `%${byte.toString(16).padStart(2, '0')}`;
  }
  if (name === '') return '%';
  if (name.length <= 120) return name;
  return `${name.slice(0, 80)}%${createHash('sha256').update(lane).digest('hex').slice(0, 32)}`;
}

function corrupt(at: StagedAt, message: string, cause?: unknown): WaybillError {
  return new WaybillError('STAGING_CORRUPT', message, { cause, ids: { segment: at.segment, offset: at.offset } });
}

function cutShort(at: StagedAt, root: string): WaybillError {
  return corrupt(at, `${join(root, at.segment)} ends before the batch at byte ${at.offset} does`);
}

function readError(at: StagedAt, root: string, error: unknown): WaybillError {
  const path = join(root, at.segment);
  const code = (error as NodeJS.ErrnoException).code;
  if (code === 'ENOENT' || code === 'ENOTDIR') return corrupt(at, `the staged file ${path} is missing`, error);
  return new WaybillError('STAGING_READ', `cannot read the staged file ${path}`, { cause: error, ids: { path } });
}
