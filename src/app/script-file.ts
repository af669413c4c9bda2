import { readFile } from 'node:fs/promises';
import { describeError } from '../model/errors.ts';
import type { Path, RawFile, RawProblem } from './places.ts';
import { ScriptPlaces } from './script-places.ts';

const DEPTH_MAX = 40;

/** Reads a flow file in TypeScript or JavaScript: the default export, which has the same shape as the YAML form. */
export async function readScript(name: string, path: string): Promise<RawFile> {
  const text = await readFile(path, 'utf8');
  const places = new ScriptPlaces(text);
  const place = places.place.bind(places);
  try {
    // Few flow files are programs, and it takes longer to load than most of them to read.
    const { createJiti } = await import('jiti');
    const jiti = createJiti(path, { fsCache: false, moduleCache: false });
    const exported: unknown = await jiti.import(path, { default: true });
    const problems: RawProblem[] = [];
    const value = plain(exported, [], (problem, at) => {
      const found = places.place(at, 'value');
      problems.push({ message: problem, ...(found === undefined ? {} : { place: found }) });
    });
    return { name, text, value, place, problems };
  } catch (error) {
    const problem = { message: `the file cannot be loaded: ${describeError(error)}` };
    return { name, text, value: undefined, place, problems: [problem] };
  }
}

/** A copy of what a program built: maps without a prototype, lists, values and functions; anything else is refused. */
function plain(value: unknown, path: Path, refuse: (problem: string, path: Path) => void): unknown {
  if (typeof value !== 'object' || value === null) return value;
  if (path.length > DEPTH_MAX) return void refuse(`nested deeper than ${DEPTH_MAX} levels`, path);
  if (Array.isArray(value)) return value.map((item, at) => plain(item, [...path, at], refuse));
  const prototype: unknown = Object.getPrototypeOf(value);
  // The file runs in its own realm under jiti, so its `Object.prototype` may be another one than ours.
  if (prototype !== null && Object.getPrototypeOf(prototype) !== null) {
    return void refuse('only plain values, lists, maps and functions are allowed here', path);
  }
  const copy = Object.create(null) as Record<string, unknown>;
  for (const [key, item] of Object.entries(value)) {
    if (item !== undefined) copy[key] = plain(item, [...path, key], refuse);
  }
  return copy;
}
