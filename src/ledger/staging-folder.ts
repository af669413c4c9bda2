import { Buffer } from 'node:buffer';
import { createHash } from 'node:crypto';
import { closeSync, constants, openSync, readSync } from 'node:fs';
import { type FileHandle, mkdir, open, readdir, rm } from 'node:fs/promises';
import { dirname, join, resolve } from 'node:path';
import { crc32 } from 'node:zlib';
import { DIGEST_BYTES } from '../model/chunk.ts';
import { WaybillError } from '../model/errors.ts';
import { type RunId, showRun } from '../model/ids.ts';
import type { StagedAt } from './ledger.ts';
import {
  batchBlock,
  HEADER_BYTES_MAX,
  HEADER_READ_BYTES,
  headerEnd,
  parseHeader,
  SEGMENT_NAME,
  type SegmentHeader,
  unpackTrailer,
} from './segment.ts';
import type { Staged, StagedDraft, Staging, StagingWriter } from './staging.ts';

/** Large enough that a day of many batches is a few files, small enough to be copied or deleted one by one. */
const SEGMENT_BYTES = 64 * 1024 * 1024;
const WRITE_BUFFER_BYTES = 1024 * 1024;
const OPEN_FILES_MAX = 64;

export interface FolderStagingOptions {
  /** A segment that has reached this size gets no further batch. */
  readonly segmentBytes?: number;
}

/**
 * Frozen bytes in a folder: `<root>/r<run>/<lane>/<n>.seg`, readable by the owner only. A segment is written by one
 * process and never opened again for writing: what a crash left half-written at its end stays there, unreferenced.
 */
export function folderStaging(root: string, options: FolderStagingOptions = {}): Staging {
  return new FolderStaging(resolve(root), options.segmentBytes ?? SEGMENT_BYTES);
}

class FolderStaging implements Staging {
  readonly place: string;
  readonly #segmentBytes: number;
  readonly #files = new OpenFiles();
  /** Segments that a writer of this process holds: the ledger may not know of them yet, and a sweep spares them. */
  readonly #writing = new Set<string>();

  constructor(place: string, segmentBytes: number) {
    this.place = place;
    this.#segmentBytes = segmentBytes;
  }

