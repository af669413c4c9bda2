import { constants } from 'node:fs';
import { type FileHandle, open, unlink } from 'node:fs/promises';
import { basename } from 'node:path';
import { WaybillError } from '../../model/errors.ts';

/** Names tried for the file that is written before it gets its own. */
const DRAFTS_MAX = 100;

/** A whole file under a name that nobody reads. What a crash left there is passed over. */
export async function writtenDraft(
  path: string,
  pieces: Iterable<Uint8Array> | AsyncIterable<Uint8Array>,
): Promise<string> {
  for (let nth = 0; nth < DRAFTS_MAX; nth++) {
    const draft = `${path}.${nth}.draft`;
    const file = await openNew(draft);
    if (file === undefined) continue;
    try {
      for await (const piece of pieces) await file.writeFile(piece);
      await file.sync();
      return draft;
    } catch (error) {
      await unlink(draft);
      throw error;
    } finally {
      await file.close();
    }
  }
  throw new WaybillError('SINK_AWAY', `there are ${DRAFTS_MAX} files like ${basename(path)}.0.draft`, {
    hint: 'Remove those that an interrupted run has left.',
  });
}

async function openNew(path: string): Promise<FileHandle | undefined> {
  try {
    return await open(path, constants.O_WRONLY | constants.O_CREAT | constants.O_EXCL, 0o666);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'EEXIST') return undefined;
    throw error;
  }
}

/** From here on no error proves that nothing was applied; the file itself tells it at the next try. */
export function undecided(message: string): (error: unknown) => never {
  return (error) => {
    throw new WaybillError('SINK_FAILED', message, { cause: error });
  };
}
