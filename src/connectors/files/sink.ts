import { Buffer } from 'node:buffer';
import { constants } from 'node:fs';
import { type FileHandle, open, stat } from 'node:fs/promises';
import { join } from 'node:path';
import type { Batch, Payload } from '../../model/batch.ts';
import { describeError, NotAppliedError, RefusedError, WaybillError } from '../../model/errors.ts';
import { applied, type Verdict } from '../../model/verdict.ts';
import { encodedBatch, framingsOf, headerOf } from '../../objects/encode.ts';
import { objectLoads } from '../../objects/loads.ts';
import { fillPath, placeholdersOf, segmentsOf } from '../../objects/paths.ts';
import type { Permit, Sink } from '../connector.ts';
import { away } from './away.ts';
import { FolderStore } from './folder-store.ts';
import { madeTarget, syncFolder } from './target.ts';

export interface FilesSinkOptions {
  readonly root: string;
  /** A path, with `{{ window }}`, `{{ flow }}` and `{{ lane }}`. */
  readonly path: string;
  readonly format: 'ndjson' | 'csv';
  /** A first line with the names of the fields, in CSV. */
  readonly header: boolean;
  readonly recordsPerBatch: number;
  readonly bytesPerBatch: number;
}

/**
 * Adds batches to a file, one after the other. The size of the file is the position: a batch is written at the size
 * that the file had when the batch was intended, so a repeat finds its own bytes there and knows that it has been done;
 * what a crash left half-written is recognised as the beginning of the batch, and written again. Bytes of somebody
 * else are never overwritten.
 *
 * A path with placeholders is a new file for each window: it begins at 0, and has to be absent or empty.
 */
export function filesSink(options: FilesSinkOptions): Sink {
  const writer = new FileWriter(options);
  const { root, path } = options;
  const written = { ...options, columns: [] };
  const store = new FolderStore(root);
  const loads = objectLoads({ store, path, encode: (permit) => encodedBatch(written, permit) });
  return {
    accepts: framingsOf(written),
    limits: { recordsPerBatch: options.recordsPerBatch, bytesPerBatch: options.bytesPerBatch, inFlight: 1 },
    can: {
      appendAt: (permit, expected) => writer.write(permit, expected),
      append: (permit) => writer.write(permit, undefined),
      ...loads.can,
    },
    facts: { rejectsAtomically: true, tail: () => writer.tail(), ...loads.facts },
    requestTimeoutMs: 60_000,
  };
}

class FileWriter {
  readonly #options: FilesSinkOptions;
  /** Writes to one file never overlap, whoever asks for them. */
  #queue: Promise<unknown> = Promise.resolve();

  constructor(options: FilesSinkOptions) {
    this.#options = options;
  }

  async tail(): Promise<string> {
    const { root, path } = this.#options;
    if (placeholdersOf(path).length > 0) return '0';
    try {
      return String((await stat(join(root, ...segmentsOf(path)))).size);
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code === 'ENOENT') return '0';
      throw away(path)(error);
    }
  }

  write(permit: Permit, expected: string | undefined): Promise<Verdict> {
    const go = async (): Promise<Verdict> => {
      if (permit.signal.aborted) throw new NotAppliedError('the send was given up before it began');
      const payload = await permit.payload();
      const { file, name } = await this.#open(permit.batch);
      try {
        return await this.#place(file, name, permit.batch, payload, expected);
      } finally {
        await file.close();
      }
    };
    const turn = this.#queue.then(go, go);
    this.#queue = turn;
    return turn;
  }

  async #place(
    file: FileHandle,
    name: string,
    batch: Batch,
    payload: Payload,
    expected: string | undefined,
  ): Promise<Verdict> {
    const { size } = await file.stat().catch(away(name));
    const at = expected === undefined ? size : Number(expected);
    const bytes = at === 0 ? Buffer.concat([headerOf(this.#options, payload), payload.bytes]) : payload.bytes;
    if (at > 0) await this.#expectSameHeader(file, name, payload);
    const verdict = applied(batch.records, {
      summary: `${bytes.length} bytes at ${at} of ${name}`,
      position: String(at + bytes.length),
    });
    if (size > at && !(await this.#isOurs(file, name, at, bytes, size))) {
      throw new RefusedError(`${name} holds something else from byte ${at} on`, { reason: 'position' });
    }
    if (size < at)
      throw new RefusedError(`${name} has ${size} bytes, fewer than the ${at} that were there`, { reason: 'position' });
    if (size < at + bytes.length) await writeAt(file, name, bytes, at);
    await sync(file, name);
    return verdict;
  }

  /** Does the file hold these bytes from here on, or, where it ends within them, their beginning? */
  async #isOurs(file: FileHandle, name: string, at: number, bytes: Uint8Array, size: number): Promise<boolean> {
    const there = await readAt(file, at, Math.min(bytes.length, size - at)).catch(away(name));
    return Buffer.compare(there, bytes.subarray(0, there.length)) === 0;
  }

  async #expectSameHeader(file: FileHandle, name: string, payload: Payload): Promise<void> {
    const header = headerOf(this.#options, payload);
    const there = await readAt(file, 0, header.length).catch(away(name));
    if (Buffer.compare(there, header) !== 0) {
      throw new RefusedError(`${name} has other columns than this batch`, { reason: 'columns' });
    }
  }

  async #open(batch: Batch): Promise<{ readonly file: FileHandle; readonly name: string }> {
    const { root, path } = this.#options;
    const name = fillPath(path, { window: batch.window, flow: batch.flow, lane: batch.lane });
    try {
      const { target, folder } = await madeTarget(root, name);
      return { file: await openOrMake(target, folder), name };
    } catch (error) {
      throw away(name)(error);
    }
  }
}

async function openOrMake(target: string, folder: string): Promise<FileHandle> {
  const flags = constants.O_RDWR | constants.O_NOFOLLOW;
  try {
    return await open(target, flags);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ENOENT') throw error;
  }
  const file = await open(target, flags | constants.O_CREAT, 0o666);
  try {
    await syncFolder(folder);
    return file;
  } catch (error) {
    await file.close();
    throw error;
  }
}

/** Writes all of it, or takes back what it wrote and proves that nothing was applied. */
async function writeAt(file: FileHandle, name: string, bytes: Uint8Array, at: number): Promise<void> {
  let done = 0;
  try {
    while (done < bytes.length) {
      const { bytesWritten } = await file.write(bytes, done, bytes.length - done, at + done);
      done += bytesWritten;
    }
  } catch (error) {
    await takeBack(file, name, at, error);
    throw away(name)(error);
  }
}

async function takeBack(file: FileHandle, name: string, at: number, cause: unknown): Promise<void> {
  try {
    await file.truncate(at);
    await file.sync();
  } catch (error) {
    const message = `writing ${name} failed, and what was written could not be taken back: ${describeError(error)}`;
    throw new WaybillError('SINK_FAILED', message, { cause });
  }
}

async function sync(file: FileHandle, name: string): Promise<void> {
  try {
    await file.sync();
  } catch (error) {
    // Nobody knows which of the bytes are on the disk.
    throw new WaybillError('SINK_FAILED', `what was written to ${name} may not have reached the disk`, {
      cause: error,
    });
  }
}

async function readAt(file: FileHandle, at: number, size: number): Promise<Uint8Array> {
  const bytes = Buffer.allocUnsafeSlow(size);
  let done = 0;
  while (done < size) {
    const { bytesRead } = await file.read(bytes, done, size - done, at + done);
    if (bytesRead === 0) break;
    done += bytesRead;
  }
  return bytes.subarray(0, done);
}
