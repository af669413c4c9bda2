import { readdirSync, readFileSync, statSync } from 'node:fs';
import { join, relative, resolve, sep } from 'node:path';
import { fileURLToPath } from 'node:url';

/** The folder of the project, whichever folder the tests were started from. */
export const ROOT = resolve(fileURLToPath(new URL('../..', import.meta.url)));

/**
 * Every file that belongs to the project, as `src/model/ids.ts`, sorted. Read from the disk and not from git, so that
 * the checks work in a copy of the tree and speak of a file before it is committed. What `.gitignore` names is not
 * among them.
 */
export function projectFiles(): string[] {
  const ignored = ignoredNames();
  const found: string[] = [];
  const walk = (folder: string): void => {
    for (const entry of readdirSync(folder, { withFileTypes: true })) {
      const path = join(folder, entry.name);
      if (entry.name === '.git' || ignored(entry.name)) continue;
      if (entry.isDirectory()) walk(path);
      else if (entry.isFile()) found.push(relative(ROOT, path).split(sep).join('/'));
    }
  };
  walk(ROOT);
  return found.sort();
}

/** `.gitignore` here holds only names (`dist/`) and endings (`*.tgz`); anything cleverer is refused loudly. */
function ignoredNames(): (name: string) => boolean {
  const lines = readFileSync(join(ROOT, '.gitignore'), 'utf8')
    .split('\n')
    .filter((line) => line !== '' && !line.startsWith('#'));
  const names = new Set<string>();
  const endings: string[] = [];
  for (const line of lines) {
    if (line.startsWith('*.')) endings.push(line.slice(1));
    else if (/^[^*?!/[]+\/?$/.test(line)) names.add(line.replace(/\/$/, ''));
    else throw new Error(`test/tidy/tree.ts does not understand this line of .gitignore: ${line}`);
  }
  return (name) => names.has(name) || endings.some((ending) => name.endsWith(ending));
}

export const readText = (path: string): string => readFileSync(join(ROOT, path), 'utf8');

/** Files that hold text, whatever they are called: what has no byte 0. Anything beyond 2 MB is left out. */
export const isText = (path: string): boolean =>
  statSync(join(ROOT, path)).size < 2_000_000 && !readFileSync(join(ROOT, path)).includes(0);

/** Code that a person wrote in TypeScript or JavaScript. AssemblyScript shares the ending, not the language. */
export const isCode = (path: string): boolean =>
  /\.(ts|mjs|js)$/.test(path) && !path.endsWith('.generated.ts') && !isAssembly(path);

export const isAssembly = (path: string): boolean => path.includes('/assembly/');

export const isTest = (path: string): boolean => path.endsWith('.test.ts') || path.startsWith('test/');
