import { Buffer } from 'node:buffer';
import { rangeLost } from '../../objects/rereading.ts';
import type { FileParts, FileVersion, FoundFile, VersionedFile } from '../../objects/shelf.ts';
import { accessOf } from './access.ts';
import { openConfined } from './open-file.ts';

/** Parts of the files of a folder. Nothing keeps a file from being written to: who asks compares what comes. */
export function folderParts(root: string, find: (name: string) => Promise<VersionedFile | undefined>): FileParts {
  return {
    name: async (file) => {
      const found = await find(file.name);
      return found === undefined ? undefined : { file, version: shown(found.version) };
    },
    async part(range) {
      const file = await find(range.object);
      if (file === undefined) throw rangeLost(range, 'the file is gone');
      const [from, to] = [Number(range.from), Number(range.to)];
      if (file.version.bytes < to)
        throw rangeLost(range, `the file holds no more than ${file.version.bytes} bytes now`);
      return await partOf(root, file, from, to);
    },
  };
}

async function partOf(root: string, file: FoundFile, from: number, to: number): Promise<Uint8Array> {
  const handle = await openConfined(root, file);
  try {
    return Buffer.from(await (await accessOf(handle)).read(from, to));
  } finally {
    await handle.close();
  }
}

const NS_PER_MS = 1_000_000n;

/** For people, since bytes are compared and not this: when it was written, and how long it was. */
const shown = ({ writtenNs, bytes }: FileVersion): string =>
  `${new Date(Number(writtenNs / NS_PER_MS)).toISOString()}, ${bytes} bytes`;
