import { constants } from 'node:fs';
import { mkdir, open, realpath } from 'node:fs/promises';
import { dirname, isAbsolute, join, relative } from 'node:path';
import { WaybillError } from '../../model/errors.ts';
import { segmentsOf } from '../../objects/paths.ts';

/** Where a file of this name goes, its folder made. Throws SINK_AWAY where a link leads out of the root. */
export async function madeTarget(root: string, name: string): Promise<{ target: string; folder: string }> {
  const target = join(root, ...segmentsOf(name));
  await mkdir(dirname(target), { recursive: true });
  const folder = await realpath(dirname(target));
  const way = relative(await realpath(root), folder);
  if (way.startsWith('..') || isAbsolute(way)) {
    throw new WaybillError('SINK_AWAY', `${name} lies behind a symbolic link that leads out of ${root}`);
  }
  return { target, folder };
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
