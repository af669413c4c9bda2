import { stat } from 'node:fs/promises';
import { WaybillError } from '../../model/errors.ts';
import { type ReadingOptions, readingSource } from '../../objects/reading.ts';
import type { FoundFile, Shelf } from '../../objects/shelf.ts';
import type { ReadLimits } from '../../objects/unpack.ts';
import type { Source } from '../connector.ts';
import { accessOf } from './access.ts';
import { fileBytes, openConfined } from './open-file.ts';
import { findFiles } from './paths.ts';

export interface FilesSourceOptions extends Omit<ReadingOptions, 'shelf'>, ReadLimits {
  readonly root: string;
}

/** Reads the records of one file or of many, in order of their names. */
export function filesSource({ root, inflatedBytesMax, ...options }: FilesSourceOptions): Source {
  return readingSource({ ...options, shelf: folderShelf(root, { inflatedBytesMax }) });
}

function folderShelf(root: string, limits: ReadLimits): Shelf {
  return {
    where: `below ${root}`,
    list: (pattern) => listed(root, pattern),
    bytes: (file) => fileBytes(root, file, limits),
    open: async (file) => {
      const handle = await openConfined(root, file);
      return { ...(await accessOf(handle)), close: () => handle.close() };
    },
    size: async ({ path }) => (await stat(path)).size,
  };
}

async function listed(root: string, pattern: string): Promise<readonly FoundFile[]> {
  try {
    return await findFiles(root, pattern);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ENOENT') throw error;
    throw new WaybillError('SOURCE_FAILED', `something that ${pattern} names is gone`, {
      cause: error,
      ids: { pattern },
    });
  }
}
