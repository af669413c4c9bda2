import { Buffer } from 'node:buffer';
import { dirname, join } from 'node:path';
import { WaybillError } from '../model/errors.ts';
import type { Disk, DiskFile } from './disk.ts';
import type { StagedAt } from './ledger.ts';
import { batchBlock } from './segment.ts';
import type { StagedDraft, StagingWriter } from './staging.ts';

const WRITE_BUFFER_BYTES = 1024 * 1024;

export interface WriterPlace {
  readonly disk: Disk;
  readonly root: string;
  /** `r<run>/<lane>`, below `root`. */
  readonly folder: string;
  readonly segmentBytes: number;
  readonly writing: Set<string>;
}

interface OpenSegment {
  readonly name: string;
  readonly file: DiskFile;
  /** Bytes handed to the writer, buffered ones included. */
  size: number;
}

/**
 * Appends one after the other, whatever order the calls overlap in. A writer that has failed stays failed: after an
 * error of `fdatasync` nobody knows which pages are on the disk, so nothing may be added to what was written before.
 */
export class SegmentWriter implements StagingWriter {
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
        bytes: block.payload?.length ?? 0,
        trailerBytes: block.size,
      };
      const parts = block.payload === undefined ? [block.header] : [block.header, block.payload];
      for (const part of [...parts, ...block.trailer]) await this.#put(segment, part);
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
        const file = await this.#place.disk.open(join(this.#place.root, name), 'new');
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
    const first = await this.#place.disk.makeFolder(folder);
    if (first !== undefined) {
      // A new folder's name lies in its parent, so every parent down the path has to be synced.
      for (let at = folder; at.length >= first.length; at = dirname(at)) this.#foldersToSync.add(dirname(at));
    }
    // A process that crashed may have made these and not lived to sync them.
    for (const one of [dirname(folder), this.#place.root, dirname(this.#place.root)]) this.#foldersToSync.add(one);
    const numbers = (await this.#place.disk.list(folder))
      .map((name) => Number.parseInt(name, 10))
      .filter(Number.isSafeInteger);
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
    for (const folder of this.#foldersToSync) await this.#place.disk.syncFolder(folder);
    this.#foldersToSync.clear();
  }
}

async function writeFully(file: DiskFile, bytes: Uint8Array): Promise<void> {
  for (let done = 0; done < bytes.length; ) {
    const { bytesWritten } = await file.write(bytes, done, bytes.length - done);
    done += bytesWritten;
  }
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
