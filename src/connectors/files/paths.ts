import type { Dirent } from 'node:fs';
import { readdir, realpath } from 'node:fs/promises';
import { isAbsolute, join, relative, resolve, sep } from 'node:path';
import { WaybillError } from '../../model/errors.ts';
import { matcher, segmentsOf } from '../../objects/paths.ts';
import type { FoundFile } from '../../objects/shelf.ts';

/**
 * The files below `root` that a pattern names, in order of their names. `*` and `?` stand for characters within a name,
 * `**` for any folders. Throws SOURCE_INVALID for a pattern or a symbolic link that leads out of the root.
 */
export async function findFiles(root: string, pattern: string): Promise<readonly FoundFile[]> {
  const segments = segmentsOf(pattern);
  const names = (await expand(root, '', segments)).sort((a, b) => (a < b ? -1 : 1));
  const found: FoundFile[] = [];
  for (const name of new Set(names)) found.push({ name, path: await confined(root, name) });
  return found;
}

/** The real path of a file, if that lies below the real root: symbolic links may lead around, but not out. */
export async function confined(root: string, name: string): Promise<string> {
  const [realRoot, path] = [await realpath(root), await realpath(join(root, name))];
  const way = relative(realRoot, path);
  if (way === '..' || way.startsWith(`..${sep}`) || isAbsolute(way)) {
    throw new WaybillError('SOURCE_INVALID', `${name} is a symbolic link that leads out of ${root}`, {
      ids: { path: name },
    });
  }
  return resolve(realRoot, way);
}

async function expand(root: string, base: string, segments: readonly string[]): Promise<string[]> {
  const [segment, ...rest] = segments;
  if (segment === undefined) return [];
  const entries = await entriesOf(join(root, base));
  const names: string[] = [];
  const matches = matcher(segment);
  // `**` also stands for no folder at all.
  if (segment === '**') names.push(...(await expand(root, base, rest.length === 0 ? ['*'] : rest)));
  for (const entry of entries) {
    const name = base === '' ? entry.name : `${base}/${entry.name}`;
    const folder = entry.isDirectory() || entry.isSymbolicLink();
    if (segment === '**' && entry.isDirectory() && !entry.name.startsWith('.'))
      names.push(...(await expand(root, name, segments)));
    else if (segment !== '**' && rest.length === 0 && !entry.isDirectory() && matches(entry.name)) names.push(name);
    else if (segment !== '**' && rest.length > 0 && folder && matches(entry.name))
      names.push(...(await expand(root, name, rest)));
  }
  return names;
}

async function entriesOf(folder: string): Promise<readonly Dirent[]> {
  try {
    return await readdir(folder, { withFileTypes: true });
  } catch (error) {
    const code = (error as NodeJS.ErrnoException).code;
    if (code === 'ENOENT' || code === 'ENOTDIR') return [];
    throw new WaybillError('SOURCE_FAILED', `cannot list ${folder}`, { cause: error, ids: { path: folder } });
  }
}
