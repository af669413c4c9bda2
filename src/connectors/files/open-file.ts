import { Buffer } from 'node:buffer';
import { constants } from 'node:fs';
import { type FileHandle, open, stat } from 'node:fs/promises';
import { Readable } from 'node:stream';
import { WaybillError } from '../../model/errors.ts';
import type { FoundFile } from '../../objects/shelf.ts';
import { inflated, type ReadLimits } from '../../objects/unpack.ts';
import { confined } from './paths.ts';
import { unspoilt } from './unspoilt.ts';

const READ_BYTES = 1024 * 1024;
const READ_BYTES_MIN = 4 * 1024;

interface ReadHow extends ReadLimits {
  /** Where the next bytes may be written. */
  readonly into?: (() => Uint8Array | undefined) | undefined;
}

/** The bytes of one content of a file, 1 MiB at a time; those that are in it, for a file that is compressed. */
export async function* fileBytes(
  root: string,
  file: FoundFile,
  { into, ...limits }: ReadHow,
): AsyncGenerator<Uint8Array> {
  const handle = await openConfined(root, file);
  try {
    const { name } = file;
    const before = await handle.stat({ bigint: true });
    const lines = !/\.gz$/i.test(name);
    const bytes = unspoilt(
      handle,
      { name, before, lines },
      openBytes(handle, Number(before.size), lines ? into : undefined),
    );
    if (lines) return yield* bytes;
    const packed = Readable.from(bytes, { objectMode: false });
    yield* inflated(packed, { name, bytes: Number(before.size) }, limits);
  } finally {
    await handle.close();
  }
}

/**
 * Opens what was found and nothing else: a name that was turned into a link since leads to no other file. A pipe is
 * opened without waiting for somebody to write into it, and is then seen to be no file.
 */
export async function openConfined(root: string, file: FoundFile): Promise<FileHandle> {
  const handle = await open(file.path, constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK);
  try {
    const [opened, named] = [await handle.stat(), await stat(await confined(root, file.name))];
    if (!opened.isFile()) throw new WaybillError('SOURCE_INVALID', `${file.name} is not a file`);
    if (opened.ino === named.ino && opened.dev === named.dev) return handle;
    throw new WaybillError('SOURCE_FAILED', `${file.name} was replaced while it was being opened`);
  } catch (error) {
    await handle.close();
    throw error;
  }
}

/** What is in an open file from where it stands, 1 MiB at a time. `size` is how much that may be, by a guess. */
export async function* openBytes(handle: FileHandle, size: number, into?: ReadHow['into']): AsyncGenerator<Uint8Array> {
  // A file may grow: but for a small one a large buffer costs more than what is read into it.
  let left = size;
  for (;;) {
    const wanted = Math.min(Math.max(left + 1, READ_BYTES_MIN), READ_BYTES);
    // A new buffer unless it is said where: whoever frames the records may keep it and hand out parts of it.
    const buffer = into?.() ?? Buffer.allocUnsafeSlow(wanted);
    const { bytesRead } = await handle.read(buffer, 0, buffer.length, null);
    if (bytesRead === 0) return;
    left -= bytesRead;
    yield buffer.subarray(0, bytesRead);
  }
}