  writer(run: RunId, lane: string): StagingWriter {
    const folder = `${showRun(run)}/${laneFolder(lane)}`;
    return new FolderWriter({ root: this.place, folder, segmentBytes: this.#segmentBytes, writing: this.#writing });
  }

  // Reads block the event loop on purpose: the bytes were written moments ago and lie in the page cache, where a
  // positional read of 30 KB takes a few microseconds and a trip through the thread pool several times that.
  async read(at: StagedAt): Promise<Staged> {
    const block = this.#pread(at, at.offset, HEADER_READ_BYTES + at.bytes + at.trailerBytes);
    const end = headerEnd(block) ?? this.#longHeader(at);
    const size = end + at.bytes + at.trailerBytes;
    const whole = end <= HEADER_READ_BYTES ? block : this.#pread(at, at.offset, size);
    const header = this.#header(at, whole.subarray(0, end));
    if (whole.length < size) throw cutShort(at, this.place);
    if (crc32(whole.subarray(end, size)) !== header.crc) {
      throw corrupt(at, `the batch at byte ${at.offset} of ${join(this.place, at.segment)} has been altered`);
    }
    return {
      bytes: whole.subarray(end, end + at.bytes),
      ...unpackTrailer(whole.subarray(end + at.bytes, size), header.records),
      ...(header.columns === undefined ? {} : { columns: header.columns }),
    };
  }

  async digests(at: StagedAt): Promise<{ readonly source: Uint8Array; readonly payload: Uint8Array }> {
    const end = headerEnd(this.#pread(at, at.offset, HEADER_READ_BYTES)) ?? this.#longHeader(at);
    const header = this.#header(at, this.#pread(at, at.offset, end));
    const size = header.records * 2 * DIGEST_BYTES;
    const before = at.bytes + header.trailer - size;
    const digests = this.#pread(at, at.offset + end + before, size);
    if (digests.length < size) throw cutShort(at, this.place);
    return { source: digests.subarray(0, size / 2), payload: digests.subarray(size / 2) };
  }

  async sweep(run: RunId, kept: ReadonlySet<string>): Promise<number> {
    const folder = showRun(run);
    let removed = 0;
    for (const lane of await list(join(this.place, folder))) {
      for (const file of await list(join(this.place, folder, lane))) {
        const segment = `${folder}/${lane}/${file}`;
        if (!SEGMENT_NAME.test(segment) || kept.has(segment) || this.#writing.has(segment)) continue;
        this.#files.forget(segment);
        await rm(join(this.place, segment), { force: true });
        removed += 1;
      }
    }
    return removed;
  }

  /** At most `size` bytes; fewer only where the file ends. */
  #pread(at: StagedAt, offset: number, size: number): Uint8Array {
    if (!SEGMENT_NAME.test(at.segment)) {
      throw corrupt(at, `${JSON.stringify(at.segment)} is not the name of a segment`);
    }
    try {
      return preadFully(this.#files.fd(at.segment, join(this.place, at.segment)), offset, size);
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
  readonly #open = new Map<string, number>();

  fd(segment: string, path: string): number {
    const known = this.#open.get(segment);
    const fd = known ?? openSync(path, constants.O_RDONLY | constants.O_NOFOLLOW);
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
    closeSync(fd);
  }
}

interface WriterPlace {
  readonly root: string;
  /** `r<run>/<lane>`, below `root`. */
  readonly folder: string;
  readonly segmentBytes: number;
  readonly writing: Set<string>;
}

interface OpenSegment {
  readonly name: string;
  readonly file: FileHandle;
  /** Bytes handed to the writer, buffered ones included. */
  size: number;
}

/**
 * Appends one after the other, whatever order the calls overlap in. A writer that has failed stays failed: after an
 * error of `fdatasync` nobody knows which pages are on the disk, so nothing may be added to what was written before.
 */
class FolderWriter implements StagingWriter {
  readonly #place: WriterPlace;
  readonly #foldersToSync = new Set<string>();
  #queue: Promise<unknown> = Promise.resolve();
  #failure: unknown;
  #segment: OpenSegment | undefined;
  #lastNumber: number | undefined;
  #buffer = Buffer.allocUnsafe(WRITE_BUFFER_BYTES);
  #buffered = 0;
  #dirty = false;

  constructor(place: WriterPlace) {
    this.#place = place;
  }

  append(draft: StagedDraft): Promise<StagedAt> {
    return this.#inTurn(async () => {
      const block = batchBlock(draft);
      const segment = await this.#segmentWithRoom();
      const at = {
        segment: segment.name,
        offset: segment.size,
        bytes: draft.bytes.length,
        trailerBytes: block.trailer.length,
      };
      for (const part of [block.header, draft.bytes, block.trailer]) await this.#put(segment, part);
      return at;
    });
  }

  sync(): Promise<void> {
    return this.#inTurn(() => this.#flushAndSync());
  }

  async close(): Promise<void> {
    await Promise.allSettled([this.#queue]);
    const segment = this.#segment;
    this.#segment = undefined;
    if (segment === undefined) return;
    this.#place.writing.delete(segment.name);
    await segment.file.close();
  }

  #inTurn<T>(work: () => Promise<T>): Promise<T> {
    const go = async (): Promise<T> => {
      if (this.#failure !== undefined) throw this.#failure;
      try {
        return await work();
      } catch (error) {
        this.#failure = writeError(this.#place, error);
        throw this.#failure;
      }
    };
    const turn = this.#queue.then(go, go);
    this.#queue = turn;
    return turn;
  }

  async #segmentWithRoom(): Promise<OpenSegment> {
    if (this.#segment !== undefined && this.#segment.size >= this.#place.segmentBytes) {
      await this.#flushAndSync();
      this.#place.writing.delete(this.#segment.name);
      await this.#segment.file.close();
      this.#segment = undefined;
    }
    this.#segment ??= await this.#openNext();
    return this.#segment;
  }

  async #openNext(): Promise<OpenSegment> {
    const folder = join(this.#place.root, this.#place.folder);
    this.#lastNumber ??= await this.#prepareFolder(folder);
    for (;;) {
      this.#lastNumber += 1;
      const name = `${this.#place.folder}/${this.#lastNumber}.seg`;
      try {
        this.#place.writing.add(name);
        const file = await open(join(this.#place.root, name), 'wx', 0o600);
        this.#foldersToSync.add(folder);
        return { name, file, size: 0 };
      } catch (error) {
        this.#place.writing.delete(name);
        // Another writer of the same lane took the number since the folder was listed.
        if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error;
      }
    }
  }

  /** Makes the folder, and returns the highest segment number in it. */
  async #prepareFolder(folder: string): Promise<number> {
    const first = await mkdir(folder, { recursive: true, mode: 0o700 });
    if (first !== undefined) {
      // A new folder's name lies in its parent, so every parent down the path has to be synced.
      for (let at = folder; at.length >= first.length; at = dirname(at)) this.#foldersToSync.add(dirname(at));
    }
    // A process that crashed may have made these two and not lived to sync them.
    this.#foldersToSync.add(dirname(folder)).add(this.#place.root);
    const numbers = (await readdir(folder)).map((name) => Number.parseInt(name, 10)).filter(Number.isSafeInteger);
    return Math.max(0, ...numbers);
  }

  async #put(segment: OpenSegment, part: Uint8Array): Promise<void> {
    segment.size += part.length;
    if (this.#buffered + part.length > this.#buffer.length) await this.#flush(segment);
    if (part.length >= this.#buffer.length) {
      await writeFully(segment.file, part);
      this.#dirty = true;
      return;
    }
    this.#buffer.set(part, this.#buffered);
    this.#buffered += part.length;
  }

  async #flush(segment: OpenSegment): Promise<void> {
    if (this.#buffered === 0) return;
    await writeFully(segment.file, this.#buffer.subarray(0, this.#buffered));
    this.#buffered = 0;
    this.#dirty = true;
  }

  async #flushAndSync(): Promise<void> {
    if (this.#segment !== undefined) {
      await this.#flush(this.#segment);
      if (this.#dirty) await this.#segment.file.datasync();
      this.#dirty = false;
    }
    for (const folder of this.#foldersToSync) await syncFolder(folder);
    this.#foldersToSync.clear();
  }
}

async function writeFully(file: FileHandle, bytes: Uint8Array): Promise<void> {
  for (let done = 0; done < bytes.length; ) {
    const { bytesWritten } = await file.write(bytes, done, bytes.length - done);
    done += bytesWritten;
  }
}

async function syncFolder(folder: string): Promise<void> {
  const handle = await open(folder, constants.O_RDONLY | constants.O_DIRECTORY);
  try {
    await handle.sync();
  } finally {
    await handle.close();
  }
}

function preadFully(fd: number, offset: number, size: number): Uint8Array {
  const bytes = new Uint8Array(Buffer.allocUnsafeSlow(size).buffer);
  let done = 0;
  while (done < size) {
    const got = readSync(fd, bytes, done, size - done, offset + done);
    if (got === 0) break;
    done += got;
  }
  return bytes.subarray(0, done);
}

async function list(folder: string): Promise<readonly string[]> {
  try {
    return await readdir(folder);
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

const WRITE_HINTS: Readonly<Record<string, string>> = {
  ENOSPC: 'There is no room left on the disk of the staging folder: make room, then run the same command again.',
  EDQUOT: 'The quota of the staging folder is used up: make room, then run the same command again.',
  EROFS: 'The staging folder lies on a read-only file system: give another one with `staging:` in the flow file.',
  EACCES: 'This user may not write to the staging folder: change its owner, or give another one with `staging:`.',
  EPERM: 'This user may not write to the staging folder: change its owner, or give another one with `staging:`.',
};

function writeError(place: WriterPlace, error: unknown): WaybillError {
  if (error instanceof WaybillError) return error;
  const path = join(place.root, place.folder);
  const hint = WRITE_HINTS[(error as NodeJS.ErrnoException).code ?? ''];
  const details = { cause: error, ids: { path }, ...(hint === undefined ? {} : { hint }) };
  return new WaybillError('STAGING_WRITE', `cannot write staged bytes below ${path}`, details);
}
