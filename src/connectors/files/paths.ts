import type { Dirent } from 'node:fs';
import { lstat, readdir, realpath } from 'node:fs/promises';
import { isAbsolute, join, relative, resolve, sep } from 'node:path';
import { describeError, WaybillError } from '../../model/errors.ts';
import { byName, matcher, segmentsOf } from '../../objects/paths.ts';
import type { FoundFile } from '../../objects/shelf.ts';

/**
 * The files below `root` that a pattern names, in order of their names. `*` and `?` stand for characters within a name,
 * `**` for any folders. Throws SOURCE_INVALID for a pattern or a symbolic link that leads out of the root.
 */
export async function findFiles(root: string, pattern: string): Promise<readonly FoundFile[]> {
  const segments = segmentsOf(pattern);
  const found = new Map<string, FoundFile>();
  // Only a link can lead elsewhere: what lies in a real folder needs no look of its own, be there ever so many.
  for (const { name, path } of await expand(root, { name: '', path: undefined }, segments)) {
    if (!found.has(name)) found.set(name, { name, path: path ?? (await ledTo(root, name)) });
  }
  return [...found.values()].sort((a, b) => byName(a.name, b.name));
}

/** Where a link leads that a pattern names. One that leads nowhere is an error: passed over, it would be missed. */
async function ledTo(root: string, name: string): Promise<string> {
  try {
    return await confined(root, name);
  } catch (error) {
    if (error instanceof WaybillError) throw error;
    throw new WaybillError('SOURCE_FAILED', `the symbolic link ${name} leads to no file: ${describeError(error)}`, {
      hint: 'Correct or remove the link, or it was a file a moment ago: then run the same command again.',
      cause: error,
      ids: { path: name },
    });
  }
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

/** What was come upon: `path` is its real one, and undefined where a link has led or may lead. */
interface Entry {
  readonly name: string;
  readonly path: string | undefined;
}

async function expand(root: string, base: Entry, segments: readonly string[]): Promise<Entry[]> {
  const [segment, ...rest] = segments;
  if (segment === undefined) return [];
  const folder = base.name === '' ? { name: '', path: await realFolder(root) } : base;
  const entries = await entriesOf(join(root, base.name));
  const found: Entry[] = [];
  const matches = matcher(segment);
  // `**` also stands for no folder at all.
  if (segment === '**') add(found, await expand(root, folder, rest.length === 0 ? ['*'] : rest));
  for (const entry of entries) {
    const leads = entry.isDirectory() || entry.isSymbolicLink();
    const further = segment === '**' ? entry.isDirectory() && !entry.name.startsWith('.') : rest.length > 0 && leads;
    const last = segment !== '**' && rest.length === 0 && !entry.isDirectory();
    if (!(further || last) || (segment !== '**' && !matches(entry.name))) continue;
    const here = entryIn(folder, entry);
    if (entry.name.includes(UNREADABLE)) await requireReadable(root, here.name);
    if (last) found.push(here);
    else add(found, await expand(root, here, segment === '**' ? segments : rest));
  }
  return found;
}

/** What stands in a name for bytes that are not UTF-8. */
const UNREADABLE = '\ufffd';

/** A name that is not UTF-8 is told as another one, which nothing can be opened by: it would be taken for gone. */
async function requireReadable(root: string, name: string): Promise<void> {
  try {
    await lstat(join(root, name));
  } catch (error) {
    throw new WaybillError('SOURCE_FAILED', `${name} cannot be opened: its name is not UTF-8`, {
      hint: 'Rename it, or move it out of the folder.',
      cause: error,
      ids: { path: name },
    });
  }
}

/** `push(...)` of a hundred thousand would not fit on the stack. */
function add(found: Entry[], more: readonly Entry[]): void {
  for (const one of more) found.push(one);
}

function entryIn(folder: Entry, entry: Dirent): Entry {
  const name = folder.name === '' ? entry.name : `${folder.name}/${entry.name}`;
  const plain = folder.path !== undefined && !entry.isSymbolicLink();
  return { name, path: plain ? `${folder.path}${sep}${entry.name}` : undefined };
}

async function realFolder(root: string): Promise<string | undefined> {
  try {
    return await realpath(root);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined;
    throw error;
  }
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
