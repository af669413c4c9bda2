import type { FileHandle } from 'node:fs/promises';
import type { RandomAccess } from '../../formats/parquet/read.ts';
import { WaybillError } from '../../model/errors.ts';

export async function accessOf(handle: FileHandle): Promise<RandomAccess> {
  const { size } = await handle.stat();
  return { size, read: (start, end) => readPart(handle, start, end) };
}

async function readPart(handle: FileHandle, start: number, end: number): Promise<ArrayBuffer> {
  const bytes = new Uint8Array(Math.max(0, end - start));
  let done = 0;
  while (done < bytes.length) {
    const { bytesRead } = await handle.read(bytes, done, bytes.length - done, start + done);
    if (bytesRead === 0) throw new WaybillError('SOURCE_FAILED', 'the file has become shorter while it was read');
    done += bytesRead;
  }
  return bytes.buffer;
}
