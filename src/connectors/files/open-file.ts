import { Buffer } from 'node:buffer';
import { constants } from 'node:fs';
import { type FileHandle, open, stat } from 'node:fs/promises';
import { createGunzip } from 'node:zlib';
import { WaybillError } from '../../model/errors.ts';
import { confined, type FoundFile } from './paths.ts';

const READ_BYTES = 1024 * 1024;
/** Text is compressed to a twentieth, seldom to a hundredth; a bomb to a thousandth and less. */
const RATIO_MAX = 400;
const RATIO_FREE_BYTES = 16 * 1024 * 1024;

export interface ReadLimits {
  /** What a compressed file may hold at most. */
  readonly inflatedBytesMax: number;
}

/** The bytes of a file, 1 MiB at a time; those that are in it, for a file that is compressed. */
export async function* fileBytes(root: string, file: FoundFile, limits: ReadLimits): AsyncGenerator<Uint8Array> {
  const handle = await openConfined(root, file);
  try {
    if (/\.gz$/i.test(file.name)) yield* inflated(handle, file, limits);
    else yield* plain(handle);
  } finally {
    await handle.close();
  }
}

/** Opens what was found and nothing else: a name that was turned into a link since leads to no other file. */
export async function openConfined(root: string, file: FoundFile): Promise<FileHandle> {
  const handle = await open(file.path, constants.O_RDONLY | constants.O_NOFOLLOW);
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

async function* plain(handle: FileHandle): AsyncGenerator<Uint8Array> {
  for (;;) {
    // A new buffer each time: whoever frames the records may keep it and hand out parts of it.
    const buffer = Buffer.allocUnsafeSlow(READ_BYTES);
    const { bytesRead } = await handle.read(buffer, 0, READ_BYTES, null);
    if (bytesRead === 0) return;
    yield buffer.subarray(0, bytesRead);
  }
}

async function* inflated(handle: FileHandle, file: FoundFile, limits: ReadLimits): AsyncGenerator<Uint8Array> {
  const { size } = await handle.stat();
  const max = Math.min(limits.inflatedBytesMax, Math.max(RATIO_FREE_BYTES, size * RATIO_MAX));
  const input = handle.createReadStream({ highWaterMark: 256 * 1024, autoClose: false });
  const output = input.pipe(createGunzip({ chunkSize: READ_BYTES }));
  // `pipe` passes on bytes and not errors.
  input.once('error', (error) => output.destroy(error));
  let total = 0;
  try {
    for await (const bytes of output as AsyncIterable<Buffer>) {
      total += bytes.length;
      if (total > max) {
        throw new WaybillError('SOURCE_INVALID', `${file.name} holds more than ${max} bytes when it is unpacked`, {
          hint: 'Raise `inflatedBytesMax` if it is meant to be so large; unpack it first if it is packed so densely.',
        });
      }
      yield bytes;
    }
  } finally {
    output.destroy();
    input.destroy();
  }
}
