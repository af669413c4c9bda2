import { Buffer } from 'node:buffer';
import type { Dirent } from 'node:fs';
import { readdir, realpath } from 'node:fs/promises';
import { isAbsolute, join, relative, resolve, sep } from 'node:path';
import { WaybillError } from '../../model/errors.ts';

/** A file that a pattern names: `name` with slashes from the root, for people and positions; `path` to open it. */
export interface FoundFile {
  readonly name: string;
  readonly path: string;
}

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

/** The segments of a path that stays below its root. */
export function segmentsOf(path: string): readonly string[] {
  const segments = path.split('/').filter((segment) => segment !== '' && segment !== '.');
  const outside = isAbsolute(path) || segments.includes('..') || path.includes('\0') || path.includes('\\');
  if (outside || segments.length === 0) {
    throw new WaybillError('CONFIG_INVALID', `${JSON.stringify(path)} does not lie below the root of the connection`, {
      hint: 'Name the folder as `root` of the connection, and the files from there, with slashes and without `..`.',
    });
  }
  return segments;
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

/** As in a shell: a leading dot has to be named. Runs in linear time for each `*`, whatever the pattern. */
function matcher(segment: string): (name: string) => boolean {
  const parts = segment.split('*');
  return (name) => {
    if (name.startsWith('.') && !segment.startsWith('.')) return false;
    if (parts.length === 1) return name.length === segment.length && fits(segment, name, 0);
    const [first, last] = [parts[0]!, parts.at(-1)!];
    if (name.length < first.length + last.length || !fits(first, name, 0)) return false;
    const end = name.length - last.length;
    if (!fits(last, name, end)) return false;
    let at = first.length;
    for (const part of parts.slice(1, -1)) {
      while (at + part.length <= end && !fits(part, name, at)) at += 1;
      if (at + part.length > end) return false;
      at += part.length;
    }
    return true;
  };
}

function fits(part: string, name: string, at: number): boolean {
  for (let nth = 0; nth < part.length; nth++) {
    if (part[nth] !== '?' && part[nth] !== name[at + nth]) return false;
  }
  return true;
}

/** Fills `{{ name }}` in a path. Values become parts of one name: what could lead elsewhere is written %XX. */
export function fillPath(template: string, values: Readonly<Record<string, string>>): string {
  return template.replace(PLACEHOLDER, (_whole, name: string) => {
    const value = Object.hasOwn(values, name) ? values[name] : undefined;
    if (value === undefined)
      throw new WaybillError(
        'CONFIG_INVALID',
        `a path cannot hold {{ ${name} }}; it can hold ${Object.keys(values).join(', ')}`,
      );
    return safeName(value);
  });
}

export const PLACEHOLDER = /\{\{\s*([^{}\s]*)\s*\}\}/g;

export function placeholdersOf(template: string): readonly string[] {
  return [...template.matchAll(PLACEHOLDER)].map((match) => match[1] ?? '');
}

function safeName(value: string): string {
  let name = '';
  for (const byte of Buffer.from(value, 'utf8')) {
    const letter = String.fromCharCode(byte);
    const plain = /[A-Za-z0-9_~+=,@-]/.test(letter) || (letter === '.' && name !== '');
    name += plain ? letter : `%${byte.toString(16).padStart(2, '0')}`;
  }
  return name;
}
