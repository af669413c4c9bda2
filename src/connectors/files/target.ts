import { constants } from 'node:fs';
import { mkdir, open, realpath } from 'node:fs/promises';
import { dirname, isAbsolute, join, relative } from 'node:path';
import { WaybillError } from '../../model/errors.ts';
import { segmentsOf } from '../../objects/paths.ts';
import { unfit } from './away.ts';

/** Where a file of this name goes, its folder made. Throws RefusedError where a link leads out of the root. */
export async function madeTarget(root: string, name: string): Promise<{ target: string; folder: string }> {
  const target = join(root, ...segmentsOf(name));
  const made = await mkdir(dirname(target), { recursive: true });
  if (made !== undefined) await syncNew(made, dirname(target));
  const folder = await confinedFolder(root, name);
  if (folder !== undefined) return { target, folder };
  throw new WaybillError('SINK_AWAY', `the folder of ${name} was removed a moment after it was made`);
}

/** The real folder of a file; undefined when there is none. Throws RefusedError where a link leads out of the root. */
export async function confinedFolder(root: string, name: string): Promise<string | undefined> {
  const folder = await existing(dirname(join(root, ...segmentsOf(name))));
  if (folder === undefined) return undefined;
  const way = relative(await realpath(root), folder);
  if (!way.startsWith('..') && !isAbsolute(way)) return folder;
  throw unfit(name, `it lies behind a symbolic link that leads out of ${root}`, { reason: 'link' });
}

async function existing(folder: string): Promise<string | undefined> {
  try {
    return await realpath(folder);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined;
    throw error;
  }
}

/** The names of new folders lie in those above them. */
async function syncNew(first: string, last: string): Promise<void> {
  for (let at = last; at.length >= first.length; at = dirname(at)) await syncFolder(dirname(at));
}

/** The name of a new file lies in its folder, and has to be durable before anything is said to be in the file. */
export async function syncFolder(folder: string): Promise<void> {
  const parent = await open(folder, constants.O_RDONLY | constants.O_DIRECTORY);
  try {
    await parent.sync();
  } finally {
    await parent.close();
  }
}
